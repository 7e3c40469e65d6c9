package kafka

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

func TestSequenceWraps(t *testing.T) {
	for _, tc := range []struct {
		s    int32
		n    int
		want int32
	}{{0, 1, 1}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 5, 3}} {
		if got := after(tc.s, tc.n); got != tc.want {
			t.Errorf("%d after %d: %d, want %d", tc.n, tc.s, got, tc.want)
		}
	}
}

func TestEpochsRunOut(t *testing.T) {
	p := outPartition{producer: producerID{known: true, id: 1, epoch: math.MaxInt16 - 1}, sequence: 9}
	p.bump()
	if !p.producer.known || p.producer.epoch != math.MaxInt16 || p.sequence != 0 {
		t.Errorf("%+v", p.producer)
	}
	p.bump()
	if p.producer.known {
		t.Error("an epoch after the last one")
	}
}

// TestPendingList compares with a slice.
func TestPendingList(t *testing.T) {
	s := uint64(time.Now().UnixNano())
	t.Logf("seed %d", s)
	rng := rand.New(rand.NewPCG(s, 0))
	var l pendingList
	var want []*pending
	for range 2000 {
		if rng.IntN(2) == 0 || len(want) == 0 {
			e := &pending{}
			if first := l.push(e); first != (len(want) == 0) {
				t.Fatalf("first %v of %d", first, len(want))
			}
			want = append(want, e)
		} else {
			i := rng.IntN(len(want))
			l.remove(want[i])
			l.remove(want[i])
			want = slices.Delete(want, i, i+1)
		}
		var got []*pending
		for e := l.first; e != nil; e = e.next {
			got = append(got, e)
		}
		if !slices.Equal(got, want) || (l.last == nil) != (len(want) == 0) || l.last != nil && l.last != want[len(want)-1] {
			t.Fatal("the list differs")
		}
	}
}

func TestPendingIsACopy(t *testing.T) {
	key, value := []byte("key"), []byte{}
	e := newPending(ProduceRecord{Key: key, Value: value, Headers: []Header{{Key: key, Value: nil}, {Key: []byte{}, Value: key}}}, nil)
	clear(key)
	if string(e.key) != "key" || e.value == nil || len(e.value) != 0 || string(e.headers[0].Key) != "key" || e.headers[0].Value != nil || string(e.headers[1].Value) != "key" {
		t.Errorf("%+v", e)
	}
	if e := newPending(ProduceRecord{}, nil); e.key != nil || e.value != nil {
		t.Errorf("%+v", e)
	}
	if cap(e.key) != len(e.key) {
		t.Error("appending to the key would overwrite the value")
	}
	key = []byte("key")
	e = newPending(ProduceRecord{Key: key, Value: key, Headers: []Header{{Key: key, Value: key}}, Fixed: true}, nil)
	if &e.key[0] != &key[0] || &e.value[0] != &key[0] {
		t.Error("what does not change is copied")
	}
	clear(key)
	if string(e.headers[0].Key) != "key" || string(e.headers[0].Value) != "key" {
		t.Error("a header is not copied")
	}
}

// TestMurmur2 has vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestMurmur2(t *testing.T) {
	topic := newOutTopic("t")
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		const n = 1 << 20
		if got, want := topic.choose([]byte(key), n), int(hash&math.MaxInt32)%n; got != want {
			t.Errorf("%q: partition %d, want %d", key, got, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want error
	}{
		{sarama.ErrUnknownTopicOrPartition, ErrUnknownTopic},
		{sarama.ErrTopicAuthorizationFailed, ErrNotAuthorized},
		{sarama.ErrSASLAuthenticationFailed, ErrNotAuthorized},
		{sarama.ErrMessageSizeTooLarge, ErrTooLarge},
		{sarama.ErrNotEnoughReplicas, ErrNotEnoughReplicas},
		{sarama.ErrNotLeaderForPartition, ErrUnavailable},
		{sarama.ErrInvalidRecord, ErrRefused},
		{sarama.ErrInvalidMessage, ErrCorrupt},
		{sarama.PacketDecodingError{Info: "x"}, ErrCorrupt},
		{sarama.PacketEncodingError{Info: "x"}, ErrRefused},
		{sarama.ErrDecompressedBatchTooLarge, ErrCorrupt},
		{errors.New("anything else"), ErrUnavailable},
		{ErrClosed, ErrClosed},
	} {
		got := classify(tc.err)
		if !errors.Is(got, tc.want) || !errors.Is(got, tc.err) {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
		for _, other := range []error{ErrUnknownTopic, ErrNotAuthorized, ErrTooLarge, ErrNotEnoughReplicas, ErrUnavailable, ErrRefused, ErrCorrupt} {
			if other != tc.want && errors.Is(got, other) {
				t.Errorf("%v is also %v", got, other)
			}
		}
		if again := classify(got); again != got {
			t.Errorf("classified twice: %v", again)
		}
	}
}
