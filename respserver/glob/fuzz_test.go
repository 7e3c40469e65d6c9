package glob

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
)

// FuzzMatch holds the matcher against Go's regular expressions, into which a pattern is written here by Redis's rules.
func FuzzMatch(f *testing.F) {
	for _, c := range [][2]string{{"a*[b-d]?", "axcz"}, {`\[[^a`, "[b"}, {"[a-", "-"}, {`[\]-z]*`, "]x"}, {"[^]", "x"}, {"[z-a]", "m"}, {`*\`, `x\`}, {"[A-c]", "B"}, {`[\A]`, "a"}, {"*a*a*a", "aaaa"}} {
		f.Add([]byte(c[0]), []byte(c[1]))
	}
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		if len(pattern) > 64 || len(s) > 256 {
			return
		}
		for _, fold := range []bool{false, true} {
			want := expression(string(pattern), fold).MatchString(latin(s))
			if got, _ := match(pattern, s, fold, math.MaxInt); got != want {
				t.Errorf("match(%q, %q, %v) = %v, want %v", pattern, s, fold, got, want)
			}
		}
	})
}

// latin has a rune for each byte, so that expressions work on bytes.
func latin(s []byte) string {
	var b strings.Builder
	for _, c := range s {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// expression is a pattern as a regular expression.
func expression(pattern string, fold bool) *regexp.Regexp {
	out := "(?s)^"
	for pattern != "" {
		c := pattern[0]
		pattern = pattern[1:]
		switch {
		case c == '*':
			out += ".*"
		case c == '?':
			out += "."
		case c == '[':
			var set [256]bool
			set, pattern = oneOf(pattern, fold)
			out += either(set)
		case c == '\\' && pattern != "":
			c = pattern[0]
			pattern = pattern[1:]
			fallthrough
		default:
			var set [256]bool
			for b := range set {
				set[b] = c == byte(b) || fold && strings.EqualFold(ascii(c), ascii(byte(b)))
			}
			out += either(set)
		}
	}
	return regexp.MustCompile(out + "$")
}

// ascii is a byte as EqualFold is to see it: of those beyond ASCII no two are alike.
func ascii(c byte) string {
	if c < 0x80 {
		return string(rune(c))
	}
	return fmt.Sprintf("\x00%d", c)
}

// either is an expression for one byte of a set.
func either(set [256]bool) string {
	var b strings.Builder
	for c, in := range set {
		if in {
			fmt.Fprintf(&b, `\x{%02x}`, c)
		}
	}
	if b.Len() == 0 {
		return `[^\x{00}-\x{ff}]`
	}
	return "[" + b.String() + "]"
}

// oneOf reads a class behind its [ and returns what follows it.
func oneOf(p string, fold bool) (set [256]bool, rest string) {
	not := strings.HasPrefix(p, "^")
	p = strings.TrimPrefix(p, "^")
	for p != "" && p[0] != ']' {
		switch {
		case p[0] == '\\' && len(p) > 1:
			set[p[1]] = true // whatever its case
			p = p[2:]
		case len(p) > 2 && p[1] == '-':
			from, to := p[0], p[2]
			for b := range set {
				c := byte(b)
				lo, hi := min(from, to), max(from, to)
				if fold {
					lo, hi, c = small(lo), small(hi), small(c)
				}
				set[b] = set[b] || lo <= c && c <= hi
			}
			p = p[3:]
		default:
			for b := range set {
				set[b] = set[b] || byte(b) == p[0] || fold && small(byte(b)) == small(p[0])
			}
			p = p[1:]
		}
	}
	if not {
		for b := range set {
			set[b] = !set[b]
		}
	}
	return set, strings.TrimPrefix(p, "]")
}

// small is a byte in lower case, where it is an ASCII letter.
func small(c byte) byte {
	if c >= 0x80 {
		return c
	}
	return strings.ToLower(string(rune(c)))[0]
}
