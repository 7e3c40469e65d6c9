package jsondoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference is the value of text by encoding/json, and whether it is JSON in UTF-8.
func reference(text []byte) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	if !json.Valid(text) { // something behind the value
		return nil, false
	}
	return v, utf8.Valid(text)
}

var texts = []string{
	`null`, ` true `, `false`, `0`, `-0`, `1.0`, `-12.5e+3`, `12345678901234567890123`, `""`, `"a"`, `[]`, `{}`, `[ ]`, `{ }`,
	`[1,[2,[3]],{"a":[]}]`, `{"a":1,"b":{"c":null},"a":2}`, `{"a":1,"\u0061":2}`, `{"":{"":""}}`,
	`"\"\\\/\b\f\n\r\t\u00e9\u20AC"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ud83d\n"`, `"é€😀"`,
	"\t\r\n [ 1 , 2 ]\n", `{ "a" : 1 , "b" : 2 }`, `1e400`, `1E-9`,
	// not JSON
	``, ` `, `nul`, `nulll`, `tru`, `truf`, `01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x1`, `NaN`, `"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`,
	"\"\n\"", "\"\xff\"", "\"\xc3\"", `[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`,
	`{"a":1 "b":2}`, `1 2`, `{} []`, `null,`, "\xef\xbb\xbf1", "\x00", "'a'",
}

func TestParseAsEncodingJSON(t *testing.T) {
	var d Document
	for _, text := range texts {
		compare(t, &d, []byte(text))
	}
}

func compare(t *testing.T, d *Document, text []byte) {
	t.Helper()
	want, ok := reference(text)
	err := d.Parse(text)
	if ok != (err == nil) {
		t.Errorf("%.200q: encoding/json takes it: %t, here: %v", text, ok, err)
		return
	}
	if err != nil {
		var fault *Error
		if !errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > len(text) || d.Len() != 0 {
			t.Errorf("%.200q: %v, with %d nodes", text, err, d.Len())
		}
		return
	}
	if got := d.Any(0); !reflect.DeepEqual(got, want) {
		t.Errorf("%.200q: %#v, want %#v", text, got, want)
	}
	if got := walk(d, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("%.200q, node by node: %#v, want %#v", text, got, want)
	}
}

// walk is Any by the calls that look at one node at a time.
func walk(d *Document, n Node) any {
	switch d.Kind(n) {
	case Null:
		return nil
	case True, False:
		return d.Kind(n) == True
	case Number:
		return json.Number(d.Number(n))
	case String:
		return d.Str(n)
	case Array:
		items := []any{}
		for i := range d.Length(n) {
			item, ok := d.Item(n, i)
			if !ok {
				panic("no such item")
			}
			items = append(items, walk(d, item))
		}
		if _, ok := d.Item(n, len(items)); ok {
			panic("an item behind the last")
		}
		return items
	}
	members := map[string]any{}
	d.Members(n, func(name string, value Node) bool {
		if _, twice := members[name]; twice {
			panic("a member twice")
		}
		if m, ok := d.Member(n, name); !ok || m != value {
			panic("another member of that name")
		}
		members[name] = walk(d, value)
		return true
	})
	if _, ok := d.Member(n, "there is no such member"); ok {
		panic("a member that is not there")
	}
	return members
}

func TestManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 3 * fewMembers {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.Repeat("x", i%(2*fewMembers)) + `":` + strings.Repeat("1", i+1))
	}
	b.WriteByte('}')
	compare(t, new(Document), []byte(b.String()))
}

func TestDepth(t *testing.T) {
	var d Document
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if err := d.Parse(deep(MaxDepth)); err != nil || d.Depth() != MaxDepth {
		t.Errorf("%d levels: %v, depth %d", MaxDepth, err, d.Depth())
	}
	if err := d.Parse(deep(MaxDepth + 1)); err == nil || json.Valid(deep(MaxDepth+1)) {
		t.Errorf("%d levels: %v", MaxDepth+1, err)
	}
	if err := d.Parse([]byte(`[[1],[[2]]]`)); err != nil || d.Depth() != 3 {
		t.Errorf("%v, depth %d, want 3", err, d.Depth())
	}
}

func TestUnwieldy(t *testing.T) {
	var d Document
	for text, want := range map[string]int{
		`[1, 1e400, -1E-400, 1e00000400]`: -1,
		`[1, 1e401]`:                      4,
		`[1e-401]`:                        1,
		`["1e999999", 1e99999999999999999999999]`:            13,
		`[` + strings.Repeat("1", MaxNumber) + `]`:           -1,
		`[0,` + strings.Repeat("1", MaxNumber+1) + `,1e500]`: 3,
	} {
		if err := d.Parse([]byte(text)); err != nil {
			t.Fatal(err)
		}
		offset, ok := d.Unwieldy()
		if ok != (want >= 0) || ok && offset != want {
			t.Errorf("%s: %d, %t, want %d", text, offset, ok, want)
		}
	}
}

func TestWhatWasReadStays(t *testing.T) {
	text := []byte(`{"a":"one","b":12}`)
	d := Get()
	if err := d.Parse(text); err != nil {
		t.Fatal(err)
	}
	v := d.Any(0)
	copy(text, bytes.Repeat([]byte("x"), len(text)))
	if err := d.Parse([]byte(`["something else"]`)); err != nil {
		t.Fatal(err)
	}
	Put(d)
	if want := (map[string]any{"a": "one", "b": json.Number("12")}); !reflect.DeepEqual(v, want) {
		t.Errorf("%v, want %v", v, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, new(Document), text) })
}

var user = []byte(`{"id":"706b6859-7f23-4b33-9735-57b26621fb3d","email":"ada.lovelace.17@example.org","displayName":"Ada Lovelace","groups":["0e6f6859-7f23-4b33-9735-57b26621fb3d","1e6f6859-7f23-4b33-9735-57b26621fb3d"]}`)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(user)))
	for b.Loop() {
		d := Get()
		if err := d.Parse(user); err != nil {
			b.Fatal(err)
		}
		Put(d)
	}
}

func BenchmarkAny(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(user)))
	for b.Loop() {
		d := Get()
		if err := d.Parse(user); err != nil {
			b.Fatal(err)
		}
		d.Any(0)
		Put(d)
	}
}

func BenchmarkEncodingJSON(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(user)))
	for b.Loop() {
		if _, ok := reference(user); !ok {
			b.Fatal("not JSON")
		}
	}
}
