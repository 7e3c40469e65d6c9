package cache

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
)

// silentBroker takes connections and never answers, as an address does behind a firewall that swallows packets.
func silentBroker(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		conns []net.Conn
		ended = make(chan struct{})
	)
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
		for _, c := range conns {
			c.Close()
		}
	})
	return ln.Addr().String()
}

// TestSilentBrokers waits for a topic of brokers that do not answer: the wait says why it was in vain, the reason is the same each time, and
// closing is no failure, since nothing was to be written.
func TestSilentBrokers(t *testing.T) {
	addr := silentBroker(t)
	c, err := New(Config{
		Kafka:    kafka.Config{Bootstrap: []string{addr}, ReadTimeout: 600 * time.Millisecond},
		Topics:   []TopicConfig{{Name: "users", Writable: true}},
		Identity: "silent",
	})
	if err != nil {
		t.Fatal(err)
	}
	topic := c.Topics()[0]
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- c.Run(ctx) }()

	reasons := map[string]bool{}
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); {
		waiting, stop := context.WithTimeout(ctx, 100*time.Millisecond)
		err := c.WaitReady(waiting)
		stop()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if !strings.HasPrefix(err.Error(), "topic users is not ready, state Starting: ") {
			t.Fatal(err)
		}
		reasons[topic.Status().Reason] = true
	}
	delete(reasons, unanswered)
	if len(reasons) != 1 {
		t.Errorf("reasons: %v, want one that stays the same", reasons)
	}
	for r := range reasons {
		if !strings.Contains(r, addr) || !strings.Contains(r, "no response within 600ms") {
			t.Errorf("reason: %s", r)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestStartupTimeoutBeforeAnyAnswer(t *testing.T) {
	c, err := New(Config{
		Kafka:          kafka.Config{Bootstrap: []string{silentBroker(t)}, ReadTimeout: time.Minute},
		Topics:         []TopicConfig{{Name: "users"}},
		NoCommit:       true,
		StartupTimeout: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context())
	if !errors.Is(err, ErrStartupTimeout) || !strings.HasSuffix(err.Error(), "topic users after 50ms: "+unanswered) {
		t.Error(err)
	}
}

// TestWaitForWhatFailed: who waits for a topic that was given up is told why, and not only that it is closed.
func TestWaitForWhatFailed(t *testing.T) {
	c, err := New(Config{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, Topics: []TopicConfig{{Name: "users"}}, NoCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	topic := c.Topics()[0]
	topic.setState(Failed, "data directory is in use")
	topic.close()
	if err := c.WaitReady(t.Context()); !errors.Is(err, ErrClosed) || err.Error() != "topic users is not ready, state Failed: data directory is in use: cache: closed" {
		t.Error(err)
	}
}
