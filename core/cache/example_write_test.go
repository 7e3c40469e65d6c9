package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/position"
)

// Who reads his own write waits for it. Where the time is not enough the write is in the log all the same, and can be waited for later.
func ExampleTypedTopic_PutAndWait() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()

	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	written, err := users.PutAndWait(within, "ann", User{DisplayName: "Ann"})
	var pending *cache.PendingError
	switch {
	case errors.As(err, &pending):
		fmt.Println("written, and to be seen here later", pending.Written.Position)
	case errors.Is(err, cache.ErrUnknownOutcome):
		fmt.Println("perhaps written")
	case err != nil:
		log.Fatal(err) // not written
	}
	u, err := users.Get("ann")
	fmt.Println(written.Applied, u.DisplayName, err)
	// Output:
	// true Ann <nil>
}

// A deletion is a tombstone in the log; whether there was a value is known to who waits.
func ExampleTypedTopic_DeleteAndWait() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann")

	for range 2 {
		written, err := users.DeleteAndWait(ctx, "ann")
		if err != nil {
			log.Fatal(err)
		}
		_, err = users.Get("ann")
		fmt.Println(written.Removed, errors.Is(err, cache.ErrNotFound))
	}
	// Output:
	// true true
	// false true
}

// A write's position makes it readable on any instance: it goes along with the answer, and comes back with the next request.
func ExampleReader_WaitFor() {
	ctx := context.Background()
	one, users := openUsers(ctx)
	defer one.Close()
	two, others := openUsers(ctx)
	defer two.Close()

	written, err := users.Put(ctx, "ann", User{DisplayName: "Ann"})
	if err != nil {
		log.Fatal(err)
	}
	token := written.Position.String()

	// On the other instance:
	at, err := position.Parse(token)
	if err != nil {
		log.Fatal(err)
	}
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := others.WaitFor(within, at); err != nil {
		log.Fatal(err)
	}
	u, err := others.Get("ann")
	fmt.Println(u.DisplayName, err)
	// Output:
	// Ann <nil>
}

// A Producer writes to topics that this process does not read: it has no store, and is there at once.
func ExampleProducer() {
	ctx := context.Background()
	p, err := cache.OpenProducer(ctx, cache.ProducerConfig{Kafka: brokers(), Topics: []cache.TopicConfig{{Name: "users"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	users, err := cache.WriterOf(p, "users", codec.JSON[User]())
	if err != nil {
		log.Fatal(err)
	}
	written, err := users.Put(ctx, "ann", User{DisplayName: "Ann"})
	if err != nil {
		log.Fatal(err)
	}

	// Who reads the topic can be told what to wait for.
	c, reader := openUsers(ctx)
	defer c.Close()
	if err := reader.WaitFor(ctx, written.Position); err != nil {
		log.Fatal(err)
	}
	u, err := reader.Get("ann")
	fmt.Println(u.DisplayName, err)
	// Output:
	// Ann <nil>
}

// Changes are told with what was there before. Who keeps something that is made of the whole topic makes it anew where it is told to, and then
// follows.
func ExampleReader_Watch() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann")

	watching, stop := context.WithCancel(ctx)
	defer stop()
	names := map[string]string{} // of users by key, kept up to date
	attached, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- users.Watch(watching, func(e cache.TypedEvent[string, User]) {
			switch e.Kind {
			case cache.EventAttached, cache.EventFlush:
				clear(names)
				for e, err := range users.Stream(ctx, cache.Bounds[string]{}) {
					if err != nil {
						log.Print(err)
						continue
					}
					names[e.Key] = e.Value.DisplayName
				}
				fmt.Println(len(names), "user")
				if e.Kind == cache.EventAttached {
					close(attached)
				}
			case cache.EventSet:
				if e.Err != nil {
					log.Print(e.Err)
					return
				}
				names[e.Key] = e.Value.DisplayName
				if e.Old == nil {
					fmt.Printf("%s is new: %s\n", e.Key, e.Value.DisplayName)
				} else {
					fmt.Printf("%s was %s and is %s\n", e.Key, e.Old.DisplayName, e.Value.DisplayName)
				}
			case cache.EventDelete:
				delete(names, e.Key)
				fmt.Printf("%s has gone (offset %d)\n", e.Key, e.Offset)
				stop()
			}
		})
	}()
	<-attached
	if _, err := users.Put(ctx, "ann", User{DisplayName: "Anna"}); err != nil {
		log.Fatal(err)
	}
	if _, err := users.Put(ctx, "bea", User{DisplayName: "Bea"}); err != nil {
		log.Fatal(err)
	}
	if _, err := users.Delete(ctx, "bea"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-ended)
	// Output:
	// 1 user
	// ann was Ann and is Anna
	// bea is new: Bea
	// bea has gone (offset 3)
	// context canceled
}

// Whoever waited for a write finds it in the feed, without waiting for a goroutine that watches.
func ExampleTopic_Feed() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	topic, err := c.Topic("users")
	if err != nil {
		log.Fatal(err)
	}
	feed, err := topic.Feed()
	if err != nil {
		log.Fatal(err)
	}
	defer feed.Close()
	if _, err := users.PutAndWait(ctx, "ann", User{DisplayName: "Anna"}); err != nil {
		log.Fatal(err)
	}
	for _, e := range feed.Take() {
		fmt.Printf("%s %s %s\n", e.Kind, e.Key, e.Value)
	}
	fmt.Println(feed.Waiting())
	// Output:
	// set ann {"displayName":"Anna"}
	// false
}
