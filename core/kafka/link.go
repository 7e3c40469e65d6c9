package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

// maxThrottle is the longest that a broker's quota makes a request wait here; past it the request is an error.
const maxThrottle = 30 * time.Second

// link is one connection to one broker, made on demand, for one request at a time. It is safe for concurrent use; who
// waits for it waits as long as its context allows.
type link struct {
	config *Config
	addr   string
	limit  uint32
	resend bool          // every exchange may be sent twice
	busy   chan struct{} // held by who uses what is below

	conn      *conn
	broker    *sarama.Broker
	notBefore time.Time // the broker's quota asks for no request before
	retired   bool
}

func newLink(c *Config, addr string, limit uint32, resend bool) *link {
	return &link{config: c, addr: addr, limit: limit, resend: resend, busy: make(chan struct{}, 1)}
}

// request is one exchange on a broker. It returns the time that the response asked to stay away for (KIP-219).
type request func(*sarama.Broker) (throttle time.Duration, err error)

// do runs one exchange. Where that fails the connection is closed, and the next exchange makes a new one: after a
// time-out, or a response that did not decode, what comes next on the connection is not known. When ctx ends the
// connection is closed under the exchange, and do returns at once. sent says whether the whole request reached the
// kernel: where it did not, the broker cannot have acted on it.
func (l *link) do(ctx context.Context, r request) (sent bool, err error) {
	select {
	case l.busy <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { <-l.busy }()
	if l.retired {
		return false, fmt.Errorf("%w: %s is no longer used", ErrUnavailable, l.addr)
	}
	if err := l.throttled(ctx); err != nil {
		return false, err
	}
	if l.broker != nil && l.conn.hasSomething() {
		l.drop() // and nothing was sent, which could not be told after writing to it
	}
	reused := l.broker != nil
	sent, err = l.exchange(ctx, r)
	if err != nil && reused && (l.resend || !sent) && ctx.Err() == nil && isGone(err) {
		// Brokers close connections that were idle (connections.max.idle.ms): that says nothing about the broker.
		sent, err = l.exchange(ctx, r)
	}
	return sent, err
}

func (l *link) exchange(ctx context.Context, r request) (sent bool, err error) {
	if err := l.open(ctx); err != nil {
		return false, fmt.Errorf("connect to %s: %w", l.addr, err)
	}
	c := l.conn
	c.use(ctx)
	stop := context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) })
	c.written.Store(false)
	throttle, err := guarded(r, l.broker)
	sent = c.written.Load()
	interrupted := !stop()
	if throttle > 0 {
		l.notBefore = time.Now().Add(throttle)
	}
	var kerr sarama.KError
	switch {
	case err == nil && !interrupted && throttle <= maxThrottle:
	case errors.As(err, &kerr) && !isUnauthenticated(err) && !interrupted && c.reason() == nil:
		// The broker answered with an error; the connection is as good as before.
	default:
		cause := c.reason()
		l.drop()
		if err == nil {
			return sent, nil // answered just before the interruption
		}
		if cause != nil && !errors.Is(err, cause) {
			err = cause
		}
	}
	if err != nil {
		err = fmt.Errorf("ask %s: %w", l.addr, classify(c.auth.explain(err)))
	}
	return sent, err
}

// open makes the connection, greets the broker and authenticates.
func (l *link) open(ctx context.Context) error {
	if l.broker != nil {
		return nil
	}
	c, err := dial(ctx, l.config, l.addr, l.limit)
	if err != nil {
		return classify(err)
	}
	stop := context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) })
	defer stop()
	b := sarama.NewBroker(l.addr)
	settings := l.config.brokerConfig(c)
	c.use(ctx)
	if err := b.Open(settings); err != nil {
		c.end(err)
		return classify(err)
	}
	if ok, err := b.Connected(); !ok {
		if cause := c.reason(); cause != nil && (err == nil || errors.Is(err, net.ErrClosed)) {
			err = cause
		}
		c.end(net.ErrClosed)
		if err == nil {
			err = sarama.ErrNotConnected
		}
		return classify(c.auth.explain(err))
	}
	l.conn, l.broker = c, b
	return nil
}

// drop closes the connection. Who calls it holds busy.
func (l *link) drop() {
	if l.broker == nil {
		return
	}
	l.conn.end(net.ErrClosed)
	l.broker.Close() // waits for sarama's reader; the connection that it reads from is closed already
	l.conn, l.broker = nil, nil
}

// close waits for an exchange under way and closes the connection for good.
func (l *link) close() {
	l.busy <- struct{}{}
	l.retired = true
	l.drop()
	<-l.busy
}

// throttled waits as the broker's quota asks. sarama would wait too, but with its lock held and no context.
func (l *link) throttled(ctx context.Context) error {
	d := time.Until(l.notBefore)
	if d <= 0 {
		return nil
	}
	if d > maxThrottle {
		return fmt.Errorf("%w: %s asks for %v without requests (quota)", ErrUnavailable, l.addr, d.Round(time.Second))
	}
	return sleep(ctx, d)
}

// rested says that who uses the link has waited as a quota asks, or for as long as is sensible: the next request is made at once. It must
// not be called during an exchange.
func (l *link) rested() { l.notBefore = time.Time{} }

// guarded turns a panic of the protocol layer, which decodes what the network brings, into an error.
func guarded(r request, b *sarama.Broker) (throttle time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: decoding panicked: %v", ErrCorrupt, p)
		}
	}()
	return r(b)
}

// isGone reports whether the peer had closed the connection.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
