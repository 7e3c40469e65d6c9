package loadgen

import (
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/sample"
	"github.com/yolean/kafka-cache/loadgen/verify"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestSeedRunVerify: what is seeded is read and changed by a load, and two instances have what the log has, also while others go on writing.
func TestSeedRunVerify(t *testing.T) {
	c := kafkatest.Shared(t)
	topics := newTopics(t, c)
	a, b := topics.serve(t, c, "a"), topics.serve(t, c, "b")
	execute(t, with("seed", "--addr", a.RESPAddr, "--connections", "2")...).want(t, 0, "705 of 705 written")

	both := a.RESPAddr + "," + b.RESPAddr
	dir := t.TempDir()
	check := func(name string) verify.Result {
		t.Helper()
		file := filepath.Join(dir, name+".json")
		execute(t, "verify", "--addr", both, "--kafka-bootstrap", c.Addr(), "--topics", topics.list(), "--json", file).want(t, 0, "agrees")
		return decoded[verify.Result](t, file)
	}
	r := check("seeded")
	if r.Verdict != verify.Agrees || len(r.Topics) != 3 || len(r.Instances) != 6 {
		t.Errorf("%+v", r)
	}
	for i, n := range []int64{400, 5, 300} {
		if r.Topics[i].Keys != n || r.Topics[i].Passes != 1 {
			t.Errorf("the log has %+v, want %d keys", r.Topics[i], n)
		}
	}
	for _, i := range r.Instances[:2] {
		if i.Keys != 400 || i.Moments != 0 {
			t.Errorf("%+v: of a log at rest every key is compared once", i)
		}
	}

	execute(t, with("run", "--addr", both, "--rate", "300", "--duration", "3s", "--connections", "12", "--mix", "get=40,mget=5,set=40,del=10,scan=5",
		"--keys", "zipf", "--slo", "errors=0")...).want(t, 0, "open loop", "objective errors=0: met")
	check("changed")

	// Writers do not stop for it: what changes meanwhile is read at one moment.
	writing := make(chan finished)
	go func() {
		writing <- execute(t, with("run", "--addr", b.RESPAddr, "--closed", "--duration", "4s", "--connections", "6", "--mix", "set=9,del=1", "--slo", "errors=0")...)
	}()
	moments := int64(0)
	for n := range 3 {
		for _, i := range check("busy" + string(rune('0'+n))).Instances {
			moments += i.Moments
		}
	}
	(<-writing).want(t, 0)
	if moments == 0 {
		t.Error("nothing was written while it was compared: it was no test of that")
	}
}

// TestVerifyReadsWhatTransactionsLeave: aborted records are not the log's, and an end behind a control record is reached; of a key
// with records in two partitions the newest decides.
func TestVerifyReadsWhatTransactionsLeave(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	tx := c.Client(t, kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))
	write := func(commit bool, records ...*kgo.Record) {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
	}
	record := func(partition int32, key, value string) *kgo.Record {
		return &kgo.Record{Partition: partition, Key: []byte(key), Value: []byte(value)}
	}
	write(true, record(0, "a", "1"), record(1, "split", "first"), &kgo.Record{Partition: 0, Key: []byte("gone")}, record(0, "gone2", "x"))
	write(true, record(0, "split", "second"), &kgo.Record{Partition: 0, Key: []byte("gone2")})
	write(false, record(0, "a", "aborted"), record(1, "b", "aborted"))
	d := (sampleTopics{topic, c.NewTopic(t, 1, nil), c.NewTopic(t, 1, nil)}).serve(t, c, "a", "--value-encoding", "utf-8")
	r := execute(t, "verify", "--addr", d.RESPAddr, "--kafka-bootstrap", c.Addr(), "--topics", topic+"=0")
	r.want(t, 0, "the log has 2 keys, of 6 records in 2 partitions", "2 keys compared")
}

