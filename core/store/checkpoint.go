package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

const checkpointVersion = 3

// freshInterval is how far the durable FreshAt of an idle partition may lie behind: an idle topic is asked for news twice
// a second, which must not become a write each time.
const freshInterval = time.Minute

// maxKeeps stands for KeepsForever, in milliseconds.
const maxKeeps = int64(KeepsForever / time.Millisecond)

// checkpoints are the partitions' checkpoints as applied. The applier alone changes them.
type checkpoints struct {
	mu          sync.RWMutex
	byPartition map[int32]applied
}

// applied is a checkpoint with what Pebble has of it.
type applied struct {
	Checkpoint
	storedFreshAt time.Time // FreshAt as written to Pebble
	endAt         time.Time // see Batch.EndAt
}

// outdated says that Pebble has a FreshAt from which this one is too far away.
func (a applied) outdated() bool {
	d := a.FreshAt.Sub(a.storedFreshAt)
	return d >= freshInterval || d < 0
}

// appendCheckpoint is a checkpoint as Pebble holds it: version, next offset (uvarint), leader epoch (varint), FreshAt in
// nanoseconds since the epoch (varint), 0 where there is none, Keeps in milliseconds (uvarint), the greatest duration's for KeepsForever, start and
// log start (uvarint), the mark to the end. The trail has a key of its own, so that it is not written with every position.
func appendCheckpoint(dst []byte, c Checkpoint) []byte {
	dst = append(dst, checkpointVersion)
	dst = binary.AppendUvarint(dst, uint64(c.Next))
	dst = binary.AppendVarint(dst, int64(c.LeaderEpoch))
	var fresh int64
	if !c.FreshAt.IsZero() {
		fresh = c.FreshAt.UnixNano()
	}
	dst = binary.AppendVarint(dst, fresh)
	dst = binary.AppendUvarint(dst, uint64(max(0, c.Keeps)/time.Millisecond))
	dst = binary.AppendUvarint(dst, uint64(c.Start))
	dst = binary.AppendUvarint(dst, uint64(c.LogStart))
	return append(dst, c.Mark...)
}

func parseCheckpoint(key, b []byte) (Checkpoint, error) {
	var c Checkpoint
	var err error
	if c.Partition, err = parsePartitionKey(spacePositions, key); err != nil {
		return c, err
	}
	if len(b) == 0 {
		return c, fmt.Errorf("%w: empty checkpoint", ErrCorrupt)
	}
	if b[0] != checkpointVersion {
		return c, fmt.Errorf("%w: checkpoint version %d", ErrFormat, b[0])
	}
	r := reader{b: b[1:]}
	c.Next = r.int63(math.MaxInt64)
	epoch := r.varint()
	if fresh := r.varint(); fresh != 0 {
		c.FreshAt = time.Unix(0, fresh)
	}
	if keeps := r.int63(maxKeeps); keeps == maxKeeps {
		c.Keeps = KeepsForever
	} else {
		c.Keeps = time.Duration(keeps) * time.Millisecond
	}
	c.Start, c.LogStart = r.int63(math.MaxInt64), r.int63(math.MaxInt64)
	if len(r.b) > 0 && !r.bad {
		c.Mark = append([]byte{}, r.b...)
	}
	if r.bad || epoch < math.MinInt32 || epoch > math.MaxInt32 {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint of %d bytes", ErrCorrupt, len(b))
	}
	c.LeaderEpoch = int32(epoch)
	return c, nil
}

// get is the checkpoint of a partition.
func (c *checkpoints) get(partition int32) (applied, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	a, ok := c.byPartition[partition]
	if !ok {
		a.Checkpoint = Checkpoint{Partition: partition, LeaderEpoch: position.UnknownEpoch}
	}
	return a, ok
}

func (c *checkpoints) set(a applied) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byPartition == nil {
		c.byPartition = make(map[int32]applied)
	}
	c.byPartition[a.Partition] = a
}

// list is all of them, ascending by partition.
func (c *checkpoints) list() []applied {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := make([]applied, 0, len(c.byPartition))
	for _, a := range c.byPartition {
		l = append(l, a)
	}
	slices.SortFunc(l, func(a, b applied) int { return int(a.Partition) - int(b.Partition) })
	return l
}

// after is the checkpoint once the batch is applied, the partition's first where none is known. It never moves back.
func (a applied) after(b *Batch, known bool) applied {
	if !known {
		a.Start = b.Start
	}
	a.LogStart = max(a.LogStart, b.LogStart)
	if b.Trail != nil {
		a.Trail = append([]byte{}, b.Trail...)
	}
	if b.Mark != nil && b.Next >= a.Next {
		a.Mark = append([]byte{}, b.Mark...)
	}
	switch {
	case b.Next > a.Next:
		a.Next, a.LeaderEpoch = b.Next, b.LeaderEpoch
	case b.Next == a.Next && b.LeaderEpoch != position.UnknownEpoch:
		a.LeaderEpoch = b.LeaderEpoch
	}
	if !b.EndAt.IsZero() {
		a.endAt = b.EndAt
	}
	if !b.FreshAt.IsZero() { // also an earlier one: the clock may have been set back
		a.FreshAt, a.Keeps = b.FreshAt, b.Keeps
	}
	return a
}
