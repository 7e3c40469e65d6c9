package codec

import (
	"encoding/hex"
	"fmt"
)

type hexCodec struct{}

func (hexCodec) Name() string   { return "hex" }
func (hexCodec) Identity() bool { return false }

// Encode does not take what encoding/hex takes, upper-case digits, since Decode would give them back in lower case.
func (hexCodec) Encode(dst, decoded []byte) ([]byte, error) {
	from := len(dst)
	for i := 0; i+1 < len(decoded); i += 2 {
		high, low := digit(decoded[i]), digit(decoded[i+1])
		if high > 15 || low > 15 {
			if high <= 15 {
				i++
			}
			return dst[:from], digitError(decoded, i)
		}
		dst = append(dst, high<<4|low)
	}
	if n := len(decoded); n%2 != 0 {
		if digit(decoded[n-1]) > 15 {
			return dst[:from], digitError(decoded, n-1)
		}
		return dst[:from], &InvalidError{Encoding: "hex", Offset: n, Reason: "an odd number of digits: a byte takes two"}
	}
	return dst, nil
}

func (hexCodec) Decode(dst, encoded []byte) ([]byte, error) {
	return hex.AppendEncode(dst, encoded), nil
}

// digit is what a digit stands for, and above 15 for what is none.
func digit(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	}
	return 0xff
}

func digitError(b []byte, at int) error {
	reason := fmt.Sprintf("0x%02x is not a hexadecimal digit (0-9, a-f)", b[at])
	if b[at] >= 'A' && b[at] <= 'F' {
		reason = fmt.Sprintf("the digit %c would read back in lower case: write it so", b[at])
	}
	return &InvalidError{Encoding: "hex", Offset: at, Reason: reason}
}
