package codec

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
)

const user = `{"id":"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f","email":"someone@example.org","displayName":"Some One","groups":["0c9d8e7f-6c1d-4a2b-9f3e-8d7b6f0e2b1a"]}`

// shown is user as clients see it where the log has it in an encoding.
func shown(c Codec) []byte {
	switch c {
	case Hex:
		return []byte(hex.EncodeToString([]byte(user)))
	case Base64:
		return []byte(base64.StdEncoding.EncodeToString([]byte(user)))
	}
	return []byte(user)
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range builtin {
		b.Run(c.Name(), func(b *testing.B) { benchmark(b, c.Encode, shown(c)) })
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range builtin {
		encoded, err := c.Encode(nil, shown(c))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.Name(), func(b *testing.B) { benchmark(b, c.Decode, encoded) })
	}
}

func benchmark(b *testing.B, f func(dst, in []byte) ([]byte, error), in []byte) {
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		var err error
		if dst, err = f(dst[:0], in); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecodeDoesNotAllocate holds what every record passes on its way in.
func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, c := range builtin {
		encoded, err := c.Encode(nil, shown(c))
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 0, 4096)
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := c.Decode(dst, encoded); err != nil {
				t.Fatal(err)
			}
		})
		// Under the race detector a pool forgets at random what it was given, and the decompressor is made anew.
		if allocs >= 1 && !(raceEnabled && c == JSONGzip) {
			t.Errorf("%s.Decode allocates %v times", c.Name(), allocs)
		}
	}
}
