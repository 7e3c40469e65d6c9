package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// runGetLoad drives all connections from one thread with epoll. On a machine
// where it shares the cores with the server it must cost as little as it can.
func runGetLoad(_ context.Context, o getLoad) (getResult, error) {
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // it allocates at the start alone
	l := &getLoop{getLoad: o, batch: o.batch(), random: o.Seed}
	defer l.close()
	if err := l.connect(); err != nil {
		return getResult{}, err
	}
	return l.run()
}

type getLoop struct {
	getLoad
	batch
	epoll  int
	conns  []*getConn
	random uint64
	began  time.Time
	now    time.Duration // since began
	times  histogram

	// Of an open loop.
	clock int // a timer that tells how many requests have fallen due since it was read last
	ticks uint64
	due   []time.Duration // of requests that wait for a connection, the oldest first
	free  []int           // connections without a request
}

// getConn is one connection. out holds the requests in flight.
type getConn struct {
	fd        int
	out       []byte
	written   int
	replies   int  // that have arrived for out
	headed    bool // what comes before the replies has arrived
	in        []byte
	have      int // bytes in in
	sent      time.Duration
	wantsRoom bool // epoll is asked for room to write
}

func (l *getLoop) connect() error {
	epoll, addr, err := openEpoll(l.Addr)
	if err != nil {
		return err
	}
	l.epoll = epoll
	for range l.Connections {
		fd, err := connectSocket(addr)
		if err != nil {
			return err
		}
		c := &getConn{fd: fd, in: make([]byte, 64<<10+valueSize*l.Pipeline), out: make([]byte, l.size(l.Pipeline))}
		l.conns = append(l.conns, c)
		if err := l.logIn(fd); err != nil {
			return err
		}
		if err := unblockSocket(fd); err != nil {
			return err
		}
		if err := l.control(syscall.EPOLL_CTL_ADD, c, len(l.conns)-1, syscall.EPOLLIN); err != nil {
			return err
		}
		copy(c.out, l.head)
		for i := range l.Pipeline {
			copy(c.out[l.size(i):], l.prefix)
			copy(c.out[l.key(i)+keySize:], "\r\n")
		}
	}
	return nil
}

// logIn is done while the connection still blocks.
func (l *getLoop) logIn(fd int) error {
	if l.Password == "" {
		return nil
	}
	const ok = "+OK\r\n"
	var reply [len(ok)]byte
	if _, err := syscall.Write(fd, fmt.Appendf(nil, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(l.Password), l.Password)); err != nil {
		return os.NewSyscallError("write", err)
	}
	if n, err := syscall.Read(fd, reply[:]); err != nil || string(reply[:n]) != ok {
		return fmt.Errorf("AUTH was answered with %q, %w", reply[:max(n, 0)], err)
	}
	return nil
}

func (l *getLoop) control(op int, c *getConn, index int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.epoll, op, c.fd, &syscall.EpollEvent{Events: events, Fd: int32(index)}))
}

func (l *getLoop) close() {
	for _, c := range l.conns {
		syscall.Close(c.fd)
	}
	for _, fd := range []int{l.epoll, l.clock} {
		if fd > 0 {
			syscall.Close(fd)
		}
	}
}

func (l *getLoop) run() (getResult, error) {
	l.began = time.Now()
	if l.Rate > 0 {
		if err := l.startClock(); err != nil {
			return getResult{}, err
		}
	} else {
		for i, c := range l.conns {
			c.sent = l.now
			if err := l.send(c, i); err != nil {
				return getResult{}, err
			}
		}
	}
	var start, end reading
	measuring := false
	events := make([]syscall.EpollEvent, len(l.conns)+1)
	for {
		n, err := awaitEvents(l.epoll, events)
		if err != nil {
			return getResult{}, err
		}
		l.now = time.Since(l.began)
		if !measuring && l.now >= l.Warmup {
			if start, err = l.read(); err != nil {
				return getResult{}, err
			}
			l.times.reset()
			measuring = true
		}
		if measuring && l.now >= start.at+l.Measure {
			if end, err = l.read(); err != nil {
				return getResult{}, err
			}
			return getResult{
				Operations: l.times.total, Elapsed: end.at - start.at,
				P50: l.times.quantile(0.5), P99: l.times.quantile(0.99),
				ServerCPU: end.server - start.server, OwnCPU: end.own - start.own,
			}, nil
		}
		for _, e := range events[:n] {
			if e.Fd == clockEvent {
				if err := l.tick(); err != nil {
					return getResult{}, err
				}
				continue
			}
			if err := l.serve(l.conns[e.Fd], int(e.Fd), e.Events); err != nil {
				return getResult{}, err
			}
		}
	}
}

// reading is the state of the clocks at one moment.
type reading struct {
	at          time.Duration
	server, own time.Duration
}

func (l *getLoop) read() (reading, error) {
	server, err1 := cpuTime(l.ServerPID)
	own, err2 := cpuTime(os.Getpid())
	return reading{time.Since(l.began), server, own}, errors.Join(err1, err2)
}

// serve goes on with one connection after epoll_wait has named it.
func (l *getLoop) serve(c *getConn, index int, events uint32) error {
	if events&syscall.EPOLLOUT != 0 {
		if err := l.write(c, index); err != nil {
			return err
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	n, err := syscall.Read(c.fd, c.in[c.have:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if n == 0 {
		return errors.New("the server closed a connection")
	}
	c.have += n
	used := 0
	took := l.now - c.sent
	if !c.headed {
		if c.have < len(l.replyHead) {
			return nil
		}
		if got := c.in[:len(l.replyHead)]; string(got) != l.replyHead {
			return fmt.Errorf("%d keys were answered with %.80q", l.Pipeline, c.in[:c.have])
		}
		used, c.headed = len(l.replyHead), true
	}
	for c.replies < l.Pipeline {
		payload, n, err := nextReply(c.in[used:c.have])
		if errors.Is(err, errShort) {
			break
		}
		if err != nil {
			return err
		}
		key := c.out[l.key(c.replies):][:keySize]
		if len(payload) != valueSize || !bytes.Equal(payload[keyInValue:keyInValue+keySize], key) {
			return fmt.Errorf("GET %s was answered with %q", key, payload)
		}
		used += n
		c.replies++
		l.times.record(took)
	}
	copy(c.in, c.in[used:c.have])
	c.have -= used
	if c.replies < l.Pipeline {
		return nil
	}
	if c.have > 0 {
		return fmt.Errorf("%d bytes more than were asked for", c.have)
	}
	if l.Rate > 0 {
		l.free = append(l.free, index)
		return l.sendDue()
	}
	c.sent = l.now
	return l.send(c, index)
}

// send writes requests for keys that are drawn at random. The caller has set when they count as sent.
func (l *getLoop) send(c *getConn, index int) error {
	for i := range l.Pipeline {
		l.random++
		at := l.key(i)
		appendKey(c.out[at:at:at+keySize], mix(l.random)%l.Entries)
	}
	c.written, c.replies, c.headed = 0, 0, false
	return l.write(c, index)
}

func (l *getLoop) write(c *getConn, index int) error {
	for c.written < len(c.out) {
		n, err := syscall.Write(c.fd, c.out[c.written:])
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			c.wantsRoom = true
			return l.control(syscall.EPOLL_CTL_MOD, c, index, syscall.EPOLLIN|syscall.EPOLLOUT)
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		c.written += n
	}
	if c.wantsRoom {
		c.wantsRoom = false
		return l.control(syscall.EPOLL_CTL_MOD, c, index, syscall.EPOLLIN)
	}
	return nil
}
