package resp_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver"
)

// TestScanAcrossInstances: a SCAN may ask another instance for each page. One has seen all that was written and deleted, in its order; the other
// begins when most of it is over and reads three partitions side by side, so that it has met the keys in another order. Keys come and go meanwhile.
func TestScanAcrossInstances(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f := start(t, nil)
	const n = 3000
	var records []*kgo.Record
	stay := map[string]bool{}
	for _, i := range r.Perm(n) {
		key := fmt.Sprintf("key-%d", i)
		records = append(records, &kgo.Record{Topic: "a", Key: []byte(key), Value: []byte("v")})
		if i%3 == 0 {
			records = append(records, &kgo.Record{Topic: "a", Key: []byte(key)})
		} else {
			stay[key] = true
		}
	}
	if err := f.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	f.produce("a", "key-1", "last")
	eventually(t, "the older instance", func() bool { return f.dial().call("dbsize") == ":"+strconv.Itoa(len(stay))+"\r\n" })
	younger := f.another()
	eventually(t, "the younger instance", func() bool { return dial(t, younger).call("dbsize") == ":"+strconv.Itoa(len(stay))+"\r\n" })
	for _, count := range []string{"1", "10", "77"} {
		peers := []*peer{f.dial(), dial(t, younger)}
		seen, cursor := map[string]bool{}, "0"
		for pages := 0; ; pages++ {
			if pages > 2*n {
				t.Fatal("SCAN does not end")
			}
			page := bulks(peers[r.IntN(2)].call("scan", cursor, "count", count))
			cursor = page[0]
			if v, err := strconv.ParseUint(cursor, 10, 64); err != nil || v >= 1<<53 {
				t.Fatalf("the cursor %q is no number below 2^53", cursor)
			}
			for _, k := range page[1:] {
				seen[k] = true
			}
			if cursor == "0" {
				break
			}
			if pages%50 == 0 { // what comes and goes moves nothing that stays
				other := fmt.Sprintf("other-%d", r.IntN(200))
				peers[0].call("set", other, "x")
				peers[0].call("del", fmt.Sprintf("other-%d", r.IntN(200)))
			}
		}
		missing := 0
		for k := range stay {
			if !seen[k] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("COUNT %s: %d of %d keys were not returned", count, missing, len(stay))
		}
		for i := range 200 {
			peers[0].call("del", fmt.Sprintf("other-%d", i))
		}
		for _, p := range peers {
			_ = p.nc.Close()
		}
	}
}

// another is one more instance over the same topics, which begins now.
func (f *fixture) another() (addr string) {
	t := f.t
	t.Helper()
	c, err := cache.Open(context.Background(), cache.Config{
		Kafka: kafka.Config{Bootstrap: f.cluster.ListenAddrs(), MaxWait: 100 * time.Millisecond}, NoCommit: true, Identity: "another",
		Topics: []cache.TopicConfig{{Name: "a", Writable: true, ValueEncoding: "binary", KeyEncoding: "binary"}, {Name: "b", Writable: true}, {Name: "c"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	srv, err := respserver.NewServer(respserver.Config{Cache: c, Driver: driver, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-served
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return l.Addr().String()
}
