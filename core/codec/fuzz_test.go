package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// mayEncode says of each encoding, by other means than its own, whether a client may send it.
var mayEncode = map[string]func([]byte) bool{
	"utf-8":  utf8.Valid,
	"json":   func(b []byte) bool { return json.Valid(b) && utf8.Valid(b) },
	"binary": func([]byte) bool { return true },
	"id":     func([]byte) bool { return true },
	"hex": func(b []byte) bool {
		raw, err := hex.DecodeString(string(b))
		return err == nil && hex.EncodeToString(raw) == string(b)
	},
	"base64": func(b []byte) bool {
		raw, err := base64.StdEncoding.DecodeString(string(b))
		return err == nil && base64.StdEncoding.EncodeToString(raw) == string(b)
	},
	"ascii":     func(b []byte) bool { return bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 }) < 0 },
	"utf16le":   utf8.Valid,
	"json.gzip": func(b []byte) bool { return json.Valid(b) && utf8.Valid(b) },
}

func seed(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":[1,"\u00e5"]}`, "\xff", "hello", `"\ud800"`, "1e", "[[[", "å\n", "00ff", "aBc", "AP8=", "AP9=", "AP8", "=",
		"\x3e\xd8\x80\xdd", "\x80\xdd\x3e\xd8", "\U0001F980", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x02\x00\xfd\xff{}\x43\xbf\xa6\xa3\x02\x00\x00\x00"} {
		f.Add([]byte(s))
	}
}

// call checks what holds for either direction: the input is not changed, dst is kept, and an error says where.
func call(t *testing.T, what string, f func(dst, in []byte) ([]byte, error), in []byte) ([]byte, error) {
	t.Helper()
	before := bytes.Clone(in)
	dst := append(make([]byte, 0, 64), "dst:"...)
	out, err := f(dst, in)
	if !bytes.Equal(in, before) {
		t.Fatalf("%s changed its input", what)
	}
	if !bytes.HasPrefix(out, []byte("dst:")) {
		t.Fatalf("%s(%q) made dst %q", what, in, out)
	}
	if err == nil {
		return out[4:], nil
	}
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.Offset < 0 || invalid.Offset > len(in) || invalid.Reason == "" || len(err.Error()) > 250 {
		t.Fatalf("%s(%q): %v", what, in, err)
	}
	if len(out) != 4 {
		t.Fatalf("%s(%q): %v, and dst is %q", what, in, err, out)
	}
	return nil, err
}

// FuzzEncode: what is taken is what the encoding says, and it is read back as it was.
func FuzzEncode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range builtin {
			encoded, err := call(t, c.Name()+".Encode", c.Encode, in)
			if want := mayEncode[c.Name()](in); (err == nil) != want {
				t.Fatalf("%s.Encode(%q): %v, want valid %v", c.Name(), in, err, want)
			}
			if err != nil {
				continue
			}
			decoded, err := call(t, c.Name()+".Decode", c.Decode, encoded)
			if err != nil || !bytes.Equal(decoded, in) {
				t.Fatalf("%s.Decode(Encode(%q)) = %q, %v", c.Name(), in, decoded, err)
			}
			if c.Identity() && !bytes.Equal(encoded, in) {
				t.Fatalf("%s says that it is an identity and is not", c.Name())
			}
		}
	})
}

// FuzzDecode: no bytes of the log make it panic, and what is shown of them can be written and becomes the same bytes again. JSON
// is served as it is, so that what is shown of it need not be JSON; and gzip has many ways to compress the same.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range builtin {
			decoded, err := call(t, c.Name()+".Decode", c.Decode, in)
			if err != nil || c == JSONText || c == JSONGzip {
				continue
			}
			encoded, err := call(t, c.Name()+".Encode", c.Encode, decoded)
			if err != nil || !bytes.Equal(encoded, in) {
				t.Fatalf("%s.Encode(Decode(%q)) = %q, %v", c.Name(), in, encoded, err)
			}
		}
	})
}
