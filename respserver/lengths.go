package respserver

import (
	"cmp"
	"slices"
)

// lengths are those of some texts, sorted: what begins with one of the texts is found by looking up as many of its beginnings.
type lengths []lengthOf

// lengthOf is a length, and of how many texts.
type lengthOf struct{ bytes, texts int }

func (l *lengths) find(n int) (at int, ok bool) {
	return slices.BinarySearchFunc(*l, n, func(l lengthOf, n int) int { return cmp.Compare(l.bytes, n) })
}

func (l *lengths) add(n int) {
	at, ok := l.find(n)
	if !ok {
		*l = slices.Insert(*l, at, lengthOf{bytes: n})
	}
	(*l)[at].texts++
}

func (l *lengths) remove(n int) {
	at, _ := l.find(n)
	if (*l)[at].texts--; (*l)[at].texts == 0 {
		*l = slices.Delete(*l, at, at+1)
	}
}
