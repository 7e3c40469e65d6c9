package avrojson

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
)

func compile(t testing.TB, schema string) (*Schema, *avro.Schema) {
	t.Helper()
	parsed, err := avro.Parse(schema)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	s, err := Compile(parsed)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s, parsed
}

const limit = 1 << 20

func stamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// pairs are values with their JSON. The bytes are the library's own, which is apart from what is tested.
var pairs = []struct {
	schema string
	value  any
	json   string
}{
	{`"null"`, nil, `null`},
	{`"boolean"`, true, `true`},
	{`"boolean"`, false, `false`},
	{`"int"`, int32(-2147483648), `-2147483648`},
	{`"long"`, int64(9223372036854775807), `9223372036854775807`},
	{`"long"`, int64(-9223372036854775808), `-9223372036854775808`},
	{`"float"`, float32(0.1), `0.1`},
	{`"double"`, 0.1, `0.1`},
	{`"double"`, 1e21, `1e+21`},
	{`"double"`, 123456789012345680000.0, `123456789012345680000`},
	{`"double"`, 1e-7, `1e-07`},
	{`"string"`, "a\"\\\n\r\t\x00\x1f\x7få\U0001F980\u2028", `"a\"\\\n\r\t\u0000\u001f` + "\x7få\U0001F980\u2028\""},
	{`"bytes"`, []byte{0, 255}, `"AP8="`},
	{`"bytes"`, []byte{}, `""`},
	{`{"type":"fixed","name":"f","size":3}`, []byte{1, 2, 3}, `"AQID"`},
	{`{"type":"enum","name":"e","symbols":["A","B"]}`, "B", `"B"`},
	{`{"type":"array","items":"int"}`, []any{int32(1), int32(2)}, `[1,2]`},
	{`{"type":"array","items":"int"}`, []any{}, `[]`},
	{`{"type":"map","values":"long"}`, map[string]any{"a\n": int64(1)}, `{"a\n":1}`},
	{`{"type":"map","values":"long"}`, map[string]any{}, `{}`},
	{`["null","string"]`, nil, `null`},
	{`["null","string"]`, "x", `"x"`},
	{`["string","null"]`, nil, `null`},
	{`["int","string","boolean",{"type":"array","items":"int"}]`, []any{int32(7)}, `[7]`},
	{`{"type":"record","name":"r","fields":[]}`, map[string]any{}, `{}`},
	{`{"type":"record","name":"r","fields":[{"name":"z","type":"int"},{"name":"a","type":["null","r"],"default":null}]}`,
		map[string]any{"z": int32(1), "a": map[string]any{"z": int32(2), "a": nil}}, `{"z":1,"a":{"z":2,"a":null}}`},

	{`{"type":"int","logicalType":"date"}`, stamp("2026-01-02T00:00:00Z"), `"2026-01-02"`},
	{`{"type":"int","logicalType":"date"}`, stamp("0000-01-01T00:00:00Z"), `"0000-01-01"`},
	{`{"type":"int","logicalType":"date"}`, int32(-719529), `-719529`}, // in the year before
	{`{"type":"int","logicalType":"date"}`, int32(2932896), `"9999-12-31"`},
	{`{"type":"int","logicalType":"date"}`, int32(2932897), `2932897`},
	{`{"type":"int","logicalType":"time-millis"}`, 3661 * time.Second, `"01:01:01.000"`},
	{`{"type":"int","logicalType":"time-millis"}`, int32(86400000), `86400000`},
	{`{"type":"int","logicalType":"time-millis"}`, int32(-1), `-1`},
	{`{"type":"long","logicalType":"time-micros"}`, 1500 * time.Microsecond, `"00:00:00.001500"`},
	{`{"type":"long","logicalType":"timestamp-millis"}`, stamp("2026-01-02T03:04:05.678Z"), `"2026-01-02T03:04:05.678Z"`},
	{`{"type":"long","logicalType":"timestamp-millis"}`, int64(-1), `"1969-12-31T23:59:59.999Z"`},
	{`{"type":"long","logicalType":"timestamp-millis"}`, int64(9223372036854775807), `9223372036854775807`},
	{`{"type":"long","logicalType":"timestamp-micros"}`, stamp("2026-01-02T03:04:05.678901Z"), `"2026-01-02T03:04:05.678901Z"`},
	{`{"type":"long","logicalType":"timestamp-nanos"}`, stamp("2026-01-02T03:04:05.678901234Z"), `"2026-01-02T03:04:05.678901234Z"`},
	{`{"type":"long","logicalType":"timestamp-nanos"}`, int64(-9223372036854775808), `"1677-09-21T00:12:43.145224192Z"`},
	{`{"type":"long","logicalType":"timestamp-nanos"}`, int64(9223372036854775807), `"2262-04-11T23:47:16.854775807Z"`},
	{`{"type":"long","logicalType":"timestamp-micros"}`, int64(-62167219200000000), `"0000-01-01T00:00:00.000000Z"`},
	{`{"type":"long","logicalType":"timestamp-micros"}`, int64(253402300799999999), `"9999-12-31T23:59:59.999999Z"`},
	{`{"type":"long","logicalType":"timestamp-micros"}`, int64(253402300800000000), `253402300800000000`},
	{`{"type":"long","logicalType":"local-timestamp-millis"}`, stamp("2026-01-02T03:04:05.678Z"), `"2026-01-02T03:04:05.678"`},
	{`{"type":"long","logicalType":"local-timestamp-micros"}`, stamp("2026-01-02T03:04:05Z"), `"2026-01-02T03:04:05.000000"`},
	{`{"type":"long","logicalType":"local-timestamp-nanos"}`, stamp("2026-01-02T03:04:05Z"), `"2026-01-02T03:04:05.000000000"`},
	{`{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(1234, 100), `"12.34"`},
	{`{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(-1, 100), `"-0.01"`},
	{`{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(0, 1), `"0.00"`},
	{`{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`, big.NewRat(-128, 100), `"-1.28"`},
	{`{"type":"bytes","logicalType":"decimal","precision":10}`, big.NewRat(-129, 1), `"-129"`},
	{`{"type":"bytes","logicalType":"decimal","precision":60,"scale":30}`, rat("-123456789012345678901234567890.123456789012345678901234567891"), `"-123456789012345678901234567890.123456789012345678901234567891"`},
	{`{"type":"fixed","name":"d","size":8,"logicalType":"decimal","precision":18,"scale":3}`, big.NewRat(-1, 1000), `"-0.001"`},
	{`{"type":"string","logicalType":"uuid"}`, "8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f", `"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"`},
	{`{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}`, "8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f", `"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"`},
	{`{"type":"fixed","name":"u","size":12,"logicalType":"duration"}`, []byte("abcdefghijkl"), `"YWJjZGVmZ2hpamts"`}, // its underlying type
	{`{"type":"long","logicalType":"decimal"}`, int64(7), `7`},
	{`{"type":"string","logicalType":"date"}`, "x", `"x"`},
	{`{"type":"long","logicalType":"date"}`, int64(7), `7`},
}

func rat(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

func TestPairs(t *testing.T) {
	for _, p := range pairs {
		s, library := compile(t, p.schema)
		want, err := library.Encode(p.value)
		if err != nil {
			t.Errorf("%s of %s: the library: %v", p.json, p.schema, err)
			continue
		}
		if got, err := s.AppendJSON([]byte("dst:"), want, limit); err != nil || string(got) != "dst:"+p.json {
			t.Errorf("%s: %x reads %s, %v; want %s", p.schema, want, got, err, p.json)
		}
		if !json.Valid([]byte(p.json)) {
			t.Errorf("%s is not JSON", p.json)
		}
		if got, err := s.AppendAvro([]byte("dst:"), []byte(" "+p.json+"\n")); err != nil || string(got) != "dst:"+string(want) {
			t.Errorf("%s: %s is written as %x, %v; want %x", p.schema, p.json, got, err, want)
		}
	}
}

// TestAlsoTaken: what is written in other ways than it is read, as it is read.
func TestAlsoTaken(t *testing.T) {
	for _, p := range []struct{ schema, in, json string }{
		{`"string"`, `"\u00e5\ud83e\udd80\/\b\f\u0000"`, "\"å\U0001F980/\\u0008\\u000c\\u0000\""},
		{`"double"`, `1`, `1`},
		{`"double"`, `-0`, `-0`},
		{`"double"`, `"NaN"`, `"NaN"`},
		{`"float"`, `"-Infinity"`, `"-Infinity"`},
		{`"double"`, `"Infinity"`, `"Infinity"`},
		{`"float"`, `0.1000000001`, `0.1`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, `1767323045678`, `"2026-01-02T03:04:05.678Z"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, `"2026-01-02T04:04:05+01:00"`, `"2026-01-02T03:04:05.000Z"`},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, `"2026-01-02T04:04:05.1"`, `"2026-01-02T04:04:05.100"`},
		{`{"type":"int","logicalType":"time-millis"}`, `"15:04:05"`, `"15:04:05.000"`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `12.3`, `"12.30"`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `"-00000.00"`, `"0.00"`},
		{`{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}`, `"8D7B6F0E-6C1D-4A2B-9F3E-2B1A0C9D8E7F"`, `"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"`},
		{`["null","long","double","string"]`, `1.5`, `1.5`},
		{`["null","long","double","string"]`, `1`, `1`},
		// Members in any order, and defaults for what is missing.
		{`{"type":"record","name":"r","fields":[{"name":"a","type":"int","default":7},{"name":"b","type":["null","string"],"default":null},
			{"name":"c","type":{"type":"fixed","name":"f","size":2},"default":"\u0001\u00ff"},{"name":"d","type":{"type":"enum","name":"e","symbols":["A","B"]},"default":"B"},
			{"name":"m","type":{"type":"map","values":"int"},"default":{"k":1}},{"name":"n","type":"int"}]}`,
			`{ "n" : 1 , "b" : "x" }`, `{"a":7,"b":"x","c":"Af8=","d":"B","m":{"k":1},"n":1}`},
	} {
		s, _ := compile(t, p.schema)
		b, err := s.AppendAvro(nil, []byte(p.in))
		if err != nil {
			t.Errorf("%s: %s: %v", p.schema, p.in, err)
			continue
		}
		if got, err := s.AppendJSON(nil, b, limit); err != nil || string(got) != p.json {
			t.Errorf("%s: %s reads %s, %v; want %s", p.schema, p.in, got, err, p.json)
		}
	}
}

