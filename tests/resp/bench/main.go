// Command bench compares GETs of the Redis frontend with redis-server in the same run: the same entries, the same redis-benchmark,
// rounds of one after the other.
//
//	go run ./resp/bench -entries 1000000 -rounds 4
//
// It needs redis-server and redis-benchmark (Debian: apt-get install redis-server redis-tools).
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver"
)

const (
	topic     = "bench"
	keyPrefix = "user:0000-0000-0000-000:" // and redis-benchmark's 12 digits: 36 bytes
	valueSize = 200
)

func main() {
	entries := flag.Int("entries", 1_000_000, "entries of 36 + 200 bytes")
	rounds := flag.Int("rounds", 4, "interleaved rounds")
	requests := flag.Int("requests", 400_000, "requests a round at pipeline 1; four times as many at 16")
	clients := flag.Int("clients", 50, "connections")
	serve := flag.String("serve", "", "internal: serve from the broker at this address")
	dir := flag.String("dir", "", "internal: the data directory")
	pprof := flag.String("pprof", "", "serve profiles of the frontend here")
	flag.Parse()
	var err error
	if *serve != "" {
		err = runServer(*serve, *dir, *pprof)
	} else {
		err = compare(*entries, *rounds, *requests, *clients, *pprof)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// runServer is the child: cache and frontend alone in their process. It ends when its standard input does.
func runServer(broker, dir, pprof string) error {
	if pprof != "" {
		go func() { log.Print(http.ListenAndServe(pprof, nil)) }()
	}
	c, err := cache.Open(context.Background(), cache.Config{
		Kafka: kafka.Config{Bootstrap: []string{broker}}, Topics: []cache.TopicConfig{{Name: topic, ValueEncoding: "binary"}}, DataDir: dir, NoCommit: true,
		Identity: "bench",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := respserver.NewServer(respserver.Config{Cache: c})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	if err := c.Topics()[0].WaitReady(context.Background()); err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if err := s.Shutdown(context.Background()); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, respserver.ErrServerClosed) {
		return err
	}
	return nil
}

// target is one server under load.
type target struct {
	name string
	port int
	pid  int
	ops  map[int][]float64       // by pipeline
	cpu  map[int][]time.Duration // an operation
}

func compare(entries, rounds, requests, clients int, pprof string) error {
	for _, tool := range []string{"redis-server", "redis-benchmark", "redis-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w (Debian: apt-get install redis-server redis-tools)", err)
		}
	}
	dir, err := os.MkdirTemp("", "respbench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	kc, stopKC, err := startCache(entries, dir, pprof)
	if err != nil {
		return err
	}
	defer stopKC()
	rs, stopRedis, err := startRedis(entries, dir)
	if err != nil {
		return err
	}
	defer stopRedis()
	for _, p := range []int{1, 16} {
		for range rounds {
			for _, t := range []*target{rs, kc} {
				if err := t.load(p, requests, clients, entries); err != nil {
					return err
				}
			}
		}
	}
	fmt.Printf("%d entries of 36 + %d B, %d connections, %d rounds, medians\n", entries, valueSize, clients, rounds)
	fmt.Printf("| | ops/s P=1 | CPU/op P=1 | ops/s P=16 | CPU/op P=16 | ratio P=1 | ratio P=16 | resident |\n|---|---|---|---|---|---|---|---|\n")
	for _, t := range []*target{rs, kc} {
		fmt.Printf("| %s | %.0f | %v | %.0f | %v | %.2f | %.2f | %d MB |\n", t.name, median(t.ops[1]), median(t.cpu[1]), median(t.ops[16]), median(t.cpu[16]),
			median(t.ops[1])/median(rs.ops[1]), median(t.ops[16])/median(rs.ops[16]), resident(t.pid)>>20)
	}
	return nil
}

func startCache(entries int, dir, pprof string) (*target, func(), error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		return nil, nil, err
	}
	if err := fill(cluster.ListenAddrs()[0], entries); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(os.Args[0], "-serve", cluster.ListenAddrs()[0], "-dir", dir+"/kc", "-pprof", pprof)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = in.Close()
		_ = cmd.Wait()
		cluster.Close()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("the frontend did not start: %w", err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		stop()
		return nil, nil, err
	}
	return newTarget("kafka-cache", port, cmd.Process.Pid), stop, nil
}

func newTarget(name string, port, pid int) *target {
	return &target{name: name, port: port, pid: pid, ops: map[int][]float64{}, cpu: map[int][]time.Duration{}}
}

func entry(i int) (key, value string) {
	key = fmt.Sprintf("%s%012d", keyPrefix, i)
	return key, key + strings.Repeat("v", valueSize-len(key))
}

func fill(broker string, entries int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed error
	for i := range entries {
		key, value := entry(i)
		client.Produce(context.Background(), &kgo.Record{Key: []byte(key), Value: []byte(value)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil {
		return err
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(context.Background(), topic)
	if err != nil {
		return err
	}
	if o, ok := ends.Lookup(topic, 0); failed == nil && (!ok || o.Offset != int64(entries)) {
		failed = fmt.Errorf("the log ends at %d instead of %d", o.Offset, entries)
	}
	return failed
}

func startRedis(entries int, dir string) (*target, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--dir", dir, "--bind", "127.0.0.1")
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = pipe(nc, entries)
			_ = nc.Close()
			if err != nil {
				stop()
				return nil, nil, err
			}
			return newTarget("redis-server", port, cmd.Process.Pid), stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return nil, nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// pipe fills redis-server.
func pipe(nc net.Conn, entries int) error {
	w, r := bufio.NewWriterSize(nc, 1<<20), bufio.NewReader(nc)
	for from := 0; from < entries; from += 10_000 {
		n := min(10_000, entries-from)
		for i := from; i < from+n; i++ {
			key, value := entry(i)
			fmt.Fprintf(w, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for range n {
			line, err := r.ReadString('\n')
			if err != nil || line != "+OK\r\n" {
				return fmt.Errorf("fill redis-server: %q, %w", line, err)
			}
		}
	}
	return nil
}

func (t *target) load(pipeline, requests, clients, entries int) error {
	if pipeline > 1 {
		requests *= 4
	}
	before := cpuTime(t.pid)
	out, err := exec.Command("redis-benchmark", "-p", strconv.Itoa(t.port), "-n", strconv.Itoa(requests), "-r", strconv.Itoa(entries), "-c", strconv.Itoa(clients),
		"-P", strconv.Itoa(pipeline), "--csv", "get", keyPrefix+"__rand_int__").Output()
	if err != nil {
		return fmt.Errorf("redis-benchmark: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	ops, err := strconv.ParseFloat(strings.Trim(fields[1], `"`), 64)
	if err != nil {
		return fmt.Errorf("redis-benchmark answered %q", out)
	}
	t.ops[pipeline] = append(t.ops[pipeline], ops)
	t.cpu[pipeline] = append(t.cpu[pipeline], (cpuTime(t.pid)-before)/time.Duration(requests))
	log.Printf("%-12s P=%-2d %8.0f ops/s", t.name, pipeline, ops)
	return nil
}

func median[T float64 | time.Duration](v []T) T {
	if len(v) == 0 {
		return T(math.NaN())
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// cpuTime is user and system time of a process (proc(5): fields 14 and 15 of stat, in hundredths of a second).
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func resident(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}
