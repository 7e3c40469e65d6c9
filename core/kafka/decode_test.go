package kafka

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

// TestNextOffsetField holds the field that empty batches need to the version of sarama that is pinned.
func TestNextOffsetField(t *testing.T) {
	if errNextOffsetField != nil {
		t.Fatal(errNextOffsetField)
	}
	if _, ok := nextOffset(&sarama.FetchResponseBlock{}); ok {
		t.Error("a block without batches has an offset after them")
	}
	b := &sarama.FetchResponseBlock{}
	setNextOffset(b, 42)
	if o, ok := nextOffset(b); !ok || o != 42 {
		t.Errorf("%d, %v", o, ok)
	}
	type renamed struct{ RecordsNextOffset *int64 }
	type retyped struct{ recordsNextOffset int64 }
	for _, typ := range []reflect.Type{reflect.TypeFor[renamed](), reflect.TypeFor[retyped]()} {
		if _, err := findNextOffsetField(typ); err == nil {
			t.Errorf("%v passes", typ)
		}
	}
	_ = retyped{recordsNextOffset: 1}
}

func setNextOffset(b *sarama.FetchResponseBlock, o int64) {
	f := reflect.ValueOf(b).Elem().FieldByIndex(nextOffsetField)
	reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(&o))
}

var epoch0 = time.UnixMilli(1_700_000_000_000)

// data is a batch of n records from first on, with last as its last offset.
func data(first, last int64, n int) *sarama.RecordBatch {
	b := &sarama.RecordBatch{
		FirstOffset: first, LastOffsetDelta: int32(last - first), Version: 2, PartitionLeaderEpoch: 7,
		FirstTimestamp: epoch0, MaxTimestamp: epoch0.Add(time.Hour), ProducerID: -1,
	}
	for i := range n {
		b.Records = append(b.Records, &sarama.Record{OffsetDelta: int64(i), TimestampDelta: time.Duration(i) * time.Millisecond, Key: []byte{byte(i)}, Value: []byte("v")})
	}
	return b
}

func of(pid int64, b *sarama.RecordBatch) *sarama.RecordBatch {
	b.ProducerID, b.IsTransactional = pid, true
	return b
}

func marker(pid, offset int64, kind uint16) *sarama.RecordBatch {
	b := of(pid, data(offset, offset, 1))
	b.Control = true
	b.Records[0].Key = binary.BigEndian.AppendUint16([]byte{0, 0}, kind)
	return b
}

const abort, commit = 0, 1

func block(bs ...*sarama.RecordBatch) *sarama.FetchResponseBlock {
	block := &sarama.FetchResponseBlock{}
	for _, b := range bs {
		block.RecordsSet = append(block.RecordsSet, &sarama.Records{RecordBatch: b})
	}
	return block
}

func aborting(block *sarama.FetchResponseBlock, pidAndFirst ...int64) *sarama.FetchResponseBlock {
	for i := 0; i < len(pidAndFirst); i += 2 {
		block.AbortedTransactions = append(block.AbortedTransactions, &sarama.AbortedTransaction{ProducerID: pidAndFirst[i], FirstOffset: pidAndFirst[i+1]})
	}
	return block
}

func partial(b *sarama.RecordBatch) *sarama.RecordBatch {
	b.PartialTrailingRecord, b.Records = true, nil
	return b
}

func emptyUpTo(o int64) *sarama.FetchResponseBlock {
	b := block()
	setNextOffset(b, o)
	return b
}

