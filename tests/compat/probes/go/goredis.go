package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// tryGoRedis tries go-redis, with RESP3 unless protocol says otherwise.
func tryGoRedis(p *probe, protocol int) {
	ctx := context.Background()
	options := func(addr string) *redis.Options { return &redis.Options{Addr: addr, Protocol: protocol} }
	c := redis.NewClient(options(p.addr))
	defer c.Close()
	g := &goRedis{p, c}
	p.try("connect", func() (string, error) {
		if err := c.Ping(ctx).Err(); err != nil {
			return "", err
		}
		v, err := c.Echo(ctx, "truth").Result()
		return "", differs(err, v, "truth")
	})
	p.try("auth", func() (string, error) {
		with := func(password string) error {
			o := options(p.authAddr)
			o.Password = password
			c := redis.NewClient(o)
			defer c.Close()
			v, err := c.Get(ctx, p.key("seed")).Result()
			return differs(err, v, seed)
		}
		return "", errors.Join(with(p.password), refused(with("wrong"), "WRONGPASS"), refused(with(""), "NOAUTH"))
	})
	p.try("select", func() (string, error) {
		o := options(p.addr)
		o.DB = 1
		c := redis.NewClient(o)
		defer c.Close()
		v, err := c.Get(ctx, p.key("seed")).Result()
		return "", differs(err, v, "truth of database 1")
	})
	p.try("read", g.read)
	p.try("write", func() (string, error) { return "", g.write(options(p.addr)) })
	p.try("pipeline", g.pipeline)
	p.try("transaction", g.transaction)
	p.try("scan", func() (string, error) {
		var keys []string
		it := c.Scan(ctx, 0, p.key("scan:*"), 50).Iterator()
		for it.Next(ctx) {
			keys = append(keys, it.Val())
		}
		if err := it.Err(); err != nil {
			return "", err
		}
		return p.scannedOnce(keys)
	})
	p.try("subscribe", g.subscribe)
	p.try("cluster", func() (string, error) {
		u := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{p.addr}, Protocol: protocol})
		defer u.Close()
		if v, err := u.Get(ctx, p.key("seed")).Result(); err != nil || v != seed {
			return "", fmt.Errorf("the universal client: %q, %w", v, err)
		}
		cc := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{p.addr}, Protocol: protocol})
		defer cc.Close()
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return "", refused(cc.Get(ctx, p.key("seed")).Err(), "cluster support disabled")
	})
	p.try("wait", g.wait)
	p.try("big", func() (string, error) {
		want := big()
		if err := c.Set(ctx, p.key("big"), want, 0).Err(); err != nil {
			return "", err
		}
		v, err := c.Get(ctx, p.key("big")).Result()
		return "", differs(err, v, want)
	})
	p.try("binary", func() (string, error) {
		key, want := p.key(bytes256()), "truth"+bytes256()
		if err := c.Set(ctx, key, want, 0).Err(); err != nil {
			return "", err
		}
		v, err := c.Get(ctx, key).Result()
		return "", differs(err, v, want)
	})
	p.try("pool", func() (string, error) {
		return callers(func(n int) error {
			v, err := c.Get(ctx, p.key(fmt.Sprintf("scan:%d", n))).Result()
			return differs(err, v, fmt.Sprintf("truth %d", n))
		})
	})
	p.try("tls", func() (string, error) {
		o := options(p.tlsAddr)
		var err error
		if o.TLSConfig, err = p.tlsConfig(); err != nil {
			return "", err
		}
		c := redis.NewClient(o)
		defer c.Close()
		v, err := c.Get(ctx, p.key("seed")).Result()
		return "", differs(err, v, seed)
	})
	// Last: what broke stays in pools until it is used.
	p.try("reconnect", func() (string, error) {
		return p.reconnect(func() (string, error) { return c.Get(ctx, p.key("seed")).Result() })
	})
}

type goRedis struct {
	*probe
	c *redis.Client
}

func (g *goRedis) read() (string, error) {
	ctx, c := context.Background(), g.c
	v, err := c.Get(ctx, g.key("seed")).Result()
	if err := differs(err, v, seed); err != nil {
		return "", err
	}
	if err := c.Get(ctx, g.key("none")).Err(); !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("GET of no key: %w", err)
	}
	many, err := c.MGet(ctx, g.key("seed"), g.key("none"), g.key("scan:7")).Result()
	if err := lists(err, many, []any{seed, nil, "truth 7"}); err != nil {
		return "", err
	}
	exists, err := c.Exists(ctx, g.key("seed"), g.key("none"), g.key("seed")).Result()
	length, err2 := c.StrLen(ctx, g.key("seed")).Result()
	part, err3 := c.GetRange(ctx, g.key("seed"), 0, 4).Result()
	ttl, err4 := c.TTL(ctx, g.key("seed")).Result()
	none, err5 := c.TTL(ctx, g.key("none")).Result()
	kind, err6 := c.Type(ctx, g.key("seed")).Result()
	return "", errors.Join(differs(err, exists, 2), differs(err2, length, int64(len(seed))), differs(err3, part, "truth"), differs(err4, ttl, -1), differs(err5, none, -2), differs(err6, kind, "string"))
}

