package avrojson

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the JSON of one value in Avro's binary encoding, of at most limit bytes. Where it fails it returns dst as it was, and
// a [*Fault].
func (s *Schema) AppendJSON(dst, b []byte, limit int) ([]byte, error) {
	d := decoder{in: b, out: dst, from: len(dst), limit: limit}
	if f := d.value(s.root, 0); f != nil {
		return dst, f
	}
	if d.at != len(b) {
		return dst, fault(d.at, "%d bytes are left after the value", len(b)-d.at)
	}
	if f := d.bounded(); f != nil {
		return dst, f
	}
	return d.out, nil
}

func (d *decoder) bounded() *Fault {
	if len(d.out)-d.from > d.limit {
		return fault(d.at, "decoded it has more than %d bytes", d.limit)
	}
	return nil
}

type decoder struct {
	in    []byte
	at    int
	out   []byte
	from  int // where out begins
	limit int
}

func (d *decoder) value(n *node, depth int) *Fault {
	if depth > maxNested {
		return fault(d.at, "values nest deeper than %d", maxDepth)
	}
	if f := d.bounded(); f != nil {
		return f
	}
	switch n.kind {
	case kindNull:
		d.out = append(d.out, "null"...)
	case kindBoolean:
		return d.boolean()
	case kindInt, kindLong:
		return d.integer(n)
	case kindFloat:
		b, f := d.take(4)
		if f != nil {
			return f
		}
		d.float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
	case kindDouble:
		b, f := d.take(8)
		if f != nil {
			return f
		}
		d.float(math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	case kindBytes, kindString:
		b, f := d.sized()
		if f != nil {
			return f
		}
		return d.bytes(n, b)
	case kindFixed:
		b, f := d.take(n.size)
		if f != nil {
			return f
		}
		return d.bytes(n, b)
	case kindEnum:
		from := d.at
		i, f := d.long()
		if f != nil {
			return f
		}
		if i < 0 || i >= int64(len(n.quoted)) {
			return fault(from, "%d is no symbol of %s, which has %d", i, clipped(n.name), len(n.quoted))
		}
		d.out = append(d.out, n.quoted[i]...)
	case kindArray, kindMap:
		return d.collection(n, depth)
	case kindUnion:
		from := d.at
		i, f := d.long()
		if f != nil {
			return f
		}
		if i < 0 || i >= int64(len(n.branches)) {
			return fault(from, "%d is no branch of a union of %d", i, len(n.branches))
		}
		return d.value(n.branches[i], depth+1)
	case kindRecord:
		d.out = append(d.out, '{')
		for i := range n.fields {
			if i > 0 {
				d.out = append(d.out, ',')
			}
			d.out = append(d.out, n.fields[i].member...)
			if f := d.value(n.fields[i].node, depth+1); f != nil {
				return f.within(step{name: n.fields[i].name})
			}
		}
		d.out = append(d.out, '}')
	}
	return nil
}

func (d *decoder) take(n int) ([]byte, *Fault) {
	if n > len(d.in)-d.at {
		return nil, fault(len(d.in), "it ends within a value of %d bytes", n)
	}
	b := d.in[d.at : d.at+n]
	d.at += n
	return b, nil
}

// long reads a zigzag varint of at most 64 bits.
func (d *decoder) long() (int64, *Fault) {
	v, n := binary.Varint(d.in[d.at:])
	switch {
	case n == 0:
		return 0, fault(len(d.in), "it ends within a number")
	case n < 0:
		return 0, fault(d.at, "a number of more than 64 bits")
	}
	d.at += n
	return v, nil
}

// sized reads bytes behind their length.
func (d *decoder) sized() ([]byte, *Fault) {
	from := d.at
	n, f := d.long()
	if f != nil {
		return nil, f
	}
	if n < 0 {
		return nil, fault(from, "a length below 0")
	}
	if n > int64(len(d.in)-d.at) {
		return nil, fault(len(d.in), "it ends within a value of %d bytes", n)
	}
	return d.take(int(n))
}

func (d *decoder) boolean() *Fault {
	b, f := d.take(1)
	switch {
	case f != nil:
		return f
	case b[0] == 0:
		d.out = append(d.out, "false"...)
	case b[0] == 1:
		d.out = append(d.out, "true"...)
	default:
		return fault(d.at-1, "0x%02x is not a boolean", b[0])
	}
	return nil
}

func (d *decoder) integer(n *node) *Fault {
	from := d.at
	v, f := d.long()
	if f != nil {
		return f
	}
	if n.kind == kindInt && (v < math.MinInt32 || v > math.MaxInt32) {
		return fault(from, "%d is not an int of 32 bits", v)
	}
	if n.time != nil {
		if out, ok := n.time.appendTime(d.out, v); ok {
			d.out = out
			return nil
		}
	}
	d.out = strconv.AppendInt(d.out, v, 10)
	return nil
}

func (d *decoder) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		d.out = append(d.out, `"NaN"`...)
		return
	case math.IsInf(v, 1):
		d.out = append(d.out, `"Infinity"`...)
		return
	case math.IsInf(v, -1):
		d.out = append(d.out, `"-Infinity"`...)
		return
	}
	form := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) { // as JSON.stringify does
		form = 'e'
	}
	d.out = strconv.AppendFloat(d.out, v, form, -1, bits)
}

