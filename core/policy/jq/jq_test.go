package jq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/sample"
)

// run is what a program yields of a record, or its error.
func run(t testing.TB, program string, o Options, r policy.Record) string {
	t.Helper()
	resolver, err := Compile(program, o)
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	var y policy.Yields
	if err := resolver.Resolve(&r, &y); err != nil {
		return "error: " + err.Error()
	}
	var out []string
	if own, ok := y.Value(); ok {
		out = append(out, string(own))
	}
	for _, o := range y.Others() {
		out = append(out, fmt.Sprintf("%s=%s", o.Key, o.Value))
	}
	return strings.Join(out, " ")
}

func record(value string) policy.Record {
	return policy.Record{Topic: "users", Partition: 3, Offset: 42, Timestamp: 1700000000000, Key: []byte("k"), Value: []byte(value),
		Headers: []policy.Header{{Key: []byte("h"), Value: []byte("v")}, {Key: []byte("n")}, {Key: []byte("b"), Value: []byte("\xff")}}}
}

func TestPrograms(t *testing.T) {
	for _, c := range []struct{ program, value, want string }{
		{".value", `{ "b" : 1.50, "a" : [ 12345678901234567890 ] , "s":"\u00e5"}`, `{ "b" : 1.50, "a" : [ 12345678901234567890 ] , "s":"\u00e5"}`}, // verbatim
		{".value | .c = 1", `{"b":1.50,"a":[12345678901234567890]}`, `{"a":[12345678901234567890],"b":1.50,"c":1}`},
		{".value.s", `{"s":"å\u0001\"\\\n"}`, `"å\u0001\"\\\n"`},
		{"empty", `1`, ""},
		{".key, .value", `1`, "error: " + errOwn.Error()},
		{`{key: "other", value: .value}`, `[1, 2]`, "other=[1, 2]"},
		{`{key: .key, value: 1}`, `0`, "k=1"},
		{`{key: 1, value: 2}`, `0`, `{"key":1,"value":2}`},
		{`{key: "a", value: 2, more: 3}`, `0`, `{"key":"a","more":3,"value":2}`},
		{`.value, {key: "email:\(.value.email)", value: .key}`, `{"email":"a@b"}`, `{"email":"a@b"} email:a@b="k"`},
		{`.value.groups[] | {key: "member:\(.)", value: null}`, `{"groups":["x","y"]}`, "member:x=null member:y=null"},
		{`[.topic, .partition, .offset, .timestamp, .headers.h, .headers.n, .headers.b]`, `0`, `["users",3,42,1700000000000,"v",null,"` + "\uFFFD" + `"]`},
		{`.`, `0`, `{"headers":{"b":"�","h":"v","n":null},"key":"k","offset":42,"partition":3,"timestamp":1700000000000,"topic":"users","value":0}`}, // all that the documents name
		{`keys`, `0`, `["headers","key","offset","partition","timestamp","topic","value"]`},
		{`[.[]] | length`, `0`, `7`},
		{`.value | .a += 2 | .b *= 3`, `{"a":1,"b":2}`, `{"a":3,"b":6}`},
		{`.value | .a += (1, 2) | .a`, `{"a":1}`, "error: " + errOwn.Error()},
		{`[(1, 2) + (10, 20)]`, `0`, `[11,12,21,22]`}, // the right operand is the outer loop
		{`.value | "a\(.)b\("c")" + "d"`, `1`, `"a1bcd"`},
		{`.value | @base64 "x\(.)"`, `"hi"`, `"xaGk="`},
		{`.value + null, empty`, `{"a":1}`, `{"a":1}`},
		{`[1,2] + [3] | length * 2`, `0`, `6`},
		{`{a: {b: 1}} * {a: {c: 2}}`, `0`, `{"a":{"b":1,"c":2}}`},
		{`reduce range(1000) as $i (0; . + $i)`, `0`, `499500`},
		{`1e1000`, `0`, `1.7976931348623157e+308`},
		{`nan`, `0`, `null`},
		{`0.1 + 0.2`, `0`, `0.30000000000000004`},
		{`.value.a.b`, `{"a":1}`, "error: the program fails: expected an object but got: number (1)"},
		{`error("no")`, `0`, "error: the program fails: error: no"},
		{`.value`, `{`, "error: the value is not JSON: unexpected EOF"},
		{`.value`, `1 2`, "error: the value is not JSON: something follows it"},
		{`{key: "", value: 1}`, `0`, "error: policy: what the record yields: an empty key"},
		{`.value | .[1] = 5 | .["a"]? // .[.[0]]`, `[1]`, `5`},
		{`[[1, 2], [3]] | transpose`, `0`, `[[1,3],[2,null]]`},
		{`.value * 12345678901234567890`, `12345678901234567890`, `152415787532388367501905199875019052100`},
		{`setpath(["a", 2]; 1) | .a`, `0`, `[null,null,1]`},
		{`fromstream([[0], 5e6], [[0]])`, `0`, `[5000000]`},
		{`[.value[] | tostring, tojson] | add + (["a", "b"] | join("-", "+")) , empty`, `[1]`, "error: " + errOwn.Error()},
		{`[[.value[] | tostring, tojson] | add + (["a", "b"] | join("-", "+"))]`, `[1]`, `["11a-b","11a+b"]`},
		{`[add(.value[]), ([[1], [[2]]] | flatten, flatten(1)), ("x" | @base64, format("html"))]`, `[1, 2]`, `[3,[1,2],[1,[2]],"eA==","x"]`},
		{`.value | fromdate | todate`, `"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05Z"`},
	} {
		if got := run(t, c.program, Options{JSON: true}, record(c.value)); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.program, c.value, got, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		program string
		o       Options
		value   string
		want    string
	}{
		{".value", Options{}, "plain \"text\"", "plain \"text\""},
		{`{key: "up", value: (.value | ascii_upcase)}`, Options{}, "text", "up=TEXT"},
		{".value | length", Options{}, "text", "error: the program yields a number where the topic's values are text"},
		{".value", Options{}, "\xff", "error: the value is not UTF-8"},
		{`{key: "a", value: 1}`, Options{JSON: true, OwnKey: true}, "0", `{"key":"a","value":1}`},
		{`.value, .value`, Options{JSON: true, OwnKey: true}, "0", "error: " + errOwn.Error()},
	} {
		if got := run(t, c.program, c.o, record(c.value)); got != c.want {
			t.Errorf("%s: %s, want %s", c.program, got, c.want)
		}
	}
	a, _ := Compile(".value", Options{JSON: true})
	b, _ := Compile(".value", Options{JSON: true, OwnKey: true})
	if a.Name == b.Name || a.OwnKey || !b.OwnKey || !strings.Contains(a.Name, ".value") {
		t.Errorf("names %q and %q", a.Name, b.Name)
	}
}

