package respserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/peers"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("respserver: closed")

const (
	cronInterval   = 250 * time.Millisecond
	trimAfter      = 2 * time.Second // of idleness, as in Redis
	trimsAtOnce    = 1000            // that one run of cron begins: they share a processor with who is not idle
	acceptBackOff  = 5 * time.Millisecond
	acceptBackOffs = time.Second // the longest
	refusalTimeout = time.Second // for sending why a connection is refused
)

// Server answers the Redis protocol on any number of listeners. Its methods may be called from any goroutine.
type Server struct {
	cfg           Config
	topics        []*cache.Topic
	table         *table
	stats         stats
	epoch         time.Time
	runID         string
	users         atomic.Pointer[userTable]
	buffers       atomic.Int64 // bytes that connections hold
	bufferLimit   atomic.Int64 // Config.BufferLimit, or less
	owed          atomic.Int64 // of buffers, what connections hold that were closed for it and have not ended yet, and writes that are under way of those that have ended
	roomWait      atomic.Int64 // roomWait, and stalledAfter, but in tests
	stalledAfter  atomic.Int64
	lastLook      atomic.Int64 // now when a connection that waits for room had last looked whom to close
	lane          lane
	spares        spares
	nextID        atomic.Int64
	draining      atomic.Bool
	drain         drain
	wasReady      atomic.Bool
	tracking      trackingTable
	notifications notifications
	repairs       *repairs
	slow          slowLog
	infoBase      atomic.Pointer[infoBase] // nil: zeros
	latency       latencyLog
	paused        pausing
	rate          rateLimit
	peers         *peers.Set // nil: none are configured

	workspaces sync.Pool // of *workspace, for connections with something to do

	loadingReplies []loadingReply // by topic

	mu           sync.Mutex
	conns        map[int64]*conn
	strangers    strangers
	pressedSince time.Duration // cron's: since when more than half of what may be held is; 0: it is not
	overSince    time.Duration // cron's: since when more than may be held is; 0: it is not
	listeners    map[net.Listener]struct{}
	closed       bool
	cronDone     chan struct{} // nil while there is no cron
	cronStop     chan struct{}
	goroutine    sync.WaitGroup // connections, and repairs that they began
	loops        []*eventLoop   // none: connections have goroutines
	loopsStarted bool           // or it is known that there are none
}

// NewServer makes a Server that does nothing until Serve. It registers its metrics.
func NewServer(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg.withDefaults(), epoch: time.Now(), conns: map[int64]*conn{}, listeners: map[net.Listener]struct{}{}, topics: cfg.Cache.Topics(),
		stats: stats{rejected: map[string]uint64{}, killed: map[string]uint64{}},
	}
	users, err := newUsers(cfg.Users, cfg.Password, s.topics)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.users.Store(users)
	s.rate = newRateLimit(s.cfg.RateLimit)
	s.strangers.most = s.cfg.MaxUnauthenticated
	s.cfg.Password, s.cfg.Users = nil, nil
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	s.workspaces.New = newWorkspace
	s.lane.open()
	s.drain.afterIdle, s.drain.within = drainAfterIdle, drainWithin
	s.roomWait.Store(int64(roomWait))
	s.stalledAfter.Store(int64(stalledAfter))
	s.LimitBuffers(s.cfg.BufferLimit)
	s.runID = hex.EncodeToString(id[:])
	s.table = newTable(cfg.AllowFlush)
	s.tracking.srv, s.notifications.srv = s, s
	s.tracking.most.Store(trackedKeysMost)
	s.slow.init()
	s.repairs = newRepairs(len(s.topics))
	if len(cfg.Peers.Addrs) > 0 {
		p := cfg.Peers
		p.Instance, p.Identity, p.Cluster, p.Logger = s.runID, cfg.Cache.Identity(), cfg.Cache.ClusterID, s.cfg.Logger
		for _, t := range s.topics {
			p.Topics = append(p.Topics, t.Name())
		}
		var err error
		if s.peers, err = peers.New(p); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	s.loadingReplies = make([]loadingReply, len(s.topics))
	if err := newMetrics(s, cfg.Registerer); err != nil {
		return nil, fmt.Errorf("respserver: register metrics: %w", err)
	}
	return s, nil
}

// RunPeers asks the other instances what they have applied, for WAIT, until ctx ends. Without it, and without Config.Peers, WAIT counts this one alone.
func (s *Server) RunPeers(ctx context.Context) error {
	if s.peers == nil {
		<-ctx.Done()
		return nil
	}
	return s.peers.Run(ctx)
}

// Peers is what is known of the other instances; nil where none are configured.
func (s *Server) Peers() *peers.Report {
	if s.peers == nil {
		return nil
	}
	r := s.peers.Report()
	return &r
}

