package security

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// instance is a daemon with topics of its own, and what its user is allowed on them.
type instance struct {
	*daemontest.Daemon
	t              *testing.T
	k              *kafka
	user, identity string
	topic, letters string
	acls           map[string]acl
	config         string // file
	records        *kgo.Client
	n              int
}

// prepare makes the topics, with a record in the one that is read, and allows the user what the documentation lists. The broker is connected to as
// args say.
func prepare(t *testing.T, k *kafka, user string) *instance {
	t.Helper()
	i := &instance{t: t, k: k, user: user, identity: kafkatest.RandomName(t)}
	i.topic = k.NewTopic(t, 1, map[string]string{"cleanup.policy": "compact"})
	i.letters = k.NewTopic(t, 1, nil)
	i.acls = needed(i.topic, i.letters, i.identity)
	k.allow(t, user, slices.Collect(maps.Values(i.acls))...)
	var err error
	if i.records, err = kgo.NewClient(kgo.SeedBrokers(k.Bootstrap...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.records.Close)
	i.config = filepath.Join(t.TempDir(), "kafka-cache.yaml")
	text := fmt.Sprintf("version: 1\nread-only: false\nwrite-reply: acknowledged\ntopics:\n  - name: %s\n    dead-letter-topic: %s\n"+
		"    validate: {read: {schema: '{\"type\": \"object\"}', on-invalid: skip}}\n", i.topic, i.letters)
	if err := os.WriteFile(i.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	i.produce("first", `{"n":0}`)
	return i
}

func (i *instance) start(args ...string) {
	i.t.Helper()
	i.Daemon = daemontest.Start(i.t, append([]string{"--config", i.config, "--identity", i.identity}, args...)...)
}

// produce writes a record as somebody else does.
func (i *instance) produce(key, value string) {
	i.t.Helper()
	if err := i.records.ProduceSync(i.t.Context(), &kgo.Record{Topic: i.topic, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
		i.t.Fatal(err)
	}
}

// end is how many records the topic has had.
func (i *instance) end(topic string) int64 {
	i.t.Helper()
	ends, err := i.k.Admin(i.t).ListEndOffsets(i.t.Context(), topic)
	if err != nil || ends.Error() != nil {
		i.t.Fatal(errors.Join(err, ends.Error()))
	}
	end, _ := ends.Lookup(topic, 0)
	return end.Offset
}

func (i *instance) get(key string) string {
	v, err := i.Client(0).Get(context.Background(), key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err.Error()
	}
	return v
}

// works tells whether the instance has loaded, follows, and writes.
func (i *instance) works() {
	i.t.Helper()
	i.WaitReady()
	if v := i.get("first"); v != `{"n":0}` {
		i.t.Errorf("what was there before: %q", v)
	}
	i.goesOn()
}

// goesOn tells whether the instance follows and writes, again if need be.
func (i *instance) goesOn() {
	i.t.Helper()
	i.n++
	followed, written := fmt.Sprintf("followed-%d", i.n), fmt.Sprintf("written-%d", i.n)
	i.produce(followed, `{"n":1}`)
	i.Await(followed+" is there", func() bool { return i.get(followed) == `{"n":1}` })
	var err error
	i.Await(written+" is taken", func() bool {
		err = i.Client(0).Set(context.Background(), written, `{"n":2}`, 0).Err()
		return err == nil
	})
	i.Await(written+" is there", func() bool { return i.get(written) == `{"n":2}` })
}

// fails waits until the topic cannot be fetched from now on.
func (i *instance) fails(why string) {
	i.t.Helper()
	before := i.Metric("kafka_cache_fetch_errors_total")
	i.Await(why, func() bool { return i.Metric("kafka_cache_fetch_errors_total") > before })
}

// says waits for a text in the log.
func (i *instance) says(text string) {
	i.t.Helper()
	i.WaitLog(regexp.MustCompile(regexp.QuoteMeta(text)))
}

// keeps looks for secrets in all that the instance shows.
func (i *instance) keeps(secrets ...string) {
	i.t.Helper()
	shown := i.Log()
	for _, path := range []string{"/", "/api/v1/status", "/metrics", "/readyz?verbose"} {
		_, body, err := i.Get(path)
		if err != nil {
			i.t.Fatal(err)
		}
		shown += string(body)
	}
	for _, s := range secrets {
		if strings.Contains(shown, s) {
			i.t.Errorf("%q is shown", s)
		}
	}
}

// file is one that is replaced while the instance runs.
type file struct {
	t    *testing.T
	path string
}

func newFile(t *testing.T, text string) file {
	t.Helper()
	f := file{t, filepath.Join(t.TempDir(), "secret")}
	f.put(text)
	return f
}

// put replaces the file at once.
func (f file) put(text string) {
	f.t.Helper()
	if err := errors.Join(os.WriteFile(f.path+".new", []byte(text+"\n"), 0o600), os.Rename(f.path+".new", f.path)); err != nil {
		f.t.Fatal(err)
	}
}
