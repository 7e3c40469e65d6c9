package registry

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is kept: entries, and bytes of the schemas' texts, which what is made of them is in proportion to.
const (
	maxSchemas     = 1000
	maxSchemaBytes = 64 << 20
)

// cache keeps schemas by id. Reading takes no lock.
type cache struct {
	now     func() time.Time
	entries atomic.Pointer[map[int]*entry] // replaced as a whole

	mu    sync.Mutex // of writers
	bytes int
}

type entry struct {
	*schema
	until time.Time   // zero: for good
	used  atomic.Bool // since the last time that something had to go
}

func newCache() *cache {
	c := &cache{now: time.Now}
	c.entries.Store(&map[int]*entry{})
	return c
}

// get is nil where the schema is not known.
func (c *cache) get(id int) *schema {
	e := (*c.entries.Load())[id]
	if e == nil || !e.until.IsZero() && c.now().After(e.until) {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.schema
}

// wasMissing is whether an id was taken not to exist.
func (c *cache) wasMissing(id int) bool {
	e := (*c.entries.Load())[id]
	return e != nil && !e.until.IsZero()
}

// put keeps a schema until a time, or for good, and lets go of others that were not used of late where there are too many.
func (c *cache) put(s *schema, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.entries.Load()
	entries := make(map[int]*entry, len(old)+1)
	c.bytes = s.size
	for id, e := range old {
		if id != s.id {
			entries[id] = e
			c.bytes += e.size
		}
	}
	for _, all := range []bool{false, true} { // those that were used go only where there is nothing else
		for id, e := range entries {
			if len(entries) < maxSchemas && c.bytes <= maxSchemaBytes {
				break
			}
			if all || !e.used.Swap(false) {
				c.bytes -= e.size
				delete(entries, id)
			}
		}
	}
	e := &entry{schema: s, until: until}
	e.used.Store(true)
	entries[s.id] = e
	c.entries.Store(&entries)
}
