package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

func TestAbortedTransactionsAndMarkersAreMovedOver(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(2, topic))
	ctx := context.Background()
	tx := newWriter(t, c.ListenAddrs(), kgo.TransactionalID("tx"))
	other := newWriter(t, c.ListenAddrs(), kgo.TransactionalID("other"))
	transact := func(w *kgo.Client, how kgo.TransactionEndTry, values ...string) {
		t.Helper()
		if err := w.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			write(t, w, 0, "k", v)
		}
		if err := w.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	transact(tx, kgo.TryCommit, "a", "b", "c")
	transact(tx, kgo.TryAbort, "x", "y")
	// An abort whose records lie around another producer's.
	if err := other.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write(t, other, 0, "k", "z1")
	transact(tx, kgo.TryCommit, "d")
	write(t, other, 0, "k", "z2")
	if err := other.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	transact(other, kgo.TryCommit, "e")
	transact(tx, kgo.TryAbort, "w")
	end := c.PartitionInfo(topic, 0).HighWatermark

	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the end, past a trailing abort marker", func() bool { return r.atEnd(0, end) && r.atEnd(1, 0) })
	if got, want := r.values(0), []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	// The same from a position within an aborted batch, and one record at a time.
	small := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) {
		fc.MaxPartitionBytes = 1
		fc.Start = func(int32) int64 { return 0 }
	})
	eventually(t, "the end in small steps", func() bool { return small.atEnd(0, end) })
	if got, want := small.values(0), []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("read in small steps %q, want %q", got, want)
	}
}

func TestOpenTransactionHoldsTheStableEndBack(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	tx := newWriter(t, c.ListenAddrs(), kgo.TransactionalID("tx"))
	write(t, w, 0, "k", "before")
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write(t, tx, 0, "k", "within")
	write(t, w, 0, "k", "after")
	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the stable end", func() bool { return r.atEnd(0, 1) })
	r.mu.Lock()
	last := r.last[0]
	r.mu.Unlock()
	if last.LastStable != 1 || last.HighWatermark != 3 || last.Next != 1 {
		t.Errorf("next %d, stable end %d, high watermark %d", last.Next, last.LastStable, last.HighWatermark)
	}
	ends, err := newClient(t, configFor(c.ListenAddrs())).Ends(context.Background(), topic, []int32{0})
	if err != nil || ends[0].LastStable != 1 || ends[0].HighWatermark != 3 || ends[0].LogStart != 0 {
		t.Errorf("ends %+v, %v", ends, err)
	}
	if err := tx.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return r.atEnd(0, 4) })
	if got, want := r.values(0), []string{"before", "within", "after"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestNewPartitionsAreFound(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(1, topic))
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka.RefreshInterval = time.Hour })
	eventually(t, "the first partition", func() bool { return r.atEnd(0, 0) })
	w := newWriter(t, c.ListenAddrs(), kgo.MetadataMinAge(10*time.Millisecond))
	if _, err := kadm.NewClient(w).UpdatePartitions(context.Background(), 5, topic); err != nil {
		t.Fatal(err)
	}
	r.fetcher.Refresh()
	eventually(t, "the new partitions", func() bool {
		for p := range int32(5) {
			if !r.atEnd(p, 0) {
				return false
			}
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := []int32{0, 1, 2, 3, 4}; !slices.Equal(r.partitions, want) {
		t.Errorf("told of partitions %v, want %v", r.partitions, want)
	}
}

func TestRecreatedTopicEndsRun(t *testing.T) {
	for _, records := range []int{1, 20} { // fewer and more than the position
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, topic))
			w := newWriter(t, c.ListenAddrs())
			for i := range 5 {
				write(t, w, 0, "k", fmt.Sprint("old ", i))
			}
			r := read(t, c.ListenAddrs(), nil)
			eventually(t, "the old records", func() bool { return r.atEnd(0, 5) })
			if err := c.DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			eventually(t, "that the topic is gone", func() bool { return r.toldOf(kafka.ErrUnknownTopic) })
			if err := c.CreateTopic(topic, 1, nil); err != nil {
				t.Fatal(err)
			}
			w2 := newWriter(t, c.ListenAddrs())
			for i := range records {
				write(t, w2, 0, "k", fmt.Sprint("new ", i))
			}
			if err := r.result(t); !errors.Is(err, kafka.ErrTopicRecreated) {
				t.Errorf("Run returned %v", err)
			}
			for _, v := range r.values(0) {
				if strings.HasPrefix(v, "new") {
					t.Errorf("a record of the new topic was delivered: %q", v)
				}
			}
		})
	}
}

