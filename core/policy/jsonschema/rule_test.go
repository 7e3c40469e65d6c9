package jsonschema

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/sample"
)

func compile(t testing.TB, schema string) *policy.ValueRule {
	t.Helper()
	r, err := Compile("test.schema.json", []byte(schema), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReasons(t *testing.T) {
	const object = `{"type":"object","required":["id","name"],"properties":{
		"id":{"$ref":"#/$defs/id"},"name":{"type":"string","minLength":2},"email":{"type":["string","null"],"format":"email"},
		"ip":{"anyOf":[{"type":"null"},{"type":"string","format":"ipv4"},{"type":"string","format":"ipv6"}]},
		"groups":{"type":"array","items":{"$ref":"#/$defs/id"},"uniqueItems":true},
		"shape":{"oneOf":[{"type":"object","required":["r"],"properties":{"r":{"type":"number"}}},{"type":"string"}]},
		"n":{"type":"integer","maximum":9007199254740993},"a/b~c":{"const":{"x":1}}},
		"additionalProperties":false,"$defs":{"id":{"type":"string","format":"uuid","pattern":"^[0-9a-f-]*$"}}}`
	const id = `"id":"706b6859-7f23-4b33-9735-57b26621fb3d"`
	for _, tt := range []struct{ schema, value, path, reason string }{
		{object, `{` + id + `,"name":"Ada","email":null,"ip":"::1","groups":[],"n":9007199254740993,"a/b~c":{"x":1.0}}`, "", ""},
		{object, `{`, "", "not JSON: it ends too early at byte 1"},
		{object, ``, "", "not JSON: it ends too early at byte 0"},
		{object, "\"\xff\"", "", "not JSON: not UTF-8 at byte 1"},
		{object, `null`, "", "null, not object"},
		{object, `{` + id + `}`, "", `missing: "name"`},
		{object, `{}`, "", `missing: "id", "name"`},
		{object, `{` + id + `,"name":"Ada","age":1,"zzz":1}`, "", `not allowed: "age", "zzz"`},
		{object, `{"id":"x","name":"Ada"}`, "/id", `"x" is no uuid: must have 5 elements`},
		{object, `{"id":"706B6859-7f23-4b33-9735-57b26621fb3d","name":"Ada"}`, "/id", `"706B6859-7f23-4b33-9735-57b26621fb3d" does not match "^[0-9a-f-]*$"`},
		{object, `{` + id + `,"name":"A"}`, "/name", "minLength: got 1, want 2"},
		{object, `{` + id + `,"name":"Ada","ip":"localhost"}`, "/ip", `none of 3 alternatives matches: "localhost" is no ipv4: `},
		{object, `{` + id + `,"name":"Ada","groups":["706b6859-7f23-4b33-9735-57b26621fb3d",7]}`, "/groups/1", "number, not string"},
		{object, `{` + id + `,"name":"Ada","groups":["706b6859-7f23-4b33-9735-57b26621fb3d","706b6859-7f23-4b33-9735-57b26621fb3d"]}`, "/groups", "items 0 and 1 are the same"},
		{object, `{` + id + `,"name":"Ada","shape":{"r":"x"}}`, "/shape/r", "string, not number"},
		{object, `{` + id + `,"name":"Ada","shape":[]}`, "/shape", "none of 2 alternatives matches: array, not object; array, not string"},
		{object, `{` + id + `,"name":"Ada","n":9007199254740994}`, "/n", "maximum: got "},
		{object, `{` + id + `,"name":"Ada","n":1.5}`, "/n", "number, not integer"},
		{object, `{` + id + `,"name":"Ada","a/b~c":{"x":2}}`, "/a~1b~0c", "an object is not an object"},
		{object, `{` + id + `,"name":"Ada","name":1}`, "/name", "number, not string"}, // the last of a name counts
		{object, `{` + id + `,"name":"` + strings.Repeat("é", 1000) + `","email":"` + strings.Repeat("x", 5000) + `"}`, "/email", `"xxxxxxxx`},
		{`{"enum":["a",1,null]}`, `"b"`, "", `"b" is none of "a", 1, null`},
		{`{"enum":["a",1,null]}`, `1.0`, "", ""},
		{`{"contains":{"const":1}}`, `[2,3]`, "", "no item matches what one has to"},
		{`{"propertyNames":{"maxLength":3}}`, `{"abcd":1}`, "", `the name "abcd": maxLength: got 4, want 3`},
		{`{"not":{"type":"string"}}`, `"x"`, "", "it matches what it must not"},
		{`false`, `1`, "", "nothing is allowed here"},
		{`true`, `1`, "", ""},
		{`{"properties":{"a":false}}`, `{"a":1}`, "/a", "nothing is allowed here"},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, "", `missing beside "a": "b"`},
		{`{"unevaluatedProperties":false,"properties":{"a":true}}`, `{"a":1,"b":2}`, "/b", "nothing is allowed here"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"string"}},"items":[{"$ref":"#/definitions/a","minLength":9}]}`, `["x"]`, "", ""},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"string"}},"items":[{"$ref":"#/definitions/a"}]}`, `[1]`, "/0", "number, not string"},
		{`{"format":"no such format"}`, `"x"`, "", ""},
		{`{"format":"regex"}`, `"("`, "", `"(" is no regex: `},
		{`{"contentMediaType":"application/json"}`, `"{"`, "", ""},
	} {
		err := compile(t, tt.schema).Check(nil, []byte(tt.value))
		if tt.reason == "" {
			if err != nil {
				t.Errorf("%.80s: %v", tt.value, err)
			}
			continue
		}
		var r *policy.Refusal
		if !errors.As(err, &r) || r.Path != tt.path || !strings.HasPrefix(r.Reason, tt.reason) || len(r.Reason) > 520 {
			t.Errorf("%.80s:\n  %v\n  want at %q: %s", tt.value, err, tt.path, tt.reason)
		}
	}
}

