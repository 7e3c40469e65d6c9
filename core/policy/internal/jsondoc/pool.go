package jsondoc

import "sync"

var pool = sync.Pool{New: func() any { return new(Document) }}

// keptNodes is how many nodes of a document are kept for the next text: one large record must not hold its memory for ever.
const keptNodes = 4096

// Get is an empty document, perhaps one that was given to Put.
func Get() *Document { return pool.Get().(*Document) }

// Put gives up d. What was read from it stays valid.
func Put(d *Document) {
	d.text = ""
	if cap(d.nodes) <= keptNodes {
		pool.Put(d)
	}
}
