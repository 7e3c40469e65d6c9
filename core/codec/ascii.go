package codec

import "fmt"

type asciiCodec struct{}

func (asciiCodec) Name() string   { return "ascii" }
func (asciiCodec) Identity() bool { return true }

func (asciiCodec) Encode(dst, decoded []byte) ([]byte, error) { return appendASCII(dst, decoded) }
func (asciiCodec) Decode(dst, encoded []byte) ([]byte, error) { return appendASCII(dst, encoded) }

func appendASCII(dst, b []byte) ([]byte, error) {
	for i, c := range b {
		if c >= 0x80 {
			return dst, &InvalidError{Encoding: "ascii", Offset: i, Reason: fmt.Sprintf("0x%02x is not ASCII", c)}
		}
	}
	return append(dst, b...), nil
}
