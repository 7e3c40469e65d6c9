package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
)

// writing is a codec that is run as long as the test.
func writing(t *testing.T, r *Registry, name, topic string) codec.Codec {
	t.Helper()
	c, err := r.Codec(name, Use{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.(codec.Runner).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// encode waits for as long as the schema is not known.
func encode(t *testing.T, c codec.Codec, decoded string) (string, error) {
	t.Helper()
	var out []byte
	var err error
	eventually(t, "the schema to write with", func() bool {
		out, err = c.Encode([]byte("dst:"), []byte(decoded))
		return !errors.Is(err, codec.ErrUnavailable)
	})
	if !strings.HasPrefix(string(out), "dst:") || err != nil && len(out) != 4 {
		t.Fatalf("%s: dst is %q, %v", decoded, out, err)
	}
	return string(out[4:]), err
}

func TestEncodeAvro(t *testing.T) {
	s := serve(t)
	s.register(7, "users-value", registered{Schema: `"string"`})
	s.register(8, "users-value", registered{Schema: userSchema})
	c := writing(t, open(t, s), Avro, "users")
	if got, err := encode(t, c, `{"id":"a"}`); err != nil || got != string(framed(8, "\x02a\x00")) {
		t.Errorf("%q, %v", got, err)
	}
	// It is read without another look-up.
	if got, err := c.Decode(nil, framed(8, "\x02a\x00")); err != nil || string(got) != `{"id":"a","email":null}` {
		t.Errorf("%s, %v", got, err)
	}
	for in, says := range map[string]string{
		`{"id":7}`:             "at byte 6: id: a number, where the schema has a string (schema 8)",
		`{}`:                   "at byte 0: id: is missing, and has no default (schema 8)",
		`{"id":"a","name":""}`: "at byte 10: name: x.User has no such field (schema 8)",
		`nope`:                 "not a JSON text",
	} {
		_, err := encode(t, c, in)
		var invalid *codec.InvalidError
		if !errors.As(err, &invalid) || invalid.Encoding != "avro" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %s", in, err, says)
		}
	}
}

func TestEncodeJSONSchema(t *testing.T) {
	s := serve(t)
	s.register(7, "users-value", registered{SchemaType: "JSON", Schema: jsonSchema})
	c := writing(t, open(t, s), JSONSchema, "users")
	const in = ` {"id": "a", "age": 7, "more": 1.0}`
	if got, err := encode(t, c, in); err != nil || got != string(framed(7, in)) {
		t.Errorf("%q, %v", got, err)
	}
	for in, says := range map[string]string{
		`{"id":"a","age":"x"}`: "/age: got string, want integer (schema 7)",
		`{}`:                   "missing property 'id' (schema 7)",
		`[]`:                   "got array, want object (schema 7)",
		`{"id":"a"`:            "unexpected end of JSON input",
		"{\"id\":\"\xff\"}":    "0xff does not begin a UTF-8 sequence",
	} {
		_, err := encode(t, c, in)
		var invalid *codec.InvalidError
		if !errors.As(err, &invalid) || invalid.Encoding != "json-schema" || !strings.Contains(err.Error(), says) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: %v; want %s", in, err, says)
		}
	}
}

// TestJSONSchemaReferences: by a name beside it, by an absolute URL, and relative to an $id; and what is not among them is not fetched.
func TestJSONSchemaReferences(t *testing.T) {
	s := serve(t)
	var fetched atomic.Bool
	elsewhere := serve(t)
	elsewhere.fail(func(http.ResponseWriter, *http.Request) bool { fetched.Store(true); return false })
	s.register(1, "id", registered{SchemaType: "JSON", Schema: `{"type":"string","maxLength":3}`})
	s.register(2, "plain-value", registered{SchemaType: "JSON", Schema: `{"properties":{"id":{"$ref":"id.json"}}}`, References: []ref{{"id.json", "id", 1}}})
	s.register(3, "absolute-value", registered{SchemaType: "JSON", Schema: `{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"id":{"$ref":"https://example.org/id.json"}}}`,
		References: []ref{{"https://example.org/id.json", "id", 1}}})
	s.register(4, "relative-value", registered{SchemaType: "JSON", Schema: `{"$schema":"http://json-schema.org/draft-07/schema#","$id":"https://example.org/schemas/user.json","properties":{"id":{"$ref":"id.json"}}}`,
		References: []ref{{"id.json", "id", 1}}})
	s.register(5, "elsewhere-value", registered{SchemaType: "JSON", Schema: `{"properties":{"id":{"$ref":"` + elsewhere.URL + `/id.json"}}}`})
	s.register(6, "file-value", registered{SchemaType: "JSON", Schema: `{"properties":{"id":{"$ref":"file:///etc/passwd"}}}`})
	r := open(t, s)
	for _, topic := range []string{"plain", "absolute", "relative"} {
		c := writing(t, r, JSONSchema, topic)
		if _, err := encode(t, c, `{"id":"abc"}`); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
		if _, err := encode(t, c, `{"id":"abcd"}`); !errors.Is(err, codec.ErrInvalid) || !strings.Contains(err.Error(), "/id: maxLength") {
			t.Errorf("%s: %v", topic, err)
		}
	}
	for _, topic := range []string{"elsewhere", "file"} {
		if _, err := encode(t, writing(t, r, JSONSchema, topic), `{"id":"abc"}`); !errors.Is(err, codec.ErrInvalid) || !strings.Contains(err.Error(), "is not among the schema's references") {
			t.Errorf("%s: %v", topic, err)
		}
	}
	if fetched.Load() {
		t.Error("a reference was fetched from elsewhere")
	}
}

func TestSubjectThatIsNotThere(t *testing.T) {
	s := serve(t)
	r := open(t, s)
	c := writing(t, r, Avro, "users")
	var invalid *codec.InvalidError
	if _, err := encode(t, c, `{"id":"a"}`); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "the latest schema of subject users-value: the registry does not have it") {
		t.Fatalf("%v", err)
	}
	// It is looked for again because somebody wants it, long before Refresh.
	s.register(7, "users-value", registered{Schema: userSchema})
	eventually(t, "the schema is found", func() bool { _, err := c.Encode(nil, []byte(`{"id":"a"}`)); return err == nil })
	if n := s.asked("/subjects/users-value/versions/latest"); n > 10 {
		t.Errorf("asked %d times", n)
	}
}

