package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// fewKeys are what writers write: what the topic holds does not grow with what they do.
const fewKeys = 1000

// keysOf is n keys, each followed by values.
func keysOf(n int, values ...string) []string {
	var all []string
	for i := range n {
		all = append(append(all, fmt.Sprint("k", i%fewKeys)), values...)
	}
	return all
}

// transaction is commands between MULTI and EXEC.
func transaction(commands ...string) string {
	return frame("MULTI") + strings.Join(commands, "") + frame("EXEC")
}

// writingAttacks are by those who may write, and write more at once, or have more remembered of it, than is to be held.
func writingAttacks() []attack {
	command := func(name string, args []string) string { return frame(append([]string{name}, args...)...) }
	many := func(s string) func(net.Conn, *rand.Rand) { return func(c net.Conn, _ *rand.Rand) { insist(c, s) } }
	deaf := func(s string) func(net.Conn, *rand.Rand) {
		return func(c net.Conn, _ *rand.Rand) { small(c); repeat(c, s) }
	}
	mset, del := command("MSET", keysOf(100_000, "v")), command("DEL", keysOf(100_000))
	return []attack{
		{name: "SETs whose replies are not read", conns: 50, do: deaf(strings.Repeat(frame("SET", "k", "v"), 1000))},
		{name: "MSET of a hundred thousand records", conns: 10, do: many(mset)},
		{name: "DEL of a million keys", conns: 4, do: many(command("DEL", keysOf(1_000_000)))},
		{name: "EXEC of many deletes", conns: 20, do: many(transaction(del) + transaction(command("DEL", keysOf(20_000))))},
		{name: "EXEC of many writes", conns: 20, do: many(transaction(strings.Repeat(frame("SET", "k", "v"), 20_000)))},
		{name: "EXEC that reads what it writes", conns: 50, do: deaf(transaction(frame("SET", "k", strings.Repeat("v", 100_000)), strings.Repeat(frame("GET", "k"), 1000)) +
			transaction(frame("SET", "k", strings.Repeat("v", 100_000)), strings.Repeat(frame("GET", "k"), 60)))},
		{name: "EXEC of INFO and a write", conns: 50, do: many(transaction(strings.Repeat(frame("INFO", "everything"), 100), frame("SET", "k", "v")))},
		{name: "EXEC of INFO", conns: 50, do: many(transaction(strings.Repeat(frame("INFO", "everything"), 100)))},
		{name: "refused replies before writes", conns: 20, do: many(command("COMMAND", append([]string{"DOCS"}, strings.Fields(strings.Repeat("get ", 10_000))...)) + frame("SET", "k", "v"))},
		{name: "own writes that are remembered", conns: 200, do: func(c net.Conn, r *rand.Rand) {
			go hold(c)
			_, _ = io.WriteString(c, frame("CLIENT", "TRACKING", "ON", "NOLOOP"))
			for {
				if _, err := io.WriteString(c, strings.Repeat(frame("SET", fmt.Sprint("k", r.IntN(fewKeys)), "v"), 100)); err != nil {
					return
				}
			}
		}},
	}
}

// TestHostileWriters is TestHostileClients of those who may write. Kafka is in this process: what is written is not the daemon's to hold.
func TestHostileWriters(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	d := daemontest.Start(t, "--kafka-bootstrap", strings.Join(cluster.ListenAddrs(), ","), "--topic", "t", "--read-only=false", "--memory-limit=256Mi", "--resp-write-timeout=5s",
		"--key-encoding=binary", "--value-encoding=binary", "--data-dir", t.TempDir())
	d.WaitReady()
	good := connect(t, d.RESPAddr, nil)
	good.ask()
	endure(t, d, good, writingAttacks())
}