// bytes writes what bytes, strings and fixed have.
func (d *decoder) bytes(n *node, b []byte) *Fault {
	switch {
	case n.kind == kindString:
		out, bad := appendString(d.out, b)
		if bad >= 0 {
			return fault(d.at-len(b)+bad, "a string that is not UTF-8")
		}
		d.out = out
	case n.decimal:
		out, ok := appendDecimal(d.out, b, n.scale)
		if !ok {
			return fault(d.at-len(b), "a decimal of %d bytes", len(b))
		}
		d.out = out
	case n.uuid:
		d.out = append(d.out, '"')
		for i, part := range [...][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
			if i > 0 {
				d.out = append(d.out, '-')
			}
			d.out = hex.AppendEncode(d.out, part)
		}
		d.out = append(d.out, '"')
	default:
		d.out = append(d.out, '"')
		d.out = base64.StdEncoding.AppendEncode(d.out, b)
		d.out = append(d.out, '"')
	}
	return nil
}

// collection reads the blocks of an array or a map. Every item is written as one byte at least, so that the limit bounds those that
// take none in Avro.
func (d *decoder) collection(n *node, depth int) *Fault {
	isMap := n.kind == kindMap
	open, closing := byte('['), byte(']')
	if isMap {
		open, closing = '{', '}'
	}
	d.out = append(d.out, open)
	for i := 0; ; {
		count, f := d.block()
		if f != nil {
			return f
		}
		if count == 0 {
			break
		}
		for ; count > 0; count-- {
			if i > 0 {
				d.out = append(d.out, ',')
			}
			if isMap {
				key, f := d.sized()
				if f != nil {
					return f
				}
				out, bad := appendString(d.out, key)
				if bad >= 0 {
					return fault(d.at-len(key)+bad, "a key that is not UTF-8")
				}
				d.out = append(out, ':')
				if f := d.value(n.items, depth+1); f != nil {
					return f.within(step{name: string(key)})
				}
			} else if f := d.value(n.items, depth+1); f != nil {
				return f.within(step{index: i})
			}
			i++
		}
	}
	d.out = append(d.out, closing)
	return nil
}

// block is how many items follow; 0 at the end.
func (d *decoder) block() (int64, *Fault) {
	from := d.at
	count, f := d.long()
	if f != nil || count >= 0 {
		return count, f
	}
	if count == math.MinInt64 {
		return 0, fault(from, "a block of more items than there are numbers")
	}
	size, f := d.long()
	if f == nil && size < 0 {
		f = fault(from, "a block of a size below 0")
	}
	return -count, f
}

const hexDigits = "0123456789abcdef"

// appendString writes b as a JSON string. Where it is not UTF-8 it says at which byte, and -1 otherwise.
func appendString(dst, b []byte) ([]byte, int) {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(b); {
		c := b[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n <= 1 {
				return dst, i
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, b[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, b[from:]...)
	return append(dst, '"'), -1
}