const user = `{"type":"record","name":"User","namespace":"x","fields":[{"name":"id","type":"string"},
	{"name":"address","type":["null",{"type":"record","name":"Address","fields":[{"name":"city","type":"string"},{"name":"zip","type":["null","int"],"default":null},
	{"name":"lines","type":{"type":"array","items":"string"},"default":[]}]}],"default":null},{"name":"tags","type":{"type":"map","values":"int"},"default":{}},
	{"name":"old","type":["null","Address"],"default":null}]}`

func TestWhatDoesNotFit(t *testing.T) {
	for _, p := range []struct {
		schema, in string
		offset     int
		reason     string
	}{
		{user, `{}`, 0, `id: is missing, and has no default`},
		{user, `{"id":7}`, 6, `id: a number, where the schema has a string`},
		{user, `{"id":"a","address":{"city":"c","zip":"12"}}`, 38, `address.zip: a string, where the schema has a whole number`},
		{user, `{"id":"a","address":{"city":"c","lines":["x",null]}}`, 45, `address.lines[1]: null, where the schema has a string`},
		{user, `{"id":"a","address":{"city":"c","street":"s"}}`, 32, `address.street: x.Address has no such field`},
		{user, `{"id":"a","old":{}}`, 16, `old.city: is missing, and has no default`},
		{user, `{"id":"a","tags":{"k":1.5}}`, 22, `tags.k: 1.5 is not a whole number of 32 bits`},
		{user, `{"id":"a","id":"b"}`, 10, `"id" stands twice in the object`},
		{user, `[]`, 0, `an array, where the schema has an object (x.User)`},
		{`"null"`, `0`, 0, `a number, where the schema has null`},
		{`"int"`, `2147483648`, 0, `2147483648 is not a whole number of 32 bits`},
		{`"int"`, `1.0`, 0, `1.0 is not a whole number of 32 bits`},
		{`"long"`, `9223372036854775808`, 0, `9223372036854775808 is not a whole number of 64 bits`},
		{`"float"`, `1e39`, 0, `1e39 is out of the range of 32 bits`},
		{`"double"`, `"1"`, 0, `a string, where the schema has a number`},
		{`"boolean"`, `"true"`, 0, `a string, where the schema has a boolean`},
		{`"string"`, `"\ud83e"`, 1, `half a surrogate pair`},
		{`"string"`, `"x\udd80\ud83e"`, 2, `half a surrogate pair`},
		{`"bytes"`, `"AP9="`, 0, `"AP9=" is not base64, in the standard alphabet with padding`},
		{`"bytes"`, `"AP8=\n"`, 0, `"AP8=?" is not base64, in the standard alphabet with padding`},
		{`{"type":"fixed","name":"f","size":3}`, `"AP8="`, 0, `2 bytes, where f has 3`},
		{`{"type":"enum","name":"e","symbols":["A"]}`, `"B"`, 0, `"B" is no symbol of e`},
		{`{"type":"enum","name":"e","symbols":["A"]}`, `0`, 0, `a number, where the schema has a symbol of e`},
		{`["null","string"]`, `7`, 0, `a number, where the schema has a string`},
		{`["string","int"]`, `null`, 0, `null, which is no branch of the union`},
		{`["string","int"]`, `true`, 0, `a boolean, where the schema has a string, nor another branch of the union`},
		{`{"type":"int","logicalType":"date"}`, `"2026-02-30"`, 0, `"2026-02-30" is not a date such as "2026-01-02"`},
		{`{"type":"int","logicalType":"date"}`, `true`, 0, `a boolean, where the schema has a date such as "2026-01-02"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, `"2026-01-02T03:04:05"`, 0, `"2026-01-02T03:04:05" is not a time as in RFC 3339, such as "2026-01-02T15:04:05.678Z"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, `"2026-01-02T03:04:05.6789Z"`, 0, `"2026-01-02T03:04:05.6789Z" is finer than timestamp-millis`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, `"1677-09-21T00:12:43.145224191Z"`, 0, `"1677-09-21T00:12:43.145224191Z" is out of the range of timestamp-nanos`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, `"2262-04-11T23:47:16.854775808Z"`, 0, `"2262-04-11T23:47:16.854775808Z" is out of the range of timestamp-nanos`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, `"3000-01-02T03:04:05Z"`, 0, `"3000-01-02T03:04:05Z" is out of the range of timestamp-nanos`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `"1.234"`, 0, `"1.234" has more than 2 digits behind the point`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `"123"`, 0, `"123" has more than 2 digits before the point`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `1e1`, 0, `"1e1" is not a decimal such as "12.34"`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `"1."`, 0, `"1." is not a decimal such as "12.34"`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `null`, 0, `null, where the schema has a decimal such as "12.34"`},
		{`{"type":"string","logicalType":"uuid"}`, `"8d7b6f0e6c1d4a2b9f3e2b1a0c9d8e7f"`, 0, `"8d7b6f0e6c1d4a2b9f3e2b1a0c9d8e7f" is not a UUID`},
		{`"string"`, `nope`, 0, `not a JSON text`},
		{`"string"`, "\"\xff\"", 0, `not a JSON text`},
		{`{"type":"array","items":"int"}`, strings.Repeat("[", 300) + strings.Repeat("]", 300), 257, `values nest deeper than 256`},
	} {
		s, _ := compile(t, p.schema)
		got, err := s.AppendAvro([]byte("dst:"), []byte(p.in))
		var f *Fault
		if !errors.As(err, &f) || string(got) != "dst:" || f.Offset != p.offset || f.Reason() != p.reason {
			t.Errorf("%.60s: %.60s: %q, %v\nwant at %d: %s", p.schema, p.in, got, err, p.offset, p.reason)
		}
	}
}

