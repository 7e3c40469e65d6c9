package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/yolean/kafka-cache/core/position"
)

// ErrTrail is the error of bytes that are no [Trail]; it is wrapped with what was wrong.
var ErrTrail = errors.New("kafka: malformed trail")

// Anchor is one record of a log, by which the log can be known again. A leader epoch has one leader, which gives each of
// its offsets once: two logs of a topic that have the same record at an offset are the same up to there (KIP-101).
type Anchor struct {
	Offset      int64
	LeaderEpoch int32  // of its record batch; position.UnknownEpoch in message formats that have none
	Timestamp   int64  // as in [Record]
	Hash        uint64 // of key and value; none and empty differ
}

// EpochRange is what was seen of one leader epoch: the first offset of its first record batch and the last offset of its
// last one.
type EpochRange struct {
	Epoch       int32
	First, Last int64
}

// Trail is what a reader of a partition leaves behind so that it, or its successor, can tell whether the log is still the
// one that was read: an unclean leader election may have put another in its place. The zero value is that of a reader that
// has read nothing. It is not safe for concurrent use.
type Trail struct {
	// Anchors are ascending by offset and spaced exponentially, back from the newest record: at most 64.
	Anchors []Anchor
	// Epochs are ascending by epoch: the newest 64.
	Epochs []EpochRange
}

const (
	maxAnchors     = 64
	maxTrailEpochs = 64
	trailVersion   = 1
)

// Add takes note of what b had, once it was applied. A batch that lies below what was noted already changes nothing.
func (t *Trail) Add(b *Batch) {
	if n := len(t.Anchors); b.HasAnchor && (n == 0 || b.Anchor.Offset > t.Anchors[n-1].Offset) {
		t.Anchors = append(t.Anchors, b.Anchor)
		t.thin()
	}
	for _, e := range b.Epochs {
		n := len(t.Epochs)
		switch {
		case n == 0 || e.Epoch > t.Epochs[n-1].Epoch:
			t.Epochs = append(t.Epochs, e)
		case e.Epoch == t.Epochs[n-1].Epoch:
			last := &t.Epochs[n-1]
			last.First, last.Last = min(last.First, e.First), max(last.Last, e.Last)
		}
	}
	if n := len(t.Epochs); n > maxTrailEpochs {
		t.Epochs = slices.Delete(t.Epochs, 0, n-maxTrailEpochs)
	}
}

// thin drops the anchors without which the distance to the newest still grows no more than fourfold from one to the next.
// Every second one that stays is then more than four times as far as the one two before it, and 64 are enough for any
// offset.
func (t *Trail) thin() {
	a := t.Anchors
	newest := a[len(a)-1].Offset
	kept := len(a) - 1 // a[kept:] stay
	nearer := int64(1)
	for i := len(a) - 2; i >= 0; i-- {
		if i > 0 && (newest-a[i-1].Offset)/4 <= nearer {
			continue
		}
		nearer = newest - a[i].Offset
		kept--
		a[kept] = a[i]
	}
	t.Anchors = slices.Delete(a, 0, kept)
}

// Contradicts reports whether a position, the next offset and the leader epoch of the record batch that has the offset
// before it, cannot be one of this log: leader epochs only grow along a log, and here an older one was seen at or after it, or
// a newer one before it. Where the epoch is not known (position.UnknownEpoch), or nothing was seen around it, the answer
// is false.
func (t *Trail) Contradicts(next int64, epoch int32) bool {
	if epoch < 0 {
		return false
	}
	return slices.ContainsFunc(t.Epochs, func(e EpochRange) bool {
		return e.Epoch < epoch && e.Last >= next || e.Epoch > epoch && e.First <= next-1
	})
}

// newestEpoch is the leader epoch of the newest record batch that was seen.
func (t *Trail) newestEpoch() int32 {
	if len(t.Epochs) == 0 {
		return position.UnknownEpoch
	}
	return t.Epochs[len(t.Epochs)-1].Epoch
}

// Newest is the end of the trail: its last anchor and its last epoch alone. Little as it is, it vouches for everything below the position that it is
// kept with.
func (t *Trail) Newest() Trail {
	var n Trail
	if i := len(t.Anchors); i > 0 {
		n.Anchors = slices.Clone(t.Anchors[i-1:])
	}
	if i := len(t.Epochs); i > 0 {
		n.Epochs = slices.Clone(t.Epochs[i-1:])
	}
	return n
}

// Part is what b had below the offset next, for [Trail.Add]; records are those of its Records that lie there.
func (b *Batch) Part(records []Record, next int64) *Batch {
	part := &Batch{Partition: b.Partition}
	for _, e := range b.Epochs {
		if e.First < next {
			e.Last = min(e.Last, next-1)
			part.Epochs = append(part.Epochs, e)
		}
	}
	n := len(records)
	if n == 0 {
		return part
	}
	last := &records[n-1]
	epoch := position.UnknownEpoch
	for _, e := range part.Epochs {
		if e.First <= last.Offset && last.Offset <= e.Last {
			epoch = e.Epoch
		}
	}
	part.Anchor, part.HasAnchor = anchorOf(last, epoch), true
	return part
}

