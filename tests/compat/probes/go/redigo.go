package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

func tryRedigo(p *probe) {
	pool := &redis.Pool{DialContext: func(ctx context.Context) (redis.Conn, error) { return redis.DialContext(ctx, "tcp", p.addr) }, MaxIdle: 50}
	defer pool.Close()
	do := func(command string, args ...any) (any, error) {
		c := pool.Get()
		defer c.Close()
		return c.Do(command, args...)
	}
	get := func(key string) (string, error) { return redis.String(do("GET", p.key(key))) }
	// seeded dials and reads the seed.
	seeded := func(addr string, options ...redis.DialOption) (string, error) {
		c, err := redis.Dial("tcp", addr, options...)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return redis.String(c.Do("GET", p.key("seed")))
	}
	r := &redigo{p, pool, do, get}
	p.try("connect", func() (string, error) {
		pong, err := redis.String(do("PING"))
		if err := differs(err, pong, "PONG"); err != nil {
			return "", err
		}
		v, err := redis.String(do("ECHO", "truth"))
		return "", differs(err, v, "truth")
	})
	p.try("auth", func() (string, error) {
		v, err := seeded(p.authAddr, redis.DialPassword(p.password))
		_, wrong := seeded(p.authAddr, redis.DialPassword("wrong"))
		_, without := seeded(p.authAddr)
		return "", errors.Join(differs(err, v, seed), refused(wrong, "WRONGPASS"), refused(without, "NOAUTH"))
	})
	p.try("select", func() (string, error) {
		v, err := seeded(p.addr, redis.DialDatabase(1))
		return "", differs(err, v, "truth of database 1")
	})
	p.try("read", r.read)
	p.try("write", r.write)
	p.try("pipeline", r.pipeline)
	p.try("transaction", r.transaction)
	p.try("scan", func() (string, error) {
		var keys []string
		for cursor := "0"; ; {
			reply, err := redis.Values(do("SCAN", cursor, "MATCH", p.key("scan:*"), "COUNT", 50))
			if err != nil {
				return "", err
			}
			var page []string
			if _, err := redis.Scan(reply, &cursor, &page); err != nil {
				return "", err
			}
			keys = append(keys, page...)
			if cursor == "0" {
				break
			}
		}
		note, err := p.scannedOnce(keys)
		return note + "it has no iterator: by cursors", err
	})
	p.try("subscribe", r.subscribe)
	p.try("wait", r.wait)
	p.try("big", func() (string, error) { return "", r.setGet(p.key("big"), big()) })
	p.try("binary", func() (string, error) { return "", r.setGet(p.key(bytes256()), "truth"+bytes256()) })
	p.try("pool", func() (string, error) {
		return callers(func(n int) error {
			v, err := get(fmt.Sprintf("scan:%d", n))
			return differs(err, v, fmt.Sprintf("truth %d", n))
		})
	})
	p.try("tls", func() (string, error) {
		cfg, err := p.tlsConfig()
		if err != nil {
			return "", err
		}
		v, err := seeded(p.tlsAddr, redis.DialUseTLS(true), redis.DialTLSConfig(cfg))
		return "", differs(err, v, seed)
	})
	// Last: what broke stays in pools until it is used.
	p.try("reconnect", func() (string, error) {
		note, err := p.reconnect(func() (string, error) { return get("seed") })
		return note + "; connections that broke are shown once each, as the pool has no TestOnBorrow by default", err
	})
}

type redigo struct {
	*probe
	pool *redis.Pool
	do   func(command string, args ...any) (any, error)
	get  func(key string) (string, error)
}

func (r *redigo) setGet(key, want string) error {
	if ok, err := redis.String(r.do("SET", key, want)); err != nil || ok != "OK" {
		return fmt.Errorf("SET: %q, %w", ok, err)
	}
	v, err := redis.String(r.do("GET", key))
	return differs(err, v, want)
}

func (r *redigo) read() (string, error) {
	v, err := r.get("seed")
	if err := differs(err, v, seed); err != nil {
		return "", err
	}
	if _, err := r.get("none"); !errors.Is(err, redis.ErrNil) {
		return "", fmt.Errorf("GET of no key: %w", err)
	}
	many, err := redis.Strings(r.do("MGET", r.key("seed"), r.key("none"), r.key("scan:7")))
	if err := lists(err, many, []string{seed, "", "truth 7"}); err != nil {
		return "", err
	}
	exists, err := redis.Int(r.do("EXISTS", r.key("seed"), r.key("none"), r.key("seed")))
	length, err2 := redis.Int(r.do("STRLEN", r.key("seed")))
	part, err3 := redis.String(r.do("GETRANGE", r.key("seed"), 0, 4))
	ttl, err4 := redis.Int(r.do("TTL", r.key("seed")))
	none, err5 := redis.Int(r.do("TTL", r.key("none")))
	kind, err6 := redis.String(r.do("TYPE", r.key("seed")))
	return "", errors.Join(differs(err, exists, 2), differs(err2, length, len(seed)), differs(err3, part, "truth"), differs(err4, ttl, -1), differs(err5, none, -2), differs(err6, kind, "string"))
}

