package resp

import "bytes"

// inline parses a line of words: what a person types into telnet.
func (p *Parser) inline(buf []byte) (int, [][]byte, error) {
	end := bytes.IndexByte(buf[p.at:], '\n')
	if end < 0 {
		if len(buf) > MaxInline {
			return 0, nil, errInline
		}
		p.at = len(buf) // not looked at again
		return 0, nil, nil
	}
	end += p.at
	p.at = 0
	if end > MaxInline {
		return 0, nil, errInline
	}
	line := buf[:end]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if !p.split(line) {
		return 0, nil, errQuotes
	}
	switch {
	case len(p.args) > p.limits.Args:
		return 0, nil, errMultibulkLength
	case !p.limits.Authenticated && len(p.args) > UnauthenticatedArgs:
		return 0, nil, errUnauthenticatedCount
	}
	return end + 1, p.args, nil
}

// split cuts a line into words as Redis's sdssplitargs does: blanks part words, "…" understands \xHH and \n \r \t \b \a, '…' only \'.
// It reports whether quotes are balanced and followed by a blank. p.args then alias p.scratch.
func (p *Parser) split(line []byte) bool {
	p.args = p.args[:0]
	if nul := bytes.IndexByte(line, 0); nul >= 0 {
		line = line[:nul] // a C string
	}
	if cap(p.scratch) < len(line) {
		p.scratch = make([]byte, 0, len(line)) // no word is longer than its spelling: it never moves
	}
	out := p.scratch[:0]
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			p.scratch = out
			return true
		}
		start := len(out)
		var quote byte
	word:
		for {
			if i == len(line) {
				if quote != 0 {
					return false
				}
				break
			}
			c := line[i]
			switch {
			case quote == '"' && c == '\\' && i+3 < len(line) && line[i+1] == 'x' && hexDigit(line[i+2]) >= 0 && hexDigit(line[i+3]) >= 0:
				out = append(out, byte(hexDigit(line[i+2])<<4|hexDigit(line[i+3])))
				i += 3
			case quote == '"' && c == '\\' && i+1 < len(line):
				i++
				out = append(out, unescape(line[i]))
			case quote == '\'' && c == '\\' && i+1 < len(line) && line[i+1] == '\'':
				i++
				out = append(out, '\'')
			case quote != 0 && c == quote:
				i++
				if i < len(line) && !isSpace(line[i]) {
					return false
				}
				break word
			case quote != 0:
				out = append(out, c)
			case c == ' ' || c == '\t' || c == '\n' || c == '\r':
				break word
			case c == '"' || c == '\'':
				quote = c
			default:
				out = append(out, c)
			}
			i++
		}
		p.args = append(p.args, out[start:len(out):len(out)])
	}
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// isSpace is C's isspace.
func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
