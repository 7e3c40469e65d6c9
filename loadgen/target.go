package loadgen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/yolean/kafka-cache/core/sample"
)

// Target is where the load goes and how it logs in there.
type Target struct {
	Addrs    []string // host:port of each instance
	User     string   // empty: default
	Password string   // empty: no AUTH
	TLS      *tls.Config
	Timeout  time.Duration // to connect, and for each reply; 0: 10 s
}

// Validate names the first field that is wrong.
func (t Target) Validate() error {
	if len(t.Addrs) == 0 {
		return errors.New("loadgen: an address is needed")
	}
	for _, a := range t.Addrs {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return fmt.Errorf("loadgen: address %q is not host:port", a)
		}
	}
	if t.User != "" && t.Password == "" {
		return errors.New("loadgen: a user without a password")
	}
	if t.Timeout < 0 {
		return fmt.Errorf("loadgen: a time-out of %v", t.Timeout)
	}
	return nil
}

// Client is a client of a database of the instance at addr, to be used by one goroutine: then it has one connection. It repeats
// nothing, so that no write is made twice and no latency hides a second attempt. The caller closes it.
func (t Target) Client(addr string, database int) *redis.Client {
	timeout := t.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	return redis.NewClient(&redis.Options{
		Addr: addr, Username: t.User, Password: t.Password, DB: database, TLSConfig: t.TLS,
		// It has one connection, since it is used for one thing at a time. Of a pool of that size, though, one failed attempt to connect
		// would have every use answer its error for a second, also where the instance is there again.
		PoolSize: 16, MaxRetries: -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Topic is a topic of the model and the database that it is.
type Topic struct {
	Name     string `json:"name"` // one of sample.Topics
	Database int    `json:"database"`
}

// Topics are the model's with the databases that `kafka-cache serve --dev` gives them: users 0, organizations 1, sessions 2.
func Topics() []Topic {
	var all []Topic
	for i, name := range sample.Topics() {
		all = append(all, Topic{name, i})
	}
	return all
}

// records is how many of a topic's the model has.
func records(m sample.Model, topic string) int {
	switch topic {
	case sample.Users:
		return m.Users
	case sample.Organizations:
		return m.Organizations
	default:
		return m.Sessions
	}
}

func validTopics(topics []Topic, m sample.Model) error {
	if len(topics) == 0 {
		return errors.New("loadgen: a topic is needed")
	}
	for _, t := range topics {
		if !slices.Contains(sample.Topics(), t.Name) {
			return fmt.Errorf("loadgen: %.64q is not a topic of the model: %s", t.Name, strings.Join(sample.Topics(), ", "))
		}
		if records(m, t.Name) == 0 {
			return fmt.Errorf("loadgen: the model has no %s", t.Name)
		}
		if t.Database < 0 {
			return fmt.Errorf("loadgen: database %d of %s", t.Database, t.Name)
		}
	}
	return nil
}

// reach connects, so that what follows measures no handshake.
func reach(ctx context.Context, c *redis.Client, addr string) error {
	err := c.Ping(ctx).Err()
	if errors.Is(err, io.EOF) && c.Options().TLSConfig == nil {
		err = fmt.Errorf("it closed the connection, as one does that asks for TLS: %w", err)
	}
	if err != nil {
		return fmt.Errorf("loadgen: connect to database %d of %s: %w", c.Options().DB, addr, err)
	}
	return nil
}
