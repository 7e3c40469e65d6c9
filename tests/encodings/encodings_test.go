// Package encodings compares core/codec with the original's encodings, which are those of the npm package encoding-down.
package encodings

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/codec/registry"
)

// names are all that encoding-down knows, and the original's own.
var names = []string{"utf8", "utf-8", "json", "binary", "none", "id", "hex", "ascii", "base64", "ucs2", "ucs-2", "utf16le", "utf-16le", "kafka-cache.json.gzip"}

// shown are decoded values of each encoding by its canonical name.
var shown = map[string][]string{
	"utf-8":     {"", "plain", "räksmörgås \U0001F980", "\uFEFFmark", "a\x00b", "\uFFFD"},
	"json":      {`{}`, `{"id":"a","email":null,"groups":["x",1,2.5,true,false]}`, `"text"`, `7`, `[]`, `"å\u2028\ud83e\udd80"`},
	"binary":    {"", "plain", "\x00\xff\xfe"},
	"id":        {"", "plain", "räksmörgås"}, // what is not UTF-8, the original's store changes
	"hex":       {"", "00", "ff", "0123456789abcdef"},
	"ascii":     {"", "plain", "\x00\x7f"},
	"base64":    {"", "AA==", "AP8=", "+/+/", "AAEC"},
	"utf16le":   {"", "plain", "räksmörgås \U0001F980", "\uFEFFmark", "\uFFFD"},
	"json.gzip": {`{}`, `{"id":"a","email":null,"groups":["x",1,2.5,true,false]}`, `"text"`},
}