func TestSubjectsThatCannotBeWrittenWith(t *testing.T) {
	s := serve(t)
	s.register(1, "json-value", registered{SchemaType: "JSON", Schema: jsonSchema})
	s.register(2, "avro-value", registered{Schema: userSchema})
	s.register(3, "broken-value", registered{Schema: `{"type":"nothing"}`})
	s.register(4, "regex-value", registered{SchemaType: "JSON", Schema: `{"pattern":"(?=lookahead)"}`})
	s.register(5, "proto-value", registered{SchemaType: "PROTOBUF", Schema: `syntax = "proto3";`})
	r := open(t, s)
	for topic, k := range map[string][2]string{
		"json": {Avro, "is of type JSON and not AVRO"}, "avro": {JSONSchema, "is of type AVRO and not JSON"}, "broken": {Avro, "broken-value, 3, cannot be used"},
		"regex": {JSONSchema, "cannot be used"}, "proto": {Avro, "is of type PROTOBUF"},
	} {
		if _, err := encode(t, writing(t, r, k[0], topic), `{"id":"a"}`); !errors.Is(err, codec.ErrInvalid) || !strings.Contains(err.Error(), k[1]) {
			t.Errorf("%s: %v; want %s", topic, err, k[1])
		}
	}
	if _, err := reading(t, r, Avro).Encode(nil, []byte(`{"id":"a"}`)); !errors.Is(err, codec.ErrInvalid) {
		t.Errorf("a codec for reading: %v", err)
	}
}

