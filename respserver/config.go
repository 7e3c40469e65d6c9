package respserver

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/peers"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// ErrConfig is wrapped by every error of [Config.Validate].
var ErrConfig = errors.New("respserver: configuration")

// WriteReply says what +OK of a SET means.
type WriteReply int

const (
	// Applied: the record is in the log and this instance has applied it, so that every connection to it reads it.
	Applied WriteReply = iota
	// Acknowledged: the record is in the log. A later read of the same connection still waits for it, for at most ApplyTimeout.
	Acknowledged
)

// Defaults of [Config].
const (
	DefaultApplyTimeout     = time.Second
	DefaultMaxClients       = 10_000
	DefaultKeepAlive        = 300 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultAuthTimeout      = 30 * time.Second
	DefaultQueryLimit       = 1 << 30
	DefaultOutputLimit      = 64 << 20
	DefaultBufferLimit      = 2 << 30
	DefaultMaxPending       = 4096
)

// Config is what a [Server] is made from. Zero values mean the defaults that are named.
type Config struct {
	// Cache is what is served. Required; the server does not close it.
	Cache *cache.Cache
	// Version is this program's, for INFO.
	Version string

	// Password is what AUTH asks for (Redis's requirepass), the user default's; empty: none. It is not kept beyond NewServer, only its hash.
	Password []byte
	// Users are those that have names and rights of their own. Where there are some, none of them is default and there is no Password, nobody is
	// served before logging in as one of them; with a Password the user default may do everything.
	Users []User
	// CertificateUsers logs in whoever has a client certificate, which TLS has to ask for, as the user that its subject's common name names, where there
	// is one (Redis's tls-auth-clients-user).
	CertificateUsers bool
	// AuthTimeout closes a connection that has not logged in so long after it was accepted, where that is necessary: 30 s.
	AuthTimeout time.Duration
	// Unprotected switches protected mode off, in which connections from elsewhere than loopback are refused while there is
	// neither a password nor a client certificate.
	Unprotected bool
	// TLS, where not nil, is spoken on every connection.
	TLS *tls.Config
	// HandshakeTimeout bounds a TLS handshake, 10 s.
	HandshakeTimeout time.Duration

	// WriteReply says what +OK of a SET means: Applied.
	WriteReply WriteReply
	// ApplyTimeout is how long a write may wait to be applied here after it was acknowledged before -PENDING is answered, 1 s.
	ApplyTimeout time.Duration
	// AllowFlush allows FLUSHALL and FLUSHDB, which write a tombstone for every key.
	AllowFlush bool

	// Peers are the other instances, which WAIT counts; without addresses there are none. What names this instance is filled in.
	Peers peers.Config

	// Driver is what waits for connections: Goroutines.
	Driver Driver

	// MaxClients is how many connections there may be, 10,000.
	MaxClients int
	// MaxUnauthenticated is how many of them may be in the TLS handshake, or not have logged in where that is asked for: half of MaxClients. For one more the
	// one that has been so for longest is closed, as it is where there are MaxClients.
	MaxUnauthenticated int
	// RateLimit is how many commands a connection may run a second; 0: any number. Those of one second, 100 at least, may come at once. What comes sooner
	// waits to be read.
	RateLimit int
	// IdleTimeout closes a connection that sent nothing for so long; 0: never.
	IdleTimeout time.Duration
	// KeepAlive is the interval of TCP keepalive probes, 300 s; negative: none.
	KeepAlive time.Duration
	// WriteTimeout closes a connection whose peer takes no byte for so long, 30 s.
	WriteTimeout time.Duration

	// MaxBulk is the largest argument in bytes, 512 MB (Redis's proto-max-bulk-len).
	MaxBulk int
	// QueryLimit is how many bytes of a command that has not fully arrived are held for one connection, 1 GB (client-query-buffer-limit).
	QueryLimit int
	// OutputLimit is how many bytes of replies are held for a peer that does not read, 64 MB. At the limit no more commands are taken from
	// it, and after WriteTimeout without progress it is closed. It also bounds each reply of many keys, which past it is an error.
	OutputLimit int
	// BufferLimit bounds the buffers of all connections together, 2 GB, which [Server.LimitBuffers] can lower. Where it is reached connections are closed, those first whose
	// peers take nothing.
	BufferLimit int64
	// MaxPending is how many replies one connection may wait for, 4096; then no more commands are taken from it until one is there.
	MaxPending int

	// Logger gets what operators should know: never a key, a value or a secret. nil: none.
	Logger *slog.Logger
	// Registerer gets the metrics; nil: none are registered.
	Registerer prometheus.Registerer
}

// Validate names the first thing that is wrong; the error wraps ErrConfig.
func (c *Config) Validate() error {
	if c.Cache == nil {
		return fmt.Errorf("%w: Cache is required", ErrConfig)
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"ApplyTimeout", c.ApplyTimeout}, {"IdleTimeout", c.IdleTimeout}, {"WriteTimeout", c.WriteTimeout}, {"HandshakeTimeout", c.HandshakeTimeout},
		{"AuthTimeout", c.AuthTimeout},
	} {
		if d.v < 0 {
			return fmt.Errorf("%w: %s is negative: %v", ErrConfig, d.name, d.v)
		}
	}
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"MaxClients", int64(c.MaxClients)}, {"MaxBulk", int64(c.MaxBulk)}, {"QueryLimit", int64(c.QueryLimit)}, {"OutputLimit", int64(c.OutputLimit)},
		{"BufferLimit", c.BufferLimit}, {"MaxUnauthenticated", int64(c.MaxUnauthenticated)}, {"RateLimit", int64(c.RateLimit)}, {"MaxPending", int64(c.MaxPending)},
	} {
		if n.v < 0 {
			return fmt.Errorf("%w: %s is negative: %d", ErrConfig, n.name, n.v)
		}
	}
	if c.Driver != Goroutines && c.Driver != Epoll {
		return fmt.Errorf("%w: Driver is %d", ErrConfig, c.Driver)
	}
	if c.WriteReply != Applied && c.WriteReply != Acknowledged {
		return fmt.Errorf("%w: WriteReply is %d", ErrConfig, c.WriteReply)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.ApplyTimeout = cmp.Or(c.ApplyTimeout, DefaultApplyTimeout)
	c.MaxClients = cmp.Or(c.MaxClients, DefaultMaxClients)
	c.MaxUnauthenticated = cmp.Or(c.MaxUnauthenticated, max(c.MaxClients/2, 1))
	c.KeepAlive = cmp.Or(c.KeepAlive, DefaultKeepAlive)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultWriteTimeout)
	c.AuthTimeout = cmp.Or(c.AuthTimeout, DefaultAuthTimeout)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.MaxBulk = cmp.Or(c.MaxBulk, resp.DefaultMaxBulk)
	c.QueryLimit = cmp.Or(c.QueryLimit, DefaultQueryLimit)
	c.OutputLimit = cmp.Or(c.OutputLimit, DefaultOutputLimit)
	c.BufferLimit = cmp.Or(c.BufferLimit, DefaultBufferLimit)
	c.MaxPending = cmp.Or(c.MaxPending, DefaultMaxPending)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
