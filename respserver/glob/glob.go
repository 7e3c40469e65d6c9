package glob

import "math"

// Match reports whether all of s matches pattern. It works on bytes, allocates nothing, and takes at most len(pattern) times len(s) steps:
// of several stars only the last one that was passed is ever tried again, which is enough since every other element matches exactly one byte.
//
// As in Redis, an unterminated class ends with the pattern, a range may be given in either order, a class that begins with ] is
// empty, and a \ at the very end stands for itself. Bytes compare as unsigned.
func Match(pattern, s []byte) bool {
	matches, _ := match(pattern, s, false, math.MaxInt)
	return matches
}

// A Budget is how many steps matching may take. It is not safe for concurrent use.
type Budget struct {
	// Left is negative once matching has taken more, and then nothing matches. What exceeds it takes at most as many steps as the longest class of the pattern more.
	Left int
	// Fold is to disregard the case of ASCII letters.
	Fold bool
}

// Match is Match within the budget. A pattern that is longer than what is left exceeds it.
func (b *Budget) Match(pattern, s []byte) (matches bool) {
	if b.Left--; len(pattern) > b.Left {
		b.Left = -1
		return false
	}
	matches, b.Left = match(pattern, s, b.Fold, b.Left)
	return matches
}

func match(pattern, s []byte, fold bool, steps int) (matches bool, left int) {
	p, i := 0, 0
	star, from := -1, 0 // the pattern after the last star, and where in s it was last tried
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p == len(pattern) {
				return true, steps
			}
			star, from = p, i
			continue
		}
		if p < len(pattern) {
			next, same := one(pattern, p, s[i], fold)
			if steps -= next - p; steps < 0 {
				return false, steps
			}
			if same {
				p = next
				i++
				continue
			}
		}
		if star < 0 {
			return false, steps
		}
		from++
		p, i = star, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern), steps
}

// one matches c with the element at pattern[p], which is no star, and says where the next element begins.
func one(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return class(pattern, p+1, c, fold)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, equal(pattern[p], c, fold)
}

func class(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	found := false
	for p < len(pattern) && pattern[p] != ']' {
		switch {
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			// Redis compares an escaped byte of a class with its case.
			found = found || pattern[p] == c
		case p+2 < len(pattern) && pattern[p+1] == '-':
			low, high, b := pattern[p], pattern[p+2], c
			if low > high {
				low, high = high, low
			}
			if fold {
				low, high, b = lower(low), lower(high), lower(b)
			}
			found = found || (b >= low && b <= high)
			p += 2
		default:
			found = found || equal(pattern[p], c, fold)
		}
		p++
	}
	if p < len(pattern) {
		p++ // the ]
	}
	return p, found != not
}

func equal(a, b byte, fold bool) bool {
	return a == b || (fold && lower(a) == lower(b))
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