func (g *goRedis) write(o *redis.Options) error {
	ctx, c := context.Background(), g.c
	if err := c.Set(ctx, g.key("w"), "truth w", 0).Err(); err != nil {
		return err
	}
	v, err := c.Get(ctx, g.key("w")).Result()
	if err := differs(err, v, "truth w"); err != nil {
		return err
	}
	if err := c.MSet(ctx, g.key("w1"), "truth 1", g.key("w2"), "truth 2").Err(); err != nil {
		return err
	}
	many, err := c.MGet(ctx, g.key("w1"), g.key("w2")).Result()
	if err := lists(err, many, []any{"truth 1", "truth 2"}); err != nil {
		return err
	}
	n, err := c.Del(ctx, g.key("w"), g.key("w1"), g.key("none")).Result()
	if err := differs(err, n, 2); err != nil {
		return err
	}
	if err := c.Get(ctx, g.key("w")).Err(); !errors.Is(err, redis.Nil) {
		return fmt.Errorf("GET of what was deleted: %w", err)
	}
	o.DB = 2
	readonly := redis.NewClient(o)
	defer readonly.Close()
	return refused(readonly.Set(ctx, g.key("seed"), "x", 0).Err(), "READONLY")
}

func (g *goRedis) pipeline() (string, error) {
	ctx := context.Background()
	commands, err := g.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n := range 100 {
			p.Set(ctx, g.key(fmt.Sprintf("p:%d", n)), fmt.Sprintf("truth %d", n), 0)
		}
		for n := range 100 {
			p.Get(ctx, g.key(fmt.Sprintf("p:%d", n)))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	for n := range 100 {
		get, ok := commands[100+n].(*redis.StringCmd)
		if !ok {
			return "", fmt.Errorf("command %d is %v", n, commands[100+n])
		}
		if err := differs(get.Err(), get.Val(), fmt.Sprintf("truth %d", n)); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (g *goRedis) transaction() (string, error) {
	ctx := context.Background()
	var get *redis.StringCmd
	var del *redis.IntCmd
	_, err := g.c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, g.key("t1"), "truth 1", 0)
		p.Set(ctx, g.key("t2"), "truth 2", 0)
		get = p.Get(ctx, g.key("t1"))
		del = p.Del(ctx, g.key("t2"))
		return nil
	})
	if err := errors.Join(differs(err, get.Val(), "truth 1"), differs(err, del.Val(), 1)); err != nil {
		return "", err
	}
	many, err := g.c.MGet(ctx, g.key("t1"), g.key("t2")).Result()
	return "", lists(err, many, []any{"truth 1", nil})
}

func (g *goRedis) subscribe() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := g.c.PSubscribe(ctx, "__keyspace@0__:"+g.key("event*"))
	defer s.Close()
	if _, err := s.Receive(ctx); err != nil {
		return "", err
	}
	if err := g.produce(g.key("event1"), "truth"); err != nil {
		return "", err
	}
	m, err := s.ReceiveMessage(ctx)
	if err != nil {
		return "", err
	}
	if err := errors.Join(differs(nil, m.Channel, "__keyspace@0__:"+g.key("event1")), differs(nil, m.Payload, "set")); err != nil {
		return "", err
	}
	return "", s.Ping(ctx)
}

func (g *goRedis) wait() (string, error) {
	ctx := context.Background()
	c := g.c.Conn() // WAIT is of what its connection wrote
	defer c.Close()
	if err := c.Set(ctx, g.key("waited"), "truth", 0).Err(); err != nil {
		return "", err
	}
	n, err := c.Wait(ctx, 1, time.Second).Result()
	if err := differs(err, n, 1); err != nil {
		return "", err
	}
	began := time.Now()
	n, err = c.Wait(ctx, 7, 300*time.Millisecond).Result()
	if err := errors.Join(differs(err, n, 1), waited(began)); err != nil {
		return "", err
	}
	v, err := c.Get(ctx, g.key("waited")).Result()
	return "", differs(err, v, "truth")
}
