package caching

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// tracker is a client-side cache by the book: what it reads it keeps until it is told that it changed, or its connection ends. Where invalidations come over a
// connection of their own, what is read while its key is invalidated is not kept.
type tracker struct {
	w        *world
	label    string
	options  []string // of CLIENT TRACKING
	proto    string
	redirect string // protocol of the connection that is told; empty: this one
	writes   bool   // shared keys, and keeps what it wrote (NOLOOP with BCAST)
	prefixes []string

	c, told *conn
	ended   sync.WaitGroup // the reader of told

	mu      sync.Mutex
	kept    map[string]string // empty: there is no value
	reading map[string]bool   // false once it was invalidated meanwhile
	pongs   chan struct{}
	gone    bool // told has ended
}

func (t *tracker) name() string { return t.label }

func (t *tracker) close() { t.drop() }

// drop ends the connections, and forgets everything.
func (t *tracker) drop() {
	for _, c := range []*conn{t.c, t.told} {
		if c != nil {
			c.close()
		}
	}
	t.ended.Wait()
	t.c, t.told = nil, nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept, t.reading = map[string]string{}, map[string]bool{}
}

// invalidated takes a message; keys are its bulk strings behind the names.
func (t *tracker) invalidated(message string) {
	parts := bulks(message)
	t.w.told.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if parts = parts[1:]; t.redirect == "2" {
		parts = parts[1:]
	}
	if len(parts) == 0 {
		clear(t.kept)
		for k := range t.reading {
			t.reading[k] = false
		}
	}
	for _, k := range parts {
		delete(t.kept, k)
		if _, ok := t.reading[k]; ok {
			t.reading[k] = false
		}
	}
}

var errOther = errors.New("another reply than was expected")

func (t *tracker) connect() (err error) {
	if t.c, err = dial(t.w.way.addr()); err != nil {
		return err
	}
	expect := func(c *conn, begin string, args ...string) error {
		reply, err := c.call(args...)
		if err == nil && !strings.HasPrefix(reply, begin) {
			err = errOther
		}
		return err
	}
	if t.proto == "3" {
		if err := expect(t.c, "%", "hello", "3"); err != nil {
			return err
		}
	}
	args := append([]string{"client", "tracking", "on"}, t.options...)
	if t.redirect != "" {
		if t.told, err = dial(t.w.way.addr()); err != nil {
			return err
		}
		id, err := t.told.call("client", "id")
		if err != nil {
			return err
		}
		if t.redirect == "3" {
			err = expect(t.told, "%", "hello", "3")
		} else {
			err = expect(t.told, "*3\r\n$9\r\nsubscribe", "subscribe", "__redis__:invalidate")
		}
		if err != nil {
			return err
		}
		args = append(args, "redirect", strings.TrimSuffix(id[1:], "\r\n"))
		t.pongs, t.gone = make(chan struct{}, 1), false
		told, pongs := t.told, t.pongs
		t.ended.Go(func() { t.follow(told, pongs) })
	}
	return expect(t.c, "+OK", args...)
}

// follow reads the connection that is told.
func (t *tracker) follow(c *conn, pongs chan struct{}) {
	for {
		reply, err := c.reply()
		switch {
		case err != nil:
			t.mu.Lock()
			t.gone = true // what is kept is worth nothing any more
			clear(t.kept)
			for k := range t.reading {
				t.reading[k] = false
			}
			t.mu.Unlock()
			close(pongs)
			return
		case strings.Contains(reply, "invalidate"):
			t.invalidated(reply)
		default:
			pongs <- struct{}{}
		}
	}
}

// answer reads a reply, and takes what is pushed before it.
func (t *tracker) answer() (string, error) {
	for {
		reply, err := t.c.reply()
		if err != nil || !strings.HasPrefix(reply, ">") {
			return reply, err
		}
		if !strings.Contains(reply, "invalidate") {
			return "", errOther // the redirection is broken
		}
		t.invalidated(reply)
	}
}

