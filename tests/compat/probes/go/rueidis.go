package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

func tryRueidis(p *probe) {
	ctx := context.Background()
	open := func(addr string, change func(*rueidis.ClientOption)) (rueidis.Client, error) {
		o := rueidis.ClientOption{InitAddress: []string{addr}}
		if change != nil {
			change(&o)
		}
		return rueidis.NewClient(o) // which asks CLUSTER SLOTS whether there is a cluster
	}
	// seeded opens a client of its own and reads the seed.
	seeded := func(addr, want string, change func(*rueidis.ClientOption)) error {
		c, err := open(addr, change)
		if err != nil {
			return err
		}
		defer c.Close()
		v, err := c.Do(ctx, c.B().Get().Key(p.key("seed")).Build()).ToString()
		return differs(err, v, want)
	}
	c, err := open(p.addr, nil)
	p.try("connect", func() (string, error) {
		if err != nil {
			return "", err
		}
		v, err := c.Do(ctx, c.B().Echo().Message("truth").Build()).ToString()
		return "", differs(err, v, "truth")
	})
	if err != nil {
		return
	}
	defer c.Close()
	r := &rueidisProbe{p, c}
	p.try("auth", func() (string, error) {
		with := func(password string) error {
			return seeded(p.authAddr, seed, func(o *rueidis.ClientOption) { o.Password = password })
		}
		return "", errors.Join(with(p.password), refused(with("wrong"), "WRONGPASS"), refused(with(""), "NOAUTH"))
	})
	p.try("select", func() (string, error) {
		return "", seeded(p.addr, "truth of database 1", func(o *rueidis.ClientOption) { o.SelectDB = 1 })
	})
	p.try("read", r.read)
	p.try("write", func() (string, error) {
		readonly, err := open(p.addr, func(o *rueidis.ClientOption) { o.SelectDB = 2 })
		if err != nil {
			return "", err
		}
		defer readonly.Close()
		return "", errors.Join(r.write(), refused(readonly.Do(ctx, readonly.B().Set().Key(p.key("seed")).Value("x").Build()).Error(), "READONLY"))
	})
	p.try("pipeline", r.pipeline)
	p.try("transaction", r.transaction)
	p.try("scan", func() (string, error) {
		var keys []string
		s := rueidis.NewScanner(func(cursor uint64) (rueidis.ScanEntry, error) {
			return c.Do(ctx, c.B().Scan().Cursor(cursor).Match(p.key("scan:*")).Count(50).Build()).AsScanEntry()
		})
		for k := range s.Iter() {
			keys = append(keys, k)
		}
		if err := s.Err(); err != nil {
			return "", err
		}
		return p.scannedOnce(keys)
	})
	p.try("subscribe", r.subscribe)
	p.try("cache", r.cache)
	p.try("cluster", func() (string, error) {
		if m := c.Mode(); m != rueidis.ClientModeStandalone {
			return "", fmt.Errorf("it takes the daemon for a %s", m)
		}
		return "finds out by itself that it is standalone", seeded(p.addr, seed, func(o *rueidis.ClientOption) { o.ForceSingleClient = false })
	})
	p.try("wait", r.wait)
	p.try("big", func() (string, error) { return "", r.setGet(p.key("big"), big()) })
	p.try("binary", func() (string, error) { return "", r.setGet(p.key(bytes256()), "truth"+bytes256()) })
	p.try("pool", func() (string, error) {
		return callers(func(n int) error {
			v, err := c.Do(ctx, c.B().Get().Key(p.key(fmt.Sprintf("scan:%d", n))).Build()).ToString()
			return differs(err, v, fmt.Sprintf("truth %d", n))
		})
	})
	p.try("tls", func() (string, error) {
		var cfg *tls.Config
		cfg, err := p.tlsConfig()
		if err != nil {
			return "", err
		}
		return "", seeded(p.tlsAddr, seed, func(o *rueidis.ClientOption) { o.TLSConfig = cfg })
	})
	// Last: what broke stays in pools until it is used.
	p.try("reconnect", func() (string, error) {
		return p.reconnect(func() (string, error) {
			return c.DoCache(ctx, c.B().Get().Key(p.key("seed")).Cache(), time.Minute).ToString()
		})
	})
}

