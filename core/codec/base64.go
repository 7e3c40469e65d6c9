package codec

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

type base64Codec struct{}

// strictBase64 asks that the bits which no byte takes are 0; line breaks it passes over all the same.
var strictBase64 = base64.StdEncoding.Strict()

func (base64Codec) Name() string   { return "base64" }
func (base64Codec) Identity() bool { return false }

func (base64Codec) Encode(dst, decoded []byte) ([]byte, error) {
	if bytes.IndexByte(decoded, '\n') >= 0 || bytes.IndexByte(decoded, '\r') >= 0 {
		return dst, base64Fault(decoded)
	}
	out, err := strictBase64.AppendDecode(dst, decoded)
	if err != nil {
		return dst, base64Fault(decoded)
	}
	return out, nil
}

func (base64Codec) Decode(dst, encoded []byte) ([]byte, error) {
	return base64.StdEncoding.AppendEncode(dst, encoded), nil
}

// base64Fault finds what is wrong with a text that does not decode.
func base64Fault(b []byte) error {
	fault := func(at int, reason string) error {
		return &InvalidError{Encoding: "base64", Offset: at, Reason: reason}
	}
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/', c == '=':
		case c == '-' || c == '_':
			return fault(i, fmt.Sprintf("%c is of the URL-safe alphabet, which would read back as the standard one", c))
		default:
			return fault(i, fmt.Sprintf("0x%02x is not of the base64 alphabet", c))
		}
	}
	digits := bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("=")), []byte("="))
	if at := bytes.IndexByte(digits, '='); at >= 0 {
		return fault(at, "padding that is not the last character, or the last two")
	}
	switch {
	case len(b)%4 != 0:
		return fault(len(b), "the length is not a multiple of 4: padding or digits are missing")
	case len(digits) == 0:
		return fault(0, "padding without digits")
	}
	return fault(len(digits)-1, "the last digit has bits that no byte takes, which would read back as 0")
}
