package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
)

const (
	userSchema = `{"type":"record","name":"User","namespace":"x","fields":[{"name":"id","type":"string"},{"name":"email","type":["null","string"],"default":null}]}`
	jsonSchema = `{"type":"object","properties":{"id":{"type":"string"},"age":{"type":"integer"}},"required":["id"]}`
)

func reading(t *testing.T, r *Registry, name string) codec.Codec {
	t.Helper()
	c, err := r.Codec(name, Use{Topic: "users", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// await does what a reader of the log does: it asks again, with a pause, until something can be said of the bytes.
func await(t *testing.T, c codec.Codec, encoded []byte) (decoded string, waited []string, err error) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		out, err := c.Decode(nil, encoded)
		if !errors.Is(err, codec.ErrUnavailable) {
			return string(out), waited, err
		}
		if err := c.(codec.Awaiter).Await(t.Context(), encoded); errors.Is(err, codec.ErrUnavailable) {
			waited = append(waited, err.Error())
			time.Sleep(5 * time.Millisecond) // between tries
		}
	}
	t.Fatalf("not in time: %q", waited)
	return "", nil, nil
}

func TestDecodeAvro(t *testing.T) {
	s := serve(t)
	s.register(7, "users-value", registered{Schema: userSchema})
	c := reading(t, open(t, s), Avro)
	if c.Name() != "avro" || c.Identity() || codec.CheckName(c) != nil || !errors.Is(codec.CheckKey(c), codec.ErrUnfit) {
		t.Errorf("%s: %v, %v", c.Name(), codec.CheckName(c), codec.CheckKey(c))
	}
	encoded := framed(7, "\x02a\x02\x02e")
	if _, err := c.Decode(nil, encoded); !errors.Is(err, codec.ErrUnavailable) || errors.Is(err, codec.ErrInvalid) {
		t.Errorf("before it was looked up: %v", err)
	}
	if got, waited, err := await(t, c, encoded); err != nil || got != `{"id":"a","email":"e"}` || len(waited) > 0 {
		t.Errorf("%s, %v, after %q", got, err, waited)
	}
	for in, offset := range map[string]int{
		"":                                0,
		"\x00\x00\x00\x00":                4,
		"\x01\x00\x00\x00\x07\x02a":       0,
		"{\"id\":\"a\"}":                  0,
		"\x00\xff\xff\xff\xff":            1,
		string(framed(7, "")):             5,
		string(framed(7, "\x02a\x00x")):   8,
		string(framed(7, "\x02\xff\x00")): 6,
		string(framed(7, "\x02a\x04")):    7,
	} {
		got, err := c.Decode([]byte("dst:"), []byte(in))
		var invalid *codec.InvalidError
		if !errors.As(err, &invalid) || invalid.Offset != offset || invalid.Encoding != "avro" || string(got) != "dst:" {
			t.Errorf("%q: %q, %v; want offset %d", in, got, err, offset)
		}
	}
	if n := s.asked("/schemas/ids/7"); n != 1 {
		t.Errorf("the schema was asked for %d times", n)
	}
	dst := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Decode(dst, encoded); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Decode allocates %v times", n)
	}
}

func TestReferences(t *testing.T) {
	s := serve(t)
	s.register(1, "country", registered{Schema: `{"type":"record","name":"Country","namespace":"geo","fields":[{"name":"code","type":"string"}]}`})
	s.register(2, "geo.Address", registered{Schema: `{"type":"record","name":"Address","namespace":"geo","fields":[{"name":"city","type":"string"},{"name":"country","type":"Country"}]}`,
		References: []ref{{"geo.Country", "country", 1}}})
	s.register(3, "users-value", registered{Schema: `{"type":"record","name":"User","namespace":"x","fields":[{"name":"home","type":"geo.Address"},{"name":"born","type":["null","geo.Country"]}]}`,
		References: []ref{{"geo.Address", "geo.Address", 1}, {"geo.Country", "country", 1}}})
	s.register(4, "", registered{Schema: userSchema, References: []ref{{"gone", "gone", 1}}})
	s.register(5, "loop", registered{Schema: userSchema, References: []ref{{"loop", "loop", 1}}})
	for i := range 30 {
		s.register(100+i, "deep", registered{Schema: userSchema, References: []ref{{"deep", "deep", i + 2}}})
	}
	c := reading(t, open(t, s, func(c *Config) { c.MissingGrace = time.Nanosecond }), Avro)
	if got, _, err := await(t, c, framed(3, "\x02g\x04se\x02\x04no")); err != nil || got != `{"home":{"city":"g","country":{"code":"se"}},"born":{"code":"no"}}` {
		t.Errorf("%s, %v", got, err)
	}
	for id, says := range map[int]string{4: "does not have", 100: "deeper than 20"} {
		if got, _, err := await(t, c, framed(id, "\x02a\x00")); !errors.Is(err, codec.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%d: %s, %v", id, got, err)
		}
	}
	if got, _, err := await(t, c, framed(5, "\x02a\x00")); got != "" && err != nil || len(got) > 100 { // whatever it says, it ends
		t.Errorf("a loop: %s, %v", got, err)
	}
}

