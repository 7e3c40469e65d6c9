package resp

import (
	"strconv"

	"github.com/tidwall/redcon"
)

// Version is the protocol that a connection speaks.
type Version int

// The protocol versions; HELLO changes from one to the other.
const (
	V2 Version = 2
	V3 Version = 3
)

// The appenders below write one element each and return the extended slice, as append does. Those that differ between the
// versions take the version; the others are the same in both.

// AppendStatus appends a simple string, such as +OK. It must hold neither CR nor LF.
func AppendStatus(dst []byte, s string) []byte { return redcon.AppendString(dst, s) }

// AppendError appends an error line. CR and LF become blanks, as in Redis, so that no peer's bytes end the line.
func AppendError(dst []byte, s string) []byte {
	dst = append(dst, '-')
	at := len(dst)
	dst = append(dst, s...)
	for i := at; i < len(dst); i++ {
		if dst[i] == '\r' || dst[i] == '\n' {
			dst[i] = ' '
		}
	}
	return append(dst, '\r', '\n')
}

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte { return redcon.AppendInt(dst, n) }

// AppendBulk appends a binary-safe string.
func AppendBulk(dst, b []byte) []byte {
	dst = AppendBulkHeader(dst, len(b))
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

// AppendBulkString is AppendBulk of a string.
func AppendBulkString(dst []byte, s string) []byte {
	dst = AppendBulkHeader(dst, len(s))
	dst = append(dst, s...)
	return append(dst, '\r', '\n')
}

// AppendBulkHeader appends what precedes the n bytes of a bulk string; CR and LF have to follow them.
func AppendBulkHeader(dst []byte, n int) []byte {
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

// AppendArray appends the header of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return redcon.AppendArray(dst, n) }

// AppendNull appends the null: a null bulk in RESP2.
func AppendNull(dst []byte, v Version) []byte {
	if v == V3 {
		return append(dst, '_', '\r', '\n')
	}
	return redcon.AppendNull(dst)
}

// AppendNullArray appends the null where RESP2 has a null array.
func AppendNullArray(dst []byte, v Version) []byte {
	if v == V3 {
		return append(dst, '_', '\r', '\n')
	}
	return append(dst, "*-1\r\n"...)
}

// AppendMap appends the header of a map of n pairs: an array of twice as many in RESP2.
func AppendMap(dst []byte, v Version, n int) []byte {
	if v == V3 {
		return header(dst, '%', n)
	}
	return redcon.AppendArray(dst, 2*n)
}

// AppendSet appends the header of a set of n elements: an array in RESP2.
func AppendSet(dst []byte, v Version, n int) []byte {
	if v == V3 {
		return header(dst, '~', n)
	}
	return redcon.AppendArray(dst, n)
}

// AppendPush appends the header of an out-of-band push of n elements, which RESP2 has only as an array within subscriptions.
func AppendPush(dst []byte, v Version, n int) []byte {
	if v == V3 {
		return header(dst, '>', n)
	}
	return redcon.AppendArray(dst, n)
}

// AppendBool appends a boolean: 0 or 1 in RESP2.
func AppendBool(dst []byte, v Version, b bool) []byte {
	switch {
	case v == V3 && b:
		return append(dst, "#t\r\n"...)
	case v == V3:
		return append(dst, "#f\r\n"...)
	case b:
		return redcon.AppendInt(dst, 1)
	}
	return redcon.AppendInt(dst, 0)
}

// AppendDouble appends a floating-point number; RESP2 has it as a bulk string.
func AppendDouble(dst []byte, v Version, f float64) []byte {
	text := strconv.AppendFloat(nil, f, 'g', 17, 64)
	if v != V3 {
		return AppendBulk(dst, text)
	}
	dst = append(dst, ',')
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// AppendVerbatim appends text for people: a bulk string in RESP2.
func AppendVerbatim(dst []byte, v Version, s string) []byte {
	if v != V3 {
		return AppendBulkString(dst, s)
	}
	dst = header(dst, '=', len(s)+4)
	dst = append(dst, "txt:"...)
	dst = append(dst, s...)
	return append(dst, '\r', '\n')
}

func header(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}