func TestDecodeBlock(t *testing.T) {
	squeezed := block()
	cut := emptyUpTo(9)
	cut.Partial = true
	for _, tc := range []struct {
		name  string
		block *sarama.FetchResponseBlock
		from  int64
		want  []int64
		next  int64
		epoch int32
	}{
		{"nothing", block(), 5, nil, 5, position.UnknownEpoch},
		{"whole", block(data(5, 7, 3)), 5, []int64{5, 6, 7}, 8, 7},
		{"below the position", block(data(5, 7, 3)), 7, []int64{7}, 8, 7},
		{"compacted at the end", block(data(5, 9, 2)), 5, []int64{5, 6}, 10, 7},
		{"gaps between", block(data(5, 6, 2), data(20, 21, 2)), 5, []int64{5, 6, 20, 21}, 22, 7},
		{"control", block(data(5, 5, 1), marker(1, 6, commit)), 5, []int64{5}, 7, 7},
		{"committed", block(of(1, data(5, 6, 2)), marker(1, 7, commit)), 5, []int64{5, 6}, 8, 7},
		{"aborted", aborting(block(of(1, data(5, 6, 2)), marker(1, 7, abort)), 1, 5), 5, nil, 8, 7},
		{"aborted then committed", aborting(block(of(1, data(5, 5, 1)), marker(1, 6, abort), of(1, data(7, 7, 1)), marker(1, 8, commit)), 1, 5), 5, []int64{7}, 9, 7},
		{"committed then aborted", aborting(block(of(1, data(5, 5, 1)), marker(1, 6, commit), of(1, data(7, 7, 1)), marker(1, 8, abort)), 1, 7), 5, []int64{5}, 9, 7},
		{"interleaved and unsorted", aborting(block(of(1, data(5, 5, 1)), of(2, data(6, 6, 1)), of(3, data(7, 7, 1)), marker(2, 8, abort), of(2, data(9, 9, 1)), marker(1, 10, abort), data(11, 11, 1)), 2, 6, 1, 5), 5, []int64{7, 9, 11}, 12, 7},
		{"aborted, begun before the position", aborting(block(of(1, data(5, 6, 2)), marker(1, 7, abort)), 1, 2), 6, nil, 8, 7},
		{"not transactional, of an aborting producer's id", aborting(block(data(5, 5, 1)), -1, 0), 5, []int64{5}, 6, 7},
		{"partial first", block(partial(data(5, 9, 0))), 5, nil, 5, position.UnknownEpoch},
		{"partial after a gap", block(partial(data(8, 9, 0))), 5, nil, 8, position.UnknownEpoch},
		{"partial last", block(data(5, 5, 1), partial(data(6, 9, 0))), 5, []int64{5}, 6, 7},
		{"partial last after a gap", block(data(5, 5, 1), partial(data(8, 9, 0))), 5, []int64{5}, 8, position.UnknownEpoch},
		{"empty batches only", emptyUpTo(9), 5, nil, 9, position.UnknownEpoch},
		{"squeezed out", squeezed, 5, nil, 5, position.UnknownEpoch},
		{"cut within its first batch", cut, 5, nil, 5, position.UnknownEpoch},
		{"empty batches below the position", emptyUpTo(3), 5, nil, 5, position.UnknownEpoch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d decoder
			is, err := d.block(tc.block, tc.from)
			if err != nil {
				t.Fatal(err)
			}
			next, epoch := is.next, is.epochAt(is.next-1)
			var got []int64
			for _, r := range is.records {
				got = append(got, r.Offset)
			}
			if !slices.Equal(got, tc.want) || next != tc.next || epoch != tc.epoch {
				t.Errorf("offsets %v, next %d, epoch %d; want %v, %d, %d", got, next, epoch, tc.want, tc.next, tc.epoch)
			}
		})
	}
}

func TestDecodeTimestampsAndHeaders(t *testing.T) {
	b := data(0, 1, 2)
	b.Records[1].Headers = []*sarama.RecordHeader{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b")}}
	appended := data(2, 2, 1)
	appended.LogAppendTime = true
	none := data(3, 3, 1)
	none.FirstTimestamp, none.MaxTimestamp = time.Time{}, time.Time{}
	var d decoder
	is, err := d.block(block(b, appended, none), 0)
	if err != nil {
		t.Fatal(err)
	}
	records := is.records
	var stamps []int64
	for _, r := range records {
		stamps = append(stamps, r.Timestamp)
	}
	if want := []int64{epoch0.UnixMilli(), epoch0.UnixMilli() + 1, epoch0.Add(time.Hour).UnixMilli(), -1}; !slices.Equal(stamps, want) {
		t.Errorf("%v, want %v", stamps, want)
	}
	h := records[1].Headers
	if len(h) != 2 || string(h[0].Key) != "a" || string(h[0].Value) != "1" || h[1].Value != nil || records[0].Headers != nil {
		t.Errorf("%v", h)
	}
}

// TestDecodeOldFormats reads message sets: plain ones, and a compressed one with relative offsets.
func TestDecodeOldFormats(t *testing.T) {
	plain := func(offset int64) *sarama.MessageBlock {
		return &sarama.MessageBlock{Offset: offset, Msg: &sarama.Message{Version: 1, Key: []byte("k"), Value: []byte("v"), Timestamp: epoch0}}
	}
	inner := &sarama.MessageSet{Messages: []*sarama.MessageBlock{plain(0), plain(1), plain(2)}}
	compressed := &sarama.MessageBlock{Offset: 12, Msg: &sarama.Message{Version: 1, Codec: sarama.CompressionGZIP, Set: inner}}
	b := &sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{{MsgSet: &sarama.MessageSet{Messages: []*sarama.MessageBlock{plain(8), plain(9), compressed}}}}}
	var d decoder
	is, err := d.block(b, 9)
	if err != nil {
		t.Fatal(err)
	}
	records, next := is.records, is.next
	var got []int64
	for _, r := range records {
		got = append(got, r.Offset)
	}
	if want := []int64{9, 10, 11, 12}; !slices.Equal(got, want) || next != 13 || records[0].Timestamp != epoch0.UnixMilli() {
		t.Errorf("%v, next %d", got, next)
	}
}