// TestOutage: nothing that is wrong with the registry, or with what stands in front of it, makes a record invalid.
func TestOutage(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"500": func(w http.ResponseWriter, _ *http.Request) bool {
			reply(w, 500, map[string]any{"error_code": 50001, "message": "store"})
			return true
		},
		"503 of a proxy": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true },
		"404 of a proxy": func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
		"404 of the API": func(w http.ResponseWriter, _ *http.Request) bool {
			reply(w, 404, map[string]any{"error_code": 404, "message": "HTTP 404 Not Found"})
			return true
		},
		"40403 with a 500": func(w http.ResponseWriter, _ *http.Request) bool {
			reply(w, 500, map[string]any{"error_code": 40403})
			return true
		},
		"401": func(w http.ResponseWriter, _ *http.Request) bool {
			reply(w, 401, map[string]any{"error_code": 401, "message": "no\r\nway"})
			return true
		},
		"429": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(429); return true },
		"a redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/login", http.StatusFound)
			return true
		},
		"a login page": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>log in</html>"))
			return true
		},
		"an empty object": func(w http.ResponseWriter, _ *http.Request) bool { reply(w, 200, map[string]any{}); return true },
		"too much": func(w http.ResponseWriter, _ *http.Request) bool {
			reply(w, 200, map[string]any{"schema": strings.Repeat("x", maxResponse)})
			return true
		},
		"too much of an error": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(404)
			for range 5 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					break
				}
			}
			return true
		},
		"a cut connection": func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.register(7, "users-value", registered{Schema: userSchema})
			s.fail(fault)
			c := reading(t, open(t, s, func(c *Config) { c.MissingGrace = time.Nanosecond }), Avro)
			encoded := framed(7, "\x02a\x00")
			for range 3 {
				err := c.(codec.Awaiter).Await(t.Context(), encoded)
				if !errors.Is(err, codec.ErrUnavailable) || errors.Is(err, codec.ErrInvalid) || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 400 {
					t.Fatalf("Await: %q", err)
				}
				if _, err := c.Decode(nil, encoded); !errors.Is(err, codec.ErrUnavailable) {
					t.Fatalf("Decode: %v", err)
				}
			}
			s.fail(nil)
			if got, _, err := await(t, c, encoded); err != nil || got != `{"id":"a","email":null}` {
				t.Errorf("afterwards: %s, %v", got, err)
			}
			// What is known needs no registry.
			s.fail(fault)
			if got, err := c.Decode(nil, encoded); err != nil || string(got) != `{"id":"a","email":null}` {
				t.Errorf("in the next outage: %s, %v", got, err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	s := serve(t)
	s.register(7, "", registered{Schema: userSchema})
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := open(t, s, func(c *Config) { c.URLs = []string{gone.URL} })
	if err := reading(t, r, Avro).(codec.Awaiter).Await(t.Context(), framed(7, "")); !errors.Is(err, codec.ErrUnavailable) {
		t.Errorf("no such port: %v", err)
	}
	r = open(t, s, func(c *Config) { c.URLs = []string{gone.URL, s.URL} })
	if got, _, err := await(t, reading(t, r, Avro), framed(7, "\x02a\x00")); err != nil || got == "" {
		t.Errorf("the second address: %s, %v", got, err)
	}
}

func TestSlowRegistry(t *testing.T) {
	s := serve(t)
	s.register(7, "", registered{Schema: userSchema})
	release := make(chan struct{})
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return false
	})
	defer close(release)
	c := reading(t, open(t, s, func(c *Config) { c.Timeout = 50 * time.Millisecond }), Avro)
	if err := c.(codec.Awaiter).Await(t.Context(), framed(7, "")); !errors.Is(err, codec.ErrUnavailable) {
		t.Errorf("Await: %v", err)
	}
	// And it ends with its context, however long the time-out.
	c = reading(t, open(t, s, func(c *Config) { c.Timeout = time.Hour }), Avro)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.(codec.Awaiter).Await(ctx, framed(7, "")) }()
	eventually(t, "it is asked", func() bool { return s.asked("/schemas/ids/7") >= 2 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, codec.ErrInvalid) {
		t.Errorf("Await: %v", err)
	}
}

