package jsondoc

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parser appends the nodes of a text to its document.
type parser struct {
	text  string
	d     *Document
	at    int
	depth int
}

func (p *parser) document() error {
	if err := p.value(); err != nil {
		return err
	}
	p.space()
	if p.at < len(p.text) {
		return p.fault("something behind the value")
	}
	return nil
}

func (p *parser) fault(reason string) error {
	if p.at >= len(p.text) {
		reason = "it ends too early"
	}
	return &Error{Offset: min(p.at, len(p.text)), Reason: reason}
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// value also skips the space before it.
func (p *parser) value() error {
	p.space()
	if p.at >= len(p.text) {
		return p.fault("")
	}
	switch c := p.text[p.at]; c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.str()
	case 'n':
		return p.literal("null", Null)
	case 't':
		return p.literal("true", True)
	case 'f':
		return p.literal("false", False)
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return p.number()
		}
		return p.fault("no value begins")
	}
}

// leaf appends a node that holds no other.
func (p *parser) leaf(kind Kind, start, end int, escaped bool) {
	p.d.nodes = append(p.d.nodes, node{
		kind: kind, escaped: escaped, start: int32(start), end: int32(end), next: Node(len(p.d.nodes) + 1), //nolint:gosec // Parse bounds the text
	})
}

func (p *parser) literal(word string, kind Kind) error {
	if !strings.HasPrefix(p.text[p.at:], word) {
		for i := 0; i < len(word) && p.at < len(p.text) && p.text[p.at] == word[i]; i++ {
			p.at++
		}
		return p.fault("no value begins")
	}
	p.leaf(kind, p.at, p.at+len(word), false)
	p.at += len(word)
	return nil
}

// open appends a node that holds others, and says which it is.
func (p *parser) open(kind Kind) (Node, error) {
	if p.depth++; p.depth > MaxDepth {
		return 0, &Error{Offset: p.at, Reason: "it nests deeper than 10000 levels"}
	}
	p.d.depth = max(p.d.depth, p.depth)
	n := Node(len(p.d.nodes)) //nolint:gosec // fewer than there are bytes, which Parse bounds
	p.leaf(kind, p.at, p.at, false)
	p.at++
	p.space()
	return n, nil
}

func (p *parser) close(n Node, length int) {
	p.at++
	p.depth--
	x := &p.d.nodes[n]
	x.end, x.next, x.length = int32(p.at), Node(len(p.d.nodes)), int32(length) //nolint:gosec // as in open
}

func (p *parser) array() error {
	n, err := p.open(Array)
	if err != nil {
		return err
	}
	length := 0
	if p.at < len(p.text) && p.text[p.at] == ']' {
		p.close(n, length)
		return nil
	}
	for {
		if err := p.value(); err != nil {
			return err
		}
		length++
		p.space()
		if p.at >= len(p.text) {
			return p.fault("")
		}
		switch p.text[p.at] {
		case ',':
			p.at++
		case ']':
			p.close(n, length)
			return nil
		default:
			return p.fault("neither a comma nor the array's end")
		}
	}
}

func (p *parser) object() error {
	n, err := p.open(Object)
	if err != nil {
		return err
	}
	length := 0
	if p.at < len(p.text) && p.text[p.at] == '}' {
		p.close(n, length)
		return nil
	}
	for {
		p.space()
		if p.at >= len(p.text) || p.text[p.at] != '"' {
			return p.fault("no name of a member")
		}
		if err := p.str(); err != nil {
			return err
		}
		p.space()
		if p.at >= len(p.text) || p.text[p.at] != ':' {
			return p.fault("no colon behind a name")
		}
		p.at++
		if err := p.value(); err != nil {
			return err
		}
		length++
		p.space()
		if p.at >= len(p.text) {
			return p.fault("")
		}
		switch p.text[p.at] {
		case ',':
			p.at++
		case '}':
			p.close(n, length)
			return nil
		default:
			return p.fault("neither a comma nor the object's end")
		}
	}
}

func (p *parser) str() error {
	p.at++
	start, escaped := p.at, false
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.leaf(String, start, p.at, escaped)
			p.at++
			return nil
		case c == '\\':
			escaped = true
			if err := p.escape(); err != nil {
				return err
			}
		case c < ' ':
			return p.fault("a control character in a string")
		case c < utf8.RuneSelf:
			p.at++
		default:
			r, size := utf8.DecodeRuneInString(p.text[p.at:])
			if r == utf8.RuneError && size == 1 {
				return p.fault("not UTF-8")
			}
			p.at += size
		}
	}
	return p.fault("")
}

func (p *parser) escape() error {
	p.at++
	if p.at >= len(p.text) {
		return p.fault("")
	}
	switch p.text[p.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.at++
		return nil
	case 'u':
		p.at++
		for range 4 {
			if p.at >= len(p.text) || !hexadecimal(p.text[p.at]) {
				return p.fault("no four hexadecimal digits in an escape")
			}
			p.at++
		}
		return nil
	}
	return p.fault("no such escape")
}

func hexadecimal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (p *parser) digits() int {
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - start
}

func (p *parser) number() error {
	start := p.at
	if p.text[p.at] == '-' {
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '0' {
		p.at++
	} else if p.digits() == 0 {
		return p.fault("no digit in a number")
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if p.digits() == 0 {
			return p.fault("no digit behind a point")
		}
	}
	exponent := 0
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		from := p.at
		if p.digits() == 0 {
			return p.fault("no digit in an exponent")
		}
		for _, c := range []byte(p.text[from:p.at]) {
			exponent = min(10*exponent+int(c-'0'), MaxExponent+1)
		}
	}
	if p.d.unwieldy < 0 && (p.at-start > MaxNumber || exponent > MaxExponent) {
		p.d.unwieldy = int32(start) //nolint:gosec // Parse bounds the text
	}
	p.leaf(Number, start, p.at, false)
	return nil
}

// unescape is the value of what is between a string's quotes, which was parsed.
func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			r := unit(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					if pair := utf16.DecodeRune(r, unit(s[2:])); pair != utf8.RuneError {
						r, s = pair, s[6:]
					}
				}
			}
			b.WriteRune(r) // half a pair is written as U+FFFD
		default: // '"', '\\', '/'
			b.WriteByte(c)
		}
	}
}

// unit is the number that four hexadecimal digits write.
func unit(s string) rune {
	var r rune
	for _, c := range []byte(s[:4]) {
		r <<= 4
		switch {
		case c <= '9':
			r += rune(c - '0')
		case c <= 'F':
			r += rune(c - 'A' + 10)
		default:
			r += rune(c - 'a' + 10)
		}
	}
	return r
}