// random makes one more of an encoding's values.
func random(r *rand.Rand, name string) string {
	raw := make([]byte, r.IntN(40))
	for i := range raw {
		raw[i] = byte(r.UintN(256))
	}
	text := func() string {
		var b strings.Builder
		for range r.IntN(20) {
			c := rune(r.IntN(0x250))
			switch r.IntN(4) {
			case 0:
				c = 0x10000 + rune(r.IntN(0x100000))
			case 1:
				c = rune(r.IntN(0xd800))
			}
			b.WriteRune(c)
		}
		return b.String()
	}
	var document func(depth int) any
	document = func(depth int) any {
		switch n := r.IntN(8); {
		case n == 0:
			return nil
		case n == 1:
			return r.IntN(2) == 0
		case n == 2:
			return float64(r.Int64N(1<<53)) - 1<<52
		case n == 3:
			return r.NormFloat64()
		case n == 4 && depth > 0:
			list := make([]any, r.IntN(4))
			for i := range list {
				list[i] = document(depth - 1)
			}
			return list
		case n >= 5 && depth > 0:
			object := map[string]any{}
			for range r.IntN(4) {
				object["k"+text()] = document(depth - 1)
			}
			return object
		}
		return text()
	}
	switch name {
	case "binary":
		return string(raw)
	case "hex":
		return hex.EncodeToString(raw)
	case "base64":
		return base64.StdEncoding.EncodeToString(raw)
	case "ascii":
		for i := range raw {
			raw[i] &= 0x7f
		}
		return string(raw)
	case "json", "json.gzip":
		value := document(3)
		if value == nil {
			value = true // the original's store has no null
		}
		b, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	return text()
}

// TestSameAsTheOriginal: of what is valid, both make the same in both directions.
func TestSameAsTheOriginal(t *testing.T) {
	const each = 300
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var values []string
	var encodes, decodes []request
	for _, name := range names {
		c, err := codec.ByName(name)
		if err != nil {
			t.Fatalf("the original knows %s: %v", name, err)
		}
		all := shown[c.Name()]
		for range each {
			all = append(all, random(r, c.Name()))
		}
		for _, v := range all {
			encoded, err := c.Encode([]byte{}, []byte(v)) // nil would not be nothing, but null
			if err != nil {
				t.Fatalf("%s: %q: %v", name, v, err)
			}
			values = append(values, v)
			encodes = append(encodes, request{"encode", name, []byte(v)})
			decodes = append(decodes, request{"decode", name, encoded})
		}
	}
	written, read := original(t, encodes), original(t, decodes)
	keys := 0
	for i, v := range values {
		name := encodes[i].Encoding
		c, err := codec.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		switch w := written[i]; {
		case w.Error != "":
			t.Errorf("%s: the original does not write %q: %s", name, v, w.Error)
		case c == codec.JSONText || c == codec.JSONGzip: // the same document, in other words
			back, err := c.Decode(nil, w.Bytes)
			if err != nil || !sameJSON(back, []byte(v)) {
				t.Errorf("%s: %q, as the original writes it, reads %q, %v", name, v, back, err)
			}
		case !bytes.Equal(w.Bytes, decodes[i].Bytes):
			t.Errorf("%s: %q is written as %q, by the original as %q", name, v, decodes[i].Bytes, w.Bytes)
		}
		same := bytes.Equal
		if c == codec.JSONText || c == codec.JSONGzip {
			same = sameJSON
		}
		switch g := read[i]; {
		case g.Error != "":
			t.Errorf("%s: the original does not read %q: %s", name, decodes[i].Bytes, g.Error)
		case !same(g.Bytes, []byte(v)):
			t.Errorf("%s: %q reads %q, by the original %q", name, decodes[i].Bytes, v, g.Bytes)
		case g.Key != nil && !same(g.Key, []byte(v)):
			t.Errorf("%s: the key %q reads %q, by the original %q", name, decodes[i].Bytes, v, g.Key)
		case g.Key != nil:
			keys++
		}
	}
	if len(values) < len(names)*each || keys < len(values)/2 {
		t.Errorf("%d values were compared, and %d keys", len(values), keys)
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// difference is one row of the table in docs/encodings.md.
type difference struct {
	what     string // as the row begins
	request  request
	original string // what the original makes of it: "" an error
}

// differences are inputs that the original takes and changes, or that it passes on though they are not of their encoding.
var differences = []difference{
	{"an odd digit", request{"encode", "hex", []byte("abc")}, "\xab"},
	{"no digit", request{"encode", "hex", []byte("abxxcd")}, "\xab"},
	{"upper-case digits", request{"encode", "hex", []byte("AB")}, "\xab"},
	{"above 0x7f", request{"encode", "ascii", []byte("aé")}, "a\xe9"},
	{"above 0x7f", request{"decode", "ascii", []byte("a\xe9")}, "ai"},
	{"no padding", request{"encode", "base64", []byte("AP8")}, "\x00\xff"},
	{"the URL-safe alphabet", request{"encode", "base64", []byte("-_-_")}, "\xfb\xff\xbf"},
	{"line breaks", request{"encode", "base64", []byte("AP\r\n8=")}, "\x00\xff"},
	{"other characters", request{"encode", "base64", []byte("A!P8=")}, "\x00\xff"},
	{"bits that no byte takes", request{"encode", "base64", []byte("AP9=")}, "\x00\xff"},
	{"an odd byte", request{"decode", "utf16le", []byte("a\x00b")}, "a"},
	{"half a surrogate pair", request{"decode", "utf16le", []byte("\x3e\xd8a\x00")}, "\uFFFDa"},
	{"what is not UTF-8", request{"encode", "utf16le", []byte("a\xff")}, "a\x00\xfd\xff"},
	{"what is not UTF-8", request{"decode", "utf8", []byte("a\xff")}, "a\uFFFD"},
	{"what is not UTF-8", request{"encode", "utf8", []byte("a\xff")}, "a\uFFFD"},
	{"zeros behind the last member", request{"decode", "kafka-cache.json.gzip", append(gzipOf(`{"a":1}`), "\x00\x00"...)}, `{"a":1}`},
}

func gzipOf(text string) []byte {
	b, err := codec.JSONGzip.Encode(nil, []byte(text))
	if err != nil {
		panic(err)
	}
	return b
}

// TestDifferences: each is refused here, and the original does with it what docs/encodings.md says.
func TestDifferences(t *testing.T) {
	var requests []request
	for _, d := range differences {
		requests = append(requests, d.request)
	}
	replies := original(t, requests)
	for i, d := range differences {
		c, err := codec.ByName(d.request.Encoding)
		if err != nil {
			t.Fatal(err)
		}
		f := c.Encode
		if d.request.Op == "decode" {
			f = c.Decode
		}
		if got, err := f(nil, d.request.Bytes); err == nil {
			t.Errorf("%s %s of %q is taken: %q", d.request.Encoding, d.request.Op, d.request.Bytes, got)
		}
		if r := replies[i]; r.Error != "" || string(r.Bytes) != d.original {
			t.Errorf("%s %s of %q: the original makes %q (%s), want %q", d.request.Encoding, d.request.Op, d.request.Bytes, r.Bytes, r.Error, d.original)
		}
	}
}

// TestServedVerbatim: JSON is shown as the log has it, where the original shows what it parses and writes anew, or fails.
func TestServedVerbatim(t *testing.T) {
	cases := []struct {
		encoding, log, original string
	}{
		{"json", ` {"n": 1.0, "n": 12345678901234567890}`, `{"n":12345678901234567000}`},
		{"json", `not json`, ""},
		{"kafka-cache.json.gzip", ` {"n": 1.0}`, `{"n":1}`},
		{"kafka-cache.json.gzip", `not json`, ""},
	}
	var requests []request
	for _, k := range cases {
		encoded := []byte(k.log)
		if k.encoding != "json" {
			encoded = stdGzip(t, k.log)
		}
		requests = append(requests, request{"decode", k.encoding, encoded})
	}
	replies := original(t, requests)
	for i, k := range cases {
		c, err := codec.ByName(k.encoding)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Decode(nil, requests[i].Bytes); err != nil || string(got) != k.log {
			t.Errorf("%s: %q, %v; want %q", k.encoding, got, err, k.log)
		}
		if r := replies[i]; (r.Error != "") != (k.original == "") || string(r.Bytes) != k.original {
			t.Errorf("%s of %q: the original makes %q (%s), want %q", k.encoding, k.log, r.Bytes, r.Error, k.original)
		}
	}
	// Bytes that are not UTF-8 come through id here; the original's store makes a string of them.
	id := request{"decode", "id", []byte("a\xff")}
	if r := original(t, []request{id})[0]; string(r.Bytes) != "a\uFFFD" {
		t.Errorf("id in the original: %q, %s", r.Bytes, r.Error)
	}
	if got, err := codec.ID.Decode(nil, id.Bytes); err != nil || string(got) != "a\xff" {
		t.Errorf("id: %q, %v", got, err)
	}
	// A name that it does not know is id to the original; here it is refused.
	unknown := request{"decode", "utf9", []byte("abc")}
	if r := original(t, []request{unknown})[0]; string(r.Bytes) != "abc" {
		t.Errorf("an unknown name in the original: %q, %s", r.Bytes, r.Error)
	}
	if _, err := codec.ByName("utf9"); err == nil {
		t.Error("an unknown name is taken")
	}
}

// TestDocumented: docs/encodings.md names every encoding with its other names, and has a row for each difference.
func TestDocumented(t *testing.T) {
	doc := document(t)
	for _, name := range slices.Concat(codec.Names(), registry.Names(), names) {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("%s is not in docs/encodings.md", name)
		}
	}
	for _, d := range differences {
		c, err := codec.ByName(d.request.Encoding)
		if err != nil {
			t.Fatal(err)
		}
		if row := fmt.Sprintf("| `%s` | %s", c.Name(), d.what); !strings.Contains(doc, row) {
			t.Errorf("docs/encodings.md has no row that begins with %s", row)
		}
	}
	if !utf8.ValidString(doc) {
		t.Error("docs/encodings.md is not UTF-8")
	}
}
