package faults

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

// TestWhatACLsTransactionsNeed: Write and Describe on the transactional ids, by their prefix, and Write on the topics.
func TestWhatACLsTransactionsNeed(t *testing.T) {
	allow := func(kind kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: pattern, Operation: op, Allow: true}
	}
	topics := []kfake.ACL{
		allow(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationWrite),
		allow(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationDescribe),
	}
	ids := allow(kmsg.ACLResourceTypeTransactionalId, "me-", kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLOperationWrite)
	describe := allow(kmsg.ACLResourceTypeTransactionalId, "me-", kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLOperationDescribe)
	for name, tc := range map[string]struct {
		acls []kfake.ACL
		want error
	}{
		"all":       {append(topics, ids, describe), nil},
		"no ids":    {topics, kafka.ErrNotAuthorized},
		"other ids": {append(topics, allow(kmsg.ACLResourceTypeTransactionalId, "you-", kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLOperationAll)), kafka.ErrNotAuthorized},
		"no topic":  {[]kfake.ACL{ids, describe, topics[1]}, kafka.ErrNotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic), kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "me", "secret", tc.acls...))
			x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) {
				cfg.Kafka.SASL = &kafka.SASL{Mechanism: kafka.MechanismPlain, User: "me", Password: "secret"}
			})
			_, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", "v"), set(topic, "l", "v")})
			if !errors.Is(err, tc.want) || errors.Is(err, kafka.ErrUnknownOutcome) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err := x.Recover(context.Background()); tc.want != nil && name != "no topic" && !errors.Is(err, kafka.ErrNotAuthorized) {
				t.Errorf("at start: %v", err)
			}
		})
	}
}
