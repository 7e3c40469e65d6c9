package avrojson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/avro"
)

// fuzzed are schemas of which every type is one, and in which what is read can be written again to the same.
var fuzzed = []string{
	user,
	`{"type":"record","name":"all","fields":[
		{"name":"n","type":"null"},{"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},{"name":"d","type":"double"},
		{"name":"by","type":"bytes"},{"name":"s","type":"string"},{"name":"fi","type":{"type":"fixed","name":"fix","size":2}},{"name":"e","type":{"type":"enum","name":"en","symbols":["A","B"]}},
		{"name":"a","type":{"type":"array","items":["null","string"]}},{"name":"m","type":{"type":"map","values":"int"}}]}`,
	`{"type":"record","name":"logical","fields":[
		{"name":"da","type":{"type":"int","logicalType":"date"}},{"name":"tm","type":{"type":"int","logicalType":"time-millis"}},{"name":"tu","type":{"type":"long","logicalType":"time-micros"}},
		{"name":"sm","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"su","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"sn","type":{"type":"long","logicalType":"timestamp-nanos"}},
		{"name":"lm","type":{"type":"long","logicalType":"local-timestamp-millis"}},{"name":"u","type":{"type":"fixed","name":"uu","size":16,"logicalType":"uuid"}}]}`,
	`{"type":"bytes","logicalType":"decimal","precision":1000,"scale":3}`,
	`{"type":"record","name":"list","fields":[{"name":"next","type":["null","list"]},{"name":"v","type":"long"}]}`,
	`{"type":"array","items":{"type":"array","items":"null"}}`,
}

// reads is whether the library took all of it. It has narrower limits: of items that take no bytes, of padded numbers, and of times.
func reads(rest []byte, err error) bool {
	if err != nil {
		return strings.Contains(err.Error(), "limit") || strings.Contains(err.Error(), "overflows")
	}
	return len(rest) == 0
}

// FuzzAppendJSON: no bytes make it panic or run away, and what it makes is JSON, which is written to what reads the same.
func FuzzAppendJSON(f *testing.F) {
	var schemas []*Schema
	var libraries []*avro.Schema
	for i, text := range fuzzed {
		s, library := compile(f, text)
		schemas, libraries = append(schemas, s), append(libraries, library)
		for _, in := range []string{"", "\x00", "\x02a\x02\x02c\x02\x0c\x02\x02x\x00\x02\x02k\x02\x00\x00", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", "\x02\x00\x02\x02\x00\x02\x00\x04"} {
			f.Add(byte(i), []byte(in))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		s, library := schemas[int(which)%len(schemas)], libraries[int(which)%len(schemas)]
		before := bytes.Clone(in)
		out, err := s.AppendJSON([]byte("dst:"), in, 1<<16)
		if !bytes.Equal(in, before) || !bytes.HasPrefix(out, []byte("dst:")) {
			t.Fatal("the input or dst was changed")
		}
		var fault *Fault
		if err != nil {
			if !errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > len(in) || len(fault.Reason()) > 600 || len(out) != 4 {
				t.Fatalf("%v, %q", err, out)
			}
			return
		}
		text := out[4:]
		if !json.Valid(text) || len(text) > 1<<16 {
			t.Fatalf("%d bytes, not JSON: %q", len(text), text)
		}
		var v any
		if rest, err := library.Decode(in, &v); !reads(rest, err) {
			t.Fatalf("the library does not read %x, as %s: %v, %d bytes left", in, text, err, len(rest))
		}
		again, err := s.AppendAvro(nil, text)
		if err != nil {
			if strings.Contains(err.Error(), "stands twice") {
				return // a map with a key that it has twice
			}
			t.Fatalf("%s, which %x reads, is not written: %v", text, in, err)
		}
		if same, err := s.AppendJSON(nil, again, 1<<16); err != nil || !bytes.Equal(same, text) {
			t.Fatalf("%s was written and reads %s, %v", text, same, err)
		}
	})
}

// FuzzAppendAvro: no text makes it panic, and what it writes the library reads.
func FuzzAppendAvro(f *testing.F) {
	var schemas []*Schema
	var libraries []*avro.Schema
	for i, text := range fuzzed {
		s, library := compile(f, text)
		schemas, libraries = append(schemas, s), append(libraries, library)
		for _, in := range []string{`{"id":"a","address":{"city":"c","zip":7,"lines":["x"]},"tags":{"k":1}}`, `"-12.5"`, `{"next":{"next":null,"v":2},"v":1}`, `[[null,null],[]]`, `"\ud83e\udd80"`, `{"a":1,"a":2}`,
			`{"n":null,"b":true,"i":1,"l":-1,"f":0.5,"d":"NaN","by":"AP8=","s":"x","fi":"AP8=","e":"B","a":[null,"y"],"m":{"k":1}}`,
			`{"da":"2026-01-02","tm":"01:02:03.004","tu":1,"sm":"2026-01-02T03:04:05.678Z","su":7,"sn":8,"lm":"2026-01-02T03:04:05","u":"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"}`} {
			f.Add(byte(i), []byte(in))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		s, library := schemas[int(which)%len(schemas)], libraries[int(which)%len(schemas)]
		before := bytes.Clone(in)
		out, err := s.AppendAvro([]byte("dst:"), in)
		if !bytes.Equal(in, before) || !bytes.HasPrefix(out, []byte("dst:")) {
			t.Fatal("the input or dst was changed")
		}
		var fault *Fault
		if err != nil {
			if !errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > len(in) || len(fault.Reason()) > 600 || len(out) != 4 {
				t.Fatalf("%v, %q", err, out)
			}
			return
		}
		var v any
		if rest, err := library.Decode(out[4:], &v); !reads(rest, err) {
			t.Fatalf("the library does not read %x, which was written of %s: %v, %d bytes left", out[4:], in, err, len(rest))
		}
		if _, err := s.AppendJSON(nil, out[4:], 1<<24); err != nil {
			t.Fatalf("%s was written as %x, which does not read: %v", in, out[4:], err)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	s, library := compile(b, user)
	in, err := s.AppendAvro(nil, []byte(`{"id":"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f","address":{"city":"Gothenburg","zip":41133,"lines":["One Street 1","c/o Another"]},"tags":{"k":1}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("this", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			if dst, err = s.AppendJSON(dst[:0], in, limit); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			var v any
			if _, err := library.Decode(in, &v); err != nil {
				b.Fatal(err)
			}
			if dst, err = library.AppendEncodeJSON(dst[:0], v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	s, _ := compile(t, user)
	in, err := s.AppendAvro(nil, []byte(`{"id":"a","address":{"city":"c","zip":1,"lines":["x"]},"tags":{"k":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.AppendJSON(dst, in, limit); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
