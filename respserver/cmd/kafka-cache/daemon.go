package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/admin"
	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec/registry"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/dev"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/disk"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/memory"
)

// fillTimeout bounds the writing of the sample model, which takes milliseconds.
const fillTimeout = 30 * time.Second

// daemon is what serve puts together: everything is checked and both ports are taken before anything else is opened.
type daemon struct {
	cfg    *config.Config
	log    *slog.Logger
	stdout io.Writer

	respListener  net.Listener
	adminListener net.Listener
	bootstrap     []string    // of Kafka
	broker        *dev.Broker // nil without --dev
	brokers       *brokers
	schemas       *registry.Registry // nil where no topic needs one
	cache         *cache.Cache
	reload        *reloader
	resp          *respserver.Server
	admin         *admin.Server
	guard         *memory.Guard // nil without a limit
	disk          *disk.Watch   // nil without a data directory
	memoryLimit   int64         // 0: none
}

// newDaemon opens listeners, and with --dev the broker. Where it fails it has closed them again, and nothing in the data
// directory has been touched.
func newDaemon(cfg *config.Config, log *slog.Logger, stdout io.Writer) (*daemon, error) {
	d := &daemon{cfg: cfg, log: log, stdout: stdout}
	if err := d.open(); err != nil {
		d.closeUnstarted()
		return nil, err
	}
	return d, nil
}

func (d *daemon) open() error {
	cfg, log := d.cfg, d.log
	m, err := readMaterial(cfg)
	if err != nil {
		return configError{err}
	}
	if err := checkDataDir(cfg.DataDir); err != nil {
		return configError{err}
	}
	if d.respListener, err = listen("--resp-addr", cfg.RESPAddr); err != nil {
		return err
	}
	if d.adminListener, err = listen("--admin-addr", cfg.AdminAddr); err != nil {
		return err
	}
	d.bootstrap = cfg.KafkaBootstrap
	if cfg.Dev {
		if d.broker, err = dev.Start(log); err != nil {
			return err
		}
		d.bootstrap = d.broker.Addrs()
		log.Warn("development mode: the broker is in this process, its data is made up and gone when it ends", "broker", strings.Join(d.bootstrap, ","))
	}
	if !cfg.ProtectedMode && cfg.RESPPasswordFile == "" && len(cfg.Users) == 0 && cfg.RESPTLSClientCA == "" {
		log.Warn("protected mode is off and neither a password nor a client certificate is asked for: whoever reaches the port is served")
	}
	metrics := prometheus.NewRegistry()
	if d.brokers, err = newBrokers(cfg, log, metrics); err != nil {
		return err
	}
	topics, err := d.topics(m)
	if err != nil {
		return err
	}
	d.cache, err = cache.New(cache.Config{
		Kafka:   d.brokers.config(d.bootstrap, log),
		Topics:  topics,
		DataDir: cfg.DataDir,

		ServeUnverified: cfg.ServeUnverified,
		Identity:        cfg.Identity,
		NoCommit:        !cfg.CommitOffsets,
		StartupTimeout:  cfg.StartupTimeout,
		Version:         versionName(),
		Logger:          log,
		Registerer:      metrics,
	})
	if err != nil {
		return err
	}
	if d.reload, err = newReloader(cfg, log, m, metrics); err != nil {
		return err
	}
	if d.resp, err = respserver.NewServer(d.respConfig(m, metrics)); err != nil {
		return err
	}
	d.reload.resp = d.resp
	if err := d.newGuard(metrics); err != nil {
		return err
	}
	if err := d.newAdmin(m, metrics); err != nil {
		return err
	}
	if err := makeDataDir(cfg.DataDir); err != nil {
		return configError{err}
	}
	if cfg.DataDir != "" {
		if d.disk, err = disk.NewWatch(disk.Config{Dir: cfg.DataDir, Limit: int64(cfg.DiskLimit), Logger: log, Registerer: metrics}); err != nil {
			return err
		}
	}
	if cfg.Dev {
		ctx, cancel := context.WithTimeout(context.Background(), fillTimeout)
		defer cancel()
		if err := d.broker.Fill(ctx); err != nil {
			return err
		}
	}
	return nil
}