// TestDecoderIsUsedAgain decodes responses of random sizes with one decoder: what one returned must hold until reset.
func TestDecoderIsUsedAgain(t *testing.T) {
	s := uint64(time.Now().UnixNano())
	t.Logf("seed %d", s)
	rng := rand.New(rand.NewPCG(s, 0))
	var d decoder
	for range 200 {
		type part struct {
			records []Record
			from    int64
			n       int
		}
		var parts []part
		for range 1 + rng.IntN(4) {
			from, n := rng.Int64N(1000), rng.IntN(3000)
			b := data(from, from+int64(n), n)
			for _, r := range b.Records {
				if rng.IntN(10) == 0 {
					r.Headers = []*sarama.RecordHeader{{Key: []byte("h")}}
				}
			}
			is, err := d.block(block(b), from)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, part{is.records, from, n})
		}
		for _, p := range parts {
			if len(p.records) != p.n {
				t.Fatalf("%d records of %d", len(p.records), p.n)
			}
			for i, r := range p.records {
				if r.Offset != p.from+int64(i) || r.Key[0] != byte(i) || len(r.Headers) > 0 && string(r.Headers[0].Key) != "h" {
					t.Fatalf("record %d: %+v", i, r)
				}
			}
		}
		d.reset()
		for _, r := range d.records[:cap(d.records)] {
			if r.Key != nil {
				t.Fatal("a record pins its response after reset")
			}
		}
	}
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	b := block(data(0, 999, 1000))
	var d decoder
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.block(b, 0); err != nil {
			t.Fatal(err)
		}
		d.reset()
	}); n > 2 {
		t.Errorf("%v allocations for 1000 records", n)
	}
}

func ofEpoch(epoch int32, b *sarama.RecordBatch) *sarama.RecordBatch {
	b.PartitionLeaderEpoch = epoch
	return b
}

func TestDecodeEpochs(t *testing.T) {
	var d decoder
	other, err := d.block(block(ofEpoch(9, data(100, 101, 2))), 100) // another partition of the same response
	if err != nil {
		t.Fatal(err)
	}
	is, err := d.block(block(ofEpoch(2, data(5, 7, 3)), ofEpoch(2, data(10, 12, 3)), ofEpoch(4, marker(1, 20, commit)), ofEpoch(4, data(21, 29, 9))), 6)
	if err != nil {
		t.Fatal(err)
	}
	if want := []EpochRange{{2, 5, 12}, {4, 20, 29}}; !slices.Equal(is.epochs, want) || is.wentBack != -1 {
		t.Errorf("%v, went back at %d", is.epochs, is.wentBack)
	}
	if !slices.Equal(other.epochs, []EpochRange{{9, 100, 101}}) {
		t.Errorf("%v", other.epochs)
	}
	for offset, want := range map[int64]int32{4: -1, 5: 2, 8: 2, 12: 2, 13: -1, 20: 4, 29: 4, 30: -1} {
		if got := is.epochAt(offset); got != want {
			t.Errorf("the epoch at %d is %d, want %d", offset, got, want)
		}
	}
	is.cut(25)
	if n := len(is.records); is.next != 25 || n == 0 || is.records[n-1].Offset != 24 || !slices.Equal(is.epochs, []EpochRange{{2, 5, 12}, {4, 20, 24}}) {
		t.Errorf("%+v", is)
	}
	is.cut(15)
	if n := len(is.records); is.next != 15 || is.records[n-1].Offset != 12 || !slices.Equal(is.epochs, []EpochRange{{2, 5, 12}}) {
		t.Errorf("%+v", is)
	}
	is, err = d.block(block(ofEpoch(4, data(5, 7, 3)), ofEpoch(3, data(8, 8, 1))), 5)
	if err != nil || is.wentBack != 8 {
		t.Errorf("%+v, %v", is, err)
	}
}
