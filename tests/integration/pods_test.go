package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestWaitAcrossInstances has three daemons of one topic wait for one another while they are killed, stopped and restarted, and while the topic is
// deleted and created again.
func TestWaitAcrossInstances(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 3, nil)
	addrs := freeAddrs(t, 3)
	run := func(i int) *daemontest.Daemon {
		d := serve(t, c, topic, "--identity", "test."+topic+"."+string(rune('0'+i)), "--resp-addr", addrs[i], "--read-only=false", "--peers", strings.Join(addrs, ","))
		d.WaitReady()
		return d
	}
	pods := []*daemontest.Daemon{run(0), run(1), run(2)}
	peers := func(d *daemontest.Daemon, n float64) {
		t.Helper()
		d.Await("its peers are connected", func() bool { return d.Metric("kafka_cache_peers_connected") == n })
	}
	for _, d := range pods {
		peers(d, 2)
	}
	ctx := t.Context()
	conn := pods[0].Client(0).Conn()
	defer conn.Close()
	// write waits for n instances, and what they have is read on those that are named.
	write := func(value string, n int, timeout time.Duration, want int64, on ...*daemontest.Daemon) {
		t.Helper()
		if err := conn.Set(ctx, "k", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := conn.Wait(ctx, n, timeout).Result(); err != nil || got != want {
			t.Fatalf("WAIT %d after %q: %d, %v; want %d", n, value, got, err, want)
		}
		for _, d := range on {
			wantGet(t, d.Client(0), "k", value)
		}
	}
	for i := range 50 {
		write(strings.Repeat("v", i+1), 3, 10*time.Second, 3, pods...)
	}

	pods[2].Kill()
	peers(pods[0], 1)
	write("killed", 3, 100*time.Millisecond, 2, pods[:2]...)
	pods[2] = run(2)
	peers(pods[0], 2)
	write("again", 3, 10*time.Second, 3, pods...)

	if err := syscall.Kill(pods[1].PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	write("stopped", 3, 200*time.Millisecond, 2, pods[0], pods[2])
	if took := time.Since(stopped); took > 2*time.Second {
		t.Errorf("WAIT for 200 ms while a peer is stopped took %v", took)
	}
	peers(pods[0], 1) // it has not answered for long
	if took := time.Since(stopped); took < 2*time.Second || took > 5*time.Second {
		t.Errorf("a peer that is stopped is left after %v, and not after 3 s", took)
	}
	if err := syscall.Kill(pods[1].PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	peers(pods[0], 2)
	write("continued", 3, 10*time.Second, 3, pods...)

	for i := range pods[1:] { // a rolling restart of the others
		if code := pods[i+1].Stop(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		pods[i+1] = run(i + 1)
		peers(pods[0], 2)
		write("rolled", 3, 10*time.Second, 3, pods...)
	}

	// A token of one is good on another, also of what has just been written.
	token, err := conn.Do(ctx, "KAFKA.LASTWRITE").Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range pods[1:] {
		if n, err := d.Client(0).Do(ctx, "KAFKA.WAIT", token, 10_000).Int(); err != nil || n != 1 {
			t.Errorf("KAFKA.WAIT on another: %d, %v", n, err)
		}
		other := d.Client(0)
		if err := conn.Set(ctx, "k", "synced", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Do(ctx, "KAFKA.SYNC", 10_000).Text(); err != nil {
			t.Errorf("KAFKA.SYNC: %v", err)
		}
		wantGet(t, other, "k", "synced")
		if _, err := other.Do(ctx, "KAFKA.WAIT", "1:AAAAAAAAAAAAAAAAAAAAAA:0.1", 60_000).Result(); err == nil || !strings.Contains(err.Error(), "another topic") {
			t.Errorf("KAFKA.WAIT for another topic's token: %v", err)
		}
	}
	role, err := conn.Do(ctx, "ROLE").Slice()
	if err != nil || len(role) != 3 || len(role[2].([]any)) != 2 {
		t.Errorf("ROLE: %v, %v", role, err)
	}
	if info := redis.NewCmdResult(conn.Info(ctx, "replication").Result()); !strings.Contains(info.String(), "connected_slaves:2") {
		t.Errorf("INFO: %v", info)
	}
}
