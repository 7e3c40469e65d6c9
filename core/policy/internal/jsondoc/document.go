package jsondoc

import (
	"encoding/json"
	"fmt"
	"math"
)

// MaxDepth is how many arrays and objects may be within each other, as in encoding/json.
const MaxDepth = 10_000

// Kind says what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

var kinds = [...]string{"null", "boolean", "boolean", "number", "string", "array", "object"}

// String is the kind's name in JSON Schema.
func (k Kind) String() string { return kinds[k] }

// Node is the position of a value in its document; the root's is 0. A member of an object is two nodes: its name, a String,
// and, at [Document.Next] of that, its value.
type Node int32

// node's text is that of a number, or what is between a string's quotes.
type node struct {
	kind       Kind
	escaped    bool
	start, end int32
	next       Node  // behind it and all that is in it
	length     int32 // items, or members: each as often as its name is there
}

// Document is a parsed JSON text. The zero value is empty, and [Document.Parse] may be called again and again. Reading is safe
// for concurrent use; what was read stays valid when another text is parsed.
type Document struct {
	text  string
	nodes []node
	depth int
	// The first number that does not fit in what rules calculate with: -1 is none.
	unwieldy int32
}

// Error says where a text stops being JSON.
type Error struct {
	// Offset counts the bytes before the fault.
	Offset int
	// Reason is one short line.
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("not JSON: %s at byte %d", e.Reason, e.Offset) }

// Parse replaces what the document holds with text, of which it keeps a copy. An error is an [*Error], and leaves it without a
// root.
func (d *Document) Parse(text []byte) error {
	d.nodes, d.depth, d.unwieldy = d.nodes[:0], 0, -1
	if len(text) > math.MaxInt32 {
		d.text = ""
		return &Error{Offset: math.MaxInt32, Reason: "more than 2 GiB"}
	}
	d.text = string(text)
	p := parser{text: d.text, d: d}
	if err := p.document(); err != nil {
		d.nodes = d.nodes[:0]
		return err
	}
	return nil
}

// Text is the whole text.
func (d *Document) Text() string { return d.text }

// Len is the number of nodes, the names of members included.
func (d *Document) Len() int { return len(d.nodes) }

// Depth is how many arrays and objects are within each other, at most.
func (d *Document) Depth() int { return d.depth }

// Unwieldy is the offset of the first number that is longer than [MaxNumber] bytes or has an exponent beyond ±[MaxExponent], and
// whether there is one: to calculate with such a number exactly can take any amount of time and memory.
func (d *Document) Unwieldy() (offset int, ok bool) { return int(d.unwieldy), d.unwieldy >= 0 }

// What [Document.Unwieldy] measures numbers by.
const (
	MaxNumber   = 128
	MaxExponent = 400
)

// Kind says what n is.
func (d *Document) Kind(n Node) Kind { return d.nodes[n].kind }

// Next is the node behind n and all that is in it.
func (d *Document) Next(n Node) Node { return d.nodes[n].next }

// Length is how many items an array has, or how many members an object: each as often as its name is there.
func (d *Document) Length(n Node) int { return int(d.nodes[n].length) }

// Offset is where n begins in the text; for a string behind its quote.
func (d *Document) Offset(n Node) int { return int(d.nodes[n].start) }

// Number is a number as it is written.
func (d *Document) Number(n Node) string {
	x := &d.nodes[n]
	return d.text[x.start:x.end]
}

// Str is a string's value.
func (d *Document) Str(n Node) string {
	x := &d.nodes[n]
	s := d.text[x.start:x.end]
	if x.escaped {
		return unescape(s)
	}
	return s
}

// is tells whether the string n has the value s, without making it.
func (d *Document) is(n Node, s string) bool {
	x := &d.nodes[n]
	if !x.escaped {
		return d.text[x.start:x.end] == s
	}
	return int(x.end-x.start) > len(s) && unescape(d.text[x.start:x.end]) == s
}

// Member is the value of an object's member, the last of that name.
func (d *Document) Member(object Node, name string) (Node, bool) {
	found, ok := Node(0), false
	n := object + 1
	for range d.nodes[object].length {
		if d.is(n, name) {
			found, ok = n+1, true
		}
		n = d.nodes[n+1].next
	}
	return found, ok
}

// Members calls f with each member of an object that counts, in the order of the text, until it returns false: of several with
// one name the last.
func (d *Document) Members(object Node, f func(name string, value Node) bool) {
	length := int(d.nodes[object].length)
	var last map[string]Node // where there are many: name → where it is for the last time
	if length > fewMembers {
		last = make(map[string]Node, length)
		n := object + 1
		for range length {
			last[d.Str(n)] = n
			n = d.nodes[n+1].next
		}
	}
	n := object + 1
	for i := range length {
		name, value := d.Str(n), n+1
		next := d.nodes[value].next
		var counts bool
		if last != nil {
			counts = last[name] == n
		} else {
			counts = !d.follows(next, length-i-1, name)
		}
		if counts && !f(name, value) {
			return
		}
		n = next
	}
}

// fewMembers are few enough to be compared with each other.
const fewMembers = 16

// follows tells whether one of the count members from n on has that name.
func (d *Document) follows(n Node, count int, name string) bool {
	for range count {
		if d.is(n, name) {
			return true
		}
		n = d.nodes[n+1].next
	}
	return false
}

// Item is an array's i-th item, counted from 0.
func (d *Document) Item(array Node, i int) (Node, bool) {
	if i < 0 || i >= int(d.nodes[array].length) {
		return 0, false
	}
	n := array + 1
	for range i {
		n = d.nodes[n].next
	}
	return n, true
}

// Any is the value of n as nil, bool, [json.Number], string, []any and map[string]any. Strings and numbers share the document's
// copy of the text.
func (d *Document) Any(n Node) any {
	x := &d.nodes[n]
	switch x.kind {
	case False:
		return false
	case True:
		return true
	case Number:
		return json.Number(d.text[x.start:x.end])
	case String:
		return d.Str(n)
	case Array:
		items := make([]any, x.length)
		n++
		for i := range items {
			items[i] = d.Any(n)
			n = d.nodes[n].next
		}
		return items
	case Object:
		members := make(map[string]any, x.length)
		n++
		for range x.length {
			members[d.Str(n)] = d.Any(n + 1)
			n = d.nodes[n+1].next
		}
		return members
	}
	return nil
}