// hear returns when every invalidation has been taken of what was applied before the call.
func (t *tracker) hear() error {
	if t.told != nil {
		if err := t.told.send(wire.Frame("ping")); err != nil {
			return err
		}
		if _, ok := <-t.pongs; !ok {
			return errOther
		}
		// And the connection that reads is there still: of what one has read that has ended nobody is told, and who finds all in its cache would not notice.
	}
	if err := t.c.send(wire.Frame("echo", "x")); err != nil {
		return err
	}
	_, err := t.answer()
	return err
}

func (t *tracker) step(random *rand.Rand) {
	if t.c == nil {
		if err := t.connect(); err != nil {
			t.drop()
			rest(context.Background())
			return
		}
	}
	for range 20 {
		if err := t.turn(random); err != nil {
			t.drop()
			return
		}
	}
}

func (t *tracker) key(random *rand.Rand) string {
	for {
		k := t.w.keys[random.IntN(len(t.w.keys))]
		if len(t.prefixes) == 0 {
			return k
		}
		for _, p := range t.prefixes {
			if strings.HasPrefix(k, p) {
				return k
			}
		}
	}
}

// turn reads some keys that are not kept, hears, and looks whether something is kept that is too old.
func (t *tracker) turn(random *rand.Rand) error {
	if t.writes && random.IntN(3) == 0 {
		if err := t.write(t.label+strconv.FormatUint(random.Uint64(), 36), 1+random.IntN(sharedKeys)); err != nil {
			return err
		}
	}
	for range 1 + random.IntN(4) {
		k := t.key(random)
		t.mu.Lock()
		_, kept := t.kept[k]
		t.mu.Unlock()
		if !kept {
			if err := t.read(k, random.IntN(2) == 0); err != nil {
				return err
			}
		}
	}
	var floor [hotKeys]int64
	for i := range floor {
		floor[i] = t.w.acked[i].Load()
	}
	if err := t.hear(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range floor {
		k := "hot" + strconv.Itoa(i)
		if v := t.kept[k]; v != "" {
			if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < floor[i] {
				t.w.violation("%s keeps %s of %s, and had heard of the instance after %d was answered", t.label, v, k, floor[i])
			}
		}
	}
	return nil
}

// read reads a key, and keeps what it is where it will be told.
func (t *tracker) read(k string, sure bool) error {
	frames, keep, before := wire.Frame("get", k), true, 0
	for _, o := range t.options {
		switch {
		case o == "optin" && sure:
			frames, before = wire.Frame("client", "caching", "yes")+frames, 1
		case o == "optin":
			keep = false
		case o == "optout" && !sure:
			frames, keep, before = wire.Frame("client", "caching", "no")+frames, false, 1
		}
	}
	t.mu.Lock()
	t.reading[k] = true
	t.mu.Unlock()
	if err := t.c.send(frames); err != nil {
		return err
	}
	for range before {
		if _, err := t.answer(); err != nil {
			return err
		}
	}
	reply, err := t.answer()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	valid := t.reading[k]
	delete(t.reading, k)
	// Pushes over the same connection come in order: one that came before the reply is of what was there before.
	if keep && (valid || t.told == nil) && reply[0] != '-' && !t.gone {
		t.kept[k] = value(reply)
	}
	return nil
}

// write writes some keys, of which the connection is not told, and keeps what it wrote.
func (t *tracker) write(v string, n int) error {
	var b strings.Builder
	for i := range n {
		b.WriteString(wire.Frame("set", "shared"+strconv.Itoa(i), v))
	}
	if err := t.c.send(b.String()); err != nil {
		return err
	}
	for i := range n {
		reply, err := t.answer()
		if err != nil {
			return err
		}
		t.w.wrote.Add(1)
		t.mu.Lock()
		k := "shared" + strconv.Itoa(i)
		if delete(t.kept, k); reply == "+OK\r\n" {
			t.kept[k] = v
		}
		t.mu.Unlock()
	}
	return nil
}

func (t *tracker) compare(_ context.Context, now map[string]string) (int, error) {
	if t.c == nil {
		return 0, nil
	}
	if err := t.hear(); err != nil {
		t.drop()
		return 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, v := range t.kept {
		if v != now[k] {
			t.w.violation("%s keeps %q of %s, which is %q", t.label, v, k, now[k])
		}
	}
	return len(t.kept), nil
}
