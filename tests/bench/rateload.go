package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// rateLoad writes records at a fixed rate.
type rateLoad struct {
	Addr      string // of a redis-server, or Kafka's bootstrap
	Topic     string // of Kafka
	PerSecond int
	For       time.Duration
	Entries   uint64 // different keys that are overwritten in turn
	Fresh     bool   // keys beyond those, each once
}

type rateResult struct{ Written int }

// rateTick is how often what is due is written.
const rateTick = 2 * time.Millisecond

// paced calls write for every record when it is due, and flush after those that were due together.
func (o rateLoad) paced(ctx context.Context, write func(key, value []byte) error, flush func() error) (int, error) {
	tick := time.NewTicker(rateTick)
	defer tick.Stop()
	began := time.Now()
	first := uint64(began.UnixNano()) // so that another call has other keys and versions
	written := 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return written, ctx.Err()
		}
		elapsed := min(time.Since(began), o.For)
		due := int(elapsed.Seconds() * float64(o.PerSecond))
		for ; written < due; written++ {
			entry := mix(uint64(written)) % o.Entries
			if o.Fresh {
				entry = o.Entries + first + uint64(written)
			}
			b := make([]byte, 0, keySize+valueSize)
			b = appendValue(appendKey(b, entry), entry, 1+first%1000+uint64(written))
			if err := write(b[:keySize:keySize], b[keySize:]); err != nil {
				return written, err
			}
		}
		if err := flush(); err != nil {
			return written, err
		}
		if elapsed >= o.For {
			return written, nil
		}
	}
}

// runProduceRate writes to Kafka, in batches of a few milliseconds.
func runProduceRate(ctx context.Context, o rateLoad) (rateResult, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(o.Addr),
		kgo.DefaultProduceTopic(o.Topic),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.MaxBufferedRecords(o.PerSecond),
	)
	if err != nil {
		return rateResult{}, err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	n, err := o.paced(ctx, func(key, value []byte) error {
		client.Produce(ctx, &kgo.Record{Key: key, Value: value}, done)
		return nil
	}, func() error {
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	})
	if err != nil {
		return rateResult{}, err
	}
	if err := client.Flush(ctx); err != nil {
		return rateResult{}, err
	}
	if err := failed.Load(); err != nil {
		return rateResult{}, fmt.Errorf("produce: %w", *err)
	}
	return rateResult{n}, nil
}

// runSetRate writes to a redis-server: what is due together in one pipeline.
func runSetRate(ctx context.Context, o rateLoad) (rateResult, error) {
	c, err := dialRESP(o.Addr)
	if err != nil {
		return rateResult{}, err
	}
	defer c.close()
	queued := 0
	n, err := o.paced(ctx, func(key, value []byte) error {
		c.queue([]byte("SET"), key, value)
		queued++
		return nil
	}, func() error {
		if queued == 0 {
			return nil
		}
		if err := c.flush(); err != nil {
			return err
		}
		for ; queued > 0; queued-- {
			if _, err := c.reply(); err != nil {
				return err
			}
		}
		return nil
	})
	return rateResult{n}, err
}