func (r *redigo) write() (string, error) {
	if err := r.setGet(r.key("w"), "truth w"); err != nil {
		return "", err
	}
	if _, err := r.do("MSET", r.key("w1"), "truth 1", r.key("w2"), "truth 2"); err != nil {
		return "", err
	}
	v, err := r.get("w2")
	if err := differs(err, v, "truth 2"); err != nil {
		return "", err
	}
	n, err := redis.Int(r.do("DEL", r.key("w"), r.key("w1"), r.key("none")))
	if err := differs(err, n, 2); err != nil {
		return "", err
	}
	if _, err := r.get("w"); !errors.Is(err, redis.ErrNil) {
		return "", fmt.Errorf("GET of what was deleted: %w", err)
	}
	c, err := redis.Dial("tcp", r.addr, redis.DialDatabase(2))
	if err != nil {
		return "", err
	}
	defer c.Close()
	_, err = c.Do("SET", r.key("seed"), "x")
	return "", refused(err, "READONLY")
}

func (r *redigo) pipeline() (string, error) {
	c := r.pool.Get()
	defer c.Close()
	for n := range 100 {
		if err := c.Send("SET", r.key(fmt.Sprintf("p:%d", n)), fmt.Sprintf("truth %d", n)); err != nil {
			return "", err
		}
	}
	for n := range 100 {
		if err := c.Send("GET", r.key(fmt.Sprintf("p:%d", n))); err != nil {
			return "", err
		}
	}
	if err := c.Flush(); err != nil {
		return "", err
	}
	for n := range 200 {
		want := "OK"
		if n >= 100 {
			want = fmt.Sprintf("truth %d", n-100)
		}
		v, err := redis.String(c.Receive())
		if err := differs(err, v, want); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (r *redigo) transaction() (string, error) {
	c := r.pool.Get()
	defer c.Close()
	err := errors.Join(c.Send("MULTI"), c.Send("SET", r.key("t1"), "truth 1"), c.Send("SET", r.key("t2"), "truth 2"), c.Send("GET", r.key("t1")), c.Send("DEL", r.key("t2")))
	if err != nil {
		return "", err
	}
	exec, err := redis.Values(c.Do("EXEC"))
	if err != nil {
		return "", err
	}
	if len(exec) != 4 {
		return "", fmt.Errorf("EXEC has %d elements", len(exec))
	}
	v, err := redis.String(exec[2], nil)
	n, err2 := redis.Int(exec[3], nil)
	if err := errors.Join(differs(err, v, "truth 1"), differs(err2, n, 1)); err != nil {
		return "", err
	}
	many, err := redis.Strings(r.do("MGET", r.key("t1"), r.key("t2")))
	return "", lists(err, many, []string{"truth 1", ""})
}

func (r *redigo) subscribe() (string, error) {
	c, err := redis.Dial("tcp", r.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	s := redis.PubSubConn{Conn: c}
	if err := s.PSubscribe("__keyspace@0__:" + r.key("event*")); err != nil {
		return "", err
	}
	first := s.ReceiveWithTimeout(patience)
	if m, ok := first.(redis.Subscription); !ok || m.Kind != "psubscribe" || m.Count != 1 {
		return "", fmt.Errorf("PSUBSCRIBE: %v", first)
	}
	if err := r.produce(r.key("event1"), "truth"); err != nil {
		return "", err
	}
	switch m := s.ReceiveWithTimeout(patience).(type) {
	case redis.Message:
		return "", errors.Join(differs(nil, m.Channel, "__keyspace@0__:"+r.key("event1")), differs(nil, string(m.Data), "set"))
	default:
		return "", fmt.Errorf("in place of a message: %v", m)
	}
}

func (r *redigo) wait() (string, error) {
	c := r.pool.Get() // WAIT is of what its connection wrote
	defer c.Close()
	if _, err := c.Do("SET", r.key("waited"), "truth"); err != nil {
		return "", err
	}
	n, err := redis.Int(c.Do("WAIT", 1, 1000))
	if err := differs(err, n, 1); err != nil {
		return "", err
	}
	began := time.Now()
	n, err = redis.Int(c.Do("WAIT", 7, 300))
	if err := errors.Join(differs(err, n, 1), waited(began)); err != nil {
		return "", err
	}
	v, err := redis.String(c.Do("GET", r.key("waited")))
	return "", differs(err, v, "truth")
}
