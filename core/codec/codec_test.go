package codec

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestByName(t *testing.T) {
	for name, want := range map[string]Codec{
		"utf-8": UTF8, "utf8": UTF8, "json": JSONText, "binary": Binary, "id": ID, "none": ID, "hex": Hex, "base64": Base64, "ascii": ASCII,
		"utf16le": UTF16LE, "utf-16le": UTF16LE, "ucs2": UTF16LE, "ucs-2": UTF16LE, "json.gzip": JSONGzip, "kafka-cache.json.gzip": JSONGzip,
	} {
		got, err := ByName(name)
		if err != nil || got != want {
			t.Errorf("ByName(%q) = %v, %v; want %s", name, got, err, want.Name())
		}
		if Canonical(name) != want.Name() {
			t.Errorf("Canonical(%q) = %q, want %q", name, Canonical(name), want.Name())
		}
	}
	for _, name := range []string{"", "JSON", "latin1", strings.Repeat("x", 1000)} {
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

func TestKeys(t *testing.T) {
	if err := CheckKey(JSONGzip); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "json.gzip cannot encode keys, since gzip") {
		t.Errorf("json.gzip for keys: %v", err)
	}
	want := slices.DeleteFunc(Names(), func(name string) bool { return name == "json.gzip" })
	if got := KeyNames(); !slices.Equal(got, want) {
		t.Errorf("KeyNames() = %v, want %v", got, want)
	}
}

// named is a codec of somebody else.
type named struct {
	binaryCodec
	other []string // which makes it one that == cannot compare with itself
}

func TestCheckName(t *testing.T) {
	for _, c := range builtin {
		if err := CheckName(c); err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
	for name, ok := range map[string]bool{
		"rot13": true, "my.codec-2": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a=b": false, "a,b": false, "å": false, "a\n": false, "\x7f": false,
		"json": false, "utf8": false, "ucs2": false,
	} {
		err := CheckName(named{binaryCodec{name}, nil})
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrUnfit) {
			t.Errorf("CheckName of %q: %v, want fit %v", name, err, ok)
		}
	}
}

// valid are pairs of what clients see and what the log has.
var valid = []struct {
	codec            Codec
	decoded, encoded string
}{
	{UTF8, "", ""},
	{UTF8, "räksmörgås \U0001F980 \uFFFD\uFEFF", "räksmörgås \U0001F980 \uFFFD\uFEFF"},
	{JSONText, `{"id":"a","n":[1,2.5e3,null,true]}`, `{"id":"a","n":[1,2.5e3,null,true]}`},
	{JSONText, " \t\r\n1 ", " \t\r\n1 "},
	{JSONText, `"\ud800"`, `"\ud800"`}, // the grammar allows it
	{Binary, "\x00\xff", "\x00\xff"},
	{ID, "\x00\xff", "\x00\xff"},
	{Hex, "", ""},
	{Hex, "00ff0123456789abcdef", "\x00\xff\x01\x23\x45\x67\x89\xab\xcd\xef"},
	{Base64, "", ""},
	{Base64, "AP8=", "\x00\xff"},
	{Base64, "AA==", "\x00"},
	{Base64, "+/+/", "\xfb\xff\xbf"},
	{ASCII, "plain\x00\x7f", "plain\x00\x7f"},
	{UTF16LE, "", ""},
	{UTF16LE, "a\x00", "a\x00\x00\x00"},
	{UTF16LE, "å€\uFEFF\uFFFD\U0001F980", "\xe5\x00\xac\x20\xff\xfe\xfd\xff\x3e\xd8\x80\xdd"},
}

func TestValid(t *testing.T) {
	for _, tt := range valid {
		if got, err := tt.codec.Encode([]byte("dst:"), []byte(tt.decoded)); err != nil || string(got) != "dst:"+tt.encoded {
			t.Errorf("%s.Encode(%q) = %q, %v; want %q", tt.codec.Name(), tt.decoded, got, err, tt.encoded)
		}
		if got, err := tt.codec.Decode([]byte("dst:"), []byte(tt.encoded)); err != nil || string(got) != "dst:"+tt.decoded {
			t.Errorf("%s.Decode(%q) = %q, %v; want %q", tt.codec.Name(), tt.encoded, got, err, tt.decoded)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	for _, tt := range []struct {
		codec  Codec
		in     string
		offset int
	}{
		{UTF8, "ab\xffcd", 2},
		{UTF8, "ab\xc3", 2},
		{UTF8, "\xed\xa0\x80", 0}, // a surrogate
		{JSONText, "", 0},
		{JSONText, "hello", 0},
		{JSONText, `{"a":1,}`, 7},
		{JSONText, `{"a":1`, 6},
		{JSONText, `{"a":1} x`, 8},
		{JSONText, `[1 2]`, 3},
		{JSONText, "\"\xff\"", 1},
		{JSONText, "{\"a\":\"b\n\"}", 7},
		{JSONText, "\xef\xbb\xbf{}", 0}, // a byte order mark
		{JSONText, deep, 10000},
		{JSONGzip, "hello", 0},
		{JSONGzip, "\"\xff\"", 1},
		{Hex, "a", 1},
		{Hex, "abc", 3},
		{Hex, "0g", 1},
		{Hex, "g0", 0},
		{Hex, "00 1", 2},
		{Hex, "aBcd", 1},
		{Hex, "abX", 2},
		{Hex, "0x12", 1},
		{Base64, "A", 1},
		{Base64, "AP8", 3},
		{Base64, "AP8=\n", 4},
		{Base64, "AP\n8=", 2},
		{Base64, "AP9=", 2}, // two bits that no byte takes
		{Base64, "AB==", 1},
		{Base64, "A===", 1},
		{Base64, "AP=8", 2},
		{Base64, "====", 0},
		{Base64, "==", 2},
		{Base64, "AA==AA==", 2},
		{Base64, "_-_-", 0},
		{Base64, "AP8=AAA", 3},
		{Base64, "AP8=AP8=", 3},
		{Base64, "å", 0},
		{ASCII, "abå", 2},
		{ASCII, "\x80", 0},
		{UTF16LE, "a\xff", 1},
		{UTF16LE, "a\xed\xa0\x80", 1},
	} {
		got, err := tt.codec.Encode([]byte("dst:"), []byte(tt.in))
		wantInvalid(t, tt.codec, "Encode", tt.in, tt.offset, got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		codec  Codec
		in     string
		offset int
	}{
		{UTF8, "a\xff", 1},
		{ASCII, "a\x80", 1},
		{UTF16LE, "a", 1},
		{UTF16LE, "a\x00b", 3},
		{UTF16LE, "a\x00\x3e\xd8", 2},             // a high surrogate at the end
		{UTF16LE, "\x3e\xd8a\x00", 0},             // … and before something else
		{UTF16LE, "\x3e\xd8\x3e\xd8", 0},          // … and before another
		{UTF16LE, "\x80\xdd\x3e\xd8", 0},          // the halves the wrong way round
		{UTF16LE, "a\x00\x80\xdd", 2},             // a low one alone
		{UTF16LE, "\x3e\xd8\x80", 0},              // half of the low one
		{UTF16LE, "a\x00\x3e\xd8\x80\xdd\x00", 7}, // a pair, and half a character
	} {
		got, err := tt.codec.Decode([]byte("dst:"), []byte(tt.in))
		wantInvalid(t, tt.codec, "Decode", tt.in, tt.offset, got, err)
	}
}

func TestJSONIsServedAsItIs(t *testing.T) {
	in := "no json \xff"
	if got, err := JSONText.Decode([]byte("dst:"), []byte(in)); err != nil || string(got) != "dst:"+in {
		t.Errorf("json.Decode = %q, %v", got, err)
	}
}

func wantInvalid(t *testing.T, c Codec, call, in string, offset int, got []byte, err error) {
	t.Helper()
	var invalid *InvalidError
	switch {
	case !errors.As(err, &invalid) || !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnavailable):
		t.Errorf("%s.%s(%.40q) = %.40q, %v, want an *InvalidError", c.Name(), call, in, got, err)
	case invalid.Offset != offset || invalid.Encoding != c.Name() || invalid.Reason == "":
		t.Errorf("%s.%s(%.40q): %v, want offset %d", c.Name(), call, in, err, offset)
	case string(got) != "dst:":
		t.Errorf("%s.%s(%.40q) changed dst to %.40q on failure", c.Name(), call, in, got)
	case strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 250:
		t.Errorf("%s.%s(%.40q): the error is not one short line: %q", c.Name(), call, in, err)
	}
}