func TestSameReasonEachTime(t *testing.T) {
	rule := compile(t, `{"properties":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string"}},"additionalProperties":{"anyOf":[{"type":"null"},{"minimum":3},{"multipleOf":2}]}}`)
	for _, value := range []string{`{"c":1,"b":1,"a":1,"x":1,"y":1}`, `{"x":1,"y":1,"z":{}}`} {
		want := rule.Check(nil, []byte(value))
		for range 50 {
			if got := rule.Check(nil, []byte(value)); got == nil || want == nil || got.Error() != want.Error() {
				t.Fatalf("%v, then %v", want, got)
			}
		}
	}
}

func TestFormatsCanAnnotate(t *testing.T) {
	const schema = `{"format":"uuid"}`
	asserted, err := Compile("a.json", []byte(schema), Options{})
	if err != nil {
		t.Fatal(err)
	}
	annotated, err := Compile("a.json", []byte(schema), Options{FormatsAnnotate: true})
	if err != nil {
		t.Fatal(err)
	}
	if asserted.Check(nil, []byte(`"x"`)) == nil || annotated.Check(nil, []byte(`"x"`)) != nil {
		t.Error("a format is an assertion unless it is said to be an annotation")
	}
	if asserted.Name == annotated.Name {
		t.Error("the two rules have one name")
	}
}

func TestCompileErrors(t *testing.T) {
	for _, tt := range []struct{ schema, want string }{
		{"{\n  \"type\": \"object\",\n}", "compile schema: s.json:3:1: not JSON: no name of a member"},
		{"", "compile schema: s.json:1:1: not JSON: it ends too early"},
		{"{\n  \"properties\": {\n    \"a\": {\"type\": \"strin\"}\n  }\n}", "compile schema: s.json:3:19 at /properties/a/type: none of 2 alternatives matches: "},
		{"{\n  \"pattern\": \"(?=x)\"}", "compile schema: s.json:2:14 at /pattern: "},
		{`{"$ref":"#/$defs/a"}`, `compile schema: s.json: `},
		{`{"$ref":"other.json"}`, "compile schema: s.json: $ref to other.json: the schema has no files beside it"},
		{`{"$ref":"https://example.org/x.json"}`, "compile schema: s.json: $ref to https://example.org/x.json: it is not beside the schema, and nothing is fetched from a network"},
		{`{"$ref":"file:///etc/passwd"}`, "compile schema: s.json: $ref to file:///etc/passwd: it is not beside"},
		{`{"$schema":"https://example.org/x"}`, "compile schema: s.json: $ref to https://example.org/x: it is not beside"},
	} {
		_, err := Compile("s.json", []byte(tt.schema), Options{})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s:\n  %v\n  want %s", tt.schema, err, tt.want)
		}
	}
	if _, err := Compile("/etc/s.json", []byte(`{}`), Options{}); err == nil {
		t.Error("an absolute name is taken")
	}
}

