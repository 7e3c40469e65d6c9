package respserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

// TestErrorCodes: what clients retry on (LOADING, TRYAGAIN, READONLY, NOREPLICAS) stands only for writes that are surely not in the log.
func TestErrorCodes(t *testing.T) {
	f := start(t, nil)
	c, topic := &conn{srv: f.srv}, f.srv.topics[0]
	pending := &cache.PendingError{Written: cache.Written{Position: position.OfRecord(position.TopicID{1}, 0, 4)}}
	for _, k := range []struct {
		err  error
		want string
	}{
		{cache.ErrNotReady, "LOADING "}, {cache.ErrReadOnly, "READONLY topic a "}, {cache.ErrNotEnoughReplicas, "NOREPLICAS "}, {cache.ErrUnavailable, "TRYAGAIN "},
		{cache.ErrNotAuthorized, "NOPERM Kafka's ACLs"}, {cache.ErrUnauthenticated, "NOPERM Kafka does not take"}, {cache.ErrUnknownOutcome, "UNKNOWN "}, {cache.ErrEmptyKey, "ERR a record needs a key"}, {cache.ErrClosed, "ERR the instance"},
		{pending, "PENDING 1:AQAAAAAAAAAAAAAAAAAAAA:0.5 "}, {&cache.TooLargeError{Size: 2_000_000, Max: 1_000_000}, "ERR the record takes 2000000 bytes and topic a allows 1000000"},
		{&cache.EncodingError{Field: "value", Encoding: "json", Err: errors.New("at 1")}, "INVALID the value is not json, which --value-encoding of topic a asks for: at 1"},
		{&cache.EncodingError{Field: "value", Encoding: "avro", Err: fmt.Errorf("schema 7: %w", codec.ErrUnavailable)}, "TRYAGAIN the value cannot be encoded as avro for now, nothing was written to topic a: schema 7"},
		{&cache.InvalidError{Rule: cache.RuleWrite, Path: "/id", Reason: "is missing"}, "INVALID the value is not valid for topic a, nothing was written: at /id: is missing"},
		{&cache.InvalidError{Rule: cache.RuleMutation, Reason: "older", Written: &cache.Written{Partition: 2, Offset: 7}},
			"INVALID the record is in the log of topic a (offset 7 of partition 2), where its mutation rule refuses it: older"},
		{kafka.ErrUnknownTopic, "ERR topic a does not exist in Kafka any more: "},
		{errors.New("x\r\ny"), "ERR x\r\ny"}, // whose line ends are removed on the way out
	} {
		if got := c.errorText(topic, fmt.Errorf("produce: %w", k.err)); !strings.HasPrefix(got, k.want) && !strings.HasPrefix(got, "ERR produce: x") {
			t.Errorf("%v: %q", k.err, got)
		}
	}
	// A token is of another topic, or of what this topic's log has lost.
	for err, want := range map[error]string{
		cache.ErrOtherTopic: "ERR the token belongs to another topic, or to an earlier topic of the same name as a",
		fmt.Errorf("%w: partition 0 lost the record", cache.ErrOtherTopic): "ERR the token is not of the log that topic a has now: partition 0 lost the record",
	} {
		if got := c.errorText(topic, err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
	// An outcome that is not known is not known even where Kafka was also out of reach.
	if got := c.errorText(topic, errors.Join(cache.ErrUnavailable, cache.ErrUnknownOutcome)); !strings.HasPrefix(got, "UNKNOWN ") {
		t.Error(got)
	}
}

func TestConfigValidate(t *testing.T) {
	f := start(t, nil)
	good := Config{Cache: f.srv.cfg.Cache}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"Cache": func(c *Config) { c.Cache = nil }, "ApplyTimeout": func(c *Config) { c.ApplyTimeout = -1 }, "MaxClients": func(c *Config) { c.MaxClients = -1 },
		"WriteReply": func(c *Config) { c.WriteReply = 7 }, "BufferLimit": func(c *Config) { c.BufferLimit = -1 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