// Join adds what another trail of the same log has beyond t.
func (t *Trail) Join(o Trail) {
	for _, a := range o.Anchors {
		t.Add(&Batch{Anchor: a, HasAnchor: true})
	}
	t.Add(&Batch{Epochs: o.Epochs})
}

// Clone is a copy that shares nothing with t.
func (t Trail) Clone() Trail {
	return Trail{Anchors: slices.Clone(t.Anchors), Epochs: slices.Clone(t.Epochs)}
}

// AppendBinary appends what [ParseTrail] parses: a version, then the anchors and the epochs, each with their number before
// them. It is at most 3 KiB.
func (t *Trail) AppendBinary(dst []byte) []byte {
	dst = append(dst, trailVersion)
	dst = binary.AppendUvarint(dst, uint64(len(t.Anchors)))
	before := int64(0)
	for _, a := range t.Anchors {
		dst = binary.AppendUvarint(dst, uint64(a.Offset-before))
		dst = binary.AppendVarint(dst, int64(a.LeaderEpoch))
		dst = binary.AppendVarint(dst, a.Timestamp)
		dst = binary.BigEndian.AppendUint64(dst, a.Hash)
		before = a.Offset
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.Epochs)))
	for _, e := range t.Epochs {
		dst = binary.AppendUvarint(dst, uint64(e.Epoch))
		dst = binary.AppendUvarint(dst, uint64(e.First))
		dst = binary.AppendUvarint(dst, uint64(e.Last-e.First))
	}
	return dst
}

// ParseTrail parses what [Trail.AppendBinary] appended; no bytes are the zero value. Its errors wrap [ErrTrail]. It keeps
// nothing of b.
func ParseTrail(b []byte) (Trail, error) {
	var t Trail
	if len(b) == 0 {
		return t, nil
	}
	if b[0] != trailVersion {
		return Trail{}, fmt.Errorf("%w: version %d", ErrTrail, b[0])
	}
	r := trailReader{b: b[1:]}
	before := int64(0)
	for i := range r.count(maxAnchors) {
		a := Anchor{Offset: r.sum(before), LeaderEpoch: r.epoch(), Timestamp: r.varint(), Hash: r.uint64()}
		r.check(i == 0 || a.Offset > before)
		before = a.Offset
		t.Anchors = append(t.Anchors, a)
	}
	newest := position.UnknownEpoch
	for range r.count(maxTrailEpochs) {
		e := EpochRange{Epoch: int32(r.uvarint(math.MaxInt32)), First: r.sum(0)}
		e.Last = r.sum(e.First)
		r.check(e.Epoch > newest)
		newest = e.Epoch
		t.Epochs = append(t.Epochs, e)
	}
	r.check(len(r.b) == 0)
	if r.failed {
		return Trail{}, fmt.Errorf("%w: %d bytes", ErrTrail, len(b))
	}
	return t, nil
}

// trailReader reads numbers. After the first that is wrong all are 0.
type trailReader struct {
	b      []byte
	failed bool
}

func (r *trailReader) check(ok bool) {
	if !ok {
		r.failed, r.b = true, nil
	}
}

func (r *trailReader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.check(false)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *trailReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.check(false)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// sum is from with what is read added to it.
func (r *trailReader) sum(from int64) int64 {
	return from + int64(r.uvarint(uint64(math.MaxInt64-from)))
}

func (r *trailReader) epoch() int32 {
	v := r.varint()
	if v < int64(position.UnknownEpoch) || v > math.MaxInt32 {
		r.check(false)
		return 0
	}
	return int32(v)
}

func (r *trailReader) uint64() uint64 {
	if len(r.b) < 8 {
		r.check(false)
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *trailReader) count(most uint64) int {
	if r.failed {
		return 0
	}
	return int(r.uvarint(most))
}

// anchorOf is the anchor that a record makes.
func anchorOf(r *Record, epoch int32) Anchor {
	var d xxhash.Digest
	d.Reset()
	for _, part := range [2][]byte{r.Key, r.Value} {
		// The length with none as 0 goes first, so that what belongs to the key and what to the value is told apart.
		n := uint64(0)
		if part != nil {
			n = uint64(len(part)) + 1
		}
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], n)
		_, _ = d.Write(length[:]) // a hash takes everything
		_, _ = d.Write(part)
	}
	return Anchor{Offset: r.Offset, LeaderEpoch: epoch, Timestamp: r.Timestamp, Hash: d.Sum64()}
}
