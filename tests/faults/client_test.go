package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

func TestDescribe(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(4, topic), kfake.ClusterID("the-cluster"))
	client := newClient(t, configFor(c.ListenAddrs()[:1]))
	ctx := context.Background()
	info, err := client.DescribeTopic(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != topic || info.ClusterID != "the-cluster" || [16]byte(info.ID) != c.TopicInfo(topic).TopicID || len(info.Partitions) != 4 {
		t.Errorf("%+v", info)
	}
	for i, p := range info.Partitions {
		if p.ID != int32(i) || p.Leader != c.LeaderFor(topic, p.ID) || !slices.Contains(c.ListenAddrs(), p.LeaderAddr) {
			t.Errorf("%+v", p)
		}
	}
	if id, err := client.ClusterID(ctx); err != nil || id != "the-cluster" {
		t.Errorf("cluster id %q, %v", id, err)
	}
	for _, name := range []string{"absent", ""} {
		if _, err := client.DescribeTopic(ctx, name); !errors.Is(err, kafka.ErrUnknownTopic) {
			t.Errorf("topic %q: %v", name, err)
		}
	}
	if c.TopicInfo("absent") != nil {
		t.Error("asking created the topic")
	}
}

func TestTopicSettings(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1))
	if err := c.CreateTopic(topic, 1, map[string]string{
		"cleanup.policy": "compact", "delete.retention.ms": "12345", "max.message.bytes": "54321",
	}); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, configFor(c.ListenAddrs()))
	got, err := client.TopicSettings(context.Background(), topic)
	want := kafka.TopicSettings{Authorized: true, CleanupPolicy: "compact", DeleteRetention: 12345 * time.Millisecond, MaxMessageBytes: 54321}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := client.TopicSettings(context.Background(), "absent"); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("absent: %v", err)
	}
}

func TestNotAuthorizedIsToldApart(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, topic),
		kfake.User("PLAIN", "reader", "secret", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true,
		}))
	config := configFor(c.ListenAddrs())
	config.SASL = &kafka.SASL{Mechanism: "PLAIN", User: "reader", Password: "secret"}
	client := newClient(t, config)
	ctx := context.Background()
	if _, err := client.DescribeTopic(ctx, topic); err != nil {
		t.Fatal(err)
	}
	if s, err := client.TopicSettings(ctx, topic); err != nil || s.Authorized {
		t.Errorf("%+v, %v", s, err)
	}
	if err := client.CommitGroup(ctx, "g", topic, map[int32]int64{0: 1}, ""); !errors.Is(err, kafka.ErrNotAuthorized) {
		t.Errorf("commit: %v", err)
	}
	p := newProducer(t, kafka.ProducerConfig{Kafka: config})
	if o := produce(t, p, []byte("k"), []byte("v")); !errors.Is(o.err, kafka.ErrNotAuthorized) || errors.Is(o.err, kafka.ErrUnknownOutcome) {
		t.Errorf("produce: %v", o.err)
	}
	config.SASL = &kafka.SASL{Mechanism: "PLAIN", User: "reader", Password: "wrong"}
	// kfake closes the connection, where Kafka answers SASL_AUTHENTICATION_FAILED first.
	if _, err := newClient(t, config).DescribeTopic(ctx, topic); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestAuthenticationAndEncryption(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS() // for its certificate, which names 127.0.0.1
	serverTLS := server.TLS.Clone()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	server.Close()
	serverTLS.NextProtos = nil
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic), kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "pass"), kfake.TLS(serverTLS))
			config := configFor(c.ListenAddrs())
			config.TLS = &tls.Config{RootCAs: roots}
			config.SASL = &kafka.SASL{Mechanism: mechanism, User: "user", Password: "pass"}
			r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka = config })
			o := produce(t, newProducer(t, kafka.ProducerConfig{Kafka: config}), []byte("k"), []byte("v"))
			if o.err != nil {
				t.Fatal(o.err)
			}
			eventually(t, "the record", func() bool { return len(r.got(o.at.Partition)) == 1 })
			config.TLS = &tls.Config{}
			if _, err := newClient(t, config).DescribeTopic(context.Background(), topic); !errors.Is(err, kafka.ErrUnavailable) {
				t.Errorf("with an unknown authority: %v", err)
			}
		})
	}
}