func TestBytesThatAreNotOfTheSchema(t *testing.T) {
	for _, p := range []struct {
		schema, in string
		offset     int
		reason     string
	}{
		{`"null"`, "\x00", 0, `1 bytes are left after the value`},
		{`"boolean"`, "", 0, `it ends within a value of 1 bytes`},
		{`"boolean"`, "\x02", 0, `0x02 is not a boolean`},
		{`"int"`, "\x80", 1, `it ends within a number`},
		{`"int"`, "\x80\x80\x80\x80\x10", 0, `2147483648 is not an int of 32 bits`},
		{`"long"`, strings.Repeat("\xff", 11), 0, `a number of more than 64 bits`},
		{`"double"`, "1234567", 7, `it ends within a value of 8 bytes`},
		{`"string"`, "\x04a", 2, `it ends within a value of 2 bytes`},
		{`"string"`, "\x01", 0, `a length below 0`},
		{`"string"`, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, `it ends within a value of 9223372036854775807 bytes`},
		{`"string"`, "\x04a\xff", 2, `a string that is not UTF-8`},
		{`{"type":"map","values":"null"}`, "\x02\x02\xff\x00", 2, `a key that is not UTF-8`},
		{`{"type":"fixed","name":"f","size":3}`, "ab", 2, `it ends within a value of 3 bytes`},
		{`{"type":"enum","name":"e","symbols":["A"]}`, "\x02", 0, `1 is no symbol of e, which has 1`},
		{`{"type":"enum","name":"e","symbols":["A"]}`, "\x01", 0, `-1 is no symbol of e, which has 1`},
		{`["null"]`, "\x02", 0, `1 is no branch of a union of 1`},
		{`{"type":"array","items":"int"}`, "\x02\x02", 2, `it ends within a number`},
		{`{"type":"array","items":"int"}`, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 0, `a block of more items than there are numbers`},
		{`{"type":"array","items":"int"}`, "\x01\x01\x02\x00", 0, `a block of a size below 0`},
		{`{"type":"array","items":"null"}`, "\x80\x80\x80\x80\x80\x80\x80\x80\x40\x00", 9, `[209716]: decoded it has more than 1048576 bytes`},
		{`{"type":"array","items":{"type":"record","name":"r","fields":[]}}`, "\x80\x80\x80\x80\x80\x80\x80\x80\x40\x00", 9, `[349526]: decoded it has more than 1048576 bytes`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, "\x00", 1, `a decimal of 0 bytes`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, "\xe8\x07\x01" + strings.Repeat("a", 499), 2, `a decimal of 500 bytes`},
		{user, "\x02a\x02\x02c\x04", 6, `address.zip: 2 is no branch of a union of 2`},
		{user, "\x02a\x00\x02\x02k", 6, `tags.k: it ends within a number`},
		{`{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}`, strings.Repeat("\x02", 10_000), 257, `….next.next.next.next.next.next.next.next: values nest deeper than 256`},
	} {
		s, _ := compile(t, p.schema)
		got, err := s.AppendJSON([]byte("dst:"), []byte(p.in), limit)
		var f *Fault
		if !errors.As(err, &f) || string(got) != "dst:" || f.Offset != p.offset && f.Offset != p.offset-1 || f.Reason() != p.reason {
			t.Errorf("%.60s: %.20q: %.40q, %v\nwant at %d: %s", p.schema, p.in, got, err, p.offset, p.reason)
		}
	}
}

