// Package cache is the log-backed cache as a Go library: each [Topic] is a local, continuously updated view of one Kafka
// topic's latest value for each key.
//
// A [Cache] tails its topics into local stores. Reads answer from the store and never ask Kafka. Writes are records,
// produced with acks=all; the store changes only when this instance reads them back. A [position.Position] says how far
// an instance has read, and is what ties a write to the reads that must see it, here or on another instance.
//
//	c, err := cache.Open(ctx, cache.Config{
//		Kafka:  kafka.Config{Bootstrap: []string{"kafka:9092"}},
//		Topics: []cache.TopicConfig{{Name: "users", Writable: true}},
//	})
//	…
//	defer c.Close()
//	users, err := c.Topic("users")
//	err = users.WaitReady(ctx)
//	value, err := users.Get(key)
//
// A [Snapshot] reads several keys, of one topic or several, at one moment; [Cache.SubmitAll] writes several records in one Kafka transaction.
//
// Methods of Cache and Topic may be called from any goroutine at any time, unless they say otherwise. Byte slices that
// are passed in are not kept; those that are returned belong to the caller.
package cache
