package kafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

// decoder turns the blocks of fetch responses into records. What it returned is valid until reset: the records of one
// response lie in one slice that is used again, so that there is no object a record beyond the protocol layer's.
type decoder struct {
	records []Record
	headers []Header
	epochs  []EpochRange
}

// decoded is what a response has of one partition. Its slices belong to the decoder.
type decoded struct {
	records []Record     // the committed ones from the position on
	next    int64        // the position after them
	epochs  []EpochRange // of the record batches, ascending
	// wentBack is the first offset of a record batch whose epoch is lower than that of one before it; -1: there is none.
	wentBack int64
}

// epochAt is the leader epoch of what the log has, or had, at an offset; position.UnknownEpoch where no record batch of
// the response tells.
func (r *decoded) epochAt(offset int64) int32 {
	for _, e := range r.epochs {
		if e.First <= offset && offset <= e.Last {
			return e.Epoch
		}
	}
	return position.UnknownEpoch
}

// cut leaves what lies below an offset.
func (r *decoded) cut(offset int64) {
	r.next = min(r.next, offset)
	i, _ := slices.BinarySearchFunc(r.records, offset, func(rec Record, o int64) int { return cmp.Compare(rec.Offset, o) })
	r.records = r.records[:i:i]
	for i := range r.epochs {
		if r.epochs[i].First >= offset {
			r.epochs = r.epochs[:i:i]
			return
		}
		r.epochs[i].Last = min(r.epochs[i].Last, offset-1)
	}
}

// seen notes a record batch's epoch; first is where the partition's begin in epochs.
func (d *decoder) seen(r *decoded, b *sarama.RecordBatch, first int) {
	epoch, last := b.PartitionLeaderEpoch, b.LastOffset()
	if epoch < 0 {
		return
	}
	if n := len(d.epochs); n > first {
		newest := &d.epochs[n-1]
		switch {
		case epoch == newest.Epoch:
			newest.Last = max(newest.Last, last)
			return
		case epoch < newest.Epoch:
			if r.wentBack < 0 {
				r.wentBack = b.FirstOffset
			}
			return
		}
	}
	d.epochs = append(d.epochs, EpochRange{Epoch: epoch, First: b.FirstOffset, Last: last})
}

// retained is the size, in records, up to which a slice is kept whatever the responses that follow need.
const retained = 4096

// reset lets go of what the last response pinned.
func (d *decoder) reset() {
	if c := cap(d.records); c > retained && len(d.records) < c/8 {
		d.records, d.headers, d.epochs = nil, nil, nil
		return
	}
	clear(d.records)
	clear(d.headers)
	d.records, d.headers, d.epochs = d.records[:0], d.headers[:0], d.epochs[:0]
}

