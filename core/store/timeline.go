package store

import (
	"encoding/binary"
	"slices"
)

// timeline keeps what the index does not have of the records that a load applies: timestamps and headers, for each partition by offset. It
// is filled by the applier, and read by others once nothing is added any more.
//
// A line's records lie in blocks of blockRecords, each in one page and found by its first offset. A record is, as differences to the one before
// in its block: offset (uvarint, times two, plus one where headers follow), timestamp (varint), and with headers their length (uvarint) and what
// putHeaders wrote.
type timeline struct {
	byPartition map[int32]*line
	lines       []*line // by number
	bytes       int     // of pages and blocks
	applied     int     // bytes of keys and values that it has the records of
}

const (
	blockRecords = 16
	minPage      = 1 << 10
	maxPage      = 256 << 10
	maxLines     = 1 << 16
)

type line struct {
	partition int32
	number    int
	blocks    []lineBlock
	in        int   // records of the last block
	last      int64 // the greatest offset that was added, of a tombstone too
	before    int64 // offset and timestamp of the last block's last record
	timestamp int64
	pages     [][]byte
}

type lineBlock struct {
	offset, timestamp int64
	page, pos         uint32
}

func newTimeline() *timeline { return &timeline{byPartition: map[int32]*line{}} }

// takes says that the timeline can have the records of a batch of which those from next on are new: values of the key's own record, in
// ascending order.
func (t *timeline) takes(b *Batch, next int64) bool {
	last := int64(-1)
	l := t.byPartition[b.Partition]
	if l != nil {
		last = l.last
	} else if len(t.lines) == maxLines {
		return false
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Source != nil || m.Hold {
			return false
		}
		if m.Offset < next {
			continue
		}
		if m.Offset <= last {
			return false
		}
		last = m.Offset
	}
	return true
}

// add adds the records of a batch that takes allows.
func (t *timeline) add(b *Batch, next int64) {
	l := t.byPartition[b.Partition]
	if l == nil {
		l = &line{partition: b.Partition, number: len(t.lines), last: -1}
		t.lines = append(t.lines, l)
		t.byPartition[b.Partition] = l
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Offset < next {
			continue
		}
		t.applied += len(m.Key) + len(m.Value)
		if l.last = m.Offset; m.Tombstone {
			continue // the index has what is asked of it
		}
		t.bytes += l.add(m)
	}
}

// add adds a record, and says how much memory it took.
func (l *line) add(m *Mutation) (grown int) {
	headers := headersSize(m.Headers)
	need := 3*binary.MaxVarintLen64 + headers
	p := len(l.pages) - 1
	if p < 0 || cap(l.pages[p])-len(l.pages[p]) < need {
		p++
		size := max(need, min(minPage<<min(p, 16), maxPage))
		l.pages = append(l.pages, make([]byte, 0, size))
		grown += size
		l.in = blockRecords
	}
	if l.in == blockRecords {
		l.blocks = append(l.blocks, lineBlock{m.Offset, m.Timestamp, uint32(p), uint32(len(l.pages[p]))})
		grown += 24
		l.in, l.before, l.timestamp = 0, m.Offset, m.Timestamp
	}
	b := l.pages[p]
	delta := uint64(m.Offset-l.before) << 1
	if headers > 0 {
		delta |= 1
	}
	b = binary.AppendUvarint(b, delta)
	b = binary.AppendVarint(b, m.Timestamp-l.timestamp)
	if headers > 0 {
		b = binary.AppendUvarint(b, uint64(headers))
		n := len(b)
		b = slices.Grow(b, headers)[:n+headers]
		putHeaders(b[n:], m.Headers)
	}
	l.pages[p] = b
	l.in++
	l.before, l.timestamp = m.Offset, m.Timestamp
	return grown
}

// find is the timestamp of the record at an offset, and its headers as putHeaders wrote them.
func (l *line) find(offset int64) (timestamp int64, headers []byte, ok bool) {
	return l.findIn(l.blockOf(offset), offset)
}

// blockOf is the block that the record at an offset is in, if there is one, -1 where it is before them all. Offsets are mostly about evenly spread, so it
// looks first where it would be then.
func (l *line) blockOf(offset int64) int {
	n := len(l.blocks)
	if n == 0 || offset < l.blocks[0].offset {
		return -1
	}
	first := l.blocks[0].offset
	low := min(int(float64(offset-first)/float64(l.before-first+1)*float64(n)), n-1)
	high := low + 1
	for step := 1; l.blocks[low].offset > offset; step *= 2 {
		low, high = max(0, low-step), low
	}
	for step := 1; high < n && l.blocks[high].offset <= offset; step *= 2 {
		low, high = high, min(n, high+step)
	}
	for high-low > 1 {
		if m := (low + high) / 2; l.blocks[m].offset <= offset {
			low = m
		} else {
			high = m
		}
	}
	return low
}

// findIn is find where the block is known.
func (l *line) findIn(block int, offset int64) (timestamp int64, headers []byte, ok bool) {
	if block < 0 {
		return 0, nil, false
	}
	k := &l.blocks[block]
	at, timestamp := k.offset, k.timestamp
	b := l.pages[k.page][k.pos:]
	if block+1 < len(l.blocks) && l.blocks[block+1].page == k.page {
		b = b[:l.blocks[block+1].pos-k.pos]
	}
	for len(b) > 0 {
		delta, k := binary.Uvarint(b)
		d, m := binary.Varint(b[k:])
		b = b[k+m:]
		headers = nil
		if delta&1 != 0 {
			size, k := binary.Uvarint(b)
			headers, b = b[k:k+int(size)], b[k+int(size):]
		}
		at, timestamp = at+int64(delta>>1), timestamp+d
		if at >= offset {
			return timestamp, headers, at == offset
		}
	}
	return 0, nil, false
}
