package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// manyWrites are clients that write at once, each its next entry as soon as the last one is answered.
type manyWrites struct {
	Addr      string // of a server, or Kafka's bootstrap
	Topic     string // of a producer
	ServerPID int
	Clients   int
	Entries   uint64
	Warmup    time.Duration
	Measure   time.Duration
}

type manyWritesResult struct {
	Writes    uint64
	Elapsed   time.Duration
	P50, P99  time.Duration
	ServerCPU time.Duration
}

// runSetMany has a connection for each client.
func runSetMany(ctx context.Context, o manyWrites) (manyWritesResult, error) {
	return o.run(ctx, func(int) (func(key, value []byte) error, func(), error) {
		c, err := dialRESP(o.Addr)
		if err != nil {
			return nil, nil, err
		}
		return func(key, value []byte) error {
			_, err := c.do([]byte("SET"), key, value)
			return err
		}, c.close, nil
	})
}

// runProduceMany shares one idempotent producer, as an application does.
func runProduceMany(ctx context.Context, o manyWrites) (manyWritesResult, error) {
	client, err := plainProducer(o.Addr, o.Topic)
	if err != nil {
		return manyWritesResult{}, err
	}
	defer client.Close()
	return o.run(ctx, func(int) (func(key, value []byte) error, func(), error) {
		return func(key, value []byte) error {
			return client.ProduceSync(ctx, &kgo.Record{Key: key, Value: value}).FirstErr()
		}, func() {}, nil
	})
}

// run has every client write until the time is over; open makes what a client writes with.
func (o manyWrites) run(ctx context.Context, open func(client int) (write func(key, value []byte) error, end func(), err error)) (manyWritesResult, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	from, until := o.Warmup, o.Warmup+o.Measure
	var mu sync.Mutex
	var times histogram // under mu
	var all sync.WaitGroup
	for i := range o.Clients {
		write, end, err := open(i)
		if err != nil {
			cancel(err)
			break
		}
		all.Go(func() {
			defer end()
			for n := uint64(0); ctx.Err() == nil; n++ {
				entry := mix(uint64(i)<<32|n) % o.Entries
				b := appendValue(appendKey(nil, entry), entry, n+1)
				start := time.Since(began)
				if start >= until {
					return
				}
				if err := write(b[:keySize:keySize], b[keySize:]); err != nil {
					cancel(err)
					return
				}
				if now := time.Since(began); start >= from && now < until {
					mu.Lock()
					times.record(now - start)
					mu.Unlock()
				}
			}
		})
	}
	var cpu [2]time.Duration
	var cpuErr error
	for i, at := range []time.Duration{from, until} {
		select {
		case <-time.After(at - time.Since(began)):
		case <-ctx.Done():
		}
		if o.ServerPID != 0 && cpuErr == nil {
			cpu[i], cpuErr = cpuTime(o.ServerPID)
		}
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return manyWritesResult{}, err
	}
	return manyWritesResult{times.total, o.Measure, times.quantile(0.5), times.quantile(0.99), cpu[1] - cpu[0]}, cpuErr
}

// manySets measures writes of many clients.
type manySets struct {
	*bench
	cases []*manySetsCase
}

type manySetsCase struct {
	clients                        int
	applied, acknowledged, produce manySetsFigures
}

type manySetsFigures struct{ perSecond, p50, p99, cpu samples }

func (f *manySetsFigures) add(r *manyWritesResult) {
	f.perSecond = append(f.perSecond, float64(r.Writes)/r.Elapsed.Seconds())
	f.p50, f.p99 = append(f.p50, float64(r.P50.Microseconds())), append(f.p99, float64(r.P99.Microseconds()))
	if r.ServerCPU > 0 {
		f.cpu = append(f.cpu, float64(r.ServerCPU.Nanoseconds())/1e3/float64(max(1, r.Writes)))
	}
}

// setClients are how many clients write at once.
var setClients = []int{50, 500}

func (b *bench) measureManySets(ctx context.Context) ([]section, error) {
	s := &manySets{bench: b}
	for _, n := range setClients {
		s.cases = append(s.cases, &manySetsCase{clients: n})
	}
	for _, topic := range []string{"bench-sets-applied", "bench-sets-acknowledged", "bench-sets-produce"} {
		if err := createTopic(ctx, b.kafka.Bootstrap, topic); err != nil {
			return nil, err
		}
	}
	err := b.inTurn(
		func() error {
			return s.ofDaemon(ctx, "applied", func(c *manySetsCase) *manySetsFigures { return &c.applied })
		},
		func() error {
			return s.ofDaemon(ctx, "acknowledged", func(c *manySetsCase) *manySetsFigures { return &c.acknowledged })
		},
		func() error {
			for _, c := range s.cases {
				if err := s.one(ctx, "produce-many", manyWrites{Addr: s.kafka.Bootstrap[0], Topic: "bench-sets-produce", Clients: c.clients}, &c.produce); err != nil {
					return err
				}
			}
			return nil
		},
	)
	if err != nil {
		return nil, err
	}
	return []section{s.section()}, nil
}

func (s *manySets) ofDaemon(ctx context.Context, reply string, figures func(*manySetsCase) *manySetsFigures) error {
	d, _, err := s.startDaemon(ctx, "bench-sets-"+reply, "", "--read-only=false", "--write-reply", reply)
	if err != nil {
		return err
	}
	defer d.proc.Kill()
	for _, c := range s.cases {
		if err := s.one(ctx, "set-many", manyWrites{Addr: d.addr, ServerPID: d.proc.PID(), Clients: c.clients}, figures(c)); err != nil {
			return d.error(err)
		}
	}
	_, err = d.stop()
	return err
}

func (s *manySets) one(ctx context.Context, worker string, o manyWrites, f *manySetsFigures) error {
	what := fmt.Sprintf("%s with %s", worker, plural(o.Clients, "client"))
	if err := s.awaitQuiet(ctx, what); err != nil {
		return err
	}
	o.Entries, o.Warmup, o.Measure = setEntries, s.warmup, s.options.measure
	r, err := runWorker[manyWrites, manyWritesResult](ctx, worker, o)
	if err != nil {
		return err
	}
	f.add(r)
	s.logf("%s: %.0f writes/s, p99 %v", what, f.perSecond[len(f.perSecond)-1], r.P99)
	return nil
}

func (s *manySets) section() section {
	t := table{head: []string{"clients", "", "writes/s, plain producer = 1", "writes/s", "p50, plain producer = 1", "p50 µs", "p99 µs", "kafka-cache's CPU µs a write"}}
	for _, c := range s.cases {
		for _, r := range []struct {
			name string
			f    *manySetsFigures
		}{{"SET, reply when applied", &c.applied}, {"SET, reply when acknowledged", &c.acknowledged}, {"plain producer", &c.produce}} {
			t.rows = append(t.rows, []string{fmt.Sprint(c.clients), r.name, r.f.perSecond.over(c.produce.perSecond).show("%.2f"), r.f.perSecond.show("%.0f"),
				r.f.p50.over(c.produce.p50).show("%.2f"), r.f.p50.show("%.0f"), r.f.p99.show("%.0f"), r.f.cpu.show("%.1f")})
		}
	}
	return section{
		title: "SET by many clients",
		text: []string{fmt.Sprintf("As above, by clients at the same time, each of which writes its next value once the last one is answered, for %v after a warm-up. kafka-cache has a connection for each; the plain producer is one that all share.",
			s.options.measure)},
		tables: []table{t},
	}
}
