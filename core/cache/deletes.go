package cache

import (
	"sync"
	"sync/atomic"
)

// deletes remembers, for keys that have a delete in flight here, what applying their tombstones removed: the applier
// often reads a tombstone back before the producer has heard of its acknowledgement.
type deletes struct {
	inFlight atomic.Int64
	mu       sync.Mutex
	keys     map[string]*deleteNotes
}

type deleteNotes struct {
	refs  int
	notes []deleteNote
}

type deleteNote struct {
	partition int32
	offset    int64
	removed   bool
}

// begin is called before the tombstone is produced, end when its outcome has been told.
func (d *deletes) begin(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[string]*deleteNotes{}
	}
	n := d.keys[key]
	if n == nil {
		n = &deleteNotes{}
		d.keys[key] = n
	}
	n.refs++
	d.inFlight.Add(1)
}

func (d *deletes) end(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.keys[key]
	if n.refs--; n.refs == 0 {
		delete(d.keys, key)
	}
	d.inFlight.Add(-1)
}

// any is the applier's cheap question whether to note anything.
func (d *deletes) any() bool { return d.inFlight.Load() > 0 }

// note is called by the applier for each tombstone, before its position is published.
func (d *deletes) note(key []byte, partition int32, offset int64, removed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.keys[string(key)]; n != nil {
		n.notes = append(n.notes, deleteNote{partition, offset, removed})
	}
}

// anyPartition stands for all partitions that a delete has written a tombstone to.
const anyPartition int32 = -1

// removed reports what applying the tombstone at offset did. Where the offset is unknown (-1), any tombstone of the key
// that removed something meanwhile counts.
func (d *deletes) removed(key string, partition int32, offset int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.keys[key]
	if n == nil {
		return false
	}
	for _, o := range n.notes {
		if (partition == anyPartition || o.partition == partition && (o.offset == offset || offset < 0)) && o.removed {
			return true
		}
	}
	return false
}