// now is the time since the server was made: cheaper to read than the wall clock.
func (s *Server) now() time.Duration { return time.Since(s.epoch) }

// Serve accepts connections from l until Shutdown, which makes it return ErrServerClosed, or until accepting fails for good. It closes l.
// Errors that pass (no file descriptors left, connections that were aborted) are waited out with a back-off.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }()
	if !s.addListener(l) {
		return ErrServerClosed
	}
	defer s.removeListener(l)
	if err := s.startLoops(); err != nil {
		return err
	}
	backOff := acceptBackOff
	for {
		nc, err := l.Accept()
		if err == nil {
			backOff = acceptBackOff
			s.accept(nc)
			continue
		}
		if s.draining.Load() {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("respserver: accept: %w", err)
		}
		s.stats.acceptErrors.Add(1)
		s.cfg.Logger.Warn("accept", "error", err, "retry in", backOff)
		s.backOff(backOff)
		backOff = min(2*backOff, acceptBackOffs)
	}
}

// backOff waits, but not beyond Shutdown.
func (s *Server) backOff(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	s.mu.Lock()
	stop := s.cronStop
	s.mu.Unlock()
	select {
	case <-t.C:
	case <-stop:
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	if s.cronDone == nil {
		s.cronDone, s.cronStop = make(chan struct{}), make(chan struct{})
		go s.cron(s.cronStop, s.cronDone)
	}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// accept starts a connection, or refuses it. It does not block.
func (s *Server) accept(nc net.Conn) {
	s.stats.accepted.Add(1)
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetNoDelay(true)
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: s.cfg.KeepAlive > 0, Idle: s.cfg.KeepAlive, Interval: max(s.cfg.KeepAlive/3, time.Second), Count: 3,
		})
	}
	nc, err := s.take(nc)
	if err != nil {
		s.stats.acceptErrors.Add(1)
		s.cfg.Logger.Warn("accept", "error", err)
		return
	}
	c := newConn(s, nc)
	c.multiCount.Store(-1)
	c.logout()
	stranger := c.needsAuth.Load() || s.cfg.TLS != nil

	s.mu.Lock()
	refusal, reason := "", ""
	switch {
	case s.closed:
		s.mu.Unlock()
		c.close()
		return
	case s.protects(nc.RemoteAddr()):
		refusal, reason = denied, "protected"
	case !s.place(stranger):
		refusal, reason = "-ERR max number of clients reached\r\n", "maxclients"
	default:
		s.conns[c.id] = c
		if stranger {
			s.meet(c)
		}
		a, _ := s.users.Load().first() // SetUsers may have come between
		c.user.Store(a)
	}
	s.goroutine.Add(1)
	s.mu.Unlock()
	if refusal != "" {
		s.stats.reject(reason)
		go func() {
			defer s.goroutine.Done()
			defer c.close()
			refuse(nc, s.cfg.TLS != nil, refusal)
		}()
		return
	}
	switch {
	case c.driven != nil:
		c.driven.loop.begin(c)
	case s.cfg.TLS != nil:
		go s.begin(c)
	default:
		go s.serve(c)
	}
}

// close closes what was accepted for good. Nobody reads or writes any more.
func (c *conn) close() {
	_ = c.nc.Close()
	if c.driven != nil {
		c.driven.sock.release()
	}
}

// refuse says why, as Redis does, on connections without TLS: a handshake is not spent on it.
func refuse(nc net.Conn, overTLS bool, text string) {
	if !overTLS {
		_ = nc.SetWriteDeadline(time.Now().Add(refusalTimeout))
		_, _ = nc.Write([]byte(text))
	}
}

const denied = "-DENIED kafka-cache is running in protected mode because no password is set. In this mode connections are only accepted from the loopback " +
	"interface. If you want to connect from external computers you may adopt one of the following solutions: 1) Set a password with --resp-password-file. " +
	"2) Require client certificates with --resp-tls-client-ca. 3) Switch protected mode off with --protected-mode=false, however MAKE SURE the port " +
	"is not reachable from the internet if you do so.\r\n"

// protects reports whether protected mode refuses a peer.
func (s *Server) protects(remote net.Addr) bool {
	if s.cfg.Unprotected || s.users.Load().asks() || (s.cfg.TLS != nil && s.cfg.TLS.ClientAuth == tls.RequireAndVerifyClientCert) {
		return false
	}
	if remote.Network() == "unix" {
		return false
	}
	a, err := netip.ParseAddrPort(remote.String())
	return err != nil || !a.Addr().Unmap().IsLoopback()
}

