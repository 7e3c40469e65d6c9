package avrojson

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// value is a JSON value with where it stands.
type value struct {
	kind    valueKind
	offset  int
	text    string // of a string, without escapes; of a number, as it is written
	items   []value
	members []member
}

type member struct {
	name   string
	offset int
	value  value
}

type valueKind string

// What errors call them.
const (
	isNull   valueKind = "null"
	isBool   valueKind = "a boolean"
	isNumber valueKind = "a number"
	isString valueKind = "a string"
	isArray  valueKind = "an array"
	isObject valueKind = "an object"
)

// parser reads a text that is known to be JSON. It keeps what encoding/json drops: the order of members, and where things are; and refuses
// what that takes silently: a name that stands twice in an object, and half a surrogate pair.
type parser struct {
	in string
	at int
}

func parse(text []byte) (value, *Fault) {
	p := parser{in: string(text)}
	return p.value(0)
}

func (p *parser) space() {
	for p.at < len(p.in) && (p.in[p.at] == ' ' || p.in[p.at] == '\t' || p.in[p.at] == '\n' || p.in[p.at] == '\r') {
		p.at++
	}
}

func (p *parser) value(depth int) (value, *Fault) {
	p.space()
	v := value{offset: p.at}
	if depth > maxDepth {
		return v, fault(p.at, "values nest deeper than %d", maxDepth)
	}
	switch c := p.in[p.at]; c {
	case '"':
		text, f := p.string()
		v.kind, v.text = isString, text
		return v, f
	case '[':
		v.kind = isArray
		return v, p.elements(']', func() *Fault {
			item, f := p.value(depth + 1)
			v.items = append(v.items, item)
			return f
		})
	case '{':
		v.kind = isObject
		seen := map[string]bool{}
		return v, p.elements('}', func() *Fault {
			p.space()
			m := member{offset: p.at}
			var f *Fault
			if m.name, f = p.string(); f != nil {
				return f
			}
			if seen[m.name] {
				return fault(m.offset, `"%s" stands twice in the object`, clipped(m.name))
			}
			seen[m.name] = true
			p.space()
			p.at++ // the colon
			m.value, f = p.value(depth + 1)
			v.members = append(v.members, m)
			return f
		})
	case 'n':
		v.kind, p.at = isNull, p.at+len("null")
	case 't':
		v.kind, v.text, p.at = isBool, "true", p.at+len("true")
	case 'f':
		v.kind, v.text, p.at = isBool, "false", p.at+len("false")
	default:
		from := p.at
		for p.at < len(p.in) && (p.in[p.at] >= '0' && p.in[p.at] <= '9' || p.in[p.at] == '-' || p.in[p.at] == '+' || p.in[p.at] == '.' || p.in[p.at]|0x20 == 'e') {
			p.at++
		}
		v.kind, v.text = isNumber, p.in[from:p.at]
	}
	return v, nil
}

// elements reads what stands between brackets.
func (p *parser) elements(closing byte, element func() *Fault) *Fault {
	p.at++
	if p.space(); p.in[p.at] == closing {
		p.at++
		return nil
	}
	for {
		if f := element(); f != nil {
			return f
		}
		p.space()
		p.at++
		if p.in[p.at-1] == closing {
			return nil
		}
	}
}

func (p *parser) string() (string, *Fault) {
	p.at++
	from := p.at
	for p.in[p.at] != '"' && p.in[p.at] != '\\' {
		p.at++
	}
	if p.in[p.at] == '"' {
		p.at++
		return p.in[from : p.at-1], nil
	}
	out := append([]byte{}, p.in[from:p.at]...)
	for p.in[p.at] != '"' {
		c := p.in[p.at]
		p.at++
		if c != '\\' {
			out = append(out, c)
			continue
		}
		c = p.in[p.at]
		p.at++
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			escape := p.at - 2
			r := p.unit()
			if utf16.IsSurrogate(r) {
				if p.in[p.at] != '\\' || p.in[p.at+1] != 'u' {
					return "", fault(escape, "half a surrogate pair")
				}
				p.at += 2
				if r = utf16.DecodeRune(r, p.unit()); r == utf8.RuneError {
					return "", fault(escape, "half a surrogate pair")
				}
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	p.at++
	return string(out), nil
}

// unit reads the four digits of an escape.
func (p *parser) unit() rune {
	n, _ := strconv.ParseUint(p.in[p.at:p.at+4], 16, 16) // the text is JSON
	p.at += 4
	return rune(n)
}