func TestFilesBesideTheSchema(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "schemas")
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret.json", `{"type":"string"}`)
	write("schemas/a.json", `{"$ref":"defs/b.json#/$defs/x"}`)
	write("schemas/defs/b.json", `{"$defs":{"x":{"$ref":"c.json"}}}`)
	write("schemas/defs/c.json", `{"type":"integer"}`)
	write("schemas/id.json", `{"$id":"https://example.org/s/id.json","$ref":"defs/c.json"}`)
	write("schemas/up.json", `{"$ref":"../secret.json"}`)
	write("schemas/link.json", `{"$ref":"linked.json"}`)
	write("schemas/broken.json", `{"$ref":"defs/broken.json"}`)
	write("schemas/defs/broken.json", "{\n\n]")
	if err := os.Symlink(filepath.Join(top, "secret.json"), filepath.Join(dir, "linked.json")); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range []string{"a.json", "id.json"} {
		r, err := CompileFile(filepath.Join(dir, file), Options{})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if r.Check(nil, []byte(`1`)) != nil || r.Check(nil, []byte(`"x"`)) == nil {
			t.Errorf("%s: the file that it refers to does not count", file)
		}
		names[r.Name] = true
	}
	for file, want := range map[string]string{
		"up.json":     "secret.json: no such file",
		"link.json":   "linked.json",
		"broken.json": "defs/broken.json:3:1: not JSON",
		"none.json":   "read schema: ",
	} {
		if _, err := CompileFile(filepath.Join(dir, file), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
	write("schemas/defs/c.json", `{"type":"integer","minimum":0}`)
	for _, file := range []string{"a.json", "id.json"} {
		r, err := CompileFile(filepath.Join(dir, file), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if names[r.Name] {
			t.Errorf("%s: its name does not change with a file that it refers to", file)
		}
	}
}

// Several goroutines need more instances than there are, which are compiled of what was read at first.
func TestConcurrentUse(t *testing.T) {
	files := fstest.MapFS{"b.json": {Data: []byte(`{"type":"integer"}`)}}
	r, err := Compile("a.json", []byte(`{"items":{"$ref":"b.json"}}`), Options{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "b.json")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for i := range 200 {
				if err := r.Check(nil, []byte(`[1,2,3]`)); err != nil {
					t.Error(err)
					return
				}
				if _, ok := errors.AsType[*policy.Refusal](r.Check(nil, fmt.Appendf(nil, `[%d,"x"]`, i))); !ok {
					t.Error("not refused")
					return
				}
			}
		})
	}
	wg.Wait()
}

// Values that ask for exponential time, exponential numbers, or a reason for each of many items, deep inside.
func TestNoValueTakesForEver(t *testing.T) {
	const branching = `{"$ref":"#/$defs/node","$defs":{"node":{"anyOf":[
		{"properties":{"c":{"$ref":"#/$defs/node"}},"not":{}},{"properties":{"c":{"$ref":"#/$defs/node"}},"not":{}},{"required":["c"]}]}}}`
	nested := func(n int, open, leaf, end string) string {
		return strings.Repeat(open, n) + leaf + strings.Repeat(end, n)
	}
	const dynamic = `{"$id":"https://example.org/t.json","$ref":"#/$defs/tree","$defs":{
		"tree":{"$dynamicAnchor":"other","anyOf":[{"properties":{"c":{"$dynamicRef":"#node"}}},{"properties":{"c":{"$dynamicRef":"#node"}}}]},
		"only":{"$dynamicAnchor":"node","anyOf":[{"properties":{"c":{"$dynamicRef":"#node"}},"not":{}},{"properties":{"c":{"$dynamicRef":"#node"}},"not":{}},{"required":["c"]}]}}}`
	for _, tt := range []struct{ name, schema, value, reason string }{
		{"branches where it recurs", branching, nested(60, `{"c":`, `{}`, `}`), errSteps.Error()},
		{"branches where a dynamic reference recurs", dynamic, nested(60, `{"c":`, `{}`, `}`), errSteps.Error()},
		{"exponent", `{"maximum":1}`, `1e999999999`, "the number at byte 0 has more than"},
		{"digits", `{"multipleOf":3}`, strings.Repeat("7", 1<<20), "the number at byte 0 has more than"},
		{"many faults, deep inside", `{"$ref":"#/$defs/a","$defs":{"a":{"type":["array","boolean"],"items":{"$ref":"#/$defs/a"}}}}`,
			nested(2000, `[`, strings.Repeat(`1,`, 200_000)+`1`, `]`), "it does not match the schema, and is too large to say where"},
		{"unique at each level", `{"$ref":"#/$defs/a","$defs":{"a":{"type":["array","number"],"uniqueItems":true,"items":{"$ref":"#/$defs/a"}}}}`,
			nested(5000, `[`, strings.Repeat(`[1],`, 50_000)+`1`, `,0]`), errSteps.Error()},
		{"long string, many patterns", `{"allOf":[` + strings.Repeat(`{"pattern":"(a|b)*"},`, 1000) + `{}]}`, `"` + strings.Repeat("ab", 1<<19) + `"`, errSteps.Error()},
	} {
		rule := compile(t, tt.schema)
		start := time.Now()
		err := rule.Check(nil, []byte(tt.value))
		if err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.reason)
		}
		t.Logf("%s: %v", tt.name, time.Since(start))
	}
}