type rueidisProbe struct {
	*probe
	c rueidis.Client
}

func (r *rueidisProbe) get(key string) (string, error) {
	return r.c.Do(context.Background(), r.c.B().Get().Key(r.key(key)).Build()).ToString()
}

func (r *rueidisProbe) setGet(key, want string) error {
	ctx, c := context.Background(), r.c
	if err := c.Do(ctx, c.B().Set().Key(key).Value(want).Build()).Error(); err != nil {
		return err
	}
	v, err := c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
	return differs(err, v, want)
}

func (r *rueidisProbe) read() (string, error) {
	ctx, c := context.Background(), r.c
	v, err := r.get("seed")
	if err := differs(err, v, seed); err != nil {
		return "", err
	}
	if _, err := r.get("none"); !rueidis.IsRedisNil(err) {
		return "", fmt.Errorf("GET of no key: %w", err)
	}
	many, err := rueidis.MGet(c, ctx, []string{r.key("seed"), r.key("scan:7"), r.key("none")})
	if err != nil {
		return "", err
	}
	none := many[r.key("none")]
	first, seventh := many[r.key("seed")], many[r.key("scan:7")]
	v, err = first.ToString()
	w, err2 := seventh.ToString()
	if err := errors.Join(differs(err, v, seed), differs(err2, w, "truth 7"), differs(nil, none.IsNil(), true)); err != nil {
		return "", err
	}
	exists, err := c.Do(ctx, c.B().Exists().Key(r.key("seed"), r.key("none"), r.key("seed")).Build()).AsInt64()
	length, err2 := c.Do(ctx, c.B().Strlen().Key(r.key("seed")).Build()).AsInt64()
	part, err3 := c.Do(ctx, c.B().Getrange().Key(r.key("seed")).Start(0).End(4).Build()).ToString()
	ttl, err4 := c.Do(ctx, c.B().Ttl().Key(r.key("seed")).Build()).AsInt64()
	noTTL, err5 := c.Do(ctx, c.B().Ttl().Key(r.key("none")).Build()).AsInt64()
	kind, err6 := c.Do(ctx, c.B().Type().Key(r.key("seed")).Build()).ToString()
	return "", errors.Join(differs(err, exists, 2), differs(err2, length, int64(len(seed))), differs(err3, part, "truth"), differs(err4, ttl, -1), differs(err5, noTTL, -2), differs(err6, kind, "string"))
}

func (r *rueidisProbe) write() error {
	ctx, c := context.Background(), r.c
	if err := r.setGet(r.key("w"), "truth w"); err != nil {
		return err
	}
	if err := c.Do(ctx, c.B().Mset().KeyValue().KeyValue(r.key("w1"), "truth 1").KeyValue(r.key("w2"), "truth 2").Build()).Error(); err != nil {
		return err
	}
	v, err := r.get("w2")
	if err := differs(err, v, "truth 2"); err != nil {
		return err
	}
	n, err := c.Do(ctx, c.B().Del().Key(r.key("w"), r.key("w1"), r.key("none")).Build()).AsInt64()
	if err := differs(err, n, 2); err != nil {
		return err
	}
	if _, err := r.get("w"); !rueidis.IsRedisNil(err) {
		return fmt.Errorf("GET of what was deleted: %w", err)
	}
	return nil
}

