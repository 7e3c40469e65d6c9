package avrojson

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendAvro appends Avro's binary encoding of a JSON text, which must be valid and in UTF-8. Where it does not fit the schema it returns dst
// as it was, and a [*Fault].
//
// Of a union, the first branch that takes the value is written.
func (s *Schema) AppendAvro(dst, text []byte) ([]byte, error) {
	if !json.Valid(text) || !utf8.Valid(text) {
		return dst, fault(0, "not a JSON text")
	}
	v, f := parse(text)
	if f != nil {
		return dst, f
	}
	// Branches are tried one after the other, at every level: what recurses through ambiguous unions must not take time without a limit.
	e := encoder{out: dst, tries: 10_000 + 20*len(text)}
	if f := e.value(s.root, &v, 0); f != nil {
		return dst, f
	}
	return e.out, nil
}

type encoder struct {
	out   []byte
	tries int
}

func (e *encoder) value(n *node, v *value, depth int) *Fault {
	if depth > maxNested {
		return fault(v.offset, "values nest deeper than %d", maxDepth)
	}
	if e.tries--; e.tries < 0 {
		return fault(v.offset, "too many branches of unions would have to be tried")
	}
	switch n.kind {
	case kindNull:
		if v.kind != isNull {
			return v.isNot("null")
		}
	case kindBoolean:
		if v.kind != isBool {
			return v.isNot("a boolean")
		}
		e.out = append(e.out, map[string]byte{"true": 1}[v.text])
	case kindInt, kindLong:
		return e.integer(n, v)
	case kindFloat, kindDouble:
		return e.float(n, v)
	case kindBytes, kindFixed:
		return e.bytes(n, v)
	case kindString:
		if v.kind != isString {
			return v.isNot("a string")
		}
		if n.uuid && !isUUID(v.text) {
			return fault(v.offset, `"%s" is not a UUID`, clipped(v.text))
		}
		e.sized([]byte(v.text))
	case kindEnum:
		i, ok := n.index[v.text]
		if v.kind != isString {
			return v.isNot("a symbol of " + clipped(n.name))
		}
		if !ok {
			return fault(v.offset, `"%s" is no symbol of %s`, clipped(v.text), clipped(n.name))
		}
		e.long(int64(i))
	case kindArray:
		if v.kind != isArray {
			return v.isNot("an array")
		}
		if len(v.items) > 0 {
			e.long(int64(len(v.items)))
		}
		for i := range v.items {
			if f := e.value(n.items, &v.items[i], depth+1); f != nil {
				return f.within(step{index: i})
			}
		}
		e.long(0)
	case kindMap:
		if v.kind != isObject {
			return v.isNot("an object")
		}
		if len(v.members) > 0 {
			e.long(int64(len(v.members)))
		}
		for i := range v.members {
			m := &v.members[i]
			e.sized([]byte(m.name))
			if f := e.value(n.items, &m.value, depth+1); f != nil {
				return f.within(step{name: m.name})
			}
		}
		e.long(0)
	case kindUnion:
		return e.union(n, v, depth)
	case kindRecord:
		return e.record(n, v, depth)
	}
	return nil
}

// isNot says what was asked for.
func (v *value) isNot(want string) *Fault {
	return fault(v.offset, "%s, where the schema has %s", v.kind, want)
}

func (e *encoder) long(v int64)   { e.out = binary.AppendVarint(e.out, v) }
func (e *encoder) sized(b []byte) { e.long(int64(len(b))); e.out = append(e.out, b...) }

func (e *encoder) integer(n *node, v *value) *Fault {
	bits, want := 64, "a whole number"
	if n.kind == kindInt {
		bits = 32
	}
	if n.time != nil {
		want = n.time.want
	}
	if n.time != nil && v.kind == isString {
		count, reason := n.time.parse(v.text)
		if reason != "" {
			return fault(v.offset, "%s", reason)
		}
		e.long(count)
		return nil
	}
	if v.kind != isNumber {
		return v.isNot(want)
	}
	i, err := strconv.ParseInt(v.text, 10, bits)
	if err != nil {
		return fault(v.offset, "%s is not a whole number of %d bits", clipped(v.text), bits)
	}
	e.long(i)
	return nil
}