func TestRefusedPrograms(t *testing.T) {
	for program, want := range map[string]string{
		".value |":                     "line 1, column",
		"1\n| )":                       "line 2, column 3",
		"nosuch":                       "nosuch",
		"$nosuch":                      "$nosuch",
		"now":                          "now cannot be used: the time is not the record's",
		"[env.HOME]":                   "env cannot be used",
		"$ENV.HOME":                    "$ENV cannot be used",
		"def f: input; f":              "input cannot be used",
		`import "a" as a; .`:           "modules cannot be imported",
		`if true then halt else . end`: "halt cannot be used",
		"def add: 1; add":              "add/0 is jq's own",
		"def f(tojson): tojson; f(1)":  "tojson/0 is jq's own",
		`{a: [.[] | (now)]}`:           "now cannot be used",
		`"a\(now)"`:                    "now cannot be used",
		`. as {a: $x} | reduce .[] as $i (0; . + localtime)`: "localtime cannot be used",
	} {
		_, err := Compile(program, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", program, err, want)
		}
	}
}

// TestRunaways: what has no end, or would take more memory than a record may, fails for that record, in the same way everywhere.
func TestRunaways(t *testing.T) {
	for program, want := range map[string]string{
		`def f: f; f`:                          "steps",
		`def f: [f]; f`:                        "steps",
		`[range(1e9)]`:                         "steps",
		`[range(.value)] | length`:             "steps",
		`"x" * 1e9`:                            "more than",
		`.value * "x"`:                         "more than",
		`reduce range(100) as $i ("x"; . + .)`: "more than",
		`reduce range(100) as $i ("x"; "\(.)\(.)")`:            "more than",
		`reduce range(100) as $i ({s: "x"}; .s += .s) | .s`:    "more than",
		`reduce range(100) as $i ([1]; . + .)`:                 "more than",
		`reduce range(60) as $i (1; [., .])`:                   "more than",
		`reduce range(20000) as $i (1; [.])`:                   "deep",
		`range(20000) | {key: "k\(.)", value: .}`:              "more than",
		`. as $r | [] | .[$r.value] = 1`:                       "index",
		`. as $r | null | setpath(["a", $r.value]; 1)`:         "index",
		`. as $r | [] | nth($r.value) |= 1`:                    "index",
		`. as $r | [] | getpath([$r.value]) |= 1`:              "index",
		`. as $r | fromstream([[$r.value], 1], [[$r.value]])`:  "index",
		`. as $r | null | pick(.[$r.value])`:                   "index",
		`reduce range(100) as $i ("\""; tojson)`:               "more than",
		`reduce range(100) as $i ("x"; [., .] | add)`:          "more than",
		`reduce range(100) as $i ("x"; add(., .))`:             "more than",
		`reduce range(100) as $i ("x"; [., .] | join(","))`:    "more than",
		`"x" * 16000000 as $s | [range(1000) | ""] | join($s)`: "more than",
		`reduce range(100) as $i ([1]; [., .] | flatten)`:      "more than",
		`reduce range(100) as $i ([1]; [., .] | flatten(1))`:   "more than",
		`reduce range(100) as $i ("'"; @sh)`:                   "more than",
		`reduce range(200) as $i ("x"; @base64)`:               "more than",
		`reduce range(200) as $i ("x"; @base64 "\(.)")`:        "more than",
		`reduce range(200) as $i ("x"; format("base64"))`:      "more than",
		`reduce range(100) as $i ("x"; [., .] | tostring)`:     "more than",
		`[[range(100000)], (range(100000) | [])] | transpose`:  "more than",
		`reduce range(100) as $i (2; . * .)`:                   "product",
		`reduce range(100) as $i (3; . *= .)`:                  "product",
		`[] | .[9999999] = 1`:                                  "index",
		`[] | .[1e8] = 1`:                                      "index",
		`last(repeat(1))`:                                      "steps",
		`until(false; .)`:                                      "steps",
	} {
		began := time.Now()
		if got := run(t, program, Options{JSON: true}, record("1e9")); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
			t.Errorf("%s: %.200s, want %q", program, got, want)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %v", program, took)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add(`.value | .a`, `{"a":[1,2.5,"x",null,true]}`)
	f.Add(`[.. | numbers] | add`, `[1,[2,{"a":3}]]`)
	f.Add(`.value | to_entries[] | {key: .key, value}`, `{"a":1}`)
	f.Add(`"\(.value)" | . + .`, `"\ud800"`)
	f.Fuzz(func(t *testing.T, program, value string) {
		resolver, err := Compile(program, Options{JSON: true})
		if err != nil {
			return
		}
		r := record(value)
		var y policy.Yields
		before := strings.Clone(value)
		if err := resolver.Resolve(&r, &y); err != nil {
			return
		}
		if string(r.Value) != before {
			t.Fatal("the record is changed")
		}
		if own, ok := y.Value(); ok && !json.Valid(own) {
			t.Fatalf("%q of %q yields %q", program, value, own)
		}
	})
}

// TestVerbatimIsOnlyWhatIsUnchanged: bytes are kept of a value that went through, never of one that was changed.
func TestVerbatimIsOnlyWhatIsUnchanged(t *testing.T) {
	in := `{ "a": { "b": [ 1, 2 ] } }`
	for program, want := range map[string]string{
		".value":                              in,
		".value | .a.b[0] = 3":                `{"a":{"b":[3,2]}}`,
		".value | .a.b[0] |= 1":               `{"a":{"b":[1,2]}}`,
		".value.a":                            `{"b":[1,2]}`,
		".value | del(.a)":                    `{}`,
		". as $r | (.value.a = 1) | $r.value": in,
	} {
		if got := run(t, program, Options{JSON: true}, record(in)); got != want {
			t.Errorf("%s: %s, want %s", program, got, want)
		}
	}
}

func benchmark(b *testing.B, program string) {
	resolver, err := Compile(program, Options{JSON: true})
	if err != nil {
		b.Fatal(err)
	}
	m := sample.Model{Seed: 1, Organizations: 10, Users: 1000, Sessions: 10}
	var records []policy.Record
	for i := range 1000 {
		u := m.User(i)
		value, err := json.Marshal(u)
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, policy.Record{Topic: "users", Key: []byte(u.ID.String()), Value: bytes.Clone(value)})
	}
	b.ReportAllocs()
	var y policy.Yields
	for i := 0; b.Loop(); i++ {
		y.Reset()
		if err := resolver.Resolve(&records[i%len(records)], &y); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkField(b *testing.B)  { benchmark(b, `.value.displayName`) }
func BenchmarkChange(b *testing.B) { benchmark(b, `.value | .displayName |= ascii_upcase`) }
func BenchmarkDerived(b *testing.B) {
	benchmark(b, `.key as $id | .value | ., (select(.email != null) | {key: "email:\(.email)", value: $id})`)
}

func Example() {
	resolver, err := Compile(`.key as $id | .value | ., {key: "email:\(.email)", value: $id}`, Options{JSON: true})
	if err != nil {
		panic(err)
	}
	var y policy.Yields
	if err := resolver.Resolve(&policy.Record{Key: []byte("1"), Value: []byte(`{"email": "a@example.org"}`)}, &y); err != nil {
		panic(err)
	}
	own, _ := y.Value()
	fmt.Println(string(own))
	for _, o := range y.Others() {
		fmt.Printf("%s → %s\n", o.Key, o.Value)
	}
	// Output:
	// {"email": "a@example.org"}
	// email:a@example.org → "1"
}