// TestOneLookUp: many partitions that meet a new schema at once ask for it once.
func TestOneLookUp(t *testing.T) {
	s := serve(t)
	s.register(7, "", registered{Schema: userSchema})
	const n = 20
	release := make(chan struct{})
	s.fail(func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	r := open(t, s)
	c := reading(t, r, Avro)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := c.(codec.Awaiter).Await(t.Context(), framed(7, "")); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "it is asked", func() bool { return s.asked("/schemas/ids/7") == 1 })
	close(release)
	all.Wait()
	if asked := s.asked("/schemas/ids/7"); asked > 2 { // one that came when it had just landed may ask again
		t.Errorf("asked %d times", asked)
	}
}

func TestMissingID(t *testing.T) {
	s := serve(t)
	r := open(t, s, func(c *Config) { c.MissingGrace, c.MissingFor = 5*time.Second, time.Minute })
	now := time.Now()
	r.cache.now = func() time.Time { return now }
	c := reading(t, r, Avro)
	encoded := framed(7, "\x02a\x00")
	// It is not believed at once: the node that was asked may lag behind.
	for range 3 {
		if err := c.(codec.Awaiter).Await(t.Context(), encoded); !errors.Is(err, codec.ErrUnavailable) || !strings.Contains(err.Error(), "schema 7") || !strings.Contains(err.Error(), "5s more") {
			t.Fatalf("Await: %v", err)
		}
	}
	s.register(7, "", registered{Schema: userSchema})
	if got, _, err := await(t, c, encoded); err != nil || got != `{"id":"a","email":null}` {
		t.Fatalf("once it is there: %s, %v", got, err)
	}
	missing := framed(8, "")
	if err := c.(codec.Awaiter).Await(t.Context(), missing); !errors.Is(err, codec.ErrUnavailable) {
		t.Fatalf("Await: %v", err)
	}
	now = now.Add(6 * time.Second)
	if err := c.(codec.Awaiter).Await(t.Context(), missing); err != nil {
		t.Fatalf("Await after the grace: %v", err)
	}
	var invalid *codec.InvalidError
	if _, err := c.Decode(nil, missing); !errors.As(err, &invalid) || invalid.Offset != 1 || !strings.Contains(err.Error(), "schema 8: the registry does not have it") {
		t.Fatalf("Decode: %v", err)
	}
	asked := s.asked("/schemas/ids/8")
	if _, _, err := await(t, c, missing); !errors.Is(err, codec.ErrInvalid) || s.asked("/schemas/ids/8") != asked {
		t.Fatalf("asked again within MissingFor: %v", err)
	}
	// Later it is asked for once more, without another grace, and found where it is there by then.
	now = now.Add(2 * time.Minute)
	if _, waited, err := await(t, c, missing); !errors.Is(err, codec.ErrInvalid) || len(waited) > 0 || s.asked("/schemas/ids/8") != asked+1 {
		t.Fatalf("after MissingFor: %v, after %q, asked %d times", err, waited, s.asked("/schemas/ids/8"))
	}
	s.register(8, "", registered{Schema: `"string"`})
	now = now.Add(2 * time.Minute)
	if got, _, err := await(t, c, framed(8, "\x02x")); err != nil || got != `"x"` {
		t.Fatalf("once it is there: %s, %v", got, err)
	}
}

// TestManyMissingIDs: bytes that only look like ids hold a partition back for some of the time, not for all of it.
func TestManyMissingIDs(t *testing.T) {
	s := serve(t)
	c := reading(t, open(t, s), Avro)
	waited := 0
	for id := 1000; id < 1200; id++ {
		if errors.Is(c.(codec.Awaiter).Await(t.Context(), framed(id, "")), codec.ErrUnavailable) {
			waited++
		}
	}
	if waited != maxGracesAMinute {
		t.Errorf("%d of 200 ids were to be waited for, want %d", waited, maxGracesAMinute)
	}
}

