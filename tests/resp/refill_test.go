package resp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/tests/internal/heldfiles"
)

const refillKeys = 3000

// restarted is a frontend over a topic that was restarted, of whose keys the middle half is not read into memory before files is released.
func restarted(t *testing.T) (f *fixture, files *heldfiles.Files) {
	t.Helper()
	cluster, client := startCluster(t, kfake.SeedTopics(1, "a"))
	records := make([]*kgo.Record, refillKeys)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range records {
		b := make([]byte, 1000)
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		records[i] = &kgo.Record{Topic: "a", Key: fmt.Appendf(nil, "k%05d", i), Value: b}
	}
	records[0].Value = []byte("first")
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	files = heldfiles.InMemory()
	cfg := cache.Config{
		Kafka: kafka.Config{Bootstrap: cluster.ListenAddrs(), MaxWait: 100 * time.Millisecond}, NoCommit: true, Identity: "test", DataDir: "/data", FS: files,
		Topics: []cache.TopicConfig{{Name: "a", Writable: true, ValueEncoding: "binary"}},
	}
	open := func() *cache.Cache {
		c, err := cache.Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := c.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	eventually(t, "the load is durable", func() bool { return c.Topics()[0].Status().Durable })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	files.Hold()
	c = open()
	t.Cleanup(func() {
		files.Release()
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	srv, addr := serve(t, c, nil)
	return &fixture{t, cluster, client, c, srv, addr}, files
}

// silent fails where something is answered soon.
func (p *peer) silent(what string) {
	p.t.Helper()
	_ = p.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	b := make([]byte, 1)
	if _, err := p.tcp().Read(b); p.r.Buffered() > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: answered %q, %v", what, b, err)
	}
}

// TestCommandsThatNeedAllKeys wait while keys are read into memory, and hold nothing meanwhile: others are answered, records are applied, and who waits may leave.
func TestCommandsThatNeedAllKeys(t *testing.T) {
	f, files := restarted(t)
	p := f.dial()
	p.ask("$5\r\nfirst\r\n", "get", "k00000")
	if info := p.call("info"); !strings.Contains(info, "\r\nloading:0\r\nasync_loading:1\r\n") || !strings.Contains(info, ",resident=0\r\n") {
		t.Error(info)
	}
	waiting := map[string]*peer{}
	for _, c := range []string{"dbsize", "scan 0 count 100000", "keys *", "randomkey", "exec"} {
		w := f.dial()
		if c == "exec" {
			w.ask("+OK\r\n", "multi")
			w.ask("+QUEUED\r\n", "get", "k00000")
			w.ask("+QUEUED\r\n", "dbsize")
		}
		w.send(frame(strings.Fields(c)...))
		waiting[c] = w
	}
	leaves := f.dial()
	leaves.send(frame("dbsize"))
	for c, w := range waiting {
		w.silent(c)
	}
	f.produce("a", "new", "1") // which is applied, though EXEC waits
	p.ask("$1\r\n1\r\n", "get", "new")
	leaves.silent("dbsize")
	clients := func() int { return strings.Count(p.call("client", "list"), "cmd=") }
	before := clients()
	if err := leaves.tcp().SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = leaves.nc.Close()
	eventually(t, "who has left is let go", func() bool { return clients() == before-1 })
	for c, w := range waiting {
		w.silent(c)
	}
	files.Release()
	all := fmt.Sprint(refillKeys + 1)
	waiting["dbsize"].want(":" + all + "\r\n")
	waiting["exec"].want("*2\r\n$5\r\nfirst\r\n:" + all + "\r\n")
	waiting["scan 0 count 100000"].want("*2\r\n$1\r\n0\r\n*" + all + "\r\n")
	waiting["keys *"].want("*" + all + "\r\n")
	waiting["randomkey"].want("$")
	if info := p.call("info"); !strings.Contains(info, "\r\nasync_loading:0\r\n") || !strings.Contains(info, ",resident=1\r\n") || !strings.Contains(info, "db0:keys="+all+",") {
		t.Error(info)
	}
}

// TestShutdownWhileKeysAreAwaited: whoever still waits for keys when the time for shutting down is over is cut off.
func TestShutdownWhileKeysAreAwaited(t *testing.T) {
	f, files := restarted(t)
	defer files.Release()
	for _, c := range []string{"dbsize", "randomkey"} {
		p := f.dial()
		p.send(frame(c))
		p.silent(c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.srv.Shutdown(ctx) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}
