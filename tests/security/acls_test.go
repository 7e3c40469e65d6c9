package security

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// What an instance does that Kafka has to allow.
const (
	follows  = "follow"
	sets     = "SET"
	together = "MULTI"
	buries   = "dead letter"
	commits  = "commit"
	deletes  = "delete the group"
)

// What Kafka says, by way of sarama's texts, where it does not allow something.
const (
	noTopic = "not authorized to access this topic"
	noGroup = "not authorized to access this group"
)

// TestACLsAreEnoughAndNeeded: with what docs/configuration.md lists everything works; without any one of it, what the list says that it is for does
// not, with a message that says so, and everything else does.
func TestACLsAreEnoughAndNeeded(t *testing.T) {
	for _, tc := range []struct {
		without string
		fails   map[string]string // what, and a part of the message
	}{
		{"", nil},
		{"read", map[string]string{follows: noTopic, buries: noTopic, commits: noTopic}},
		{"write", map[string]string{sets: "NOPERM Kafka's ACLs do not allow this instance to write to topic", together: "NOPERM Kafka's ACLs do not allow this instance the transaction"}},
		{"dead letters", map[string]string{buries: noTopic}},
		{"commit", map[string]string{commits: noGroup}},
		{"delete the group", map[string]string{deletes: noGroup}},
		{"transactions", map[string]string{together: "NOPERM Kafka's ACLs do not allow this instance the transaction"}},
	} {
		t.Run("without "+tc.without, func(t *testing.T) {
			t.Parallel()
			k := start(t)
			i := allowed(t, k)
			i.start(i.connect()...)
			i.WaitReady()
			if tc.without != "" {
				k.forbid(t, i.user, i.acls[tc.without])
			}
			got := i.attempts()
			for what, message := range got {
				switch want, expected := tc.fails[what]; {
				case message == "" && expected:
					t.Errorf("%s works", what)
				case message != "" && !expected:
					t.Errorf("%s does not work: %s", what, message)
				case !strings.Contains(message, want):
					t.Errorf("%s: %s, want %s", what, message, want)
				}
			}
			if len(got) != 6 {
				t.Errorf("attempted %v", slices.Sorted(maps.Keys(got)))
			}
		})
	}
}

// TestTopicSettingsMayNotBeRead: an instance that may not read a topic's settings says what it has to be given, and works where it is.
func TestTopicSettingsMayNotBeRead(t *testing.T) {
	t.Parallel()
	k := start(t)
	i := allowed(t, k)
	k.forbid(t, i.user, i.acls["settings"])
	args := append([]string{"--config", i.config, "--identity", i.identity}, i.connect()...)
	code, printed := daemontest.Run(t, append([]string{"serve", "--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"}, args...)...)
	if want := "DescribeConfigs on the topic), so its delete.retention.ms has to be given as delete-retention"; code != 2 || !strings.Contains(printed, want) {
		t.Errorf("code %d, printed %s", code, printed)
	}
	i.start(append(i.connect(), "--delete-retention=24h")...)
	i.works()
}

// TestListedACLs: the documentation lists what these tests allow.
func TestListedACLs(t *testing.T) {
	top, err := daemontest.Top()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(top, "docs", "configuration.md"))
	must(t, err)
	_, section, found := strings.Cut(string(text), "## What Kafka's ACLs have to allow\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("no such section")
	}
	var listed []string
	for line := range strings.Lines(section) {
		if m := regexp.MustCompile(`^\| ([A-Z]\w+) \| the (\w+)`).FindStringSubmatch(line); m != nil {
			listed = append(listed, strings.ToLower(m[1]+" "+strings.TrimSuffix(m[2], "s")))
		}
	}
	var want []string
	for _, a := range needed("t", "t", "g") {
		kind := a.kind
		if kind == "transaction" {
			kind = "transactional"
		}
		want = append(want, strings.ToLower(strings.ReplaceAll(a.op.String(), "_", "")+" "+kind))
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("listed %q, tested %q", listed, want)
	}
}

// allowed is an instance of a user of its own, who is whom a token says.
func allowed(t *testing.T, k *kafka) *instance {
	t.Helper()
	return prepare(t, k, "user-"+fmt.Sprint(time.Now().UnixNano()))
}

func (i *instance) connect() []string {
	i.t.Helper()
	return []string{"--kafka-bootstrap", i.k.sasl, "--kafka-tls", "--kafka-tls-ca", i.k.file("ca.pem"), "--kafka-sasl-mechanism=OAUTHBEARER",
		"--kafka-sasl-token-file", newFile(i.t, token(i.user, time.Hour)).path}
}

// attempts tries everything, and says what came of it: an empty message is success.
func (i *instance) attempts() map[string]string {
	i.t.Helper()
	ctx := context.Background()
	results := map[string]string{sets: "", together: ""}
	if err := i.Client(0).Set(ctx, "set", `{}`, 0).Err(); err != nil {
		results[sets] = err.Error()
	}
	if _, err := i.Client(0).TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "one", `{}`, 0)
		p.Set(ctx, "two", `{}`, 0)
		return nil
	}); err != nil {
		results[together] = err.Error()
	}
	i.produce("invalid", "1")
	i.produce("followed", `{"n":1}`)
	results[follows] = i.either("followed is there", func() bool { return i.get("followed") == `{"n":1}` },
		`msg=fetch .*(kafka: not authorized.*)"`)
	if results[follows] != "" {
		results[buries] = results[follows] // there is nothing to bury
	} else {
		results[buries] = i.either("the invalid record is copied", func() bool { return i.end(i.letters) == 1 },
			`msg="copy a refused record to the dead-letter topic" .*(kafka: not authorized.*)"`)
	}
	position := i.Status().Topics[0].Partitions[0].Position
	results[commits] = i.either("the position is committed", func() bool {
		offsets, err := i.k.Admin(i.t).FetchOffsets(ctx, i.identity)
		if err != nil {
			return false
		}
		o, _ := offsets.Lookup(i.topic, 0)
		return o.At == position && position > 1
	}, `msg="commit group offsets" .*(kafka: not authorized.*)"`)
	if i.Stop() != 0 {
		i.t.Errorf("the exit status is not 0")
	}
	results[deletes] = i.last(`msg="the group was deleted"`, `msg="delete the group" .*(kafka: not authorized.*)"`)
	return results
}

// either waits until it is done, or the log has a message of failure, which it returns.
func (i *instance) either(what string, done func() bool, failure string) (message string) {
	i.t.Helper()
	f := regexp.MustCompile(failure)
	i.Await(what+" or an error is logged", func() bool {
		if done() {
			return true
		}
		if m := f.FindStringSubmatch(i.Log()); m != nil {
			message = m[1]
		}
		return message != ""
	})
	return message
}

// last is either, of an instance that has ended.
func (i *instance) last(success, failure string) string {
	i.t.Helper()
	if m := regexp.MustCompile(failure).FindStringSubmatch(i.Log()); m != nil {
		return m[1]
	}
	if !regexp.MustCompile(success).MatchString(i.Log()) {
		i.t.Errorf("the log has neither %s nor %s", success, failure)
	}
	return ""
}