// TestBlocks: a writer may cut arrays into blocks, and say their sizes.
func TestBlocks(t *testing.T) {
	s, _ := compile(t, `{"type":"array","items":"int"}`)
	if got, err := s.AppendJSON(nil, []byte("\x02\x02\x03\x04\x04\x06\x00"), limit); err != nil || string(got) != `[1,2,3]` {
		t.Errorf("%s, %v", got, err)
	}
}

// TestAmbiguousUnions: what could be tried in endless ways is refused.
func TestAmbiguousUnions(t *testing.T) {
	s, _ := compile(t, `{"type":"record","name":"r","fields":[{"name":"v","type":["null",
		{"type":"record","name":"a","fields":[{"name":"x","type":"r"},{"name":"y","type":"int"}]},
		{"type":"record","name":"b","fields":[{"name":"x","type":"r"},{"name":"y","type":"string"}]}]}]}`)
	text := `{"v":null}`
	for range 60 {
		text = `{"v":{"x":` + text + `,"y":true}}`
	}
	_, err := s.AppendAvro(nil, []byte(text))
	var f *Fault
	if !errors.As(err, &f) || !strings.Contains(f.Reason(), "boolean") && !strings.Contains(f.Reason(), "too many branches") || len(f.Reason()) > 600 {
		t.Errorf("%v", err)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	name := strings.Repeat("n", 1000)
	s, _ := compile(t, `{"type":"record","name":"`+name+`","fields":[{"name":"`+name+`","type":"int"}]}`)
	for _, in := range []string{`{"` + name + `":"x"}`, `{"x` + name + `":1}`, `{"` + name + `":1e` + strings.Repeat("9", 1000) + `}`, `[]`, "{\"a\\n\":1}"} {
		_, err := s.AppendAvro(nil, []byte(in))
		if err == nil || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%.30s: %v", in, err)
		}
	}
}
