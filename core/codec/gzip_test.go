package codec

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

// gzipped is one member as the standard library makes it.
func gzipped(t *testing.T, text string, name string) string {
	t.Helper()
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	w.Name = name
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGzipRoundTrip(t *testing.T) {
	for _, text := range []string{`{}`, ` {"a": 1}` + "\n", `"` + strings.Repeat("å", 100_000) + `"`} {
		encoded, err := JSONGzip.Encode([]byte("dst:"), []byte(text))
		if err != nil || !bytes.HasPrefix(encoded, []byte("dst:\x1f\x8b")) {
			t.Fatalf("Encode(%.20q) = %.20q, %v", text, encoded, err)
		}
		z, err := stdgzip.NewReader(bytes.NewReader(encoded[4:]))
		if err != nil {
			t.Fatal(err)
		}
		if read, err := io.ReadAll(z); err != nil || string(read) != text {
			t.Errorf("compress/gzip reads %.20q, %v; want %.20q", read, err, text)
		}
		if got, err := JSONGzip.Decode([]byte("dst:"), encoded[4:]); err != nil || string(got) != "dst:"+text {
			t.Errorf("Decode(Encode(%.20q)) = %.20q, %v", text, got, err)
		}
	}
}

func TestGzipMembers(t *testing.T) {
	one, two := gzipped(t, `{"a":`, "a file's name"), gzipped(t, `1}`, "")
	if got, err := JSONGzip.Decode(nil, []byte(one+two)); err != nil || string(got) != `{"a":1}` {
		t.Errorf("two members: %q, %v", got, err)
	}
	if got, err := JSONGzip.Decode(nil, []byte(gzipped(t, "", ""))); err != nil || len(got) != 0 {
		t.Errorf("an empty member: %q, %v", got, err)
	}
	flipped := []byte(two)
	flipped[len(flipped)-5] ^= 1 // in the checksum
	long := []byte(two)
	long[len(long)-1] = 0x7f // a length of 2 GB
	for name, in := range map[string]string{
		"nothing":           "",
		"plain JSON":        `{"a":1}`,
		"zlib":              "\x78\x9c\x03\x00\x00\x00\x00\x01",
		"half a header":     two[:5],
		"half the data":     two[:11],
		"no trailer":        two[:len(two)-8],
		"half a trailer":    two[:len(two)-3],
		"another checksum":  string(flipped),
		"another length":    string(long),
		"garbage behind":    two + "x",
		"a 0 behind":        two + "\x00",
		"zeros behind":      two + strings.Repeat("\x00", 512),
		"half a member":     one + two[:12],
		"corrupt data":      two[:10] + "\xff\xff\xff" + two[13:],
		"an unknown method": two[:2] + "\x07" + two[3:],
	} {
		got, err := JSONGzip.Decode([]byte("dst:"), []byte(in))
		var invalid *InvalidError
		if !errors.As(err, &invalid) || string(got) != "dst:" || invalid.Offset < 0 || invalid.Offset > len(in) || invalid.Reason == "" {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}

// TestGzipBomb: a small record does not take more memory than MaxDecoded, whatever it says of itself.
func TestGzipBomb(t *testing.T) {
	exact := `"` + strings.Repeat(" ", MaxDecoded-2) + `"`
	encoded, err := JSONGzip.Encode(nil, []byte(exact))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := JSONGzip.Decode(nil, encoded); err != nil || len(got) != MaxDecoded {
		t.Fatalf("MaxDecoded bytes: %d, %v", len(got), err)
	}
	if _, err := JSONGzip.Encode(nil, []byte(exact+" ")); !errors.Is(err, ErrInvalid) {
		t.Errorf("Encode of more than MaxDecoded: %v", err)
	}
	bomb := gzipped(t, strings.Repeat("\x00", MaxDecoded+1), "")
	lying := []byte(bomb)
	copy(lying[len(lying)-4:], "\x01\x00\x00\x00")
	for name, in := range map[string][]byte{"one member": []byte(bomb), "one that lies": lying, "two members": bytes.Repeat(encoded, 2)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := JSONGzip.Decode(nil, in)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrInvalid) || len(got) != 0 || !strings.Contains(err.Error(), "33554432") {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 6*MaxDecoded { // dst, as append grows it
			t.Errorf("%s: %d bytes were taken", name, taken)
		}
	}
}
