package cache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/store"
)

// Metrics and log lines go where the program's own do. A second cache in one registry needs a label that tells the two apart.
func ExampleConfig_embedded() {
	ctx := context.Background()
	registry := prometheus.NewRegistry()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	c, err := cache.Open(ctx, cache.Config{
		Kafka:      brokers(),
		Topics:     []cache.TopicConfig{{Name: "users"}},
		Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"cache": "people"}, registry),
		Logger:     logger.With("component", "cache"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "kafka_cache_ready" {
			for _, label := range f.GetMetric()[0].GetLabel() {
				fmt.Printf("%s=%s ", label.GetName(), label.GetValue())
			}
			fmt.Println(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output:
	// cache=people topic=users 1
}

// A file system in memory outlives the cache, so that a test can close it and open it again.
func ExampleConfig_fileSystem() {
	ctx := context.Background()
	files := vfs.NewMem()
	for range 2 {
		c, err := cache.Open(ctx, cache.Config{
			Kafka:   brokers(),
			Topics:  []cache.TopicConfig{{Name: "users", Writable: true}},
			DataDir: "/data",
			FS:      files,
		})
		if err != nil {
			log.Fatal(err)
		}
		users, err := c.Topic("users")
		if err != nil {
			log.Fatal(err)
		}
		if err := users.WaitReady(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println(users.Len(), "keys,", users.Status().Applied, "records read")
		if users.Len() == 0 {
			if _, err := users.PutAndWait(ctx, []byte("ann"), []byte(`{}`)); err != nil {
				log.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 0 keys, 0 records read
	// 1 keys, 0 records read
}

// Pebble's options decide what the store costs: here one cache of blocks for all topics. What would change what is on disk is refused.
func ExampleConfig_pebbleOptions() {
	ctx := context.Background()
	blocks := pebble.NewCache(64 << 20)
	defer blocks.Unref()
	c, err := cache.Open(ctx, cache.Config{
		Kafka:  brokers(),
		Topics: []cache.TopicConfig{{Name: "users"}, {Name: "organizations"}},
		PebbleOptions: func(p *store.PebbleOptions) {
			p.Cache = blocks
			p.MemTableSize = 16 << 20
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.WaitReady(ctx))

	_, err = cache.Open(ctx, cache.Config{
		Kafka:         brokers(),
		Topics:        []cache.TopicConfig{{Name: "users"}},
		PebbleOptions: func(p *store.PebbleOptions) { p.DisableWAL = false },
	})
	fmt.Println(errors.Is(err, cache.ErrConfig), err)
	// Output:
	// <nil>
	// true cache: configuration: store: Pebble's options: DisableWAL must not be changed: the log is the write-ahead log: Pebble has none
}

// A resolver in Go: users are found by their e-mail address too. What is read is not what is written, so that reader and writer have types of
// their own.
func ExampleTopicConfig_resolver() {
	type Account struct {
		Email string `json:"email"`
		Name  string `json:"name"`
	}
	byEmail := &policy.Resolver{
		Name: "users by e-mail, 1", // another name, and the topic is made anew from the log
		Resolve: func(r *policy.Record, y *policy.Yields) error {
			var a Account
			if err := json.Unmarshal(r.Value, &a); err != nil {
				return err
			}
			name := []byte(a.Name)
			y.Own(name)
			y.Set([]byte("email:"+a.Email), name)
			return nil
		},
	}
	ctx := context.Background()
	c, err := cache.Open(ctx, cache.Config{Kafka: brokers(), Topics: []cache.TopicConfig{{Name: "users", Writable: true, Resolver: byEmail}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	accounts, err := cache.WriterOf(c, "users", codec.JSON[Account]())
	if err != nil {
		log.Fatal(err)
	}
	names, err := cache.ReaderOf(c, "users", codec.String())
	if err != nil {
		log.Fatal(err)
	}
	if err := names.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	written, err := accounts.Put(ctx, "ann", Account{Email: "ann@example.net", Name: "Ann"})
	if err != nil {
		log.Fatal(err)
	}
	if err := names.WaitFor(ctx, written.Position); err != nil {
		log.Fatal(err)
	}
	for e, err := range names.Stream(ctx, cache.Bounds[string]{}) {
		fmt.Printf("%s: %s, of the record %q %v\n", e.Key, e.Value, e.Source, err)
	}
	// Output:
	// ann: Ann, of the record "" <nil>
	// email:ann@example.net: Ann, of the record "ann" <nil>
}

// Rules in Go: one for what is written here, one for what is read, whoever wrote it.
func ExampleTopicConfig_rules() {
	named := &policy.ValueRule{Name: "a display name, 1", Check: func(_, value []byte) error {
		if !bytes.Contains(value, []byte(`"displayName":"`)) {
			return &policy.Refusal{Path: "/displayName", Reason: "a user has a name"}
		}
		return nil
	}}
	ctx := context.Background()
	c, err := cache.Open(ctx, cache.Config{Kafka: brokers(), Topics: []cache.TopicConfig{{
		Name: "users", Writable: true,
		ValidateWrite: named,
		ValidateRead:  cache.ReadPolicy{Rule: named, OnInvalid: policy.Delete},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	users, err := c.Topic("users")
	if err != nil {
		log.Fatal(err)
	}
	if err := users.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = users.Put(ctx, []byte("ann"), []byte(`{}`))
	var invalid *cache.InvalidError
	fmt.Println(errors.As(err, &invalid), err)
	_, err = users.PutAndWait(ctx, []byte("ann"), []byte(`{"displayName":"Ann"}`))
	fmt.Println(err)
	// Output:
	// true cache: the value is not valid at /displayName: a user has a name
	// <nil>
}
