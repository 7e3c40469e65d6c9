package main

import (
	"fmt"
)

// Sizes of every entry, in bytes.
const (
	keySize   = 36
	valueSize = 200
)

// keyInValue is where a value holds its own key, so that a reply can be checked
// against what was asked for.
const keyInValue = len(`{"id":"`)

// appendKey appends the key of entry i: a UUID whose bits are a permutation of i
// and a hash of it, so that keys are unique and in no order.
func appendKey(dst []byte, i uint64) []byte {
	return appendUUID(dst, mix(i), mix(i^0x9e3779b97f4a7c15))
}

// appendUUID writes hi and lo, with the version and variant of a random UUID in
// lo alone: hi stays a permutation of what it was made from.
func appendUUID(dst []byte, hi, lo uint64) []byte {
	const digits = "0123456789abcdef"
	var b [32]byte
	for i := range 16 {
		b[15-i] = digits[hi&15]
		b[31-i] = digits[lo&15]
		hi, lo = hi>>4, lo>>4
	}
	// 48 bits of hi, the version, and the 16 bits of hi that are left stand
	// around it; the variant replaces a digit of lo.
	dst = append(dst, b[0:8]...)
	dst = append(dst, '-')
	dst = append(dst, b[8:12]...)
	dst = append(dst, '-', '4')
	dst = append(dst, b[12:15]...)
	dst = append(dst, '-', 'a', b[15])
	dst = append(dst, b[18:20]...)
	dst = append(dst, '-')
	return append(dst, b[20:32]...)
}

// mix is the finalizer of SplitMix64: a permutation of 64-bit numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// appendValue appends version v of the value of entry i: a user of the sample
// model as JSON, of exactly valueSize bytes, about half of which repeat from one
// value to the next.
func appendValue(dst []byte, i, v uint64) []byte {
	start := len(dst)
	dst = append(dst, `{"id":"`...)
	dst = appendKey(dst, i)
	dst = append(dst, `","email":"`...)
	dst = fmt.Appendf(dst, "%016x@example.com", mix(i+v<<40))
	dst = append(dst, `","displayName":"`...)
	name := start + valueSize - len(`","groups":["`) - keySize - len(`"]}`)
	for x := mix(i ^ v<<32 ^ 0x5bd1e995); len(dst) < name; x = mix(x) {
		word := words[x%uint64(len(words))]
		dst = append(dst, word[:min(len(word), name-len(dst))]...)
		if len(dst) < name {
			dst = append(dst, ' ')
		}
	}
	dst = append(dst, `","groups":["`...)
	dst = appendKey(dst, 1<<62+i%1000)
	return append(dst, `"]}`...)
}

var words = [...]string{
	"amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbour", "island", "juniper", "kestrel", "lagoon", "meadow", "north",
	"orchard", "prairie", "quarry", "river", "summit", "tundra", "upland", "valley", "willow", "yarrow", "zenith", "alder", "bramble",
	"cliff", "dune", "elm", "fern", "glacier",
}
