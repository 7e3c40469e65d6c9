package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// peer is one address. Set.mu guards what is not said otherwise.
type peer struct {
	set              *Set
	addr, serverName string // which do not change, nor does named
	named            bool   // a look-up gave it; otherwise it is configured
	nudge            chan struct{}
	stop             chan struct{} // closed when it is to be left
	leaving          bool

	state              string
	since              time.Time
	reason, problem    string
	identity, instance string
	told               map[string]told // by topic; of this connection
	toldAt             time.Time
	pending            map[*Wait]*pending
	queues             map[place]*queue
}

// told is what a peer says of a topic.
type told struct {
	turn     int64
	position position.Position // zero where it does not answer reads
}

// position is what was told of a topic's incarnation.
func (p *peer) position(id position.TopicID) position.Position {
	for _, t := range p.told {
		if t.position.Topic() == id {
			return t.position
		}
	}
	return position.Position{}
}

func (p *peer) covers(all []position.Position) bool {
	for _, q := range all {
		if !p.position(q.Topic()).Covers(q) {
			return false
		}
	}
	return true
}

// hurry has the next question asked at once.
func (p *peer) hurry() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// setLeaving says whether the address is still one of its name's. One that is connected is kept as long as that lasts.
func (p *peer) setLeaving(yes bool) {
	if p.leaving = yes; yes && p.state != Connected {
		select {
		case <-p.stop:
		default:
			close(p.stop)
		}
	}
}

// refusal is an address that answers, and is none to count.
type refusal struct {
	state, reason, text string
	again               time.Duration // until it is asked again
}

func (e *refusal) Error() string { return e.text }

// run keeps a connection until ctx ends or the address is left.
func (p *peer) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unstop := make(chan struct{})
	defer close(unstop)
	go func() {
		select {
		case <-p.stop:
			cancel()
		case <-unstop:
		}
	}()
	backoff := backoffMin
	for {
		began := time.Now()
		err := p.connect(ctx)
		left := p.disconnected(err, ctx.Err() != nil)
		if left {
			return
		}
		var refused *refusal
		if time.Since(began) > backoffMax { // it was up: it may be back soon
			backoff = backoffMin
		}
		wait := backoff/2 + rand.N(backoff)
		if errors.As(err, &refused) {
			wait = refused.again/2 + rand.N(refused.again)
		}
		backoff = min(2*backoff, backoffMax)
		select {
		case <-ctx.Done():
		case <-p.nudge:
		case <-time.After(wait):
		}
	}
}

// disconnected forgets what was told, and reports whether the address is left.
func (p *peer) disconnected(err error, ended bool) (left bool) {
	s := p.set
	s.mu.Lock()
	defer s.mu.Unlock()
	was, instance := p.state, p.instance
	state, reason, text := Unreachable, reasonOf(err), err.Error()
	var refused *refusal
	if errors.As(err, &refused) {
		state, reason = refused.state, refused.reason
	}
	if left = ended || p.leaving; left {
		delete(s.peers, p.addr)
	}
	if state == Unreachable && !ended {
		s.errors[reason]++
		if p.state == Connected || p.reason != reason {
			s.cfg.Logger.Warn("a peer cannot be asked", "peer", p.addr, "reason", reason, "error", text)
		}
	}
	if p.state != state {
		p.since = time.Now()
	}
	p.state, p.reason, p.problem = state, reason, text
	if state != Self && state != Duplicate {
		p.instance = ""
	} else {
		p.problem, p.reason = "", ""
	}
	p.told, p.queues, p.pending = nil, nil, nil
	select {
	case <-p.nudge: // of a wait that found it connected: it is no reason to hurry back
	default:
	}
	if was == Connected { // another address of it was left aside
		for _, other := range s.peers {
			if other.state == Duplicate && other.instance == instance {
				other.hurry()
			}
		}
	}
	return left
}

// dial connects, and speaks TLS where that is configured.
func (p *peer) dial(ctx context.Context) (net.Conn, error) {
	cfg := &p.set.cfg
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, &stage{reasonConnect, err}
	}
	if cfg.TLS == nil {
		return nc, nil
	}
	t, err := cfg.TLS()
	if err != nil {
		_ = nc.Close()
		return nil, &stage{reasonConfig, err}
	}
	if t.ServerName == "" {
		t = t.Clone()
		t.ServerName = p.serverName
	}
	tc := tls.Client(nc, t)
	within, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := tc.HandshakeContext(within); err != nil {
		_ = nc.Close()
		return nil, &stage{reasonTLS, err}
	}
	return tc, nil
}

func appendCommand(b []byte, args ...string) []byte {
	b = resp.AppendArray(b, len(args))
	for _, a := range args {
		b = resp.AppendBulkString(b, a)
	}
	return b
}

// connect asks until the connection ends, and says why it did.
func (p *peer) connect(ctx context.Context) error {
	cfg := &p.set.cfg
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	r := reader{bufio.NewReaderSize(conn, 4<<10)}
	_ = conn.SetDeadline(time.Now().Add(3 * cfg.Heartbeat))
	if cfg.Password != nil {
		password, err := cfg.Password()
		if err != nil {
			return &stage{reasonConfig, err}
		}
		if err := p.command(conn, r, "AUTH", cfg.User, string(password)); err != nil {
			return err
		}
	}
	if err := p.command(conn, r, "CLIENT", "SETNAME", "kafka-cache-peer"); err != nil {
		return err
	}
	return p.converse(ctx, conn, r)
}