// topics are the configured ones; where one's values need a schema registry, there is one.
func (d *daemon) topics(m material) ([]cache.TopicConfig, error) {
	if len(d.cfg.SchemaRegistry) > 0 {
		r, err := registry.New(registry.Config{URLs: d.cfg.SchemaRegistry, User: d.cfg.SchemaRegistryUser, Password: m.registryPassword, TLS: m.registryTLS, Logger: d.log})
		if err != nil {
			return nil, configError{err}
		}
		d.schemas = r
	}
	topics := make([]cache.TopicConfig, len(d.cfg.Topics))
	for i, t := range d.cfg.Topics {
		topics[i] = cache.TopicConfig{Name: t.Name, Writable: !t.ReadOnly, KeyEncoding: t.KeyEncoding, ValueEncoding: t.ValueEncoding,
			Start: t.Start, DeleteRetention: t.DeleteRetention, RepairSplitKeys: t.RepairSplitKeys}
		t.Policies.Apply(&topics[i])
		if !slices.Contains(registry.Names(), t.ValueEncoding) {
			continue
		}
		var err error
		if topics[i].ValueCodec, err = d.schemas.Codec(t.ValueEncoding, registry.Use{Topic: t.Name, ReadOnly: t.ReadOnly}); err != nil {
			return nil, configError{err}
		}
	}
	return topics, nil
}

func (d *daemon) respConfig(m material, metrics *prometheus.Registry) respserver.Config {
	c := respserver.Config{
		Cache:            d.cache,
		Version:          versionName(),
		Password:         m.respPassword,
		Unprotected:      !d.cfg.ProtectedMode,
		Users:            m.respUsers,
		CertificateUsers: d.cfg.RESPTLSAuthClientsUser == "CN",
		AuthTimeout:      d.cfg.RESPAuthTimeout,
		WriteTimeout:     d.cfg.RESPWriteTimeout,
		OutputLimit:      int(d.cfg.RESPOutputLimit),
		QueryLimit:       int(d.cfg.RESPQueryLimit),
		BufferLimit:      int64(d.cfg.RESPBufferLimit),
		TLS:              d.reload.serverTLS(),
		ApplyTimeout:     d.cfg.ApplyTimeout,
		AllowFlush:       d.cfg.RESPAllowFlush,
		MaxClients:       d.cfg.RESPMaxClients,
		IdleTimeout:      d.cfg.RESPIdleTimeout,
		RateLimit:        d.cfg.RESPRateLimit,

		MaxUnauthenticated: d.cfg.RESPMaxUnauthenticated,

		Logger:     d.log,
		Registerer: metrics,
	}
	c.Peers = peersConfig(d.cfg)
	if d.cfg.WriteReply == config.Acknowledged {
		c.WriteReply = respserver.Acknowledged
	}
	if d.cfg.RESPDriver == config.Epoll {
		c.Driver = respserver.Epoll
	}
	return c
}

// buffersOfSpare is the part of the Go heap that clients' buffers may take, beside what else is in it and the garbage that comes and goes with them.
const buffersOfSpare = 3

// newGuard makes the guard where there is a limit.
func (d *daemon) newGuard(metrics *prometheus.Registry) error {
	limit, source := int64(d.cfg.MemoryLimit), "--memory-limit"
	auto := d.cfg.MemoryLimit == config.AutoBytes
	if auto {
		n, found, err := memory.CgroupLimit(os.DirFS("/"))
		switch {
		case err != nil:
			d.log.Warn("the memory limit is not known: give one with --memory-limit", "error", err)
			return nil
		case !found:
			return nil
		}
		limit, source = n, "control group"
	}
	if limit == 0 {
		return nil
	}
	if limit < int64(config.LeastMemory) {
		d.log.Warn("the control group's memory limit is less than the process alone takes, before any record", "bytes", limit, "least", int64(config.LeastMemory))
	}
	keep := auto && os.Getenv("GOMEMLIMIT") != ""
	d.log.Info("memory limit", "bytes", limit, "from", source, "keepsGOMEMLIMIT", keep)
	var err error
	d.memoryLimit = limit
	d.guard, err = memory.NewGuard(memory.Config{
		Limit: limit, Outside: d.cache.OutsideHeap, Spare: func(n int64) { d.resp.LimitBuffers(n / buffersOfSpare) }, KeepRuntimeLimit: keep, Logger: d.log, Registerer: metrics,
	})
	return err
}

// listen takes a port; another configuration would mend what fails here.
func listen(option, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, configError{fmt.Errorf("%s: %s is in use by another process: end that one, or choose another port (0 takes a free one)", option, addr)}
	}
	return nil, configError{fmt.Errorf("%s: %w", option, err)}
}

// closeUnstarted gives back what newDaemon took. The cache has not been run and holds nothing.
func (d *daemon) closeUnstarted() {
	for _, l := range []net.Listener{d.respListener, d.adminListener} {
		if l != nil {
			_ = l.Close() // nobody has connected
		}
	}
	if d.brokers != nil {
		d.brokers.close()
	}
	if d.broker != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = d.broker.Close(ctx) // the error that led here is the one to tell
	}
}
