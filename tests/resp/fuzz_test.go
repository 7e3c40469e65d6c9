package resp_test

import (
	"io"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/respserver"
)

// FuzzConnection sends any bytes over a connection of its own to a frontend with data: no command panics, the connection ends when the
// peer has, and others go on being answered.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		frame("set", "k", "v") + frame("get", "k") + frame("del", "k"), frame("mget", "a", "b") + "*1\r\n$1\r\n", frame("hello", "3") + frame("client", "tracking", "on") + frame("get", "k"),
		frame("scan", "0", "match", "[a-", "count", "3") + frame("keys", `\`), frame("kafka.set", "k", "v", "header", "a", "b") + frame("kafka.meta", "k"), "PING\r\nget k\r\n\"\r\n",
		frame("kafka.wait", "1:AAAAAAAAAAAAAAAAAAAAAA:0.1", "1"), frame("wait", "9", "1") + frame("multi") + frame("set", "k", "v"), frame("client", "kill", "id", "1", "skipme", "no"),
		frame("client", "reply", "skip") + frame("client", "list", "id", "1", "2"), frame("command", "getkeys", "mset", "a") + frame("command", "info", "config|get"), frame("getrange", "k", "-1", "99"),
		frame("info", "all") + frame("config", "get", "*") + frame("memory", "usage", "k", "samples", "0"), frame("kafka.range", "", "z", "limit", "2") + frame("randomkey") + frame("reset"),
		frame("client", "tracking", "on", "bcast", "prefix", "a") + frame("client", "caching", "yes") + frame("object", "help") + frame("quit"),
	} {
		f.Add([]byte(s))
	}
	registry := prometheus.NewRegistry()
	fixture := start(f, func(c *respserver.Config) { c.Registerer, c.MaxBulk, c.OutputLimit = registry, 1<<20, 1<<20 })
	fixture.produce("a", "k", "value")
	f.Fuzz(func(t *testing.T, data []byte) {
		p := dial(t, fixture.addr)
		_, _ = p.nc.Write(data) // the server may have closed it
		_ = p.tcp().CloseWrite()
		_, err := io.Copy(io.Discard, p.r)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Fatalf("%q: the connection does not end", data)
		}
		_ = p.nc.Close()
		control := dial(t, fixture.addr)
		control.ask("+PONG\r\n", "ping")
		_ = control.nc.Close()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "kafka_cache_resp_panics_total" && family.Metric[0].Counter.GetValue() != 0 {
				t.Fatalf("%q: a command panicked", data)
			}
		}
	})
}