func (r *rueidisProbe) pipeline() (string, error) {
	c := r.c
	var commands rueidis.Commands
	for n := range 100 {
		commands = append(commands, c.B().Set().Key(r.key(fmt.Sprintf("p:%d", n))).Value(fmt.Sprintf("truth %d", n)).Build())
	}
	for n := range 100 {
		commands = append(commands, c.B().Get().Key(r.key(fmt.Sprintf("p:%d", n))).Build())
	}
	for n, res := range c.DoMulti(context.Background(), commands...) {
		if n < 100 {
			if err := res.Error(); err != nil {
				return "", err
			}
			continue
		}
		v, err := res.ToString()
		if err := differs(err, v, fmt.Sprintf("truth %d", n-100)); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (r *rueidisProbe) transaction() (string, error) {
	ctx := context.Background()
	c, cancel := r.c.Dedicate()
	defer cancel()
	res := c.DoMulti(ctx, c.B().Multi().Build(), c.B().Set().Key(r.key("t1")).Value("truth 1").Build(), c.B().Set().Key(r.key("t2")).Value("truth 2").Build(),
		c.B().Get().Key(r.key("t1")).Build(), c.B().Del().Key(r.key("t2")).Build(), c.B().Exec().Build())
	exec, err := res[len(res)-1].ToArray()
	if err != nil {
		return "", err
	}
	if len(exec) != 4 {
		return "", fmt.Errorf("EXEC has %d elements", len(exec))
	}
	v, err := exec[2].ToString()
	n, err2 := exec[3].AsInt64()
	if err := errors.Join(differs(err, v, "truth 1"), differs(err2, n, 1)); err != nil {
		return "", err
	}
	v, err = r.get("t1")
	_, gone := r.get("t2")
	return "", errors.Join(differs(err, v, "truth 1"), differs(nil, rueidis.IsRedisNil(gone), true))
}

func (r *rueidisProbe) subscribe() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	subscribed := make(chan struct{}, 1)
	ctx = rueidis.WithOnSubscriptionHook(ctx, func(rueidis.PubSubSubscription) {
		select {
		case subscribed <- struct{}{}:
		default:
		}
	})
	got := make(chan rueidis.PubSubMessage, 1)
	done := make(chan error, 1)
	go func() {
		done <- r.c.Receive(ctx, r.c.B().Psubscribe().Pattern("__keyspace@0__:"+r.key("event*")).Build(), func(m rueidis.PubSubMessage) {
			select {
			case got <- m:
			default:
			}
		})
	}()
	select {
	case <-subscribed:
	case err := <-done:
		return "", fmt.Errorf("PSUBSCRIBE: %w", err)
	}
	if err := r.produce(r.key("event1"), "truth"); err != nil {
		return "", err
	}
	select {
	case m := <-got:
		return "", errors.Join(differs(nil, m.Channel, "__keyspace@0__:"+r.key("event1")), differs(nil, m.Message, "set"))
	case err := <-done:
		return "", fmt.Errorf("no message: %w", err)
	}
}

func (r *rueidisProbe) cache() (string, error) {
	read := func() (string, bool, error) {
		res := r.c.DoCache(context.Background(), r.c.B().Get().Key(r.key("cached")).Cache(), time.Minute)
		v, err := res.ToString()
		return v, res.IsCacheHit(), err
	}
	v, hit, err := read()
	if err := errors.Join(differs(err, v, "truth 1"), differs(nil, hit, false)); err != nil {
		return "", err
	}
	v, hit, err = read()
	if err := errors.Join(differs(err, v, "truth 1"), differs(nil, hit, true)); err != nil {
		return "", err
	}
	if err := r.produce(r.key("cached"), "truth 2"); err != nil {
		return "", err
	}
	if err := eventually("the new value", func() error { v, _, err := read(); return differs(err, v, "truth 2") }); err != nil {
		return "", err
	}
	v, hit, err = read()
	return "`DoCache`", errors.Join(differs(err, v, "truth 2"), differs(nil, hit, true))
}

func (r *rueidisProbe) wait() (string, error) {
	ctx := context.Background()
	c, cancel := r.c.Dedicate() // WAIT is of what its connection wrote
	defer cancel()
	if err := c.Do(ctx, c.B().Set().Key(r.key("waited")).Value("truth").Build()).Error(); err != nil {
		return "", err
	}
	n, err := c.Do(ctx, c.B().Wait().Numreplicas(1).Timeout(1000).Build()).AsInt64()
	if err := differs(err, n, 1); err != nil {
		return "", err
	}
	began := time.Now()
	n, err = c.Do(ctx, c.B().Wait().Numreplicas(7).Timeout(300).Build()).AsInt64()
	if err := errors.Join(differs(err, n, 1), waited(began)); err != nil {
		return "", err
	}
	v, err := r.get("waited")
	return "", differs(err, v, "truth")
}
