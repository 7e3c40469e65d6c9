package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// runSetMany drives a connection for each client from one thread with epoll. It shares the cores with the server and the broker, and a goroutine for each
// connection would take as much of them as the server does.
func runSetMany(ctx context.Context, o manyWrites) (manyWritesResult, error) {
	runtime.LockOSThread()
	l := &setLoop{manyWrites: o}
	defer l.close()
	if err := l.connect(); err != nil {
		return manyWritesResult{}, err
	}
	return l.run(ctx)
}

// setLoop has one SET in flight on each connection.
type setLoop struct {
	manyWrites
	epoll int
	conns []*setConn
	began time.Time
	times histogram
}

type setConn struct {
	fd      int
	request []byte
	left    []byte // of request: the kernel had no room for it
	written uint64 // writes begun
	sent    time.Duration
}

func (l *setLoop) connect() error {
	epoll, addr, err := openEpoll(l.Addr)
	if err != nil {
		return err
	}
	l.epoll = epoll
	for i := range l.Clients {
		fd, err := connectSocket(addr)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, &setConn{fd: fd})
		if err := unblockSocket(fd); err != nil {
			return err
		}
		// Edge-triggered: what may not be written is tried again once there is room.
		const edges = 1 << 31
		if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT | edges, Fd: int32(i)}); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	return nil
}

func (l *setLoop) close() {
	for _, c := range l.conns {
		syscall.Close(c.fd)
	}
	if l.epoll > 0 {
		syscall.Close(l.epoll)
	}
}

func (l *setLoop) run(ctx context.Context) (manyWritesResult, error) {
	l.began = time.Now()
	for i := range l.conns {
		if err := l.next(i, 0); err != nil {
			return manyWritesResult{}, err
		}
	}
	clocks := clocks{l.ServerPID, l.BrokerPID}
	var start, end clockReading
	events := make([]syscall.EpollEvent, len(l.conns))
	for measuring := false; ctx.Err() == nil; {
		n, err := awaitEvents(l.epoll, events)
		if err != nil {
			return manyWritesResult{}, err
		}
		now := time.Since(l.began)
		if !measuring && now >= l.Warmup {
			if start, err = clocks.read(); err != nil {
				return manyWritesResult{}, err
			}
			l.times.reset()
			measuring = true
		}
		if measuring && now >= l.Warmup+l.Measure {
			if end, err = clocks.read(); err != nil {
				return manyWritesResult{}, err
			}
			return resultOf(&l.times, start, end), nil
		}
		for _, e := range events[:n] {
			if err := l.serve(int(e.Fd), now); err != nil {
				return manyWritesResult{}, err
			}
		}
	}
	return manyWritesResult{}, context.Cause(ctx)
}

// serve goes on with a connection that can be read or written.
func (l *setLoop) serve(i int, now time.Duration) error {
	c := l.conns[i]
	if len(c.left) > 0 {
		return c.write()
	}
	var reply [128]byte
	n, err := syscall.Read(c.fd, reply[:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if got := string(reply[:n]); got != "+OK\r\n" {
		return fmt.Errorf("SET was answered with %q", got)
	}
	l.times.record(now - c.sent)
	return l.next(i, now)
}

// next writes a client's next entry.
func (l *setLoop) next(i int, now time.Duration) error {
	c := l.conns[i]
	entry := entryOf(i, c.written, l.Entries)
	c.written++
	c.request = append(c.request[:0], "*3\r\n$3\r\nSET\r\n$36\r\n"...)
	c.request = appendKey(c.request, entry)
	c.request = append(c.request, "\r\n$200\r\n"...)
	c.request = appendValue(c.request, entry, c.written)
	c.request = append(c.request, "\r\n"...)
	c.left, c.sent = c.request, now
	return c.write()
}

func (c *setConn) write() error {
	for len(c.left) > 0 {
		n, err := syscall.Write(c.fd, c.left)
		switch {
		case err == syscall.EAGAIN:
			return nil
		case err == syscall.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("write", err)
		}
		c.left = c.left[n:]
	}
	return nil
}
