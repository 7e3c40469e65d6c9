package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// policyFile is one file that answers, for two topics, whether invalid writes are accepted, whether records are validated as they are read, and
// whether changes are.
const policyFile = `version: 1
kafka-bootstrap: %[1]s
data-dir: %[2]s
read-only: false
topics:
  - name: %[3]s
    resolver: users.jq
    validate:
      write:    {schema: %[5]s/user.schema.json}
      read:     {schema: %[5]s/user.schema.json, on-invalid: delete}
    dead-letter-topic: %[6]s
  - name: %[4]s
    validate:
      write:    {schema: %[5]s/session.schema.json}
      mutation: {rule: "!has(oldSelf.version) || self.version >= oldSelf.version", on-invalid: skip}
`

// usersProgram makes users be found by e-mail address, and the members of an organization by a range.
const usersProgram = `
.key as $id | .value
| .,
  (select(.email != null) | {key: "email:\(.email)", value: $id}),
  (.groups[] | {key: "member:\(.):\($id)", value: null})
`

const (
	anna, bert     = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	acme, initech  = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
	sessionID      = "33333333-3333-4333-8333-333333333333"
	sessionOfAnna  = `{"id":"33333333-3333-4333-8333-333333333333","user":"11111111-1111-4111-8111-111111111111","type":"REGULAR","ipAddress":null,"version":%d}`
	userWithGroups = `{"id":"%s","email":%s,"displayName":"%s","groups":[%s]}`
)

// listed is an element of /api/v1/invalid.
type listed struct {
	Topic, Key, Rule, Outcome, Reason, Path string
	Partition                               int32
	Offset                                  int64
}

func TestPoliciesAnswerTheThreeQuestions(t *testing.T) {
	c := kafkatest.Shared(t)
	compact := map[string]string{"cleanup.policy": "compact"}
	users, sessions, letters := c.NewTopic(t, 3, compact), c.NewTopic(t, 1, compact), c.NewTopic(t, 1, nil)
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("users.jq", usersProgram)
	config := write("kafka-cache.yaml", fmt.Sprintf(policyFile, c.Addr(), filepath.Join(dir, "data"), users, sessions, filepath.Join(top, "core/sample"), letters))
	args := []string{"--config", config, "--identity", "test." + users}

	d := daemontest.Start(t, args...)
	d.WaitReady()
	u, s := d.Client(0), d.Client(1)
	ctx := t.Context()
	refused := func(r *redis.Client, want []string, args ...any) {
		t.Helper()
		err := r.Do(ctx, args...).Err()
		if err == nil {
			t.Fatalf("%v was taken", args)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: %v, want %q", args, err, w)
			}
		}
	}
	set := func(r *redis.Client, key, value string) {
		t.Helper()
		if err := r.Set(ctx, key, value, 0).Err(); err != nil {
			t.Fatalf("SET %s: %v", key, err)
		}
	}
	members := func(org string) []string {
		t.Helper()
		keys, err := u.Do(ctx, "KAFKA.RANGE", "member:"+org+":", "member:"+org+";").StringSlice()
		if err != nil {
			t.Fatal(err)
		}
		for i := range keys {
			keys[i] = strings.TrimPrefix(keys[i], "member:"+org+":")
		}
		return keys
	}
	wantMembers := func(org string, want ...string) {
		t.Helper()
		if got := members(org); !slices.Equal(got, want) {
			t.Errorf("members of %s: %v, want %v", org, got, want)
		}
	}

	// An invalid write is refused with the failing path, and is not in the log.
	ends := fmt.Sprint(c.Ends(t, users))
	refused(u, []string{"INVALID ", "nothing was written", "displayName"}, "SET", anna, fmt.Sprintf(`{"id":"%s","groups":[]}`, anna))
	refused(u, []string{"INVALID ", "/email"}, "SET", anna, fmt.Sprintf(userWithGroups, anna, `"nobody"`, "Anna", ""))
	if now := fmt.Sprint(c.Ends(t, users)); now != ends {
		t.Errorf("a refused write is in the log: %s, was %s", now, ends)
	}

	// What a record yields is found under other keys, and goes with the record.
	value := fmt.Sprintf(userWithGroups, anna, `"anna@example.org"`, "Anna", `"`+acme+`","`+initech+`"`)
	set(u, anna, value)
	set(u, bert, fmt.Sprintf(userWithGroups, bert, "null", "Bert", `"`+acme+`"`))
	wantGet(t, u, "email:anna@example.org", `"`+anna+`"`)
	wantMembers(acme, anna, bert)
	wantMembers(initech, anna)
	var got, want any
	if text, err := u.Get(ctx, anna).Bytes(); err != nil || json.Unmarshal(text, &got) != nil || json.Unmarshal([]byte(value), &want) != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("GET %s: %s, %v", anna, text, err)
	}
	set(u, anna, fmt.Sprintf(userWithGroups, anna, `"a@example.org"`, "Anna", `"`+initech+`"`))
	wantMissing(t, u, "email:anna@example.org")
	wantGet(t, u, "email:a@example.org", `"`+anna+`"`)
	wantMembers(acme, bert)
	if n, err := u.Del(ctx, bert).Result(); n != 1 || err != nil {
		t.Errorf("DEL: %d, %v", n, err)
	}
	wantMembers(acme)

	// An invalid record of another producer deletes what its key yielded, and is counted, listed and copied.
	c.Produce(t, record(users, anna, `{"id":"not a uuid","displayName":"Anna","groups":[]}`))
	d.Await("the invalid record has deleted its key", func() bool { return u.Exists(ctx, anna, "email:a@example.org").Val() == 0 })
	if n := d.Metric("kafka_cache_invalid_records_total", `topic="`+users+`"`, `rule="read"`); n != 1 {
		t.Errorf("%v invalid records are counted", n)
	}
	list, err := u.Do(ctx, "KAFKA.INVALID", "LIMIT", "1").Slice()
	if err != nil || len(list) != 1 {
		t.Fatalf("KAFKA.INVALID: %v, %v", list, err)
	}
	if m, ok := list[0].(map[any]any); !ok || m["key"] != anna || m["rule"] != "read" || m["outcome"] != "delete" || m["path"] != "/id" {
		t.Errorf("KAFKA.INVALID: %v", list)
	}
	copies := c.Client(t, kgo.ConsumeTopics(letters)).PollFetches(ctx).Records()
	if len(copies) != 1 || string(copies[0].Key) != anna {
		t.Errorf("dead letters: %v", copies)
	}

	// An invalid change leaves what was there, says so to who wrote it, and flags the key.
	set(s, sessionID, fmt.Sprintf(sessionOfAnna, 5))
	refused(s, []string{"INVALID the record is in the log", "mutation rule"}, "SET", sessionID, fmt.Sprintf(sessionOfAnna, 4))
	wantGet(t, s, sessionID, fmt.Sprintf(sessionOfAnna, 5))
	if meta, err := s.Do(ctx, "KAFKA.META", sessionID).Result(); err != nil || meta.(map[any]any)["heldOver"] != int64(1) {
		t.Errorf("KAFKA.META: %v, %v", meta, err)
	}
	set(s, sessionID, fmt.Sprintf(sessionOfAnna, 6))

	var invalid []listed
	if code, body, err := d.Get("/api/v1/invalid"); code != 200 || err != nil || json.Unmarshal(body, &invalid) != nil {
		t.Fatalf("%d %s %v", code, body, err)
	}
	var rules []string
	for _, r := range invalid {
		rules = append(rules, fmt.Sprint(r.Topic == sessions, r.Rule, r.Outcome, r.Offset >= 0))
	}
	if want := []string{"true mutation skip true", "false read delete true", "false write refused false", "false write refused false"}; !slices.Equal(rules, want) {
		t.Errorf("listed %v, want %v", rules, want)
	}
	for i, topic := range d.Status().Topics {
		if topic.HistoryDependent != (i == 1) {
			t.Errorf("topic %d: history dependent %v", i, topic.HistoryDependent)
		}
	}

	// A restart goes on from what was made, by the same rules.
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	d = daemontest.Start(t, args...)
	d.WaitReady()
	u, s = d.Client(0), d.Client(1)
	wantMissing(t, u, anna)
	wantGet(t, s, sessionID, fmt.Sprintf(sessionOfAnna, 6))
	for _, topic := range d.Status().Topics {
		if len(topic.Rebuilds) > 0 {
			t.Errorf("topic %s was rebuilt: %v", topic.Name, topic.Rebuilds)
		}
	}
}

