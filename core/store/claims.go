package store

import (
	"bytes"
	"cmp"
	"slices"
)

// claim is a claim with all that Pebble is to hold of it.
type claim struct {
	Meta
	tombstone bool
	value     []byte // not nil, except of a tombstone
	stored    place
	fresh     bool   // the batch at hand has it
	counted   uint64 // the hash of the source where the source itself was not read
}

// place is where Pebble has a claim.
type place uint8

const (
	nowhere place = iota
	asEntry       // among the entries: a winner that is a value
	aside         // in the side table: any other claim
)

func (c *claim) version() version { return version{c.Partition, c.Offset} }

// heldOver is the refused record that the claim is held over.
func (c *claim) heldOver() version { return version{c.Partition, c.Held} }

// source is the hash of the claim's source.
func (c *claim) source() uint64 {
	if c.counted != 0 {
		return c.counted
	}
	return sourceHash(c.Source)
}

// of says that the claim is what the mutation says.
func (c *claim) of(partition int32, m *Mutation) bool {
	return !m.Tombstone && !m.Hold && c.version() == version{partition, m.Offset} && bytes.Equal(c.Source, m.Source) && (c.Source == nil) == (m.Source == nil)
}

// compareClaims is the order of the side table: by partition and source, that without a source first.
func compareClaims(a, b *claim) int {
	switch {
	case a.Partition != b.Partition:
		return cmp.Compare(a.Partition, b.Partition)
	case a.Source == nil && b.Source == nil:
		return 0
	case a.Source == nil:
		return -1
	case b.Source == nil:
		return 1
	}
	return bytes.Compare(a.Source, b.Source)
}

// claims are all claims of a key in the order of compareClaims.
type claims []claim

// find is where c's partition and source have their claim, or would have it.
func (cs claims) find(c *claim) (int, bool) {
	return slices.BinarySearchFunc(cs, c, func(e claim, t *claim) int { return compareClaims(&e, t) })
}

// winner is the claim that readers see, -1 where there is none: of each partition's that of the greatest offset, and among
// those the greatest (timestamp, partition).
func (cs claims) winner() int {
	best := -1
	for i := 0; i < len(cs); {
		newest := i
		for i++; i < len(cs) && cs[i].Partition == cs[newest].Partition; i++ {
			if cs[i].Offset >= cs[newest].Offset {
				newest = i
			}
		}
		if best < 0 || cs[newest].Timestamp >= cs[best].Timestamp { // partitions ascend
			best = newest
		}
	}
	return best
}

// hidden says that the tombstone t would win over a value among cs, now or once other claims are gone.
func (cs claims) hidden(t *claim) bool {
	for i := range cs {
		c := &cs[i]
		switch {
		case c.tombstone:
		case c.Partition == t.Partition:
			if c.Offset < t.Offset {
				return true
			}
		case cmp.Or(cmp.Compare(c.Timestamp, t.Timestamp), cmp.Compare(c.Partition, t.Partition)) < 0:
			return true
		}
	}
	return false
}

// holding is a key with its claims as a batch or a removal changes them.
type holding struct {
	key  []byte
	hash uint64
	was  state // what the index holds
	held bool  // it holds something
	claims
	gone claims // claims that are no more, as they were stored
}

// take applies a mutation of a partition, and says whether it changed a claim.
func (h *holding) take(partition int32, m *Mutation) bool {
	c := claim{
		Meta:      Meta{Partition: partition, Offset: m.Offset, Timestamp: m.Timestamp, Source: m.Source, Headers: m.Headers},
		tombstone: m.Tombstone, fresh: true,
	}
	if m.Hold {
		return h.hold(&c, m)
	}
	if m.Tombstone {
		c.Headers = nil
	} else if c.value = m.Value; c.value == nil {
		c.value = []byte{}
	}
	i, ok := h.find(&c)
	if ok && (m.Offset < h.claims[i].Offset || m.Offset == h.claims[i].Offset && !h.claims[i].fresh) {
		return false
	}
	withdrawn := m.Tombstone && m.Source != nil // what one source says no more is not what the key's own record says
	switch {
	case ok && withdrawn:
		h.drop(i)
	case ok:
		h.gone = append(h.gone, h.claims[i])
		h.claims[i] = c
	case !withdrawn:
		h.claims = slices.Insert(h.claims, i, c)
	default:
		return false
	}
	return true
}

// hold keeps what a refused record's partition and source have said before, where that is a value.
func (h *holding) hold(c *claim, m *Mutation) bool {
	i, ok := h.find(c)
	if !ok || h.claims[i].tombstone || m.Offset <= max(h.claims[i].Offset, h.claims[i].Held) {
		return false
	}
	kept := h.claims[i]
	if kept.stored != nowhere {
		h.gone = append(h.gone, kept)
	}
	kept.Held, kept.stored, kept.fresh = m.Offset, nowhere, true
	h.claims[i] = kept
	return true
}

// drop takes claim i out.
func (h *holding) drop(i int) {
	h.gone = append(h.gone, h.claims[i])
	h.claims = slices.Delete(h.claims, i, i+1)
}

// visible is the claim that readers see, nil where they see nothing.
func (h *holding) visible() *claim {
	if i := h.winner(); i >= 0 && !h.claims[i].tombstone {
		return &h.claims[i]
	}
	return nil
}
