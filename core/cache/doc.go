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
//	users, err := cache.TopicOf(c, "users", codec.JSON[User]())
//	err = users.WaitReady(ctx)
//	user, err := users.Get("0e6f…")
//	written, err := users.PutAndWait(ctx, "0e6f…", User{…})
//
// # Bytes and types
//
// A [Topic] has keys and values that are bytes, as clients of any kind see them. A [TypedTopic] is the same with Go types: a [Reader],
// which has nothing that writes, and a [Writer]. A [Producer] is the writing half alone, for topics that this process does not read. A [Snapshot], or
// [TypedSnapshot], is a topic at one moment.
//
// # Concurrency and ownership
//
// Methods of Cache, Topic, Reader, Writer and Producer may be called from any goroutine at any time, unless they say otherwise. Byte slices that
// are passed in are not kept; those that are returned belong to the caller, but for the Entry that a byte range shows, which is valid until the
// next. Functions that are passed in are called from the goroutine that called, but for those of [Topic.Submit] and [Topic.NotifyAt].
//
// # Time
//
// No read waits. What waits has a context, and ends with its error; a write that was waited for says in its error whether it is in the log.
package cache
