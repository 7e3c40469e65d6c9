package resp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// split writes an outdated record of a key to each partition of a but the one that its writes go to.
func (f *fixture) split(keys ...string) {
	f.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	p := f.dial()
	for _, key := range keys {
		p.ask("+OK\r\n", "set", key, "new")
		var own int32
		if _, err := fmt.Sscanf(p.call("kafka.set", key, "new"), "*3\r\n:%d\r\n", &own); err != nil {
			f.t.Fatal(err)
		}
		for id := range int32(3) {
			if id == own {
				continue
			}
			r := &kgo.Record{Topic: "a", Partition: id, Key: []byte(key), Value: []byte("old"), Timestamp: time.Now().Add(-time.Hour)}
			if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	eventually(f.t, "the split keys are counted", func() bool {
		return strings.Contains(p.call("info", "kafka"), fmt.Sprintf(",split_keys=%d,split_keys_deleted=0,", len(keys)))
	})
}

func TestRepair(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask(":0\r\n", "kafka.repair")
	f.split("k", "l", "m")
	p.ask("$3\r\nnew\r\n", "get", "k")
	before := f.end("a")
	p.ask(":2\r\n", "KAFKA.REPAIR", "COUNT", "2")
	if n := f.end("a") - before; n != 4 {
		t.Errorf("%d records were written for two keys in three partitions, want 4", n)
	}
	left := 0
	eventually(t, "nothing is left to repair", func() bool {
		var n int
		if got := p.call("kafka.repair"); got[0] == ':' {
			_, _ = fmt.Sscanf(got, ":%d\r\n", &n)
			left += n
			return n == 0
		}
		return false
	})
	if left < 1 {
		t.Error("the third key was not repaired")
	}
	for _, key := range []string{"k", "l", "m"} {
		p.ask("$3\r\nnew\r\n", "get", key)
	}
	p.ask("+OK\r\n", "select", "2")
	if got := p.call("kafka.repair"); !strings.HasPrefix(got, "-READONLY topic c ") {
		t.Error(got)
	}
}

// While Kafka has not acknowledged a repair's records other connections go on, and what precedes it in a pipeline is answered.
func TestRepairHoldsUpNobody(t *testing.T) {
	f := start(t, nil)
	f.split("k")
	p, other := f.dial(), f.dial()
	release := f.hold(kmsg.Produce)
	p.send(frame("ping") + frame("kafka.repair") + frame("get", "k"))
	p.want("+PONG\r\n")
	eventually(t, "the repair is under way", func() bool { return strings.Contains(other.call("client", "list"), " cmd=kafka.repair ") })
	other.ask("-ERR a repair of topic a is under way; there is one at a time\r\n", "kafka.repair")
	other.ask("$3\r\nnew\r\n", "get", "k")
	other.ask("+PONG\r\n", "ping")
	release()
	p.want(":1\r\n$3\r\nnew\r\n")
	eventually(t, "the next one runs", func() bool { return other.call("kafka.repair") == ":0\r\n" })
}

// A repair does not hold up the server's end, and its client is told.
func TestRepairEndsWithTheServer(t *testing.T) {
	f := start(t, nil)
	f.split("k")
	p, other := f.dial(), f.dial()
	release := f.hold(kmsg.Produce)
	defer release()
	p.send(frame("kafka.repair"))
	eventually(t, "the repair is under way", func() bool { return strings.Contains(other.call("client", "list"), " cmd=kafka.repair ") })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	p.want("-ERR the instance is shutting down; 0 keys were repaired before that\r\n")
}
