package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
)

// brokers are where the examples' Kafka is.
func brokers() kafka.Config {
	return kafka.Config{Bootstrap: strings.Split(os.Getenv("KAFKA_BOOTSTRAP"), ",")}
}

// User is what the examples' topic holds.
type User struct {
	DisplayName string   `json:"displayName"`
	Groups      []string `json:"groups,omitempty"`
}

// openUsers is what the examples begin with, where that is not what they show.
func openUsers(ctx context.Context) (*cache.Cache, *cache.TypedTopic[string, User]) {
	c, err := cache.Open(ctx, cache.Config{Kafka: brokers(), Topics: []cache.TopicConfig{{Name: "users", Writable: true}}})
	if err != nil {
		log.Fatal(err)
	}
	users, err := cache.TopicOf(c, "users", codec.JSON[User]())
	if err != nil {
		log.Fatal(err)
	}
	if err := users.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	return c, users
}

// put writes some users, and waits until they are here.
func put(ctx context.Context, users *cache.TypedTopic[string, User], names ...string) {
	for _, name := range names {
		if _, err := users.PutAndWait(ctx, strings.ToLower(name), User{DisplayName: name}); err != nil {
			log.Fatal(err)
		}
	}
}

// A service opens the topics that it reads when it starts, and closes them last.
func Example() {
	type User struct {
		DisplayName string `json:"displayName"`
	}
	ctx := context.Background()
	c, err := cache.Open(ctx, cache.Config{
		Kafka:   kafka.Config{Bootstrap: strings.Split(os.Getenv("KAFKA_BOOTSTRAP"), ",")},
		Topics:  []cache.TopicConfig{{Name: "users", Writable: true}},
		DataDir: "", // in memory; a directory survives restarts
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	users, err := cache.TopicOf(c, "users", codec.JSON[User]())
	if err != nil {
		log.Fatal(err)
	}
	if err := users.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	if _, err := users.PutAndWait(ctx, "0e6f", User{DisplayName: "Ann"}); err != nil {
		log.Fatal(err)
	}
	u, err := users.Get("0e6f")
	fmt.Println(u.DisplayName, err)
	_, err = users.Get("nobody")
	fmt.Println(errors.Is(err, cache.ErrNotFound))
	// Output:
	// Ann <nil>
	// true
}

// Keys of a type of their own: any codec.Typed. They are written in the same way for ever.
func ExampleTopicOfKeys() {
	ctx := context.Background()
	c, err := cache.Open(ctx, cache.Config{Kafka: brokers(), Topics: []cache.TopicConfig{{Name: "users", Writable: true}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	users, err := cache.TopicOfKeys(c, "users", codec.Text[uuid.UUID](), codec.JSON[User]())
	if err != nil {
		log.Fatal(err)
	}
	if err := users.WaitReady(ctx); err != nil {
		log.Fatal(err)
	}
	ann := uuid.MustParse("8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f")
	if _, err := users.PutAndWait(ctx, ann, User{DisplayName: "Ann"}); err != nil {
		log.Fatal(err)
	}
	u, err := users.Get(ann)
	fmt.Println(u.DisplayName, err)
	for e, err := range users.Stream(ctx, cache.Bounds[uuid.UUID]{GTE: &ann}) {
		fmt.Println(e.Key.Version(), e.Value.DisplayName, err)
	}
	// Output:
	// Ann <nil>
	// VERSION_4 Ann <nil>
}

// Several keys in one call: the answers are in the order of the keys, and an absent key is told from a value that is empty.
func ExampleReader_GetMany() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann", "Bea")

	found, err := users.GetMany("bea", "nobody", "ann")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range found {
		fmt.Printf("%v %q\n", f.Found, f.Value.DisplayName)
	}
	// Output:
	// true "Bea"
	// false ""
	// true "Ann"
}

// A stream goes over keys in order, within bounds. A value that is no User does not end it.
func ExampleReader_Stream() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann", "Bea", "Cleo", "Dora")
	if _, err := users.Topic().PutAndWait(ctx, []byte("carl"), []byte(`"somebody else's JSON"`)); err != nil {
		log.Fatal(err)
	}

	for e, err := range users.Stream(ctx, cache.Bounds[string]{GT: new("ann"), LTE: new("cleo"), Reverse: true}) {
		var parse *cache.ParseError
		switch {
		case errors.As(err, &parse):
			fmt.Printf("%s: not a user\n", parse.Key)
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", e.Key, e.Value.DisplayName)
	}
	// Output:
	// cleo: Cleo
	// carl: not a user
	// bea: Bea
}

// Range is for who wants all or nothing: it ends with the first value that does not parse. Keys alone are read without values.
func ExampleReader_Range() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann", "Anton", "Bea", "Antigone")

	var keys []string
	err := users.Range(ctx, cache.Bounds[string]{Prefix: "ant", KeysOnly: true, Limit: 10}, func(e cache.TypedEntry[string, User]) bool {
		keys = append(keys, e.Key)
		return true
	})
	fmt.Println(keys, err)
	// Output:
	// [antigone anton] <nil>
}

// What has to fit together is read at one moment: no record is applied between the two reads, and the position says which moment it is.
func ExampleReader_Snapshot() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann", "Bea")

	err := users.Snapshot(ctx, func(s *cache.TypedSnapshot[string, User]) error {
		found, err := s.GetMany("ann", "bea")
		if err != nil {
			return err
		}
		n, err := s.Len()
		if err != nil {
			return err
		}
		at, err := s.Position()
		fmt.Println(found[0].Value.DisplayName, found[1].Value.DisplayName, n, at.Offsets()[0].Next)
		return err
	})
	fmt.Println(err)
	// Output:
	// Ann Bea 2 2
	// <nil>
}

// What is read only is handed on as a Reader, which has nothing that writes.
func ExampleReader() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	put(ctx, users, "Ann")

	greet := func(users *cache.Reader[string, User], key string) {
		u, err := users.Get(key)
		if errors.Is(err, cache.ErrNotFound) {
			fmt.Println("Who are you?")
			return
		}
		fmt.Printf("Hello %s\n", u.DisplayName)
	}
	greet(users.Reader, "ann")
	greet(users.Reader, "bob")
	// Output:
	// Hello Ann
	// Who are you?
}

// A value that is not of the type that it is read as is an error that names its record.
func ExampleParseError() {
	ctx := context.Background()
	c, users := openUsers(ctx)
	defer c.Close()
	if _, err := users.Topic().PutAndWait(ctx, []byte("ann"), []byte(`{"displayName":7}`)); err != nil {
		log.Fatal(err)
	}

	_, err := users.Get("ann")
	var parse *cache.ParseError
	if errors.As(err, &parse) {
		fmt.Println(parse.Topic, parse.Field, string(parse.Key), parse.Partition, parse.Offset)
	}
	fmt.Println(err)
	// Output:
	// users value ann 0 0
	// cache: topic users: the value of key "ann" (partition 0, offset 0): not valid json at byte 16: no cache_test.User: json: cannot unmarshal number into Go struct field User.displayName of type string
}

// Bytes as clients see them, without types: what the typed topics are made of.
func ExampleTopic() {
	ctx := context.Background()
	c, err := cache.Open(ctx, cache.Config{Kafka: brokers(), Topics: []cache.TopicConfig{{Name: "users", Writable: true}}})
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
	if _, err := users.PutAndWait(ctx, []byte("ann"), []byte(`{"displayName":"Ann"}`)); err != nil {
		log.Fatal(err)
	}
	values, err := users.GetMany([][]byte{[]byte("ann"), []byte("nobody")})
	fmt.Printf("%s %v %v\n", values[0], values[1] == nil, err)
	for e, err := range users.Stream(ctx, cache.Bounds[[]byte]{}) {
		fmt.Printf("%s at offset %d: %s %v\n", e.Key, e.Offset, e.Value, err)
	}
	// Output:
	// {"displayName":"Ann"} true <nil>
	// ann at offset 0: {"displayName":"Ann"} <nil>
}
