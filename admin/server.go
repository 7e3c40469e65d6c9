package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
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
	// Peers is what the status says of other instances; nil: nothing.
	Peers func() any
	// Logger gets what net/http and the metrics' handler complain of; nil: none.
	Logger *slog.Logger
}

// Limits towards every peer. The longest answer, a scrape, is small; the write timeout is for a peer that does not read.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxBodyBytes      = 1 << 10
	maxConnections    = 256
)

// Server serves the admin paths. Make one with [New].
type Server struct {
	cache        *cache.Cache
	maxStaleness time.Duration
	handler      http.Handler
	http         *http.Server
	checksums    *checksums
	peers        func() any
	stopped      chan struct{} // Shutdown is through
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
	s := &Server{cache: c.Cache, maxStaleness: c.MaxStaleness, checksums: newChecksums(c.Cache), peers: c.Peers, stopped: make(chan struct{})}
	s.handler = s.routes(c.Registry, errorLog)
	s.http = &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
	return s, nil
}

// Handler is what Serve serves, for a program that has an HTTP server of its own. It is safe for concurrent use.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers on l, which it closes, until Shutdown: then it returns nil, after Shutdown has. It may be called once.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(netutil.LimitListener(l, maxConnections))
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
