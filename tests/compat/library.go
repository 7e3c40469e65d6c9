package compat

import (
	"context"
	"slices"
)

// Library is a client library in one major version.
type Library struct {
	Name     string
	Language string
	Protocol string // that it speaks by default
	// Absent are the columns that the library has nothing for, each with the reason.
	Absent map[string]string
	// Light is one whose probe needs nothing that make setup has not got: it is part of the ordinary tests.
	Light bool
	// Prepare gets the library and builds the probe.
	Prepare func(ctx context.Context, top string) (Probe, error)
}

// columns are those that the library has.
func (l Library) columns() (names []string) {
	for _, c := range Columns {
		if _, absent := l.Absent[c.Name]; !absent {
			names = append(names, c.Name)
		}
	}
	return names
}

// Libraries are all that are tried, in the order of the table.
func Libraries() []Library {
	return slices.Concat(goLibraries(), pythonLibraries(), nodeLibraries(), javaLibraries(), rustLibraries())
}

// Try tries one library. An error is of the stage; what the library did is in the report.
func (s *Stage) Try(ctx context.Context, l Library) (Report, error) {
	probe, err := l.Prepare(ctx, s.top)
	if err != nil {
		return Report{Name: l.Name, NotHad: err.Error()}, ctx.Err()
	}
	r, err := s.run(ctx, l.Name, probe, l.columns())
	for column, why := range l.Absent {
		r.Results = append(r.Results, Result{Column: column, Absent: true, Note: why})
	}
	return r, err
}

const (
	noCache   = "the library has no client-side cache"
	noCluster = "the library has no cluster client of its own"
)

func goLibraries() []Library {
	return []Library{
		{Name: "go-redis 9", Language: "Go", Protocol: "3", Light: true, Prepare: goProbe("go-redis"), Absent: map[string]string{"cache": noCache}},
		{Name: "go-redis 9 RESP2", Language: "Go", Protocol: "2", Light: true, Prepare: goProbe("go-redis-resp2"), Absent: map[string]string{"cache": noCache}},
		{Name: "rueidis 1", Language: "Go", Protocol: "3", Light: true, Prepare: goProbe("rueidis")},
		{Name: "redigo 1", Language: "Go", Protocol: "2", Light: true, Prepare: goProbe("redigo"), Absent: map[string]string{"cache": noCache, "cluster": noCluster}},
	}
}

func pythonLibraries() []Library {
	return []Library{
		{Name: "redis-py 5", Language: "Python", Protocol: "2", Prepare: pythonProbe("5")},
		{Name: "redis-py 6", Language: "Python", Protocol: "2", Prepare: pythonProbe("6")},
		{Name: "redis-py 7", Language: "Python", Protocol: "2", Prepare: pythonProbe("7")},
		{Name: "redis-py 8", Language: "Python", Protocol: "3", Light: true, Prepare: pythonProbe("8")},
	}
}

func nodeLibraries() []Library {
	return []Library{
		{Name: "ioredis 5", Language: "Node.js", Protocol: "2", Prepare: nodeProbe("ioredis5"), Absent: map[string]string{"cache": noCache}},
		{Name: "ioredis 6", Language: "Node.js", Protocol: "3", Prepare: nodeProbe("ioredis6"), Absent: map[string]string{"cache": noCache}},
		{Name: "node-redis 4", Language: "Node.js", Protocol: "2", Prepare: nodeProbe("redis4"), Absent: map[string]string{"cache": noCache}},
		{Name: "node-redis 5", Language: "Node.js", Protocol: "2", Prepare: nodeProbe("redis5"), Absent: map[string]string{"cache": "needs RESP3: see node-redis 5 RESP3"}},
		{Name: "node-redis 5 RESP3", Language: "Node.js", Protocol: "3", Prepare: nodeProbe("redis5", "COMPAT_RESP=3")},
		{Name: "node-redis 6", Language: "Node.js", Protocol: "3", Prepare: nodeProbe("redis6")},
	}
}

func javaLibraries() []Library {
	return []Library{
		{Name: "Jedis 6", Language: "Java", Protocol: "2", Prepare: javaProbe("jedis6", "JedisProbe")},
		{Name: "Jedis 7", Language: "Java", Protocol: "2", Prepare: javaProbe("jedis7", "JedisProbe")},
		{Name: "Jedis 8", Language: "Java", Protocol: "3", Prepare: javaProbe("jedis8", "JedisProbe")},
		{Name: "Lettuce 6", Language: "Java", Protocol: "3", Prepare: javaProbe("lettuce6", "LettuceProbe")},
		{Name: "Lettuce 7", Language: "Java", Protocol: "3", Prepare: javaProbe("lettuce7", "LettuceProbe")},
		{Name: "Redisson 3", Language: "Java", Protocol: "2", Prepare: javaProbe("redisson", "RedissonProbe"), Absent: map[string]string{
			"cache": "its local caches are of maps, which are scripts and hashes: refused", "cluster": "not tried", "wait": "not an operation of its own", "tls": "not tried",
		}},
	}
}

func rustLibraries() []Library {
	return []Library{
		{Name: "redis-rs 1", Language: "Rust", Protocol: "2", Prepare: rustProbe("sync"), Absent: map[string]string{
			"cache": "the cache is the asynchronous client's: see redis-rs 1 tokio", "cluster": "a feature of the crate that is not built here", "tls": "a feature of the crate that is not built here",
			"pool": "pools are crates of their own", "reconnect": "a connection of the synchronous client is opened anew by who uses it: see redis-rs 1 tokio",
		}},
		{Name: "redis-rs 1 tokio", Language: "Rust", Protocol: "2", Prepare: rustProbe("tokio"), Absent: map[string]string{
			"cluster": "a feature of the crate that is not built here", "tls": "a feature of the crate that is not built here",
		}},
	}
}
