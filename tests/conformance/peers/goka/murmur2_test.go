package main

import "testing"

// The values are those of Kafka's own test of Utils.murmur2, with the sign bit cleared.
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		h := newMurmur2()
		if _, err := h.Write([]byte(key)); err != nil {
			t.Fatal(err)
		}
		if got := h.Sum32(); got != uint32(want)&0x7fffffff {
			t.Errorf("%q: %d, not %d", key, got, uint32(want)&0x7fffffff)
		}
	}
}