func TestEndsArePartialWhereALeaderIsOutOfReach(t *testing.T) {
	c, gates := gatedCluster(t, 3, kfake.SeedTopics(3, topic))
	w := newWriter(t, c.ListenAddrs())
	for q := range int32(3) {
		if err := c.MoveTopicPartition(topic, q, q); err != nil {
			t.Fatal(err)
		}
		write(t, w, q, "k", "v")
	}
	config := configFor(c.ListenAddrs())
	config.ReadTimeout = 500 * time.Millisecond
	client := newClient(t, config)
	gates[1].stop()
	before := time.Now()
	ends, err := client.Ends(context.Background(), topic, []int32{0, 1, 2, 7})
	if err == nil || len(ends) != 2 || ends[0].HighWatermark != 1 || ends[2].HighWatermark != 1 {
		t.Errorf("%+v, %v", ends, err)
	}
	if d := time.Since(before); d > 3*time.Second || ends[0].AskedAt.Before(before) {
		t.Errorf("took %v, asked at %v", d, ends[0].AskedAt)
	}
	if !errors.Is(err, kafka.ErrUnavailable) || !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("%v", err)
	}
	gates[1].resume()
	eventually(t, "all ends", func() bool {
		ends, err := client.Ends(context.Background(), topic, []int32{0, 1, 2})
		return err == nil && len(ends) == 3
	})
}

// TestLookUpsDoNotWaitForFetches asks while a fetch of the same cluster polls for long.
func TestLookUpsDoNotWaitForFetches(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	polls := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true})
	read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka.MaxWait = 2 * time.Second })
	eventually(t, "a long poll", func() bool { return polls.Hits() > 0 })
	client := newClient(t, configFor(c.ListenAddrs()))
	began := time.Now()
	for range 20 {
		if _, err := client.Ends(context.Background(), topic, []int32{0}); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(began); d > 10*time.Second { // 40 s if each waited for a long poll
		t.Errorf("20 look-ups took %v", d)
	}
}