// TestPolicyErrors: a bad schema, program or rule is a configuration error of one line that names the file and the line.
func TestPolicyErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.schema.json"), []byte(`{"type": "strin"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		topic string
		says  []string
	}{
		{"validate: {read: {schema: missing.json}}", []string{":4:", "missing.json"}},
		{"validate: {write: {schema: bad.schema.json}}", []string{":4:", "bad.schema.json", "type"}},
		{"validate: {mutation: {rule: 'self.version >'}}", []string{":4:", "rule"}},
		{"validate: {mutation: {rule: 'unknown > 1'}}", []string{":4:", "unknown"}},
		{"validate: {read: {on-invalid: explode}}", []string{":4:", "explode"}},
		{"validate: {reed: {schema: x}}", []string{":4:", "reed"}},
		{"resolver: '.value |'", []string{":4:", "resolver"}},
		{"resolver: 'now'", []string{":4:", "now"}},
		{"resolver: missing.jq", []string{":4:", "missing.jq"}},
		{"resolver-yields: value", []string{":4:", "resolver"}},
		{"dead-letter-topic: users", []string{":4:", "users"}},
	} {
		config := filepath.Join(dir, "kafka-cache.yaml")
		if err := os.WriteFile(config, []byte("version: 1\ntopics:\n  - name: users\n    "+test.topic+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, printed := daemontest.Run(t, "serve", "--config", config)
		if code != 2 || strings.Count(strings.TrimSpace(printed), "\n") != 0 {
			t.Errorf("%s: exit code %d, printed %q", test.topic, code, printed)
		}
		for _, s := range test.says {
			if !strings.Contains(printed, s) {
				t.Errorf("%s: printed %q, want %q in it", test.topic, printed, s)
			}
		}
	}
}
