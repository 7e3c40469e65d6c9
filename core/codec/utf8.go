package codec

import (
	"fmt"
	"unicode/utf8"
)

type utf8Codec struct{}

func (utf8Codec) Name() string   { return "utf-8" }
func (utf8Codec) Identity() bool { return true }

func (utf8Codec) Encode(dst, decoded []byte) ([]byte, error) { return appendUTF8(dst, decoded) }
func (utf8Codec) Decode(dst, encoded []byte) ([]byte, error) { return appendUTF8(dst, encoded) }

func appendUTF8(dst, b []byte) ([]byte, error) {
	if err := checkUTF8("utf-8", b); err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

// checkUTF8 finds the first byte of b that does not begin or continue a well-formed sequence.
func checkUTF8(encoding string, b []byte) error {
	if utf8.Valid(b) {
		return nil
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			reason := fmt.Sprintf("0x%02x does not begin a UTF-8 sequence that is completed", b[i])
			return &InvalidError{Encoding: encoding, Offset: i, Reason: reason}
		}
		i += n
	}
	return nil
}