func TestSchemasThatCannotBeUsed(t *testing.T) {
	s := serve(t)
	s.register(1, "", registered{Schema: `{"type":"nothing"}`})
	s.register(2, "", registered{Schema: `syntax = "proto3";`, SchemaType: "PROTOBUF"})
	s.register(3, "", registered{Schema: jsonSchema, SchemaType: "JSON"})
	c := reading(t, open(t, s), Avro)
	for id, says := range map[int]string{1: "schema 1 cannot be used", 2: "type PROTOBUF are not supported", 3: "schema 3 is of type JSON and not AVRO"} {
		_, waited, err := await(t, c, framed(id, ""))
		if !errors.Is(err, codec.ErrInvalid) || !strings.Contains(err.Error(), says) || len(waited) > 0 {
			t.Errorf("schema %d: %v, after %q", id, err, waited)
		}
	}
}

func TestDecodeJSONSchema(t *testing.T) {
	c := reading(t, open(t, serve(t)), JSONSchema)
	for _, payload := range []string{` {"id": 1.0}`, "not json \xff", ""} { // as it is
		if got, err := c.Decode([]byte("dst:"), framed(7, payload)); err != nil || string(got) != "dst:"+payload {
			t.Errorf("%q: %q, %v", payload, got, err)
		}
	}
	if got, err := c.Decode([]byte("dst:"), []byte(`{"id":1}`)); !errors.Is(err, codec.ErrInvalid) || string(got) != "dst:" {
		t.Errorf("without a frame: %q, %v", got, err)
	}
	if _, ok := c.(codec.Awaiter); ok {
		t.Error("it waits for nothing")
	}
}

func TestAuthenticationAndTLS(t *testing.T) {
	s := serve(t)
	s.register(7, "", registered{Schema: userSchema})
	s.user, s.password = "u", "s3cret"
	secure := httptest.NewTLSServer(s)
	defer secure.Close()
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	with := func(user, password string, roots *x509.CertPool) func(*Config) {
		return func(c *Config) {
			c.URLs, c.User, c.Password, c.TLS = []string{secure.URL}, user, password, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		}
	}
	if got, _, err := await(t, reading(t, open(t, s, with("u", "s3cret", pool)), Avro), framed(7, "\x02a\x00")); err != nil || got == "" {
		t.Errorf("%s, %v", got, err)
	}
	for name, change := range map[string]func(*Config){"wrong password": with("u", "guess", pool), "none": with("", "", pool), "unknown authority": with("u", "s3cret", nil)} {
		err := reading(t, open(t, s, change), Avro).(codec.Awaiter).Await(t.Context(), framed(7, ""))
		if !errors.Is(err, codec.ErrUnavailable) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "guess") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for address, ok := range map[string]bool{
		"http://registry:8081": true, "https://registry/path": true, "http://[::1]:8081": true,
		"": false, "registry:8081": false, "ftp://registry": false, "http://": false, "http://:8081": false, "http://u:s3cret@registry": false, "http://r?x=s3cret": false, "http://u:s3cret%zz@r": false,
	} {
		_, err := New(Config{URLs: []string{address}})
		if (err == nil) != ok || err != nil && (!errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "u:s3cret")) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for name, c := range map[string]Config{
		"no address": {}, "user alone": {URLs: []string{"http://r"}, User: "u"}, "password alone": {URLs: []string{"http://r"}, Password: "s3cret"}, "negative": {URLs: []string{"http://r"}, Timeout: -1},
	} {
		if _, err := New(c); !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := open(t, serve(t))
	if _, err := r.Codec("protobuf", Use{Topic: "a"}); !errors.Is(err, codec.ErrUnknown) {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	for id := range 3 * maxSchemas {
		c.put(&schema{id: id, size: 1000}, time.Time{})
		if c.get(0) == nil && id < maxSchemas { // the one that is always used stays for as long as there are others
			t.Fatalf("schema 0 went with %d", id)
		}
	}
	if n := len(*c.entries.Load()); n > maxSchemas {
		t.Errorf("%d entries", n)
	}
	for id := range 100 {
		c.put(&schema{id: 1_000_000 + id, size: maxResponse}, time.Time{})
	}
	total := 0
	for _, e := range *c.entries.Load() {
		total += e.size
	}
	if total > maxSchemaBytes || total != c.bytes {
		t.Errorf("%d bytes are kept, %d counted", total, c.bytes)
	}
}
