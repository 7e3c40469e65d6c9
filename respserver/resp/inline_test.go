package resp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// FuzzInline holds the inline parser against a plain reading of Redis's rules, and against what a word is when it is written with quotes.
func FuzzInline(f *testing.F) {
	for _, s := range []string{"set k v", `"a\x41\n" 'it\'s' x"y`, `'a'b`, `"`, "a\x00b c", " \t x\v\fy ", `"\x4" "\xg1" "\`, `a"b c"d`, "''\"\"", "x\r", "*1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		if len(line) > 0 && line[0] != '*' && len(line) <= MaxInline {
			p := NewParser(authenticated())
			n, args, err := p.Next(append(slices.Clone(line), '\n'))
			want, ok := plainWords(line)
			var protocol *ProtocolError
			switch {
			case ok != (err == nil), err != nil && !errors.As(err, &protocol), err == nil && n != len(line)+1:
				t.Fatalf("%q: %d, %v; want %q, %v", line, n, err, want, ok)
			case ok && !slices.EqualFunc(args, want, func(a []byte, b string) bool { return string(a) == b }):
				t.Fatalf("%q: %q, want %q", line, args, want)
			}
		}
		// Any bytes are a word, once they are quoted.
		var all []byte
		words := bytes.SplitAfter(line, []byte("e"))
		for _, w := range words {
			all = append(append(all, quoted(w)...), ' ')
		}
		if len(all) > MaxInline {
			return
		}
		_, args, err := NewParser(authenticated()).Next(append(all, '\n'))
		if err != nil || !slices.EqualFunc(args, words, bytes.Equal) {
			t.Fatalf("%q: %q, %v; want %q", all, args, err, words)
		}
	})
}

// quoted is a word as Redis's own tools print it.
func quoted(w []byte) []byte {
	out := []byte{'"'}
	for _, c := range w {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\a':
			out = append(out, `\a`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c < ' ' || c > '~':
			out = fmt.Appendf(out, `\x%02x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// plainWords are the words of a line, by a machine of four states: between words, in a plain one, and in either quotes.
func plainWords(line []byte) (words []string, ok bool) {
	line, _, _ = bytes.Cut(line, []byte{0})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	const between, bare, double, single = 0, 1, 2, 3
	state, word := between, ""
	add := func(b byte) { word += string([]byte{b}) }
	blank := func(b byte) bool { return bytes.IndexByte([]byte(" \t\n\v\f\r"), b) >= 0 }
	for len(line) > 0 {
		b := line[0]
		line = line[1:]
		switch state {
		case between, bare:
			switch {
			case state == between && blank(b):
			case b == ' ' || b == '\t' || b == '\r' || b == '\n': // other blanks part words, and are part of one that has begun
				words, word, state = append(words, word), "", between
			case b == '"':
				state = double
			case b == '\'':
				state = single
			default:
				add(b)
				state = bare
			}
		case double:
			var hex byte
			switch n, _ := fmt.Sscanf(string(line[:min(len(line), 3)]), "x%2x", &hex); {
			case b == '\\' && n == 1 && len(line) >= 3 && isHex(line[1]) && isHex(line[2]):
				add(hex)
				line = line[3:]
			case b == '\\' && len(line) > 0:
				if i := bytes.IndexByte([]byte("nrtba"), line[0]); i >= 0 {
					add("\n\r\t\b\a"[i])
				} else {
					add(line[0])
				}
				line = line[1:]
			case b == '"':
				if len(line) > 0 && !blank(line[0]) {
					return nil, false
				}
				words, word, state = append(words, word), "", between
			default:
				add(b)
			}
		case single:
			switch {
			case b == '\\' && len(line) > 0 && line[0] == '\'':
				add('\'')
				line = line[1:]
			case b == '\'':
				if len(line) > 0 && !blank(line[0]) {
					return nil, false
				}
				words, word, state = append(words, word), "", between
			default:
				add(b)
			}
		}
	}
	switch state {
	case bare:
		words = append(words, word)
	case double, single:
		return nil, false
	}
	return words, true
}

func isHex(c byte) bool { return bytes.IndexByte([]byte("0123456789abcdefABCDEF"), c) >= 0 }
