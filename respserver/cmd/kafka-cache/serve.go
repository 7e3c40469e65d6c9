package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/oklog/run"

	"github.com/yolean/kafka-cache/respserver"
)

// serveCommand serves until a signal or an error ends it.
func serveCommand(args, environ []string, stdout, stderr io.Writer) error {
	cfg, warnings, err := load(args, environ)
	if err != nil {
		return err
	}
	log, err := newLogger(stderr, cfg)
	if err != nil {
		return configError{err}
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	d, err := newDaemon(cfg, log, stdout)
	if err != nil {
		return err
	}
	return d.run(signals)
}

var errStopped = errors.New("stopped by a signal")

// run starts everything and returns when all of it has ended.
//
// The group interrupts its actors one after the other in the order in which they were added, and each interrupt here
// returns only when its part has ended. So the order of the calls to Add is the closing order: signals (which starts the
// deadline), RESP, admin, the cache (tail, group, producer, stores), and then what only served those.
func (d *daemon) run(signals <-chan os.Signal) error {
	var (
		group   run.Group
		stop    = &stopping{daemon: d, signals: signals}
		problem problems
	)
	d.logStart()
	stopSignals := make(chan struct{})
	group.Add(func() error { return d.awaitSignal(signals, stop, stopSignals) }, func(error) {
		close(stopSignals)
		d.cache.Drain()
		stop.watchSecondSignal()
		stop.startDeadline()
	})
	group.Add(func() error {
		d.log.Info("resp listening", "addr", d.respListener.Addr().String(), "tls", d.cfg.RESPTLSCert != "", "password", d.cfg.RESPPasswordFile != "", "users", len(d.cfg.Users),
			"protectedMode", d.cfg.ProtectedMode)
		err := d.resp.Serve(d.respListener)
		if errors.Is(err, respserver.ErrServerClosed) {
			return nil
		}
		return err
	}, func(error) { d.shutdownRESP() })
	addContext(&group, d.resp.RunPeers)
	group.Add(func() error {
		d.log.Info("admin listening", "addr", d.adminListener.Addr().String(), "tls", d.cfg.AdminTLSCert != "", "token", d.cfg.AdminTokenFile != "")
		return d.admin.Serve(d.adminListener)
	}, func(error) {
		ctx, cancel := context.WithTimeout(context.Background(), min(time.Second, d.cfg.ShutdownTimeout/10))
		defer cancel()
		if err := d.admin.Shutdown(ctx); err != nil {
			d.log.Warn("admin connections were cut", "error", err)
		}
	})
	addContext(&group, d.admin.Run)
	addContext(&group, func(ctx context.Context) error {
		var announcing sync.WaitGroup
		defer announcing.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		announcing.Go(func() { d.announce(ctx) })
		if d.schemas != nil {
			defer d.schemas.Close()
		}
		return problem.keep(d.cache.Run(ctx))
	})
	addContext(&group, d.reload.Run)
	if d.guard != nil {
		addContext(&group, d.guard.Run)
	}
	if d.disk != nil {
		addContext(&group, d.disk.Run)
	}
	if d.broker != nil {
		addContext(&group, d.broker.Run)
	}

	err := group.Run()
	d.brokers.close()
	if d.broker != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = problem.keep(d.broker.Close(ctx)) // told with what else went wrong
	}
	stop.stopDeadline()
	if errors.Is(err, errStopped) {
		err = problem.first
	}
	if err == nil {
		d.log.Info("stopped")
	}
	return err
}

// logStart says who begins with what, in one line to find the beginning of a run by.
func (d *daemon) logStart() {
	topics := make([]string, len(d.cfg.Topics))
	for i, t := range d.cfg.Topics {
		topics[i] = t.Name
	}
	d.log.Info("starting", "version", versionName(), "go", runtime.Version(), "identity", d.cfg.Identity, "kafka", strings.Join(d.bootstrap, ","),
		"topics", strings.Join(topics, ","), "dataDir", d.cfg.DataDir)
}

// addContext adds an actor that ends with its context, and whose interrupt waits for that.
func addContext(group *run.Group, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	group.Add(func() error {
		defer close(ended)
		return f(ctx)
	}, func(error) {
		cancel()
		<-ended
	})
}

// awaitSignal waits for the first signal and then for the grace, in which clients are still served and /readyz fails.
func (d *daemon) awaitSignal(signals <-chan os.Signal, stop *stopping, interrupted <-chan struct{}) error {
	select {
	case s := <-signals:
		d.log.Info("stopping", "signal", s.String(), "grace", d.cfg.ShutdownGrace.String())
		d.cache.Drain()
		stop.watchSecondSignal()
	case <-interrupted:
		return nil
	}
	grace := time.NewTimer(d.cfg.ShutdownGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-interrupted:
	}
	return errStopped
}

// shutdownRESP leaves the other half of the time for the stores.
func (d *daemon) shutdownRESP() {
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.ShutdownTimeout/2)
	defer cancel()
	if err := d.resp.Shutdown(ctx); err != nil {
		d.log.Warn("RESP connections were cut", "error", err)
	}
}

// announce logs that every topic is ready, once.
func (d *daemon) announce(ctx context.Context) {
	began, keys, resident := time.Now(), int64(0), true
	for _, t := range d.cache.Topics() {
		if t.WaitReady(ctx) != nil {
			return // it is ending
		}
		n, all := t.Resident()
		keys, resident = keys+n, resident && all
	}
	d.log.Info("ready", "identity", d.cfg.Identity, "topics", len(d.cfg.Topics), "keys", keys, "resident", resident, "after", time.Since(began).Round(time.Millisecond).String())
	if d.broker != nil {
		d.banner()
	}
}

// stopping ends the process where an orderly end takes too long or somebody insists.
type stopping struct {
	daemon  *daemon
	signals <-chan os.Signal

	watch    sync.Once
	deadline *time.Timer
}

// sameSignal is for how long after the first signal another is taken for the same: who signals a process and its group, as timeout(1) does, signals it twice.
const sameSignal = 100 * time.Millisecond

func (s *stopping) watchSecondSignal() {
	s.watch.Do(func() {
		first := time.Now()
		go func() {
			second := <-s.signals
			for time.Since(first) < sameSignal {
				second = <-s.signals
			}
			s.daemon.log.Error("a second signal: ending at once", "signal", second.String())
			os.Exit(exitFailed)
		}()
	})
}

func (s *stopping) startDeadline() {
	s.deadline = time.AfterFunc(s.daemon.cfg.ShutdownTimeout, func() {
		s.daemon.log.Error("the orderly end took longer than --shutdown-timeout: ending at once", "timeout", s.daemon.cfg.ShutdownTimeout.String())
		os.Exit(exitFailed)
	})
}

func (s *stopping) stopDeadline() { s.deadline.Stop() }

// problems keeps the first error of what ends after the group has its own.
type problems struct {
	mu    sync.Mutex
	first error
}

func (p *problems) keep(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == nil {
		p.first = err
	}
	return err
}
