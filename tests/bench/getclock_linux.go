package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clockEvent stands in epoll's data where a connection's index would.
const clockEvent = -1

// mostBehind is how far an open loop may fall behind what is due before it gives up: the server does not keep up with the rate at all then.
const mostBehind = 10 * time.Second

func (l *getLoop) interval() time.Duration { return time.Second / time.Duration(l.Rate) }

// startClock lets requests fall due, the first one interval after began.
func (l *getLoop) startClock() error {
	if l.Pipeline != 1 {
		return errors.New("an open loop has no pipelines")
	}
	for i := range l.conns {
		l.free = append(l.free, i)
	}
	var err error
	if l.clock, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	each := unix.NsecToTimespec(l.interval().Nanoseconds())
	if err := unix.TimerfdSettime(l.clock, 0, &unix.ItimerSpec{Interval: each, Value: each}, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, l.clock, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: clockEvent}))
}

// tick takes note of what has fallen due.
func (l *getLoop) tick() error {
	var b [8]byte
	switch _, err := syscall.Read(l.clock, b[:]); {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil:
		return os.NewSyscallError("read the clock", err)
	}
	for range binary.NativeEndian.Uint64(b[:]) {
		l.ticks++
		l.due = append(l.due, time.Duration(l.ticks)*l.interval())
	}
	if len(l.due) > 0 && l.now-l.due[0] > mostBehind {
		return fmt.Errorf("a request has waited for a connection for %v at %d a second", l.now-l.due[0], l.Rate)
	}
	return l.sendDue()
}

// sendDue writes what is due where there are connections for it.
func (l *getLoop) sendDue() error {
	for len(l.due) > 0 && len(l.free) > 0 {
		index := l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		c := l.conns[index]
		c.sent = l.due[0]
		l.due = l.due[1:]
		if err := l.send(c, index); err != nil {
			return err
		}
	}
	return nil
}