// A value that a schema takes many steps for is still decided where they are not too many.
func TestDeepValuesAreDecided(t *testing.T) {
	rule := compile(t, `{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/a"},"maxItems":1}}}`)
	for _, tt := range []struct {
		value string
		valid bool
	}{
		{strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), true},
		{strings.Repeat("[", 500) + "1" + strings.Repeat("]", 500), false},
	} {
		err := rule.Check(nil, []byte(tt.value))
		if (err == nil) != tt.valid {
			t.Errorf("%.10s…: %v", tt.value, err)
		}
		if r, ok := errors.AsType[*policy.Refusal](err); ok && (r.Path != strings.Repeat("/0", maxPath/2) || r.Reason != "number, not array") {
			t.Errorf("%s at %.20s… of %d bytes", r.Reason, r.Path, len(r.Path))
		}
	}
}

func TestSampleModel(t *testing.T) {
	model := sample.Model{Seed: 3, Organizations: 5, Users: 50, Sessions: 50}
	rules := map[string]*policy.ValueRule{}
	for _, topic := range sample.Topics() {
		schema, err := sample.Schema(topic)
		if err != nil {
			t.Fatal(err)
		}
		rules[topic] = compile(t, string(schema))
	}
	for r := range model.All() {
		value, err := sample.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := rules[r.Topic()].Check([]byte(r.Key()), value); err != nil {
			t.Errorf("%s: %v", value, err)
		}
		if r.Topic() == sample.Users && rules[sample.Sessions].Check(nil, value) == nil {
			t.Errorf("%s is taken for a session", value)
		}
	}
}

// The rule's name says which library decides.
func TestLibraryVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if version := library[strings.LastIndexByte(library, ' ')+1:]; !strings.Contains(string(mod), "github.com/santhosh-tekuri/jsonschema/v6 "+version+"\n") {
		t.Errorf("go.mod does not require %s", library)
	}
}

func FuzzCheck(f *testing.F) {
	var rules []*policy.ValueRule
	for _, topic := range sample.Topics() {
		schema, err := sample.Schema(topic)
		if err != nil {
			f.Fatal(err)
		}
		rules = append(rules, compile(f, string(schema)))
	}
	rules = append(rules, compile(f, `{"anyOf":[{"type":"number","minimum":1,"multipleOf":0.1},{"uniqueItems":true,"items":{"$ref":"#"}},{"patternProperties":{"^a":{"$ref":"#"}},"unevaluatedProperties":false},{"enum":[1,"x",{"a":[]}]}]}`))
	for _, r := range []sample.Record{(sample.Model{Organizations: 1, Users: 1}).User(0), (sample.Model{Organizations: 1}).Organization(0)} {
		value, err := sample.Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte(`{"a":[1,1.0,{"a":{}}],"b":1e-400}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, r := range rules {
			err := r.Check(nil, value)
			if err == nil {
				continue
			}
			refusal, ok := errors.AsType[*policy.Refusal](err)
			if !ok || refusal.Reason == "" || len(refusal.Reason) > 520 || strings.ContainsAny(refusal.Reason, "\n\r") {
				t.Fatalf("%q", err)
			}
			if strings.Contains(refusal.Reason, "cannot be evaluated") {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	model := sample.Model{Seed: 1, Organizations: 100, Users: 1000, Sessions: 1000}
	for _, topic := range sample.Topics() {
		schema, err := sample.Schema(topic)
		if err != nil {
			b.Fatal(err)
		}
		rule := compile(b, string(schema))
		var values [][]byte
		for r := range model.All() {
			if r.Topic() == topic {
				v, err := sample.Encode(r)
				if err != nil {
					b.Fatal(err)
				}
				values = append(values, v)
			}
		}
		b.Run(topic, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := rule.Check(nil, values[i%len(values)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "records/s")
		})
	}
	b.Run("refused", func(b *testing.B) {
		rule := compile(b, `{"type":"object","properties":{"id":{"type":"string","format":"uuid"}}}`)
		for b.Loop() {
			if rule.Check(nil, []byte(`{"id":"x"}`)) == nil {
				b.Fatal("not refused")
			}
		}
	})
}
