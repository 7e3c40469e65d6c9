package cache

import (
	"sync"
	"sync/atomic"
)

// flights remembers, for keys that have a write in flight here, what applying their records came to: the applier often reads a
// record back before the producer has heard of its acknowledgement.
type flights struct {
	inFlight atomic.Int64
	deletes  atomic.Int64 // of those
	mu       sync.Mutex
	keys     map[string]*flight
}

type flight struct {
	refs  int
	notes []flightNote
}

// flightNote is what applying one record came to.
type flightNote struct {
	partition int32
	offset    int64
	removed   bool          // a value that the key had
	refused   *InvalidError // the record, by a rule
}

// begin is called before the record is produced, end when its outcome has been told.
func (d *flights) begin(key string, deletes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if deletes {
		d.deletes.Add(1)
	}
	if d.keys == nil {
		d.keys = map[string]*flight{}
	}
	n := d.keys[key]
	if n == nil {
		n = &flight{}
		d.keys[key] = n
	}
	n.refs++
	d.inFlight.Add(1)
}

func (d *flights) end(key string, deletes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if deletes {
		d.deletes.Add(-1)
	}
	n := d.keys[key]
	if n.refs--; n.refs == 0 {
		delete(d.keys, key)
	}
	d.inFlight.Add(-1)
}

// any is the applier's cheap question whether to note anything, anyDelete whether to note what was removed.
func (d *flights) any() bool       { return d.inFlight.Load() > 0 }
func (d *flights) anyDelete() bool { return d.deletes.Load() > 0 }

// note is called by the applier, before the record's position is published.
func (d *flights) note(key []byte, note flightNote) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.keys[string(key)]; n != nil {
		n.notes = append(n.notes, note)
	}
}

// anyPartition stands for all partitions that a delete has written a tombstone to.
const anyPartition int32 = -1

// of are the notes of the record at offset. Where the offset is unknown (-1), any record of the key and partition counts.
func (d *flights) of(key string, partition int32, offset int64, fn func(flightNote)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.keys[key]
	if n == nil {
		return
	}
	for _, o := range n.notes {
		if partition == anyPartition || o.partition == partition && (o.offset == offset || offset < 0) {
			fn(o)
		}
	}
}

// removed reports whether applying the tombstone at offset removed a value.
func (d *flights) removed(key string, partition int32, offset int64) (removed bool) {
	d.of(key, partition, offset, func(n flightNote) { removed = removed || n.removed })
	return removed
}

// refused is why the record at offset was refused; nil where it was not.
func (d *flights) refused(key string, partition int32, offset int64) (refused *InvalidError) {
	d.of(key, partition, offset, func(n flightNote) {
		if n.refused != nil {
			refused = n.refused
		}
	})
	return refused
}
