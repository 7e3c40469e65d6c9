package statuspage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/admin"
	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/tests/daemontest"
)

func init() {
	for _, kind := range []string{"text/html", "text/css", "text/javascript", "text/event-stream", "image/svg+xml", "application/openmetrics-text"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
}

// document is what the daemon serves as its OpenAPI document.
func document(t *testing.T, d *daemontest.Daemon) *openapi3.T {
	t.Helper()
	code, body, err := d.Get("/api/v1/openapi.yaml")
	if err != nil || code != 200 {
		t.Fatalf("%d, %v", code, err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not OpenAPI 3: %v", err)
	}
	return doc
}

// TestEveryPathIsDescribed: the document has the paths that are answered, those and no others.
func TestEveryPathIsDescribed(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	doc := document(t, d)
	registry := prometheus.NewRegistry()
	c, err := cache.New(cache.Config{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, Topics: []cache.TopicConfig{{Name: "users"}}, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	server, err := admin.New(admin.Config{Cache: c, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	var answered []string
	for _, pattern := range server.Paths() {
		answered = append(answered, strings.NewReplacer("{$}", "", "...", "").Replace(pattern))
	}
	described := doc.Paths.Keys()
	slices.Sort(answered)
	slices.Sort(described)
	if len(answered) < 10 || !slices.Equal(answered, described) {
		t.Errorf("answered: %q\ndescribed: %q", answered, described)
	}
}

// question is a request, and what it is answered with.
type question struct {
	path, query string
	as          string            // the document's path; empty: path
	header      map[string]string // of the request
	code        int
}

// asked are the answers that were had, as "PATH CODE".
type asked map[string]bool

// ask asks, and holds the answer to the document.
func (a asked) ask(t *testing.T, d *daemontest.Daemon, doc *openapi3.T, q question) {
	t.Helper()
	if q.as == "" {
		q.as = q.path
	}
	a[fmt.Sprint(q.as, " ", q.code)] = true
	if err := answer(t, d.AdminAddr, doc, q); err != nil {
		t.Errorf("%s?%s with %v: %v", q.path, q.query, q.header, err)
	}
}

// concrete is a path of the document as it is asked for.
func concrete(path string) string {
	return strings.NewReplacer("{file}", "page.css", "{profile}", "goroutine").Replace(path)
}

// elsewhere are answers that cannot be had of a daemon at will. The tests of package admin have them.
var elsewhere = map[string]string{
	"/ 503": "as many answers as there may be", "/api/v1/status 503": "as many answers as there may be", "/api/v1/history 503": "as many answers as there may be",
	"/api/v1/invalid 503": "as many answers as there may be", "/api/v1/key 429": "as many look-ups as there may be", "/api/v1/checksum 429": "as many sums as there may be",
	"/api/v1/events 503": "as many streams as there may be", "/debug/pprof/{profile} 503": "somebody else within the process profiles",
}

// TestAnswersAreAsDescribed asks each path for each answer that is described, and holds it to the document: status, content type, and every member of
// every object, of which none may be undescribed.
func TestAnswersAreAsDescribed(t *testing.T) {
	d, topic := serve(t, "--peers", "127.0.0.1:1")
	doc := document(t, d)
	d.Await("the status has rates", func() bool { return statusOf(t, d).Rates != nil })
	asked := asked{}
	for _, q := range []question{
		{path: "/livez", code: 200}, {path: "/healthz", code: 200}, {path: "/readyz", code: 200}, {path: "/readyz", query: "verbose", code: 200},
		{path: "/metrics", code: 200}, {path: "/metrics", header: map[string]string{"Accept": "application/openmetrics-text; version=1.0.0"}, code: 200},
		{path: "/", code: 200}, {path: "/", query: "topic=" + topic + "&key=user/1", code: 200},
		{path: "/assets/page.css", as: "/assets/{file}", code: 200}, {path: "/assets/page.js", as: "/assets/{file}", code: 200}, {path: "/assets/icon.svg", as: "/assets/{file}", code: 200},
		{path: "/assets/uplot/LICENSE", as: "/assets/{file}", code: 200}, {path: "/assets/nothing", as: "/assets/{file}", code: 404},
		{path: "/api/v1/status", code: 200}, {path: "/api/v1/history", code: 200}, {path: "/api/v1/config", code: 200}, {path: "/api/v1/openapi.yaml", code: 200},
		{path: "/api/v1/events", code: 200},
		{path: "/api/v1/checksum", query: "topic=" + topic, code: 200}, {path: "/api/v1/checksum", query: "topic=" + topic + "&full", code: 200},
		{path: "/api/v1/checksum", code: 400}, {path: "/api/v1/checksum", query: "topic=none", code: 404},
		{path: "/api/v1/invalid", code: 200}, {path: "/api/v1/invalid", query: "limit=0", code: 400}, {path: "/api/v1/invalid", query: "topic=none", code: 404},
		{path: "/api/v1/key", query: "topic=" + topic + "&key=user/1", code: 200}, {path: "/api/v1/key", query: "topic=" + topic + "&key64=dXNlci8x", code: 200},
		{path: "/api/v1/key", query: "key=a", code: 400}, {path: "/api/v1/key", query: "topic=" + topic + "&key=none", code: 404},
		{path: "/debug/pprof/", code: 200}, {path: "/debug/pprof/heap", as: "/debug/pprof/{profile}", code: 200}, {path: "/debug/pprof/goroutine", query: "debug=1", as: "/debug/pprof/{profile}", code: 200},
		{path: "/debug/pprof/profile", query: "seconds=0.1", as: "/debug/pprof/{profile}", code: 200}, {path: "/debug/pprof/trace", query: "seconds=0.1", as: "/debug/pprof/{profile}", code: 200},
		{path: "/debug/pprof/heap", query: "debug=7", as: "/debug/pprof/{profile}", code: 400}, {path: "/debug/pprof/nothing", as: "/debug/pprof/{profile}", code: 404},
	} {
		asked.ask(t, d, doc, q)
	}
	busy(t, d, func() {
		asked.ask(t, d, doc, question{path: "/debug/pprof/profile", query: "seconds=0.1", as: "/debug/pprof/{profile}", code: 429})
	})

	// What a request for somebody else is refused, and one without the token.
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("the-token-of-this-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// An instance that never reaches Kafka answers otherwise, and as described too.
	away := daemontest.Start(t, "--kafka-bootstrap", "127.0.0.1:1", "--topic", "users", "--admin-token-file", file)
	for _, path := range doc.Paths.Keys() {
		responses := doc.Paths.Value(path).Get.Responses
		if responses.Status(403) != nil {
			asked.ask(t, d, doc, question{path: concrete(path), as: path, header: map[string]string{"X-Forwarded-For": "192.0.2.1"}, code: 403})
		}
		if responses.Status(401) != nil {
			asked.ask(t, away, doc, question{path: concrete(path), as: path, code: 401})
		}
	}
	token := map[string]string{"Authorization": "Bearer the-token-of-this-test"}
	for _, q := range []question{{path: "/readyz", code: 503}, {path: "/readyz", query: "verbose", code: 503}, {path: "/api/v1/status", code: 200}, {path: "/", code: 200},
		{path: "/api/v1/checksum", query: "topic=users", code: 503}, {path: "/api/v1/key", query: "topic=users&key=a", code: 503}} {
		q.header = token
		asked.ask(t, away, doc, q)
	}

	for _, path := range doc.Paths.Keys() {
		for code := range doc.Paths.Value(path).Get.Responses.Map() {
			if name := path + " " + code; asked[name] == (elsewhere[name] != "") {
				t.Errorf("%s is described; asked for here: %v, elsewhere: %q", name, asked[name], elsewhere[name])
			}
		}
	}

	// The comparison itself finds what is not described.
	spoiled := document(t, d)
	delete(spoiled.Components.Schemas["Topic"].Value.Properties, "keys")
	if err := answer(t, d.AdminAddr, spoiled, question{path: "/api/v1/status", as: "/api/v1/status", code: 200}); err == nil {
		t.Error("a member that is not described is not found")
	}
}

// busy calls f while a profile is being made.
func busy(t *testing.T, d *daemontest.Daemon, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.AdminAddr+"/debug/pprof/trace?seconds=30", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req) // a trace begins with a header
	if err != nil {
		t.Fatal(err)
	}
	f()
	cancel()
	resp.Body.Close()
	d.Await("the profile has ended with who asked for it", func() bool {
		code, _, err := d.Get("/debug/pprof/profile?seconds=0.01")
		return err == nil && code == 200
	})
}

// TestConfigurationHasNoSecrets: what is in effect is shown, with the paths of files and without what is in them, and without hashes.
func TestConfigurationHasNoSecrets(t *testing.T) {
	dir := t.TempDir()
	in := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const token, password, hash = "a-token-that-is-secret", "a-password-that-is-secret", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
	tokens := in("admin-token", token)
	config := in("config.yaml", fmt.Sprintf("version: 1\nkafka-bootstrap: 127.0.0.1:1\nresp-maxclients: 123\nadmin-token-file: %s\ntopics:\n  - name: users\nusers:\n"+
		"  - name: app\n    password-file: %s\n    topics: {\"*\": read}\n  - name: ops\n    password-sha256: %s\n    topics: {\"*\": read}\n", tokens, in("password", password), hash))
	d := daemontest.Start(t, "--config", config)
	for _, path := range []string{"/api/v1/config", "/"} {
		code, text := ask(t, http.DefaultClient, "http://"+d.AdminAddr+path, token)
		if code != 200 {
			t.Fatalf("%s: %d %s", path, code, text)
		}
		for _, secret := range []string{token, password, hash, hash[:16]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %q", path, secret)
			}
		}
		for _, want := range []string{"resp-maxclients: 123", "admin-token-file: ", tokens, "file"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %q: %s", path, want, text)
			}
		}
	}
}

// answer asks, and says where the answer is not as described.
func answer(t *testing.T, addr string, doc *openapi3.T, q question) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+q.path+"?"+q.query, nil)
	if err != nil {
		return err
	}
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if q.path == "/api/v1/events" {
		body = io.LimitReader(body, 500) // it has no end; whole events are longer
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if resp.StatusCode != q.code {
		return fmt.Errorf("%s, want %d: %s", resp.Status, q.code, b)
	}
	item := doc.Paths.Value(q.as)
	if item == nil || item.Get == nil {
		return fmt.Errorf("%s is not in the document", q.as)
	}
	if item.Get.Responses.Status(q.code) == nil {
		return fmt.Errorf("%d is not in the document", q.code)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if item.Get.Responses.Status(q.code).Value.Content.Get(kind) == nil {
		return fmt.Errorf("content of type %q is not in the document", kind)
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: &routers.Route{Spec: doc, Path: q.as, PathItem: item, Method: http.MethodGet, Operation: item.Get}},
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(b)),
		Options:                &openapi3filter.Options{MultiError: true},
	})
}

// TestStreamsEndWithTheProcess: an event stream that is open does not delay the end of the daemon.
func TestStreamsEndWithTheProcess(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + d.AdminAddr + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len("retry: 2000"))
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if code := d.Stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if strings.Contains(d.Log(), "admin connections were cut") {
		t.Errorf("the stream was cut rather than ended, after %v", time.Since(began))
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}