// block decodes what a response has of one partition that was asked for at offset from.
func (d *decoder) block(b *sarama.FetchResponseBlock, from int64) (decoded, error) {
	first, firstEpoch := len(d.records), len(d.epochs)
	r := decoded{next: from, wentBack: -1}
	aborted := abortedTransactions{pending: b.AbortedTransactions}
	slices.SortFunc(aborted.pending, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	for _, set := range b.RecordsSet {
		if set.MsgSet != nil {
			next, err := d.messages(set.MsgSet, r.next)
			if err != nil {
				return decoded{}, err
			}
			r.next = next
			continue
		}
		batch := set.RecordBatch
		if batch == nil {
			continue
		}
		if batch.PartialTrailingRecord {
			// It did not fit, and LastOffset() is that of the whole. What lies between the position and its first offset
			// was in the response and had no records.
			r.next = max(r.next, batch.FirstOffset)
			break
		}
		d.seen(&r, batch, firstEpoch)
		if !aborted.drops(batch) && !batch.Control {
			d.batch(batch, r.next)
		}
		r.next = max(r.next, batch.LastOffset()+1)
	}
	if len(b.RecordsSet) == 0 && !b.Partial {
		// Compaction keeps the last batch of an idempotent producer without its records. sarama passes over such batches,
		// and only this field tells how far the response went.
		if o, ok := nextOffset(b); ok {
			r.next = max(r.next, o)
		}
	}
	r.records = d.records[first:len(d.records):len(d.records)]
	r.epochs = d.epochs[firstEpoch:len(d.epochs):len(d.epochs)]
	return r, nil
}

// batch appends the records of a batch from offset from on.
func (d *decoder) batch(b *sarama.RecordBatch, from int64) {
	base, appended := int64(-1), int64(-1)
	if !b.FirstTimestamp.IsZero() {
		base = b.FirstTimestamp.UnixMilli()
	}
	if b.LogAppendTime && !b.MaxTimestamp.IsZero() {
		appended = b.MaxTimestamp.UnixMilli()
	}
	d.records = slices.Grow(d.records, len(b.Records))
	for _, r := range b.Records {
		offset := b.FirstOffset + r.OffsetDelta
		if offset < from {
			continue // a batch comes whole, also where the position lies within it
		}
		t := int64(-1)
		switch {
		case appended >= 0:
			t = appended
		case base >= 0:
			t = base + int64(r.TimestampDelta/time.Millisecond)
		}
		d.records = append(d.records, Record{Offset: offset, Timestamp: t, Key: r.Key, Value: r.Value, Headers: d.copyHeaders(r.Headers)})
	}
}

func (d *decoder) copyHeaders(hs []*sarama.RecordHeader) []Header {
	if len(hs) == 0 {
		return nil
	}
	first := len(d.headers)
	for _, h := range hs {
		d.headers = append(d.headers, Header{Key: h.Key, Value: h.Value})
	}
	return d.headers[first:len(d.headers):len(d.headers)]
}

// messages appends what a segment written before Kafka 0.11 has (message formats 0 and 1); brokers before 4.0 serve it as
// it is. Those formats know no transactions.
func (d *decoder) messages(s *sarama.MessageSet, from int64) (next int64, err error) {
	next = from
	for _, outer := range s.Messages {
		inner := outer.Messages()
		if outer.Msg == nil || len(inner) == 0 {
			return from, fmt.Errorf("%w: a message set at offset %d without messages", ErrCorrupt, outer.Offset)
		}
		for _, m := range inner {
			offset, stamp := m.Offset, m.Msg.Timestamp
			if m.Msg.Version >= 1 {
				// Within a compressed message offsets are relative, and the outer one is the last one's (KIP-31).
				offset += outer.Offset - inner[len(inner)-1].Offset
				if m.Msg.LogAppendTime {
					stamp = outer.Msg.Timestamp
				}
			}
			if offset < next {
				continue
			}
			t := int64(-1)
			if !stamp.IsZero() {
				t = stamp.UnixMilli()
			}
			d.records = append(d.records, Record{Offset: offset, Timestamp: t, Key: m.Msg.Key, Value: m.Msg.Value})
			next = offset + 1
		}
	}
	return next, nil
}

// abortedTransactions follows which producers' transactions are aborted at the batch that is looked at (KIP-98: the
// response lists the aborted transactions that its range touches).
type abortedTransactions struct {
	pending []*sarama.AbortedTransaction // ascending by first offset
	open    map[int64]struct{}           // producer ids
}

// drops reports whether the batch belongs to an aborted transaction. Batches have to come in the log's order.
func (a *abortedTransactions) drops(b *sarama.RecordBatch) bool {
	for len(a.pending) > 0 && a.pending[0].FirstOffset <= b.LastOffset() {
		if a.open == nil {
			a.open = make(map[int64]struct{})
		}
		a.open[a.pending[0].ProducerID] = struct{}{}
		a.pending = a.pending[1:]
	}
	if len(a.open) == 0 {
		return false
	}
	if b.Control {
		if isAbortMarker(b) {
			delete(a.open, b.ProducerID)
		}
		return false
	}
	_, open := a.open[b.ProducerID]
	return open && b.IsTransactional
}

// isAbortMarker reads the key of a control record: version and type, two bytes each; type 0 aborts.
func isAbortMarker(b *sarama.RecordBatch) bool {
	if len(b.Records) == 0 || len(b.Records[0].Key) < 4 {
		return false
	}
	return binary.BigEndian.Uint16(b.Records[0].Key[2:]) == 0
}

// nextOffsetField is where sarama keeps the offset after the last batch that a block had, with records or without.
var nextOffsetField, errNextOffsetField = findNextOffsetField(reflect.TypeFor[sarama.FetchResponseBlock]())

func findNextOffsetField(block reflect.Type) ([]int, error) {
	f, ok := block.FieldByName("recordsNextOffset")
	if !ok || f.Type != reflect.TypeFor[*int64]() {
		return nil, errors.New("kafka: this version of sarama does not tell where empty batches end: FetchResponseBlock.recordsNextOffset is missing")
	}
	return f.Index, nil
}

func nextOffset(b *sarama.FetchResponseBlock) (int64, bool) {
	v := reflect.ValueOf(b).Elem().FieldByIndex(nextOffsetField)
	if v.IsNil() {
		return 0, false
	}
	return v.Elem().Int(), true
}
