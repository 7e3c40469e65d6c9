package avrojson

import (
	"bytes"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits bounds decimals: what is written takes time by the square of it.
const maxDigits = 1000

// maxUnscaled is how many bytes maxDigits may take, and a sign.
const maxUnscaled = 417

// appendDecimal writes a decimal as a string with as many digits behind the point as its scale; false where it is too long, or nothing.
func appendDecimal(dst, unscaled []byte, scale int) ([]byte, bool) {
	unscaled = trimSign(unscaled)
	if len(unscaled) == 0 || len(unscaled) > maxUnscaled {
		return dst, false
	}
	negative := unscaled[0] >= 0x80
	var digits []byte
	var room [20]byte
	if len(unscaled) <= 7 {
		v := int64(int8(unscaled[0]))
		for _, b := range unscaled[1:] {
			v = v<<8 | int64(b)
		}
		digits = strconv.AppendInt(room[:0], max(v, -v), 10)
	} else {
		v := new(big.Int).SetBytes(unscaled)
		if negative {
			v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
		}
		digits = v.Abs(v).Append(nil, 10)
	}
	dst = append(dst, '"')
	if negative {
		dst = append(dst, '-')
	}
	if whole := len(digits) - scale; whole > 0 {
		dst = append(dst, digits[:whole]...)
		digits = digits[whole:]
	} else {
		dst = append(dst, '0')
	}
	if scale > 0 {
		dst = append(dst, '.')
		for range scale - len(digits) {
			dst = append(dst, '0')
		}
		dst = append(dst, digits...)
	}
	return append(dst, '"'), true
}

// trimSign leaves out leading bytes that only repeat the sign.
func trimSign(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// parseDecimal is the unscaled value of a text, in two's complement, as short as it gets; a reason where there is none.
func (n *node) parseDecimal(text string) (unscaled []byte, reason string) {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	isDigits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	switch {
	case !isDigits(whole) || point && !isDigits(fraction):
		return nil, `"` + clipped(text) + `" is not a decimal such as "12.34"`
	case len(fraction) > n.scale:
		return nil, `"` + clipped(text) + `" has more than ` + strconv.Itoa(n.scale) + " digits behind the point"
	case len(strings.TrimLeft(whole, "0"))+n.scale > n.precision:
		return nil, `"` + clipped(text) + `" has more than ` + strconv.Itoa(n.precision-n.scale) + " digits before the point"
	}
	v, _ := new(big.Int).SetString(whole+fraction+strings.Repeat("0", n.scale-len(fraction)), 10)
	if text[0] != '-' {
		return trimSign(append([]byte{0}, v.Bytes()...)), ""
	}
	if v.Sign() == 0 {
		return []byte{0}, ""
	}
	size := uint(v.BitLen()/8 + 1)
	v.Sub(new(big.Int).Lsh(big.NewInt(1), 8*size), v)
	return trimSign(v.Bytes()), ""
}

// extended is a two's complement of the given size; false where it does not fit.
func extended(unscaled []byte, size int) ([]byte, bool) {
	if len(unscaled) > size {
		return nil, false
	}
	sign := byte(0)
	if unscaled[0] >= 0x80 {
		sign = 0xff
	}
	return append(bytes.Repeat([]byte{sign}, size-len(unscaled)), unscaled...), true
}
