package registry

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: a test that reaches it has failed.
const patience = 20 * time.Second

// server is a registry with the part of the REST API that is used, and faults on demand.
type server struct {
	*httptest.Server

	mu       sync.Mutex
	ids      map[int]registered
	subjects map[string][]int // ids of its versions
	fault    func(w http.ResponseWriter, r *http.Request) bool
	requests map[string]int
	user     string // "" none is asked for
	password string
}

type registered struct {
	Schema     string `json:"schema"`
	SchemaType string `json:"schemaType,omitempty"`
	References []ref  `json:"references,omitempty"`
}

type ref struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{ids: map[int]registered{}, subjects: map[string][]int{}, requests: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// register adds a version to a subject, which may be "".
func (s *server) register(id int, subject string, r registered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[id] = r
	if subject != "" {
		s.subjects[subject] = append(s.subjects[subject], id)
	}
}

func (s *server) fail(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// asked is how often a path was asked for.
func (s *server) asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.URL.Path]++
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if user, password, _ := r.BasicAuth(); user != s.user || password != s.password {
		reply(w, http.StatusUnauthorized, map[string]any{"error_code": 401, "message": "Unauthorized"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case len(parts) == 3 && parts[0] == "schemas" && parts[1] == "ids":
		id, err := strconv.Atoi(parts[2])
		found, ok := s.ids[id]
		if err != nil || !ok {
			reply(w, http.StatusNotFound, map[string]any{"error_code": 40403, "message": fmt.Sprintf("Schema %s not found", parts[2])})
			return
		}
		reply(w, http.StatusOK, found)
	case len(parts) == 4 && parts[0] == "subjects" && parts[2] == "versions":
		subject, err := url.PathUnescape(parts[1])
		versions := s.subjects[subject]
		n := len(versions)
		if parts[3] != "latest" {
			n, err = strconv.Atoi(parts[3])
		}
		switch {
		case err != nil || len(versions) == 0:
			reply(w, http.StatusNotFound, map[string]any{"error_code": 40401, "message": fmt.Sprintf("Subject '%s' not found.", subject)})
		case n < 1 || n > len(versions):
			reply(w, http.StatusNotFound, map[string]any{"error_code": 40402, "message": "Version not found."})
		default:
			id := versions[n-1]
			reply(w, http.StatusOK, struct {
				registered
				Subject string `json:"subject"`
				ID      int    `json:"id"`
				Version int    `json:"version"`
			}{s.ids[id], subject, id, n})
		}
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

// open makes a Registry of the server, with short times.
func open(t *testing.T, s *server, change ...func(*Config)) *Registry {
	t.Helper()
	cfg := Config{URLs: []string{s.URL}, Timeout: 2 * time.Second, Refresh: time.Hour}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func framed(id int, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(time.Millisecond) // between looks at the condition
	}
}