func (p *peer) command(w io.Writer, r reader, args ...string) error {
	if _, err := w.Write(appendCommand(nil, args...)); err != nil {
		return err
	}
	return r.status()
}

// converse keeps a question under way: a quiet one while nobody waits, which the next question ends, and an eager one while somebody does.
func (p *peer) converse(ctx context.Context, conn net.Conn, r reader) error {
	s := p.set
	ms := strconv.FormatInt(s.cfg.Heartbeat.Milliseconds(), 10)
	questions := map[bool][]byte{false: appendCommand(nil, "KAFKA.APPLIED", ms, "QUIET"), true: appendCommand(nil, "KAFKA.APPLIED", ms)}
	answers, ended := make(chan struct{}, 2), make(chan struct{})
	failed := make(chan error, 1)
	go func() { // asks; the reading goroutine ends it by closing ended
		failed <- func() error {
			quiet, eager := 0, 0 // under way, in this order
			ask := func(hurried bool) error {
				_ = conn.SetWriteDeadline(time.Now().Add(3 * s.cfg.Heartbeat))
				if hurried {
					eager++
				} else {
					quiet++
				}
				_, err := conn.Write(questions[hurried])
				return err
			}
			if err := ask(false); err != nil {
				return err
			}
			var asked time.Time
			for {
				select {
				case <-ended:
					return nil
				case <-p.nudge:
				case <-answers:
					if quiet > 0 {
						quiet--
					} else {
						eager--
					}
				}
				s.mu.Lock()
				hurried := len(p.pending) > 0
				s.mu.Unlock()
				switch {
				case hurried && eager == 0:
					if pause := questionPause - time.Since(asked); pause > 0 {
						time.Sleep(pause) // at most a millisecond: what comes meanwhile is answered together
					}
					asked = time.Now()
					if err := ask(true); err != nil {
						return err
					}
				case !hurried && eager == 0 && quiet == 0:
					if err := ask(false); err != nil {
						return err
					}
				}
			}
		}()
	}()
	err := func() error {
		for first := true; ; first = false {
			_ = conn.SetReadDeadline(time.Now().Add(3 * s.cfg.Heartbeat)) // there is a question under way, and a quiet one is answered in one
			a, err := r.applied(s.cfg.Topics)
			if err != nil {
				return err
			}
			if err := p.heard(a, first); err != nil {
				return err
			}
			select {
			case answers <- struct{}{}:
			default:
				return fmt.Errorf("%w: it answers what was not asked", errReply)
			}
		}
	}()
	close(ended)
	_ = conn.Close()
	if asking := <-failed; asking != nil && reasonOf(err) == reasonClosed {
		err = asking
	}
	if ctx.Err() != nil {
		return errStopped
	}
	return err
}

// heard takes an answer, and wakes who waited for it.
func (p *peer) heard(a applied, first bool) error {
	s := p.set
	if a.instance == "" {
		return fmt.Errorf("%w: it has no id", errReply)
	}
	if a.instance == s.cfg.Instance {
		p.name(a)
		return &refusal{state: Self, text: "this instance itself", again: 30 * time.Second}
	}
	own := s.cfg.Cluster()
	if a.cluster != "" && own != "" && a.cluster != own {
		return &refusal{state: Unreachable, reason: reasonCluster, text: fmt.Sprintf("it is of Kafka cluster %.64q, and this instance of %.64q", a.cluster, own), again: backoffMax}
	}
	parsed := make([]position.Position, len(a.topics))
	for i, t := range a.topics {
		at, err := position.Parse(t.token)
		if err != nil {
			return fmt.Errorf("%w: %w", errReply, err)
		}
		parsed[i] = at
	}
	var woken []*Wait
	s.mu.Lock()
	if !first && a.instance != p.instance {
		s.mu.Unlock()
		return fmt.Errorf("%w: it is another instance than before", errReply)
	}
	for _, other := range s.peers {
		if other != p && other.state == Connected && other.instance == a.instance {
			p.instance, p.identity = a.instance, a.identity
			s.mu.Unlock()
			return &refusal{state: Duplicate, text: "the same instance as " + other.addr, again: backoffMax}
		}
	}
	p.instance, p.identity, p.toldAt = a.instance, a.identity, time.Now()
	anew := false
	for i, t := range a.topics {
		at := parsed[i]
		if !t.serving {
			at = position.Position{}
		}
		was, known := p.told[t.name]
		if p.told == nil {
			p.told = map[string]told{}
		}
		if known && was.turn == t.turn && was.position.Topic() == at.Topic() && !at.Covers(was.position) {
			s.mu.Unlock()
			return fmt.Errorf("%w: its position in topic %.64q went back", errReply, t.name)
		}
		p.told[t.name] = told{turn: t.turn, position: at}
		if known && was.turn != t.turn || was.position.Topic() != at.Topic() {
			anew = true
		} else {
			woken = append(woken, p.due(at)...)
		}
	}
	ready := a.cluster != "" && own != ""
	switch {
	case ready && p.state != Connected:
		s.cfg.Logger.Info("a peer is connected", "peer", p.addr, "instance", a.identity)
		p.state, p.since, p.reason, p.problem = Connected, time.Now(), "", ""
		anew = true
	case !ready:
		p.state, p.problem = Connecting, "one of the two does not know its Kafka cluster yet"
	}
	if anew {
		woken = append(woken, p.again()...)
	}
	s.mu.Unlock()
	for _, w := range woken {
		w.wake()
	}
	return nil
}

func (p *peer) name(a applied) {
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	p.instance, p.identity = a.instance, a.identity
}