var notNumbers = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

func (e *encoder) float(n *node, v *value) *Fault {
	bits := 64
	if n.kind == kindFloat {
		bits = 32
	}
	number, ok := notNumbers[v.text]
	switch {
	case v.kind == isString && ok:
	case v.kind != isNumber:
		return v.isNot("a number")
	default:
		var err error
		if number, err = strconv.ParseFloat(v.text, bits); err != nil {
			return fault(v.offset, "%s is out of the range of %d bits", clipped(v.text), bits)
		}
	}
	if bits == 32 {
		e.out = binary.LittleEndian.AppendUint32(e.out, math.Float32bits(float32(number)))
	} else {
		e.out = binary.LittleEndian.AppendUint64(e.out, math.Float64bits(number))
	}
	return nil
}

// bytes writes bytes and fixed, whatever stands for them.
func (e *encoder) bytes(n *node, v *value) *Fault {
	var b []byte
	switch {
	case n.decimal:
		if v.kind != isString && v.kind != isNumber {
			return v.isNot(`a decimal such as "12.34"`)
		}
		unscaled, reason := n.parseDecimal(v.text)
		if reason != "" {
			return fault(v.offset, "%s", reason)
		}
		b = unscaled
		if n.kind == kindFixed {
			var fits bool
			if b, fits = extended(unscaled, n.size); !fits {
				return fault(v.offset, `"%s" takes more than %d bytes`, clipped(v.text), n.size)
			}
		}
	case n.uuid:
		if v.kind != isString {
			return v.isNot("a UUID")
		}
		if !isUUID(v.text) {
			return fault(v.offset, `"%s" is not a UUID`, clipped(v.text))
		}
		b, _ = hex.DecodeString(strings.ReplaceAll(v.text, "-", "")) // it is one
	default:
		if v.kind != isString {
			return v.isNot("bytes, as base64")
		}
		var err error
		if b, err = base64.StdEncoding.Strict().DecodeString(v.text); err != nil || strings.ContainsAny(v.text, "\r\n") {
			return fault(v.offset, `"%s" is not base64, in the standard alphabet with padding`, clipped(v.text))
		}
	}
	if n.kind == kindFixed {
		if len(b) != n.size {
			return fault(v.offset, "%d bytes, where %s has %d", len(b), clipped(n.name), n.size)
		}
		e.out = append(e.out, b...)
		return nil
	}
	e.sized(b)
	return nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// union writes the first branch that takes the value. Where none does, it tells of the one that got furthest.
func (e *encoder) union(n *node, v *value, depth int) *Fault {
	var furthest *Fault
	from, other := len(e.out), ""
	for i, branch := range n.branches {
		if (branch.kind == kindNull) != (v.kind == isNull) {
			continue // of which there is nothing to tell
		}
		e.long(int64(i))
		f := e.value(branch, v, depth+1)
		if f == nil {
			return nil
		}
		e.out = e.out[:from]
		if furthest != nil {
			other = ", nor another branch of the union"
		}
		if furthest == nil || f.Offset > furthest.Offset {
			furthest = f
		}
	}
	if furthest == nil {
		return fault(v.offset, "%s, which is no branch of the union", v.kind)
	}
	if !strings.HasSuffix(furthest.reason, other) {
		furthest.reason += other
	}
	return furthest
}

func (e *encoder) record(n *node, v *value, depth int) *Fault {
	if v.kind != isObject {
		return v.isNot("an object (" + clipped(n.name) + ")")
	}
	given := make([]*member, len(n.fields))
	for i := range v.members {
		m := &v.members[i]
		at, ok := n.index[m.name]
		if !ok {
			return fault(m.offset, "%s has no such field", clipped(n.name)).within(step{name: m.name})
		}
		given[at] = m
	}
	for i := range n.fields {
		f := &n.fields[i]
		switch m := given[i]; {
		case m != nil:
			if fault := e.value(f.node, &m.value, depth+1); fault != nil {
				return fault.within(step{name: f.name})
			}
		case f.otherwise != nil:
			e.out = append(e.out, f.otherwise...)
		default:
			return fault(v.offset, "is missing, and has no default").within(step{name: f.name})
		}
	}
	return nil
}
