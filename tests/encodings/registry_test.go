package encodings

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

const (
	idSchema   = `{"type":"record","name":"User","fields":[{"name":"id","type":"string"}]}`
	userSchema = `{"type":"record","name":"User","fields":[{"name":"id","type":"string"},{"name":"since","type":["null",{"type":"int","logicalType":"date"}],"default":null}]}`
)

func framed(id int, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)
}

// world is a broker with a topic of one partition, and a registry that asks for a password and can be away.
type world struct {
	t       *testing.T
	broker  *kfake.Cluster
	client  *kgo.Client
	schemas *srfake.Registry
	away    atomic.Bool
	asked   atomic.Int64
	args    []string
}

const topic = "users"

func newWorld(t *testing.T) *world {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, topic); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, broker: broker, client: client}
	w.schemas = srfake.New(srfake.WithAuth("Basic " + base64.StdEncoding.EncodeToString([]byte("cache:s3cret"))))
	t.Cleanup(w.schemas.Close)
	w.schemas.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		w.asked.Add(1)
		if w.away.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		return w.away.Load()
	})
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.args = []string{"--kafka-bootstrap", strings.Join(broker.ListenAddrs(), ","), "--topic", topic, "--value-encoding", "avro", "--read-only=false",
		"--schema-registry", w.schemas.URL(), "--schema-registry-user", "cache", "--schema-registry-password-file", password}
	return w
}

func (w *world) produce(key string, value []byte) {
	w.t.Helper()
	if err := w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) register(id, version int, schema string) {
	w.schemas.SeedSchema(topic+"-value", version, id, sr.Schema{Schema: schema, Type: sr.TypeAvro})
}

// get is a key's value, or the error's text.
func get(t *testing.T, client *redis.Client, key string) string {
	t.Helper()
	v, err := client.Get(t.Context(), key).Result()
	if err != nil {
		return err.Error()
	}
	return v
}

// TestRegistryOutage: while the registry is away nothing is deleted, what is known is served, and what is not is waited for, saying so.
func TestRegistryOutage(t *testing.T) {
	w := newWorld(t)
	w.register(1, 1, idSchema)
	w.produce("a", framed(1, "\x02a"))
	w.produce("b", framed(1, "\x02b"))
	w.away.Store(true)
	d := daemontest.Start(t, w.args...)
	client := d.Client(0)
	const waits = "partition 0 waits at offset 0 for its encoding: codec: not available for now: schema 1: the registry answers 503"
	d.Await("the reason is in the status", func() bool {
		s := d.Status()
		return len(s.Topics) == 1 && strings.Contains(s.Topics[0].Reason, waits)
	})
	if got := get(t, client, "a"); !strings.HasPrefix(got, "LOADING ") {
		t.Errorf("GET a: %s", got)
	}
	w.away.Store(false)
	d.WaitReady()
	if a, b := get(t, client, "a"), get(t, client, "b"); a != `{"id":"a"}` || b != `{"id":"b"}` {
		t.Errorf("a = %s, b = %s", a, b)
	}

	// A schema of which it has not heard, during an outage.
	w.away.Store(true)
	w.register(2, 2, userSchema)
	w.produce("c", framed(1, "\x02c"))
	w.produce("a", framed(2, "\x02a\x02\x02"))
	w.produce("d", framed(1, "\x02d"))
	d.Await("it waits at offset 3", func() bool { return strings.Contains(d.Status().Topics[0].Reason, "waits at offset 3") })
	if a, c, got := get(t, client, "a"), get(t, client, "c"), get(t, client, "d"); a != `{"id":"a"}` || c != `{"id":"c"}` || got != redis.Nil.Error() {
		t.Errorf("while it waits: a = %s, c = %s, d = %s", a, c, got)
	}
	if p := d.Status().Topics[0].Partitions[0]; p.Position != 3 {
		t.Errorf("position %d while it waits, want 3", p.Position)
	}
	w.away.Store(false)
	d.Await("it goes on", func() bool { return get(t, client, "d") == `{"id":"d"}` })
	if a := get(t, client, "a"); a != `{"id":"a","since":"1970-01-02"}` {
		t.Errorf("a = %s", a)
	}
	d.Await("the reason is gone", func() bool { return !strings.Contains(d.Status().Topics[0].Reason, "waits") })
	if n := d.Metric("kafka_cache_invalid_records_total", "topic="+topic, "rule=decode"); n != 0 {
		t.Errorf("%v records are counted as invalid", n)
	}

	// What is known needs no registry, and an id that there is not makes its key missing.
	w.away.Store(true)
	asked := w.asked.Load()
	w.produce("e", framed(2, "\x02e\x00"))
	d.Await("e is there", func() bool { return get(t, client, "e") == `{"id":"e","since":null}` })
	if n := w.asked.Load() - asked; n > 2 { // the latest schema, to write with
		t.Errorf("the registry was asked %d times", n)
	}
	w.away.Store(false)
	w.produce("b", framed(99, "\x02b"))
	w.produce("c", framed(1, "\x02c and more"))
	w.produce("f", framed(1, "\x02f"))
	d.Await("f is there", func() bool { return get(t, client, "f") == `{"id":"f"}` })
	if b, c := get(t, client, "b"), get(t, client, "c"); b != redis.Nil.Error() || c != redis.Nil.Error() {
		t.Errorf("b = %s, c = %s; want none", b, c)
	}
	if n := d.Metric("kafka_cache_invalid_records_total", "topic="+topic, "rule=decode"); n != 2 {
		t.Errorf("%v records are counted as invalid, want 2", n)
	}
	if strings.Contains(d.Log(), "s3cret") {
		t.Error("the password is in the log")
	}

	// And it ends at once while it waits.
	w.away.Store(true)
	w.produce("g", framed(100, ""))
	d.Await("it waits", func() bool { return strings.Contains(d.Status().Topics[0].Reason, "waits at offset") })
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestWritesWithASchema: what is written has the latest schema's id, and what does not fit is refused with its path.
func TestWritesWithASchema(t *testing.T) {
	w := newWorld(t)
	d := daemontest.Start(t, w.args...)
	d.WaitReady()
	client := d.Client(0)
	set := func(value string) string { return client.Set(t.Context(), "k", value, 0).String() }
	d.Await("a subject that is not there is told", func() bool {
		got := set(`{"id":"k"}`)
		if !strings.Contains(got, "TRYAGAIN ") && !strings.Contains(got, "INVALID ") {
			t.Fatal(got)
		}
		return strings.Contains(got, "INVALID the value is not avro, which --value-encoding of topic users asks for: ") && strings.Contains(got, "subject users-value: the registry does not have it")
	})
	w.register(1, 1, idSchema)
	w.register(2, 2, userSchema)
	d.Await("it is written", func() bool { return strings.HasSuffix(set(`{"id":"k", "since":"2026-01-02"}`), ": OK") })
	if got := get(t, client, "k"); got != `{"id":"k","since":"2026-01-02"}` {
		t.Errorf("k = %s", got)
	}
	if got := set(`{"id":"k","since":"yesterday"}`); !strings.Contains(got, `since: "yesterday" is not a date such as "2026-01-02" (schema 2)`) {
		t.Error(got)
	}
	w.away.Store(true)
	if got := set(`{"id":"k"}`); !strings.HasSuffix(got, ": OK") {
		t.Errorf("in an outage: %s", got)
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(w.broker.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	var values []string
	for len(values) < 2 {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	if want := string(framed(2, "\x02k\x02\xce\xbf\x02")); values[0] != want || values[1] != string(framed(2, "\x02k\x00")) {
		t.Errorf("the log has %q", values)
	}
}
