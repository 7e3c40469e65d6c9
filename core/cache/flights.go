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

// of are the notes of the records that a write wrote.
func (d *flights) of(key string, w *Written, fn func(flightNote)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.keys[key]
	if n == nil {
		return
	}
	for _, o := range n.notes {
		if w.wrote(o.partition, o.offset) {
			fn(o)
		}
	}
}

// wrote says that the record at an offset is the write's own, or one of its tombstones in other partitions. Where the write's own offset is unknown (-1), any of
// the key in its partition counts.
func (w *Written) wrote(partition int32, offset int64) bool {
	if partition == w.Partition {
		return offset == w.Offset || w.Offset < 0
	}
	next, ok := w.Position.Next(partition)
	return w.split && ok && offset == next-1
}

// removed reports whether applying a delete's tombstones removed a value.
func (d *flights) removed(key string, w *Written) (removed bool) {
	d.of(key, w, func(n flightNote) { removed = removed || n.removed })
	return removed
}

// refused is why the write's own record was refused; nil where it was not.
func (d *flights) refused(key string, w *Written) (refused *InvalidError) {
	own := *w
	own.split = false
	d.of(key, &own, func(n flightNote) {
		if n.refused != nil {
			refused = n.refused
		}
	})
	return refused
}