// TestQuicklyRecreatedTopicEndsRun leaves no time between the end of the old topic and the new one's first records.
func TestQuicklyRecreatedTopicEndsRun(t *testing.T) {
	for _, records := range []int{1, 5, 50} {
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
			w := newWriter(t, c.ListenAddrs())
			for i := range 5 {
				write(t, w, 0, "k", fmt.Sprint("old ", i))
			}
			r := read(t, c.ListenAddrs(), nil)
			eventually(t, "the old records", func() bool { return r.atEnd(0, 5) })
			if err := errors.Join(c.DeleteTopic(topic), c.CreateTopic(topic, 1, nil)); err != nil {
				t.Fatal(err)
			}
			w2 := newWriter(t, c.ListenAddrs())
			for i := range records {
				write(t, w2, 0, "k", fmt.Sprint("new ", i))
			}
			if err := r.result(t); !errors.Is(err, kafka.ErrTopicRecreated) {
				t.Errorf("Run returned %v", err)
			}
			for _, v := range r.values(0) {
				if strings.HasPrefix(v, "new") {
					t.Errorf("a record of the new topic was delivered: %q", v)
				}
			}
		})
	}
}

// TestRecreatedWhileNothingIsFetched has the topic created anew, and outgrow the position, while what was read before is
// still being applied, so that no fetch is under way that would fail.
func TestRecreatedWhileNothingIsFetched(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	applying, apply := make(chan struct{}, 100), make(chan struct{})
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, r *reader) {
		fc.Kafka.RefreshInterval = time.Hour // only the reader's own look tells
		r.apply = func(b *kafka.Batch) error {
			if len(b.Records) > 0 {
				applying <- struct{}{}
				<-apply
			}
			return nil
		}
	})
	eventually(t, "the end", func() bool { return r.atEnd(0, 0) })
	write(t, w, 0, "k", "old 0")
	<-applying
	before := r.fetcher.LastFetch(0)
	write(t, w, 0, "k", "old 1")
	eventually(t, "the second record to be fetched", func() bool { return r.fetcher.LastFetch(0).After(before) })
	recreate(t, c, 1)
	w2 := newWriter(t, c.ListenAddrs())
	for i := range 10 {
		write(t, w2, 0, "k", fmt.Sprint("new ", i))
	}
	since := time.Now()
	eventually(t, "the pause to be one", func() bool { return time.Since(since) > 100*time.Millisecond })
	close(apply)
	if err := r.result(t); !errors.Is(err, kafka.ErrTopicRecreated) {
		t.Errorf("Run returned %v", err)
	}
	if got := r.values(0); !slices.Equal(got, []string{"old 0", "old 1"}) {
		t.Errorf("read %q", got)
	}
}

// TestBrokerThatHasNotHeardOfTheTopic has one broker say for a while that the topic has another id, as one does that has
// not heard of its recreation.
func TestBrokerThatHasNotHeardOfTheTopic(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(3, topic))
	w := newWriter(t, c.ListenAddrs())
	for p := range int32(3) {
		write(t, w, p, "k", "v")
	}
	id := idOf(t, c)
	wrong := 0
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if c.CurrentNode() != 0 || wrong == 4 {
			return nil, nil, false
		}
		wrong++
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		for i, a := range c.ListenAddrs() {
			host, port, _ := strings.Cut(a, ":")
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host = int32(i), host
			fmt.Sscan(port, &b.Port)
			res.Brokers = append(res.Brokers, b)
		}
		mt := kmsg.NewMetadataResponseTopic()
		mt.Topic, mt.TopicID = kmsg.StringPtr(topic), [16]byte{0xff}
		for p := range int32(3) {
			mp := kmsg.NewMetadataResponseTopicPartition()
			mp.Partition, mp.Leader = p, 0
			mt.Partitions = append(mt.Partitions, mp)
		}
		res.Topics = append(res.Topics, mt)
		return res, nil, true
	})
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.ID = id })
	for p := range int32(3) {
		eventually(t, "the end", func() bool { return r.atEnd(p, 1) })
	}
}

func TestVanishedTopicIsReportedAndRetried(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	info, err := newClient(t, configFor(c.ListenAddrs())).DescribeTopic(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.ID = info.ID })
	eventually(t, "several reports", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.errs) > 3 })
	select {
	case err := <-r.ended:
		t.Errorf("Run returned %v", err)
		r.ended <- err
	default:
	}
}

func TestLogStartThatMovesBeforeTheFirstFetchIsAskedForAgain(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	for i := range 10 {
		write(t, w, 0, "k", fmt.Sprint(i))
	}
	if err := c.DeleteRecords(topic, 0, 3); err != nil {
		t.Fatal(err)
	}
	var moved atomic.Bool
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		moved.Store(true)
		if err := c.DeleteRecords(topic, 0, 7); err != nil {
			t.Error(err)
		}
		return nil, nil, false
	})
	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the end", func() bool { return r.atEnd(0, 10) })
	if got, want := r.values(0), []string{"7", "8", "9"}; !slices.Equal(got, want) || !moved.Load() {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestPositionOutsideTheLogEndsRun(t *testing.T) {
	for _, tc := range []struct {
		name       string
		start      int64
		begin, end int64
	}{{"below", 2, 5, 10}, {"above", 11, 5, 10}} {
		t.Run(tc.name, func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
			w := newWriter(t, c.ListenAddrs())
			for i := range 10 {
				write(t, w, 0, "k", fmt.Sprint(i))
			}
			if err := c.DeleteRecords(topic, 0, 5); err != nil {
				t.Fatal(err)
			}
			r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Start = func(int32) int64 { return tc.start } })
			var out *kafka.OutOfRangeError
			if err := r.result(t); !errors.As(err, &out) {
				t.Fatalf("Run returned %v", err)
			}
			if want := (kafka.OutOfRangeError{Partition: 0, Position: tc.start, LogStart: tc.begin, End: tc.end}); *out != want {
				t.Errorf("%+v, want %+v", *out, want)
			}
			if got := r.got(0); len(got) != 0 {
				t.Errorf("read %v", got)
			}
		})
	}
}

