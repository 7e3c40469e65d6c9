package dev

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goMetrics) }

// goMetrics is a goroutine of the process that sarama's meters share, and that has no end.
var goMetrics = goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")

// What a cache reads of the broker is the model; then users are renamed and sessions come and go, and stay consistent.
func TestBroker(t *testing.T) {
	b, err := Start(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	defer func() {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if err := b.Fill(ctx); err != nil {
		t.Fatal(err)
	}
	config := cache.Config{Kafka: kafka.Config{Bootstrap: b.Addrs()}, NoCommit: true}
	for _, topic := range sample.Topics() {
		config.Topics = append(config.Topics, cache.TopicConfig{Name: topic})
	}
	c, err := cache.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	topics := map[string]*cache.Topic{}
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		topics[topic.Name()] = topic
	}
	records := 0
	for r := range Model.All() {
		want, err := sample.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := topics[r.Topic()].Get([]byte(r.Key()))
		if err != nil || string(got) != string(want) {
			t.Fatalf("%s %s: %s, %v; want %s", r.Topic(), r.Key(), got, err, want)
		}
		records++
	}
	for name, want := range map[string]int{sample.Users: Model.Users, sample.Organizations: Model.Organizations, sample.Sessions: Model.Sessions} {
		if got := topics[name].Len(); got != int64(want) {
			t.Errorf("%d %s, want %d", got, name, want)
		}
	}

	watched, unwatch := context.WithCancel(ctx)
	defer unwatch()
	kinds, watching := make(chan string, 100), make(chan error, 2)
	for _, name := range []string{sample.Users, sample.Sessions} {
		go func() {
			watching <- topics[name].Watch(watched, func(e cache.Event) {
				kind := name
				switch {
				case e.Kind == cache.EventDelete:
					kind += " ended"
				case e.Kind == cache.EventSet && json.Valid(e.Value):
					kind += " written"
				default:
					return
				}
				select {
				case kinds <- kind:
				default:
				}
			})
		}()
	}
	b.changes = time.Millisecond
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- b.Run(running) }()
	seen := map[string]bool{}
	for len(seen) < 3 {
		select {
		case k := <-kinds:
			seen[k] = true
		case <-ctx.Done():
			t.Fatalf("changes that were seen: %v", seen)
		}
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, want := range []string{"users written", "sessions written", "sessions ended"} {
		if !seen[want] {
			t.Errorf("no change %q in %v", want, seen)
		}
	}
	// All that was written is applied at last, and then there are as many sessions as at first, or one less.
	sessions := topics[sample.Sessions]
	for n := sessions.Len(); n < int64(Model.Sessions)-1 || n > int64(Model.Sessions); n = sessions.Len() {
		if ctx.Err() != nil {
			t.Fatalf("%d sessions after the changes, want %d or one less", n, Model.Sessions)
		}
		time.Sleep(time.Millisecond)
	}
	unwatch()
	<-watching
	<-watching
}
