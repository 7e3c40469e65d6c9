package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/bench/rawkafka"
)

// manyWrites are clients that write at once, each its next entry as soon as the last one is answered.
type manyWrites struct {
	Addr      string // of a server, or Kafka's bootstrap
	Topic     string // of a producer
	ServerPID int
	BrokerPID int // 0: not known
	Clients   int
	Entries   uint64
	Warmup    time.Duration
	Measure   time.Duration
}

type manyWritesResult struct {
	Writes   uint64
	Elapsed  time.Duration
	P50, P99 time.Duration
	// CPU times while writes were measured; LoadCPU is the clients' own process.
	ServerCPU, BrokerCPU, LoadCPU time.Duration
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

// runSaramaMany shares one idempotent producer of sarama, the client that kafka-cache is built on.
func runSaramaMany(ctx context.Context, o manyWrites) (manyWritesResult, error) {
	p, err := rawkafka.NewProducer(o.Addr, o.Topic)
	if err != nil {
		return manyWritesResult{}, err
	}
	r, err := o.run(ctx, func(int) (func(key, value []byte) error, func(), error) { return p.Write, func() {}, nil })
	return r, errors.Join(err, p.Close())
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
				entry := entryOf(i, n, o.Entries)
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
	clocks := clocks{o.ServerPID, o.BrokerPID}
	var read [2]clockReading
	var clockErr error
	for i, at := range []time.Duration{from, until} {
		select {
		case <-time.After(at - time.Since(began)):
		case <-ctx.Done():
		}
		r, err := clocks.read()
		read[i], clockErr = r, errors.Join(clockErr, err)
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return manyWritesResult{}, err
	}
	return resultOf(&times, read[0], read[1]), clockErr
}

// entryOf is what a client writes at a time.
func entryOf(client int, n, entries uint64) uint64 { return mix(uint64(client)<<32|n) % entries }

// clocks are those of the processes that share the machine: the server's and the broker's, where they are not 0, and this one's.
type clocks struct{ server, broker int }

type clockReading struct {
	at                   time.Time
	server, broker, load time.Duration
}

func (c clocks) read() (r clockReading, err error) {
	for _, of := range []struct {
		pid  int
		time *time.Duration
	}{{c.server, &r.server}, {c.broker, &r.broker}, {os.Getpid(), &r.load}} {
		if of.pid != 0 {
			var e error
			*of.time, e = cpuTime(of.pid)
			err = errors.Join(err, e)
		}
	}
	r.at = time.Now()
	return r, err
}

func resultOf(times *histogram, from, until clockReading) manyWritesResult {
	return manyWritesResult{times.total, until.at.Sub(from.at), times.quantile(0.5), times.quantile(0.99),
		until.server - from.server, until.broker - from.broker, until.load - from.load}
}

// manySets measures writes of many clients.
type manySets struct {
	*bench
	cases []*manySetsCase
}

type manySetsCase struct {
	clients                                     int
	applied, acknowledged, sarama, franz, redis manySetsFigures
}

type manySetsFigures struct{ perSecond, p50, p99, server, broker, load samples }

func (f *manySetsFigures) add(r *manyWritesResult) {
	f.perSecond = append(f.perSecond, float64(r.Writes)/r.Elapsed.Seconds())
	f.p50, f.p99 = append(f.p50, float64(r.P50.Microseconds())), append(f.p99, float64(r.P99.Microseconds()))
	each := func(to *samples, cpu time.Duration) {
		if cpu > 0 {
			*to = append(*to, float64(cpu.Nanoseconds())/1e3/float64(max(1, r.Writes)))
		}
	}
	each(&f.server, r.ServerCPU)
	each(&f.broker, r.BrokerCPU)
	each(&f.load, r.LoadCPU)
}

// setClients are how many clients write at once, and what is aimed at, of what sarama's producer makes.
var setClients = []struct {
	clients int
	least   float64
}{{50, 0.6}, {500, 0.9}}

const (
	saramaMany = "sarama-many"
	franzMany  = "produce-many"
)

func (b *bench) measureManySets(ctx context.Context) ([]section, error) {
	s := &manySets{bench: b}
	for _, n := range setClients {
		s.cases = append(s.cases, &manySetsCase{clients: n.clients})
	}
	for _, topic := range []string{"applied", "acknowledged", saramaMany, franzMany} {
		if err := createTopic(ctx, b.kafka.Bootstrap, "bench-sets-"+topic); err != nil {
			return nil, err
		}
	}
	// A broker that has just started compiles its code under the first load, for ten seconds and more: nobody's round pays for that.
	b.logf("warming the broker up")
	for range 2 {
		if err := s.byProducer(ctx, saramaMany, func(*manySetsCase) *manySetsFigures { return new(manySetsFigures) }); err != nil {
			return nil, err
		}
	}
	err := b.inTurn(
		func() error {
			return s.ofDaemon(ctx, "applied", func(c *manySetsCase) *manySetsFigures { return &c.applied })
		},
		func() error {
			return s.byProducer(ctx, saramaMany, func(c *manySetsCase) *manySetsFigures { return &c.sarama })
		},
		func() error {
			return s.ofDaemon(ctx, "acknowledged", func(c *manySetsCase) *manySetsFigures { return &c.acknowledged })
		},
		func() error {
			return s.byProducer(ctx, franzMany, func(c *manySetsCase) *manySetsFigures { return &c.franz })
		},
		func() error { return s.ofRedis(ctx) },
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
	return s.ofServer(ctx, d, "SET, "+reply, figures)
}

func (s *manySets) ofRedis(ctx context.Context) error {
	r, err := s.startRedis(ctx, setEntries)
	if err != nil {
		return err
	}
	return s.ofServer(ctx, r, "SET, redis-server", func(c *manySetsCase) *manySetsFigures { return &c.redis })
}

// ofServer measures a server, and ends it.
func (s *manySets) ofServer(ctx context.Context, d *server, what string, figures func(*manySetsCase) *manySetsFigures) error {
	defer d.proc.Kill()
	for _, c := range s.cases {
		if err := s.one(ctx, what, "set-many", manyWrites{Addr: d.addr, ServerPID: d.proc.PID(), Clients: c.clients}, figures(c)); err != nil {
			return d.error(err)
		}
	}
	_, err := d.stop()
	return err
}

func (s *manySets) byProducer(ctx context.Context, worker string, figures func(*manySetsCase) *manySetsFigures) error {
	for _, c := range s.cases {
		if err := s.one(ctx, worker, worker, manyWrites{Addr: s.kafka.Bootstrap[0], Topic: "bench-sets-" + worker, Clients: c.clients}, figures(c)); err != nil {
			return err
		}
	}
	return nil
}

func (s *manySets) one(ctx context.Context, what, worker string, o manyWrites, f *manySetsFigures) error {
	what = fmt.Sprintf("%s, %s", what, plural(o.Clients, "client"))
	if err := s.awaitQuiet(ctx, what); err != nil {
		return err
	}
	if brokers := s.kafka.Brokers; len(brokers) > 0 {
		o.BrokerPID = brokers[0].PID()
	}
	o.Entries, o.Warmup, o.Measure = setEntries, s.warmup, s.options.measure
	r, err := runWorker[manyWrites, manyWritesResult](ctx, worker, o)
	if err != nil {
		return err
	}
	f.add(r)
	s.logf("%s: %.0f writes/s, p50 %v, p99 %v", what, f.perSecond[len(f.perSecond)-1], r.P50, r.P99)
	return nil
}

func (s *manySets) section() section {
	t := table{head: []string{"clients", "", "writes/s, sarama = 1", "writes/s", "p50 µs", "p99 µs", "CPU µs a write: server", "broker", "clients"}}
	var targets []target
	for i, c := range s.cases {
		for _, r := range []struct {
			name string
			f    *manySetsFigures
		}{
			{"SET, reply when applied", &c.applied}, {"SET, reply when acknowledged", &c.acknowledged},
			{"sarama's producer", &c.sarama}, {"franz-go's producer", &c.franz}, {"SET, redis-server, no log", &c.redis},
		} {
			t.rows = append(t.rows, []string{fmt.Sprint(c.clients), r.name, r.f.perSecond.over(c.sarama.perSecond).show("%.2f"), r.f.perSecond.show("%.0f"),
				r.f.p50.show("%.0f"), r.f.p99.show("%.0f"), r.f.server.show("%.1f"), r.f.broker.show("%.1f"), r.f.load.show("%.1f")})
		}
		got, least := c.applied.perSecond.over(c.sarama.perSecond), setClients[i].least
		targets = append(targets, target{fmt.Sprintf("SET until it is visible, %s, writes/s next to sarama's idempotent producer", plural(c.clients, "client")),
			fmt.Sprintf("at least %.1f", least), got.show("%.2f"), got.median() >= least})
	}
	return section{
		title: "SET by many clients",
		text: []string{
			fmt.Sprintf("As above, by clients at the same time, each of which writes its next value once the last one is answered, for %v after a warm-up. kafka-cache and redis-server have a connection for each, which one thread "+
				"with epoll drives. The producers are idempotent, with acks=all and without compression; the clients are goroutines of the producer's own process, which share it: sarama's with its defaults, which are one request in flight, franz-go's without a linger "+
				"and with up to five. CPU times are those of the three processes that share the machine, divided by the writes.", s.options.measure),
		},
		tables:  []table{t},
		targets: targets,
	}
}
