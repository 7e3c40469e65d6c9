package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	l := &getLoop{getLoad: o, random: o.Seed}
	defer l.close()
	if err := l.connect(); err != nil {
		return getResult{}, err
	}
	return l.run()
}

type getLoop struct {
	getLoad
	epoll  int
	conns  []*getConn
	random uint64
	began  time.Time
	now    time.Duration // since began
	times  histogram
}

// getConn is one connection. out holds the requests in flight, one at each multiple of getRequest.
type getConn struct {
	fd        int
	out       []byte
	written   int
	replies   int // that have arrived for out
	in        []byte
	have      int // bytes in in
	sent      time.Duration
	wantsRoom bool // epoll is asked for room to write
}

func (l *getLoop) connect() error {
	addr, err := netip.ParseAddrPort(l.Addr)
	if err != nil {
		return err
	}
	if !addr.Addr().Is4() {
		return fmt.Errorf("%s is no IPv4 address", addr)
	}
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	for range l.Connections {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		c := &getConn{fd: fd, in: make([]byte, 64<<10+valueSize*l.Pipeline), out: make([]byte, getRequest*l.Pipeline)}
		l.conns = append(l.conns, c)
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
			return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
		}
		if err := errors.Join(syscall.SetNonblock(fd, true), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)); err != nil {
			return err
		}
		if err := l.control(syscall.EPOLL_CTL_ADD, c, len(l.conns)-1, syscall.EPOLLIN); err != nil {
			return err
		}
		for i := range l.Pipeline {
			r := c.out[i*getRequest:]
			copy(r, getPrefix)
			copy(r[len(getPrefix)+keySize:], "\r\n")
		}
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
	if l.epoll > 0 {
		syscall.Close(l.epoll)
	}
}

// stallAfter is how long the server may answer nothing at all.
const stallAfter = 30 * time.Second

func (l *getLoop) run() (getResult, error) {
	l.began = time.Now()
	for i, c := range l.conns {
		if err := l.send(c, i); err != nil {
			return getResult{}, err
		}
	}
	var start, end reading
	measuring := false
	events := make([]syscall.EpollEvent, len(l.conns))
	for {
		n, err := syscall.EpollWait(l.epoll, events, int(stallAfter.Milliseconds()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return getResult{}, os.NewSyscallError("epoll_wait", err)
		}
		if n == 0 {
			return getResult{}, fmt.Errorf("no reply within %v", stallAfter)
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
	for c.replies < l.Pipeline {
		payload, n, err := nextReply(c.in[used:c.have])
		if errors.Is(err, errShort) {
			break
		}
		if err != nil {
			return err
		}
		key := c.out[c.replies*getRequest+len(getPrefix):][:keySize]
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
	return l.send(c, index)
}

// send writes requests for keys that are drawn at random.
func (l *getLoop) send(c *getConn, index int) error {
	for i := range l.Pipeline {
		l.random++
		at := i*getRequest + len(getPrefix)
		appendKey(c.out[at:at:at+keySize], mix(l.random)%l.Entries)
	}
	c.written, c.replies = 0, 0
	c.sent = l.now
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