// TestVerifyNamesDifferences: an instance that answers a wrong value, lacks a key and has one that the log does not have.
func TestVerifyNamesDifferences(t *testing.T) {
	c := kafkatest.Shared(t)
	topics := newTopics(t, c)
	d := topics.serve(t, c, "a")
	execute(t, with("seed", "--addr", d.RESPAddr)...).want(t, 0)
	model := sample.Model{Seed: 7, Organizations: 5, Users: 400, Sessions: 300}
	wrong, renamed := model.User(3), model.Session(2) // nothing refers to a session
	const other = "00000000-0000-4000-8000-00000000abcd"
	wrongValue, err := sample.Encode(wrong)
	if err != nil {
		t.Fatal(err)
	}
	liar := newProxy(t, d.RESPAddr, []replacement{
		{other, renamed.Key()},
		{renamed.Key(), "00000000-0000-4000-8000-000000000000"},
	}, []replacement{
		{string(wrongValue), "X" + string(wrongValue[1:])},
		{renamed.Key(), other},
	})

	file := filepath.Join(t.TempDir(), "r.json")
	r := execute(t, "verify", "--addr", d.RESPAddr+","+liar.addr, "--kafka-bootstrap", c.Addr(), "--topics", topics.list(), "--json", file)
	r.want(t, 1, "differs", wrong.Key(), renamed.Key(), other, "no record of the key")
	result := decoded[verify.Result](t, file)
	for _, i := range result.Instances {
		lies := i.Address == liar.addr && i.Topic != topics.organizations
		if (i.Verdict == verify.Differs) != lies {
			t.Errorf("%+v", i)
		}
		if !lies {
			continue
		}
		want := map[string]func(verify.Difference) bool{
			wrong.Key(): func(d verify.Difference) bool {
				return d.Log.Value == string(wrongValue) && d.Instance.Value == "X"+string(wrongValue[1:]) && d.Log.Offset >= 0 && d.Log.Offset == d.Instance.Offset && d.Log.Partition == d.Instance.Partition
			},
		}
		if i.Topic == topics.sessions {
			want = map[string]func(verify.Difference) bool{
				renamed.Key(): func(d verify.Difference) bool { return d.Log.Present && !d.Instance.Present },
				other:         func(d verify.Difference) bool { return !d.Log.Present && d.Instance.Present && d.Log.Offset == -1 },
			}
		}
		if int(i.Differing) != len(want) || len(i.Differences) != len(want) {
			t.Errorf("%s: %d differ: %+v", i.Topic, i.Differing, i.Differences)
		}
		for _, d := range i.Differences {
			if ok := want[d.Key]; ok == nil || !ok(d) {
				t.Errorf("%s: %+v", i.Topic, d)
			}
		}
	}
}

// TestVerifyInPasses: keys that do not fit into the memory are compared a part at a time.
func TestVerifyInPasses(t *testing.T) {
	c := kafkatest.Shared(t)
	topics := newTopics(t, c)
	d := topics.serve(t, c, "a")
	execute(t, "seed", "--addr", d.RESPAddr, "--organizations", "1", "--users", "12000", "--sessions", "0").want(t, 0)
	file := filepath.Join(t.TempDir(), "r.json")
	execute(t, "verify", "--addr", d.RESPAddr, "--kafka-bootstrap", c.Addr(), "--topics", topics.users+"=0", "--memory", "1", "--json", file).want(t, 0, "it was read")
	r := decoded[verify.Result](t, file)
	if r.Topics[0].Passes < 3 || r.Topics[0].Keys != 12000 || r.Instances[0].Keys != 12000 {
		t.Errorf("%+v", r)
	}
}

// TestVerifyUndecided: an instance that is not there, one that has another topic, and a server that is no kafka-cache cannot be compared.
func TestVerifyUndecided(t *testing.T) {
	c := kafkatest.Shared(t)
	topics, others := newTopics(t, c), newTopics(t, c)
	d := topics.serve(t, c, "a")
	if err := d.Client(0).Set(t.Context(), "k", `{"id":"k"}`, redis.KeepTTL).Err(); err != nil {
		t.Fatal(err)
	}
	args := func(addr, topic string) []string {
		return []string{"verify", "--addr", addr, "--kafka-bootstrap", c.Addr(), "--topics", topic + "=0", "--wait", "2s", "--timeout", "5s"}
	}
	execute(t, args("127.0.0.1:1", topics.users)...).want(t, 4, "undecided", "refused")
	execute(t, args(d.RESPAddr, others.users)...).want(t, 4, "undecided", "another")
	execute(t, args(d.RESPAddr, kafkatest.RandomName(t))...).want(t, 1, "UNKNOWN_TOPIC_OR_PARTITION")
}