func TestCallsHonourTheirContext(t *testing.T) {
	c, gates := gatedCluster(t, 1, kfake.SeedTopics(1, topic))
	config := configFor(c.ListenAddrs())
	config.DialTimeout, config.ReadTimeout = time.Minute, time.Minute
	client := newClient(t, config)
	if _, err := client.ClusterID(context.Background()); err != nil {
		t.Fatal(err)
	}
	gates[0].stop()
	for name, call := range map[string]func(context.Context) error{
		"ClusterID":     func(ctx context.Context) error { _, err := client.ClusterID(ctx); return err },
		"DescribeTopic": func(ctx context.Context) error { _, err := client.DescribeTopic(ctx, topic); return err },
		"Ends":          func(ctx context.Context) error { _, err := client.Ends(ctx, topic, []int32{0}); return err },
		"TopicSettings": func(ctx context.Context) error { _, err := client.TopicSettings(ctx, topic); return err },
		"CommitGroup":   func(ctx context.Context) error { return client.CommitGroup(ctx, "g", topic, map[int32]int64{0: 0}, "") },
		"DeleteGroup":   func(ctx context.Context) error { return client.DeleteGroup(ctx, "g") },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		began := time.Now()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(began); d > 5*time.Second { // their own time-outs are a minute
			t.Errorf("%s took %v", name, d)
		}
		cancel()
	}
	// Close ends what is under way.
	errs := make(chan error, 3)
	var started sync.WaitGroup
	for range 3 {
		started.Add(1)
		go func() { started.Done(); _, err := client.ClusterID(context.Background()); errs <- err }()
	}
	started.Wait()
	client.Close()
	for range 3 {
		if err := <-errs; !errors.Is(err, kafka.ErrClosed) {
			t.Errorf("closed under a call: %v", err)
		}
	}
	if _, err := client.ClusterID(context.Background()); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestStoppedBrokerDoesNotHoldLookUpsUp(t *testing.T) {
	c, gates := gatedCluster(t, 3, kfake.SeedTopics(1, topic))
	client := newClient(t, configFor(c.ListenAddrs()))
	gates[0].stop() // the first bootstrap address
	for i := range 3 {
		began := time.Now()
		if _, err := client.DescribeTopic(context.Background(), topic); err != nil {
			t.Fatal(err)
		}
		limit := 2500 * time.Millisecond // below the read time-out
		if i > 0 {
			limit = time.Second // whoever answered is asked first
		}
		if d := time.Since(began); d > limit {
			t.Errorf("look-up %d took %v", i, d)
		}
	}
}

func TestGroupOffsets(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(3, topic))
	client := newClient(t, configFor(c.ListenAddrs()))
	ctx := context.Background()
	const group = "prod.cache-0"
	commit := func(next map[int32]int64) {
		t.Helper()
		if err := client.CommitGroup(ctx, group, topic, next, "ready"); err != nil {
			t.Fatal(err)
		}
		info := c.GroupInfo(group)
		if info == nil || len(info.Members) != 0 {
			t.Fatalf("%+v", info)
		}
		for p, o := range next {
			if got := info.Commits[topic][p]; got.Offset != o || got.Metadata != "ready" {
				t.Errorf("partition %d: %+v", p, got)
			}
		}
	}
	commit(map[int32]int64{0: 5, 1: 0})
	commit(map[int32]int64{2: 7})
	for range 5 { // the coordinator moves
		c.RehashCoordinators()
		if err := client.CommitGroup(ctx, group, topic, map[int32]int64{0: 6}, "ready"); err != nil {
			t.Errorf("after the coordinator moved: %v", err)
		}
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.NotCoordinator, Count: 2})
	commit(map[int32]int64{0: 8})
	if err := client.CommitGroup(ctx, group, topic, nil, ""); err != nil {
		t.Errorf("nothing to commit: %v", err)
	}
	if err := client.DeleteGroup(ctx, group); err != nil {
		t.Error(err)
	}
	if info := c.GroupInfo(group); info != nil {
		t.Errorf("after it was deleted: %+v", info)
	}
	if err := client.DeleteGroup(ctx, "never-there"); err != nil {
		t.Errorf("a group that was never there: %v", err)
	}
}

// TestNotKafka has something else listen where a broker should.
func TestNotKafka(t *testing.T) {
	answers := map[string]string{
		"HTTP":       "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"negative":   "\xff\xff\xff\xff",
		"empty":      "\x00\x00\x00\x00",
		"short":      "\x00\x00\x00\x08\x00\x00",
		"large":      "\x7f\xff\xff\xff" + strings.Repeat("x", 100),
		"misleading": "\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00\x00\x00",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					serving.Go(func() {
						defer conn.Close()
						buf := make([]byte, 1000)
						for {
							if _, err := conn.Read(buf); err != nil {
								return
							}
							if _, err := conn.Write([]byte(answer)); err != nil {
								return
							}
						}
					})
				}
			})
			t.Cleanup(func() { ln.Close(); serving.Wait() })
			config := configFor([]string{ln.Addr().String()})
			config.ReadTimeout = 300 * time.Millisecond
			client := newClient(t, config)
			t.Cleanup(func() { client.Close() })
			began := time.Now()
			_, err = client.ClusterID(context.Background())
			if !errors.Is(err, kafka.ErrUnavailable) {
				t.Errorf("%v", err)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
			if !strings.Contains(fmt.Sprint(err), ln.Addr().String()) {
				t.Errorf("%v does not name %s", err, ln.Addr())
			}
		})
	}
}