// begin is the first goroutine of a connection that speaks TLS.
func (s *Server) begin(c *conn) {
	if c.handshake() {
		s.serve(c)
	} else {
		if why := c.killed.Load(); why != nil {
			c.kill = *why
		}
		s.ended(c)
	}
}

// serve is a connection's goroutine. Its frame, and those of what a connection waits in, are small: they fit into the smallest stack.
func (s *Server) serve(c *conn) {
	if c.serve() {
		s.ended(c)
	} else {
		go s.serve(c)
	}
}

// ended is the end of a connection's last goroutine.
func (s *Server) ended(c *conn) {
	defer s.goroutine.Done()
	_ = c.nc.Close()
	c.untrack()
	c.unsubscribeAll()
	s.tracking.left(c)
	c.dropOutOfBand()
	c.abandonSlots()
	s.buffers.Add(-c.accounted)
	c.net.wait() // its goroutine fails at once, now that nc is closed
	c.drop()
	c.close()
	if c.driven != nil {
		c.driven.loop.forget(c.driven.sock.slot)
	}
	if c.kill != "" { // counted before it is not there any more, so that whoever sees the one sees the other
		s.stats.kill(c.kill)
		s.cfg.Logger.Info("connection closed by the server", "reason", c.kill, "client", c.id, "remote", c.nc.RemoteAddr().String())
	}
	s.mu.Lock()
	s.gone(c)
	s.owed.Add(-c.owes)
	s.mu.Unlock()
}

// handshake speaks TLS under a deadline.
func (c *conn) handshake() bool {
	tc := tls.Server(socket{c.nc, &c.net}, c.srv.cfg.TLS)
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.cfg.HandshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		if !c.alive() {
			return false // which is counted as that
		}
		c.srv.stats.reject("tls")
		c.srv.cfg.Logger.Info("TLS handshake", "error", err, "remote", c.nc.RemoteAddr().String())
		return false
	}
	c.tls = tc
	if c.srv.cfg.CertificateUsers {
		c.certified(tc.ConnectionState())
	}
	if c.authenticated { // which the user default without a password is from the beginning
		c.srv.know(c)
	}
	return true
}

// cron looks after idle connections and samples rates.
func (s *Server) cron(stop, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(cronInterval)
	defer tick.Stop()
	commands, at := s.stats.commands.Load(), s.now()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now := s.now()
		n := s.stats.commands.Load()
		s.stats.opsPerSecond.Store(uint64(float64(n-commands) / (now - at).Seconds()))
		commands, at = n, now
		trims := 0
		s.lane.cool(now)
		s.spares.cool(now)
		s.mu.Lock()
		s.relieveBlocked(now)
		s.relieveRemembering(now)
		for _, c := range s.conns {
			active := c.active.Load()
			idle := now - time.Duration(active)
			switch {
			case c.needsAuth.Load() && now-time.Duration(c.since.Load()) > s.cfg.AuthTimeout && !c.waiting(): // in CLIENT PAUSE it cannot, and has as long again after it
				c.end("auth")
			case s.cfg.IdleTimeout > 0 && idle > s.cfg.IdleTimeout && !c.waiting() && c.subscribed.Load() == 0:
				c.end("idle")
			case idle > trimAfter && c.trimmedAt != active && trims < trimsAtOnce:
				c.trimmedAt = active
				trims++
				c.wantsTrim.Store(true)
				c.wake()
			}
		}
		s.mu.Unlock()
	}
}

// Shutdown stops accepting, lets every connection finish what it has sent, and returns when all have ended: one that is idle soon, a busy one with its next reply. Where ctx ends
// first the rest is cut off, and ctx's error returned. Waits for positions go on for up to two seconds, and half of the time that ctx has.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	if !already {
		s.drain.begin(ctx, s.now())
	}
	s.draining.Store(true)
	s.repairs.stop()
	for l := range s.listeners {
		_ = l.Close()
	}
	for _, c := range s.conns {
		c.wake()
	}
	stop, cron := s.cronStop, s.cronDone
	s.mu.Unlock()
	s.unpause(false)
	if stop != nil && !already {
		close(stop)
	}
	if cron != nil {
		<-cron
	}
	ended := make(chan struct{})
	go func() {
		s.goroutine.Wait()
		close(ended)
	}()
	err := s.dismiss(ctx, ended)
	if err != nil {
		s.mu.Lock()
		for _, c := range s.conns {
			c.end("shutdown")
		}
		s.mu.Unlock()
		<-ended
	}
	s.stopLoops()
	s.tracking.close()
	s.notifications.close()
	return err
}

// loading reports whether the instance was never ready yet.
func (s *Server) loading() bool {
	if s.wasReady.Load() {
		return false
	}
	if !s.cfg.Cache.WasReady() {
		return true
	}
	s.wasReady.Store(true)
	return false
}
