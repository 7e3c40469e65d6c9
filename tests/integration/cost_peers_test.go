//go:build linux && !race

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/internal/crowd"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestCostOfTenThousandWaitsAcrossInstances: 10,000 clients wait for what an open transaction hides from two instances. That costs less than 120 MB
// with their connections and less than 20 MB on the other instance, over one connection; when it ends all are answered within two seconds, and nothing is left.
func TestCostOfTenThousandWaitsAcrossInstances(t *testing.T) {
	const n = 10_000
	if err := crowd.RaiseFileLimit(n + 1000); err != nil {
		t.Fatal(err)
	}
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	pods := fleet(t, c, topic, freeAddrs(t, 2), "--resp-maxclients", "11000", "--write-reply", "acknowledged")
	a, b := pods[0], pods[1]
	awaitPeers(a, 1)
	awaitPeers(b, 1)
	ctx := t.Context()
	client := a.Client(0)
	beforeA, beforeB := resident(t, a.PID()), resident(t, b.PID())
	all, err := crowd.Gather(ctx, a.RESPAddr, n)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	tx := c.Client(t, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(ctx, &kgo.Record{Key: []byte("open"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := all.Send("SET k v"); err != nil {
		t.Fatal(err)
	}
	if err := all.Expect("+OK"); err != nil {
		t.Fatal(err)
	}
	blocked := func(n int) func() bool {
		return func() bool {
			info, err := client.Info(ctx, "clients").Result()
			return err == nil && strings.Contains(info, fmt.Sprintf("\r\nblocked_clients:%d\r\n", n))
		}
	}
	if err := all.Send("WAIT 2 0"); err != nil {
		t.Fatal(err)
	}
	a.Await("all of them wait", blocked(n)) // the other instance, which asks how far this one is, is no client
	waitingA, waitingB := resident(t, a.PID())-beforeA, resident(t, b.PID())-beforeB
	began := time.Now()
	if err := tx.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := all.Expect(":2"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("10,000 waits take %.1f MB with their connections and %.1f MB on the peer; all are answered %v after the transaction ends", float64(waitingA)/1e6, float64(waitingB)/1e6, took.Round(time.Millisecond))
	if waitingA > 120e6 || waitingB > 20e6 {
		t.Error("that is more than it should be")
	}
	if took > 2*time.Second {
		t.Error("that is later than it should be")
	}
	if clients := b.Metric("kafka_cache_resp_connections"); clients != 1 {
		t.Errorf("the peer has %v connections", clients)
	}
	// Again, and this time the clients leave.
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(ctx, &kgo.Record{Key: []byte("open"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := all.Send("SET k w"); err != nil {
		t.Fatal(err)
	}
	if err := all.Expect("+OK"); err != nil {
		t.Fatal(err)
	}
	if err := all.Send("WAIT 2 0"); err != nil {
		t.Fatal(err)
	}
	a.Await("all of them wait again", blocked(n))
	all.Close()
	a.Await("nobody waits any more", blocked(0))
	if err := tx.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	cn := conn(t, a)
	set(t, cn, "k", "x")
	wantWait(t, cn, 2, 10*time.Second, 2)
}
