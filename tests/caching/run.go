package caching

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says what a run does.
type Config struct {
	Seed     uint64
	Duration time.Duration // of the rounds
	Binary   string        // the daemon
	Broken   string        // the fault that its build has; empty: none
	Python   string        // interpreter with redis-py 8 on its path; empty: without redis-py
	Library  string        // PYTHONPATH
	Script   string        // redispy.py
	Logf     func(format string, args ...any)
}

// Report is what came of a run.
type Report struct {
	Violations []string
	Rounds     int
	Writes     int64
	Cuts       int
	Restarts   int
	Rebuilds   int
	Flushes    int
	Kept       map[string]int // entries that were compared in stillness, by client
	Told       int64          // invalidations to the clients of this package
}

const (
	topic      = "t"
	partitions = 3
	roundTime  = 250 * time.Millisecond
	stillness  = 20 * time.Second // that a wait may take
	hotKeys    = 6                // written by connections of the instance, each by one
	logKeys    = 6                // written by another producer
	coldKeys   = 6                // written only where the topic was made anew
	sharedKeys = 4                // written by another producer and by clients at the same time
)

// world is what the clients of a run share.
type world struct {
	cfg     Config
	cluster *kfake.Cluster
	admin   *kgo.Client
	daemon  *daemon
	way     *forwarder // to the daemon, through its restarts
	keys    []string

	still sync.RWMutex // held for reading by whoever does something, and by the run in stillness
	acked [hotKeys]atomic.Int64
	told  atomic.Int64
	wrote atomic.Int64

	mu         sync.Mutex
	violations []string
}

func (w *world) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.violations) < 20 {
		w.violations = append(w.violations, fmt.Sprintf(format, args...))
	}
}

func (w *world) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.violations) > 0
}

// client keeps what it reads.
type client interface {
	name() string
	step(random *rand.Rand)                                                   // reads, and perhaps writes, for a moment
	compare(ctx context.Context, now map[string]string) (kept int, err error) // what it keeps with what there is; tells of violations
	close()
}

// Run runs until the duration is over, or a violation is found.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	w := &world{cfg: cfg, cluster: cluster}
	for i := range hotKeys {
		w.keys = append(w.keys, "hot"+strconv.Itoa(i))
	}
	for i := range logKeys {
		w.keys = append(w.keys, "log"+strconv.Itoa(i))
	}
	for i := range coldKeys {
		w.keys = append(w.keys, "cold"+strconv.Itoa(i))
	}
	for i := range sharedKeys {
		w.keys = append(w.keys, "shared"+strconv.Itoa(i))
	}
	if w.admin, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MetadataMinAge(50*time.Millisecond)); err != nil {
		return nil, err
	}
	defer w.admin.Close()
	if w.daemon, err = startDaemon(ctx, cfg, cluster.ListenAddrs()); err != nil {
		return nil, err
	}
	defer func() { w.daemon.kill() }()
	if w.way, err = newForwarder(w.daemon.addr); err != nil {
		return nil, err
	}
	defer w.way.close()
	return w.run(ctx)
}

func (w *world) run(ctx context.Context) (*Report, error) {
	clients, err := w.clients()
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := w.writeCold(ctx, 0); err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	stream := uint64(0)
	work := func(fn func(random *rand.Rand)) {
		stream++
		random := rand.New(rand.NewPCG(w.cfg.Seed, stream))
		wg.Go(func() {
			for working.Err() == nil {
				w.still.RLock()
				fn(random)
				w.still.RUnlock()
			}
		})
	}
	w.writers(working, work)
	for _, c := range clients {
		work(c.step)
	}
	r := &Report{Kept: map[string]int{}}
	random := rand.New(rand.NewPCG(w.cfg.Seed, 0))
	for end := time.Now().Add(w.cfg.Duration); time.Now().Before(end) && !w.failed(); {
		r.Rounds++
		if err := w.disturb(ctx, random, r); err != nil {
			return nil, fmt.Errorf("round %d: %w", r.Rounds, err)
		}
		w.still.Lock()
		w.duel(ctx, clients, random)
		err := w.compare(ctx, clients, r)
		w.still.Unlock()
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", r.Rounds, err)
		}
	}
	stop()
	wg.Wait()
	r.Violations, r.Writes, r.Told = w.violations, w.wrote.Load(), w.told.Load()
	return r, nil
}

// compare waits until the instance has applied everything, and holds each client to it.
func (w *world) compare(ctx context.Context, clients []client, r *Report) error {
	var now map[string]string
	err := w.eventually(ctx, "the end of the log", func() bool {
		c, err := dial(w.daemon.addr)
		if err != nil {
			return false
		}
		defer c.close()
		if reply, err := c.call("kafka.sync", "5000"); err != nil || strings.HasPrefix(reply, "-") {
			return false
		}
		now = map[string]string{}
		for _, k := range w.keys {
			reply, err := c.call("get", k)
			if err != nil || reply[0] != '$' {
				return false
			}
			now[k] = value(reply)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, c := range clients {
		kept, err := c.compare(ctx, now)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
		r.Kept[c.name()] += kept
	}
	return nil
}

func (w *world) eventually(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, stillness)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s is not there within %v; the daemon printed:\n%s", what, stillness, w.daemon.printed()), context.Cause(ctx))
		}
	}
	return nil
}

// writers write in bursts, so that now and then a value stays.
func (w *world) writers(ctx context.Context, work func(func(random *rand.Rand))) {
	for i := range 3 {
		var c *conn
		next := map[int]int64{}
		work(func(random *rand.Rand) {
			for range 1 + random.IntN(20) {
				if c == nil {
					if c, _ = dial(w.way.addr()); c == nil {
						rest(ctx)
						return
					}
				}
				k := i + 3*random.IntN(hotKeys/3)
				next[k]++
				reply, err := c.call("set", "hot"+strconv.Itoa(k), strconv.FormatInt(next[k], 10))
				if err != nil {
					c.close()
					c = nil
					return
				}
				if reply == "+OK\r\n" {
					w.wrote.Add(1)
					w.acked[k].Store(next[k])
				}
			}
			rest(ctx)
		})
	}
	n := 0
	work(func(random *rand.Rand) {
		var records []*kgo.Record
		for range 1 + random.IntN(6) {
			n++
			key := "log" + strconv.Itoa(random.IntN(logKeys))
			if random.IntN(2) == 0 {
				key = "shared" + strconv.Itoa(random.IntN(sharedKeys))
			}
			r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte("log" + strconv.Itoa(n))}
			if random.IntN(5) == 0 {
				r.Value = nil
			}
			records = append(records, r)
		}
		w.wrote.Add(int64(len(records)))
		_ = w.admin.ProduceSync(ctx, records...) // what is lost was not written
	})
}

// rest lets others run.
func rest(ctx context.Context) {
	select {
	case <-time.After(2 * time.Millisecond):
	case <-ctx.Done():
	}
}

// String tells what was done.
func (r *Report) String() string {
	var kept []string
	for _, name := range slices.Sorted(maps.Keys(r.Kept)) {
		kept = append(kept, fmt.Sprintf("%s %d", name, r.Kept[name]))
	}
	return fmt.Sprintf("%d rounds, %d writes, %d connections cut, %d restarts, %d rebuilds, %d flushes; %d invalidations; entries compared: %s; violations: %q",
		r.Rounds, r.Writes, r.Cuts, r.Restarts, r.Rebuilds, r.Flushes, r.Told, strings.Join(kept, ", "), r.Violations)
}