// TestSubjectDuringAnOutage: before the schema is known a write is to be tried again; afterwards the one that is known serves.
func TestSubjectDuringAnOutage(t *testing.T) {
	s := serve(t)
	s.register(7, "users-value", registered{Schema: `"string"`})
	down := func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	s.fail(down)
	c := writing(t, open(t, s, func(c *Config) { c.Refresh = 10 * time.Millisecond }), Avro, "users")
	const path = "/subjects/users-value/versions/latest"
	eventually(t, "it is asked", func() bool { return s.asked(path) > 0 })
	if _, err := c.Encode(nil, []byte(`"a"`)); !errors.Is(err, codec.ErrUnavailable) || errors.Is(err, codec.ErrInvalid) || !strings.Contains(err.Error(), "users-value") {
		t.Errorf("in an outage: %v", err)
	}
	s.fail(nil)
	if got, err := encode(t, c, `"a"`); err != nil || got != string(framed(7, "\x02a")) {
		t.Errorf("%q, %v", got, err)
	}
	s.fail(down)
	before := s.asked(path)
	eventually(t, "it is asked again, in vain", func() bool { return s.asked(path) > before+2 })
	if got, err := encode(t, c, `"b"`); err != nil || got != string(framed(7, "\x02b")) {
		t.Errorf("in the next outage: %q, %v", got, err)
	}
	// A newer version is written with once it is heard of, and what was deleted is not.
	s.register(8, "users-value", registered{Schema: userSchema})
	s.fail(nil)
	eventually(t, "the newer schema", func() bool { _, err := c.Encode(nil, []byte(`{"id":"a"}`)); return err == nil })
	s.mu.Lock()
	delete(s.subjects, "users-value")
	s.mu.Unlock()
	eventually(t, "the subject is gone", func() bool { _, err := c.Encode(nil, []byte(`{"id":"a"}`)); return errors.Is(err, codec.ErrInvalid) })
}

// FuzzAvroValue: no bytes of the log and no write make it panic; what fails says where.
func FuzzAvroValue(f *testing.F) {
	r, err := New(Config{URLs: []string{"http://127.0.0.1:1"}})
	if err != nil {
		f.Fatal(err)
	}
	compiled, err := compileAvro(userSchema, nil)
	if err != nil {
		f.Fatal(err)
	}
	s := &schema{id: 7, avro: compiled}
	r.cache.put(s, time.Time{})
	c, err := r.Codec(Avro, Use{Topic: "users"})
	if err != nil {
		f.Fatal(err)
	}
	v := c.(*avroValue)
	v.subject.known.Store(&known{schema: s})
	for _, in := range []string{"", "\x00", "\x00\x00\x00\x00\x07\x02a\x00", "\x00\x00\x00\x00\x08", `{"id":"a"}`, `{"id":"a","email":"e"}`} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, call := range map[string]func(dst, in []byte) ([]byte, error){"Encode": v.Encode, "Decode": v.Decode} {
			out, err := call([]byte("dst:"), in)
			var invalid *codec.InvalidError
			switch {
			case !strings.HasPrefix(string(out), "dst:") || err != nil && len(out) != 4:
				t.Fatalf("%s(%q): dst is %q, %v", name, in, out, err)
			case err == nil || errors.Is(err, codec.ErrUnavailable):
			case !errors.As(err, &invalid) || invalid.Offset < 0 || invalid.Offset > len(in) || len(err.Error()) > 700:
				t.Fatalf("%s(%q): %v", name, in, err)
			}
			if err == nil && name == "Encode" {
				if _, err := v.Decode(nil, out[4:]); err != nil {
					t.Fatalf("%q was written, and does not read: %v", in, err)
				}
			}
		}
	})
}
