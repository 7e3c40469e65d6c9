package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestByName(t *testing.T) {
	for name, want := range map[string]Codec{"utf-8": UTF8, "utf8": UTF8, "json": JSON, "binary": Binary} {
		got, err := ByName(name)
		if err != nil || got != want {
			t.Errorf("ByName(%q) = %v, %v; want %s", name, got, err, want.Name())
		}
	}
	for _, name := range []string{"", "JSON", "hex", strings.Repeat("x", 1000)} {
		_, err := ByName(name)
		if !errors.Is(err, ErrUnknown) {
			t.Fatalf("ByName(%q) = %v, want ErrUnknown", name, err)
		}
		if len(err.Error()) > 200 {
			t.Errorf("the error repeats all of a long name: %d bytes", len(err.Error()))
		}
		for _, known := range Names() {
			if !strings.Contains(err.Error(), known) {
				t.Errorf("%v does not name %s", err, known)
			}
		}
	}
}

func TestEncode(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	tests := []struct {
		codec  Codec
		in     string
		offset int // -1: valid
	}{
		{UTF8, "", -1},
		{UTF8, "plain", -1},
		{UTF8, "räksmörgås \U0001F980 �", -1},
		{UTF8, "ab\xffcd", 2},
		{UTF8, "ab\xc3", 2},
		{UTF8, "\xed\xa0\x80", 0}, // a surrogate
		{JSON, `{"id":"a","n":[1,2.5e3,null,true]}`, -1},
		{JSON, " \t\r\n1 ", -1},
		{JSON, `"x"`, -1},
		{JSON, "", 0},
		{JSON, "hello", 0},
		{JSON, `{"a":1,}`, 7},
		{JSON, `{"a":1`, 6},
		{JSON, `{"a":1} x`, 8},
		{JSON, `[1 2]`, 3},
		{JSON, "\"\xff\"", 1},
		{JSON, "{\"a\":\"b\n\"}", 7},
		{JSON, "\xef\xbb\xbf{}", 0}, // a byte order mark
		{JSON, deep, 10000},
		{Binary, "", -1},
		{Binary, "\x00\xff", -1},
	}
	for _, tt := range tests {
		got, err := tt.codec.Encode([]byte("dst:"), []byte(tt.in))
		var invalid *InvalidError
		switch {
		case tt.offset < 0:
			if err != nil || string(got) != "dst:"+tt.in {
				t.Errorf("%s.Encode(%.40q) = %.40q, %v", tt.codec.Name(), tt.in, got, err)
			}
		case !errors.As(err, &invalid) || !errors.Is(err, ErrInvalid):
			t.Errorf("%s.Encode(%.40q): %v, want an *InvalidError", tt.codec.Name(), tt.in, err)
		case invalid.Offset != tt.offset || invalid.Encoding != tt.codec.Name() || invalid.Reason == "":
			t.Errorf("%s.Encode(%.40q): %v, want offset %d", tt.codec.Name(), tt.in, err, tt.offset)
		case string(got) != "dst:":
			t.Errorf("%s.Encode(%.40q) changed dst to %.40q on failure", tt.codec.Name(), tt.in, got)
		case strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 200:
			t.Errorf("%s.Encode(%.40q): the error is not one short line: %q", tt.codec.Name(), tt.in, err)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []Codec{JSON, Binary} {
		in := []byte("no json \xff") // what the log holds is served as it is
		if got, err := c.Decode([]byte("dst:"), in); err != nil || string(got) != "dst:"+string(in) {
			t.Errorf("%s.Decode = %q, %v", c.Name(), got, err)
		}
	}
	if got, err := UTF8.Decode([]byte("dst:"), []byte("a\xff")); !errors.Is(err, ErrInvalid) || string(got) != "dst:" {
		t.Errorf("utf-8.Decode = %q, %v, want ErrInvalid", got, err)
	}
	if got, err := UTF8.Decode(nil, []byte("å")); err != nil || string(got) != "å" {
		t.Errorf("utf-8.Decode = %q, %v", got, err)
	}
}

func FuzzCodecs(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":[1,"\u00e5"]}`, "\xff", "hello", `"\ud800"`, "1e", "[[[", "å\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		valid := map[string]bool{
			"utf-8":  utf8.Valid(in),
			"json":   json.Valid(in) && utf8.Valid(in),
			"binary": true,
		}
		for _, name := range Names() {
			c, err := ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			before := bytes.Clone(in)
			encoded, err := c.Encode(nil, in)
			if (err == nil) != valid[name] {
				t.Fatalf("%s.Encode(%q): %v, want valid %v", name, in, err, valid[name])
			}
			if !bytes.Equal(in, before) {
				t.Fatalf("%s.Encode changed its input", name)
			}
			var invalid *InvalidError
			if err != nil {
				if !errors.As(err, &invalid) || invalid.Offset < 0 || invalid.Offset > len(in) {
					t.Fatalf("%s.Encode(%q): %v: offset outside the input", name, in, err)
				}
				continue
			}
			decoded, err := c.Decode(nil, encoded)
			if err != nil || !bytes.Equal(decoded, in) {
				t.Fatalf("%s.Decode(Encode(%q)) = %q, %v", name, in, decoded, err)
			}
			if c.Identity() && !bytes.Equal(encoded, in) {
				t.Fatalf("%s says that it is an identity and is not", name)
			}
		}
	})
}

func BenchmarkEncodeJSON(b *testing.B) {
	in := []byte(`{"id":"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f","email":"someone@example.org","displayName":"Some One","groups":["0c9d8e7f-6c1d-4a2b-9f3e-8d7b6f0e2b1a"]}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		var err error
		if dst, err = JSON.Encode(dst[:0], in); err != nil {
			b.Fatal(err)
		}
	}
}