// TestOutOfRangeThatTheBoundsContradictIsRetried has a leader say OFFSET_OUT_OF_RANGE for a position within the log.
func TestOutOfRangeThatTheBoundsContradictIsRetried(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	write(t, w, 0, "k", "v")
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.OffsetOutOfRange, Count: 4})
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Start = func(int32) int64 { return 0 } })
	eventually(t, "the end", func() bool { return r.atEnd(0, 1) })
	if f.Hits() != 4 {
		t.Errorf("%d faults", f.Hits())
	}
}

func TestPartitionErrorsAreRetried(t *testing.T) {
	for _, e := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.LeaderNotAvailable,
		kerr.UnknownTopicOrPartition, kerr.KafkaStorageError, kerr.UnknownServerError, kerr.OffsetNotAvailable,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
			w := newWriter(t, c.ListenAddrs())
			write(t, w, 0, "k", "v0")
			write(t, w, 1, "k", "v1")
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Err: e, Count: 3})
			r := read(t, c.ListenAddrs(), nil)
			eventually(t, "both ends", func() bool { return r.atEnd(0, 1) && r.atEnd(1, 1) })
			if f.Hits() != 3 || !r.told(func(fe kafka.FetchError) bool { return fe.Partition == 0 }) {
				t.Errorf("%d faults, told %v", f.Hits(), r.errs)
			}
			if r.told(func(fe kafka.FetchError) bool { return fe.Partition == 1 }) {
				t.Errorf("told %v", r.errs)
			}
		})
	}
}

// TestLargeBatchComesThrough has a batch that is larger than every limit among partitions that always have records.
func TestLargeBatchComesThrough(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(8, topic))
	w := newWriter(t, c.ListenAddrs())
	large := strings.Repeat("x", 600_000)
	for p := range int32(8) {
		for i := range 30 {
			write(t, w, p, "k", fmt.Sprint(i, strings.Repeat("y", 3000)))
		}
	}
	write(t, w, 3, "k", large)
	write(t, w, 3, "k", "after")
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.MaxBytes, fc.MaxPartitionBytes = 8<<10, 4<<10 })
	eventually(t, "all ends", func() bool {
		for p := range int32(8) {
			want := int64(30)
			if p == 3 {
				want = 32
			}
			if !r.atEnd(p, want) {
				return false
			}
		}
		return true
	})
	if vs := r.values(3); len(vs) != 32 || vs[30] != large || vs[31] != "after" {
		t.Errorf("read %d records of partition 3", len(vs))
	}
}

func TestApplyErrorEndsRun(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	mine := errors.New("mine")
	r := read(t, c.ListenAddrs(), func(_ *kafka.FetcherConfig, r *reader) { r.apply = func(*kafka.Batch) error { return mine } })
	if err := r.result(t); !errors.Is(err, mine) {
		t.Errorf("Run returned %v", err)
	}
}

func TestContextEndsRun(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka.MaxWait = 2 * time.Second })
	eventually(t, "the first response", func() bool { return r.atEnd(0, 0) })
	began := time.Now()
	r.stop()
	if err := r.result(t); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if d := time.Since(began); d > 1500*time.Millisecond {
		t.Errorf("Run took %v to end, during a long poll", d)
	}
	if err := r.fetcher.Run(context.Background(), nil); err == nil {
		t.Error("a second Run returned no error")
	}
}

func TestLastFetchGoesOnWithoutRecords(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	r := read(t, c.ListenAddrs(), nil)
	if !r.fetcher.LastFetch(0).IsZero() && !r.atEnd(0, 0) {
		t.Error("a fetch before the first")
	}
	eventually(t, "a fetch", func() bool { return !r.fetcher.LastFetch(0).IsZero() })
	first := r.fetcher.LastFetch(0)
	eventually(t, "another one", func() bool { return r.fetcher.LastFetch(0).After(first) })
	if !r.fetcher.LastFetch(7).IsZero() {
		t.Error("a fetch of a partition that is not there")
	}
}

// TestUncompressedAndCompressed reads what every codec wrote.
func TestUncompressedAndCompressed(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	var want []string
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		w := newWriter(t, c.ListenAddrs(), kgo.ProducerBatchCompression(codec))
		v := name + strings.Repeat(" and again", 200)
		write(t, w, 0, "k", v)
		want = append(want, v)
	}
	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the end", func() bool { return r.atEnd(0, 5) })
	if got := r.values(0); !slices.Equal(got, want) {
		t.Errorf("read %.100q", got)
	}
}
