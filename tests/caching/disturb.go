package caching

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// disturb lets a round go on for its time, and does something to it meanwhile. Every sixth round is one of the rarer kinds.
func (w *world) disturb(ctx context.Context, random *rand.Rand, r *Report) error {
	select {
	case <-time.After(roundTime):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	switch r.Rounds % 12 {
	case 6:
		r.Flushes++
		return w.flush()
	case 3:
		r.Rebuilds++
		w.still.Lock()
		defer w.still.Unlock()
		return w.rebuild(ctx, r.Rebuilds)
	case 9:
		r.Restarts++
		return w.restart(ctx)
	case 1, 5, 7, 11:
		r.Cuts += w.way.cut(random, 1+random.IntN(3))
	}
	return nil
}

// duel has another producer and the clients that write write the same keys at the same time, and nobody after them.
func (w *world) duel(ctx context.Context, clients []client, random *rand.Rand) {
	var wg sync.WaitGroup
	for _, c := range clients {
		if t, ok := c.(*tracker); ok && t.writes && t.c != nil {
			value := t.label + strconv.FormatUint(random.Uint64(), 36)
			wg.Go(func() {
				if t.write(value, sharedKeys) != nil {
					t.drop()
				}
			})
		}
	}
	var records []*kgo.Record
	for i := range random.IntN(4 * sharedKeys) {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte("shared" + strconv.Itoa(i%sharedKeys)), Value: []byte("duel" + strconv.FormatUint(random.Uint64(), 36))})
	}
	for _, r := range records { // one after the other, so that they fall between the others'
		_ = w.admin.ProduceSync(ctx, r)
	}
	w.wrote.Add(int64(len(records)))
	wg.Wait()
}

func (w *world) restart(ctx context.Context) error {
	w.daemon.kill()
	d, err := startDaemon(ctx, w.cfg, w.cluster.ListenAddrs())
	if err != nil {
		return err
	}
	w.daemon = d
	w.way.target(d.addr)
	return nil
}

func (w *world) flush() error {
	c, err := dial(w.daemon.addr)
	if err != nil {
		return err
	}
	defer c.close()
	if reply, err := c.call("flushdb"); err != nil || reply != "+OK\r\n" {
		return fmt.Errorf("FLUSHDB: %q, %w", reply, err)
	}
	return nil
}

// rebuild deletes the topic and creates it with other values. Nobody writes meanwhile: a write that is acknowledged in that moment may be answered as applied.
func (w *world) rebuild(ctx context.Context, n int) error {
	adm := kadm.NewClient(w.admin)
	if _, err := adm.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	if _, err := adm.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return err
	}
	w.admin.PurgeTopicsFromClient(topic)
	if err := w.writeCold(ctx, n); err != nil {
		return err
	}
	return w.eventually(ctx, "the contents of the new topic", func() bool {
		c, err := dial(w.daemon.addr)
		if err != nil {
			return false
		}
		defer c.close()
		reply, err := c.call("get", "cold0")
		return err == nil && value(reply) == strconv.Itoa(n)
	})
}

func (w *world) writeCold(ctx context.Context, n int) error {
	for i := range coldKeys {
		if err := w.produce(ctx, "cold"+strconv.Itoa(i), strconv.Itoa(n)); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) produce(ctx context.Context, key, value string) error {
	w.wrote.Add(1)
	return w.admin.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}).FirstErr()
}
