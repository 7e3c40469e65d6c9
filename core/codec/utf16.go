package codec

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

type utf16Codec struct{}

func (utf16Codec) Name() string   { return "utf16le" }
func (utf16Codec) Identity() bool { return false }

// Encode makes no byte order mark, and keeps one as the character that it is.
func (utf16Codec) Encode(dst, decoded []byte) ([]byte, error) {
	if err := checkUTF8("utf16le", decoded); err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, 2*len(decoded))
	for i := 0; i < len(decoded); {
		if c := decoded[i]; c < utf8.RuneSelf {
			dst = append(dst, c, 0)
			i++
			continue
		}
		r, n := utf8.DecodeRune(decoded[i:])
		i += n
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(high))
			r = low
		}
		dst = binary.LittleEndian.AppendUint16(dst, uint16(r))
	}
	return dst, nil
}

func (utf16Codec) Decode(dst, encoded []byte) ([]byte, error) {
	from := len(dst)
	dst = slices.Grow(dst, len(encoded)/2)
	for i := 0; i+1 < len(encoded); i += 2 {
		r := rune(binary.LittleEndian.Uint16(encoded[i:]))
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
			continue
		case utf16.IsSurrogate(r):
			var pair rune = utf8.RuneError
			if i+3 < len(encoded) {
				pair = utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(encoded[i+2:])))
			}
			if pair == utf8.RuneError { // no pair stands for this one
				reason := fmt.Sprintf("0x%04x is a surrogate without its other half", r)
				return dst[:from], &InvalidError{Encoding: "utf16le", Offset: i, Reason: reason}
			}
			r = pair
			i += 2
		}
		dst = utf8.AppendRune(dst, r)
	}
	if n := len(encoded); n%2 != 0 {
		return dst[:from], &InvalidError{Encoding: "utf16le", Offset: n, Reason: "an odd number of bytes: half of a character is missing"}
	}
	return dst, nil
}
