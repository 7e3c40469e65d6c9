// Command waits shows what waits for tokens cost kafka-cache: the memory that they take, and what a write and the wait for it
// take while 100 and 10,000 others wait. It prints figures and decides nothing.
//
//	go run ./conformance/cmd/waits [-waits 10000] [-rounds 3] [-probes 1000]
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/conformance"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

const few = 100

func main() {
	many := flag.Int("waits", 10_000, "waits at once, compared with 100")
	rounds := flag.Int("rounds", 3, "how often both are measured, in turn")
	probes := flag.Int("probes", 1000, "writes, each with a wait for it, that are timed in a round")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *many, *rounds, *probes); err != nil {
		fmt.Fprintln(os.Stderr, "waits:", err)
		os.Exit(1)
	}
}

// daemon is what this program needs of a running kafka-cache.
type daemon interface {
	conformance.Instance
	conformance.Waiter
	conformance.RedisServer
	PID() int
}

func run(ctx context.Context, many, rounds, probes int) (err error) {
	if err := raiseFileLimit(uint64(many) + 1000); err != nil {
		return err
	}
	cluster, err := kafkatest.Open(ctx, kafkatest.Options{Private: true})
	if err != nil {
		return err
	}
	defer cluster.Close()
	topic := "waits"
	if err := createTopic(ctx, cluster, topic); err != nil {
		return err
	}
	subject, err := conformance.NewSubject("kafka-cache")
	if err != nil {
		return err
	}
	if err := subject.Prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.Close()) }()
	i, err := subject.Start(ctx, conformance.Spec{Bootstrap: cluster.Addr(), Topic: topic, Identity: topic, Writable: true,
		Args: []string{"--resp-maxclients", strconv.Itoa(many + 1000)}})
	if err != nil {
		return err
	}
	defer i.Kill()
	d, ok := i.(daemon)
	if !ok {
		return errors.New("kafka-cache has no waits")
	}
	if _, err := d.WaitReady(ctx); err != nil {
		return err
	}
	if _, err := measure(ctx, d, probes); err != nil { // warms up
		return err
	}
	fmt.Printf("%8s  %12s  %14s  %12s  %12s  %12s  %12s  %14s\n", "waiting", "idle MB", "waiting MB", "SET p50", "SET p99", "wait p50", "wait p99", "all released")
	p50 := map[int][]float64{}
	var waits, connections float64
	for range rounds {
		for _, n := range []int{few, many} {
			r, err := round(ctx, d, n, probes)
			if err != nil {
				return fmt.Errorf("%d waits: %w", n, err)
			}
			fmt.Printf("%8d  %12.1f  %14.1f  %12v  %12v  %12v  %12v  %14v\n", n, r.idle, r.waiting, r.set.p50, r.set.p99, r.wait.p50, r.wait.p99, r.released)
			p50[n] = append(p50[n], float64(r.wait.p50))
			if n == many {
				waits, connections = max(waits, r.waiting-r.idle), max(connections, r.idle-r.before)
			}
		}
	}
	slices.Sort(p50[few])
	slices.Sort(p50[many])
	fmt.Printf("%d waits: %.1f MB more than their connections, which take %.1f MB; a write and the wait for it take %.2f times what they take among %d (medians of %d rounds)\n",
		many, waits, connections, p50[many][rounds/2]/p50[few][rounds/2], few, rounds)
	return nil
}

type result struct {
	before, idle, waiting float64 // MB resident without connections, with idle ones, with waits on them
	set, wait             quantiles
	released              time.Duration
}

// round has n connections wait for a record that is written at the end of it.
func round(ctx context.Context, d daemon, n, probes int) (r result, err error) {
	if r.before, err = resident(d.PID()); err != nil {
		return r, err
	}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range n {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.RedisAddr())
		if err != nil {
			return r, err
		}
		conns = append(conns, c)
		if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			return r, err
		}
		if _, err := c.Write([]byte("PING\r\n")); err != nil {
			return r, err
		}
		if err := expect(c, "+PONG"); err != nil {
			return r, err
		}
	}
	if r.idle, err = resident(d.PID()); err != nil {
		return r, err
	}
	position, err := d.Position(ctx)
	if err != nil {
		return r, err
	}
	// The probes write one record each; what is waited for comes behind them.
	cut := strings.LastIndexByte(position, ':')
	next, err := strconv.Atoi(strings.Split(strings.TrimPrefix(position[cut+1:], "0."), ".")[0])
	if err != nil {
		return r, err
	}
	last := next + probes + 1
	command := fmt.Sprintf("KAFKA.WAIT %s:0.%d 240000\r\n", position[:cut], last)
	for _, c := range conns {
		if _, err := c.Write([]byte(command)); err != nil {
			return r, err
		}
	}
	quantilesOf, err := measure(ctx, d, probes)
	if err != nil {
		return r, err
	}
	r.set, r.wait = quantilesOf[0], quantilesOf[1]
	if r.waiting, err = resident(d.PID()); err != nil {
		return r, err
	}
	began := time.Now()
	if err := d.Redis().Set(ctx, "release", "1", 0).Err(); err != nil {
		return r, err
	}
	for _, c := range conns {
		if err := expect(c, ":1"); err != nil {
			return r, err
		}
	}
	r.released = time.Since(began).Round(10 * time.Microsecond)
	return r, nil
}

func expect(c net.Conn, want string) error {
	line, err := bufio.NewReaderSize(c, 64).ReadString('\n')
	if err == nil && strings.TrimSpace(line) != want {
		err = fmt.Errorf("it replies %q, not %q", line, want)
	}
	return err
}

// measure times writes, and writes together with waits for their tokens over one connection.
func measure(ctx context.Context, d daemon, probes int) (q [2]quantiles, err error) {
	client := redis.NewClient(&redis.Options{Addr: d.RedisAddr(), PoolSize: 1, MaxRetries: -1})
	defer client.Close()
	var sets, waits []time.Duration
	for n := range probes {
		began := time.Now()
		reply, err := client.Do(ctx, "KAFKA.SET", fmt.Sprintf("probe%d", n%100), strconv.Itoa(n)).Slice()
		if err != nil {
			return q, err
		}
		sets = append(sets, time.Since(began))
		if n, err := client.Do(ctx, "KAFKA.WAIT", reply[2], 10_000).Int(); err != nil || n != 1 {
			return q, fmt.Errorf("KAFKA.WAIT replies %d, %w", n, err)
		}
		waits = append(waits, time.Since(began))
	}
	return [2]quantiles{quantilesOf(sets), quantilesOf(waits)}, nil
}

type quantiles struct{ p50, p99 time.Duration }

func quantilesOf(d []time.Duration) quantiles {
	slices.Sort(d)
	return quantiles{d[len(d)/2].Round(time.Microsecond), d[len(d)*99/100].Round(time.Microsecond)}
}

// resident is a process's resident memory in MB.
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1000, err
		}
	}
	return 0, errors.New("no VmRSS")
}

func raiseFileLimit(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Max < n {
		return fmt.Errorf("at most %d files may be open, %d are needed: raise the hard limit (ulimit -Hn)", l.Max, n)
	}
	l.Cur = max(l.Cur, n)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

func createTopic(ctx context.Context, c *kafkatest.Cluster, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap...))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, topic)
	return err
}
