package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/net/netutil"

	"github.com/yolean/kafka-cache/core/cache"
)

// Config is what a [Server] is made from.
type Config struct {
	// Cache is what is reported on. Required; the server does not close it.
	Cache *cache.Cache
	// Registry is what /metrics shows. Required. Collectors of the process and of Go's runtime are added to it where it does
	// not have them yet.
	Registry *prometheus.Registry
	// MaxStaleness makes /readyz fail while a partition's last successful fetch is older; 0: an instance that was ready once
	// stays so through an outage of Kafka.
	MaxStaleness time.Duration
	// Peers is what the status says of other instances; nil, or what is nil: nothing. It is called from any goroutine.
	Peers func() *Peers
	// Commands counts the commands of what is in front of the cache; nil: there is nothing. It is called from one goroutine.
	Commands func() CommandTotals
	// Configuration is the effective configuration in YAML, without secrets.
	Configuration string
	// MemoryLimit is what the process is meant to stay within, in bytes; 0: nothing.
	MemoryLimit int64
	// TLS has Serve speak TLS; nil: it does not. Where it has ClientCAs, a client certificate that it verified is a credential; with
	// tls.VerifyClientCertIfGiven probes, which have none, are answered all the same.
	TLS *tls.Config
	// Tokens are bearer tokens, any of which is a credential; see [Server.SetTokens]. Without any credential the key look-up, the list of invalid
	// records and the profiles are answered over loopback only; with one everything but the probes asks for it.
	Tokens [][]byte
	// Logger gets what net/http and the metrics' handler complain of; nil: none.
	Logger *slog.Logger
}

// Limits towards every peer. The longest answer, a scrape, is small; the write timeout is for a peer that does not read.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 45 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxBodyBytes      = 1 << 10
	maxConnections    = 256
)

// Server serves the admin paths. Make one with [New].
type Server struct {
	cache         *cache.Cache
	maxStaleness  time.Duration
	handler       http.Handler
	paths         []string
	http          *http.Server
	checksums     *checksums
	peers         func() *Peers
	commands      func() CommandTotals
	configuration string
	memoryLimit   int64
	access        access
	lookups       chan struct{} // as many turns as there may be look-ups
	history       *history
	interval      time.Duration // of samples
	streams       *streams
	turns         *turns
	profiles      *profiles
	stopProfiles  context.CancelFunc
	log           *slog.Logger
	stopped       chan struct{} // Shutdown is through
}

// New makes a Server that does nothing until Serve.
func New(c Config) (*Server, error) {
	switch {
	case c.Cache == nil:
		return nil, errors.New("admin: Config.Cache is required")
	case c.Registry == nil:
		return nil, errors.New("admin: Config.Registry is required")
	case c.MaxStaleness < 0:
		return nil, errors.New("admin: Config.MaxStaleness is negative")
	}
	for _, collector := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		var already prometheus.AlreadyRegisteredError
		if err := c.Registry.Register(collector); err != nil && !errors.As(err, &already) {
			return nil, err
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	errorLog := slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn)
	s := &Server{
		cache: c.Cache, maxStaleness: c.MaxStaleness, checksums: newChecksums(c.Cache), peers: c.Peers, commands: c.Commands,
		configuration: c.Configuration, memoryLimit: c.MemoryLimit, lookups: make(chan struct{}, maxLookups),
		history: newHistory(), interval: sampleInterval, streams: newStreams(), turns: newTurns(), log: c.Logger, stopped: make(chan struct{}),
	}
	s.access.certificates = c.TLS != nil && c.TLS.ClientCAs != nil
	s.access.set(c.Tokens)
	s.profiles = &profiles{timed: make(chan struct{}, 1)}
	s.profiles.stopped, s.stopProfiles = context.WithCancel(context.Background())
	s.handler = s.routes(c.Registry, errorLog)
	s.http = &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
		TLSConfig:         c.TLS,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 alone: deadlines are a connection's
	}
	s.http.RegisterOnShutdown(func() { // they end by themselves only after minutes
		s.streams.end()
		s.stopProfiles()
	})
	return s, nil
}

// Paths are the patterns of all paths that are answered, ascending, as [http.ServeMux] takes them.
func (s *Server) Paths() []string { return slices.Clone(s.paths) }

// Handler is what Serve serves, for a program that has an HTTP server of its own. It is safe for concurrent use.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers on l, which it closes, until Shutdown: then it returns nil, after Shutdown has. It may be called once.
func (s *Server) Serve(l net.Listener) error {
	l = netutil.LimitListener(l, maxConnections)
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		<-s.stopped
		return nil
	}
	return err
}

// Shutdown stops accepting, lets requests that are under way finish, and where ctx ends first cuts their connections and
// returns ctx's error. It may be called once, also before Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	defer close(s.stopped)
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return s.checksums.wait(ctx)
}
