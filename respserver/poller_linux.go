package respserver

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollerNotice is the slot that an event has which is none of a connection.
const pollerNotice = -1

// poller is an epoll instance, and a descriptor by which others end its wait. It is itself one that the runtime's poller waits for: so waiting takes no
// thread, and the loop is woken as every other goroutine is.
type poller struct {
	file   *os.File // of the epoll instance
	raw    syscall.RawConn
	epoll  int
	notice int // an eventfd

	// The wait at hand, for attempt, which is kept so that waiting does not allocate.
	attempt func(fd uintptr) bool
	events  []unix.EpollEvent
	n       int
	err     error
}

func (p *poller) open() error {
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if p.notice, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(p.epoll)
		return os.NewSyscallError("eventfd2", err)
	}
	err = errors.Join(unix.SetNonblock(p.epoll, true), p.control(unix.EPOLL_CTL_ADD, p.notice, pollerNotice, 0, unix.EPOLLIN))
	p.file = os.NewFile(uintptr(p.epoll), "epoll")
	if p.raw, _ = p.file.SyscallConn(); err != nil {
		p.close()
		return err
	}
	p.attempt = p.try
	return nil
}

func (p *poller) close() {
	_ = p.file.Close()
	_ = unix.Close(p.notice)
}

// control is epoll_ctl. Any goroutine may call it.
func (p *poller) control(op, fd int, slot, generation int32, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: slot, Pad: generation}))
}

// poll returns what there is, without waiting.
func (p *poller) poll(events []unix.EpollEvent) (int, error) {
	for {
		n, err := unix.EpollWait(p.epoll, events, 0)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), os.NewSyscallError("epoll_wait", err)
		}
	}
}

// wait returns when there is something.
func (p *poller) wait(events []unix.EpollEvent) (int, error) {
	p.events = events
	err := p.raw.Read(p.attempt)
	return p.n, errors.Join(err, p.err)
}

func (p *poller) try(uintptr) bool {
	p.n, p.err = p.poll(p.events)
	return p.n > 0 || p.err != nil
}

// notify ends a wait. Any goroutine may call it.
func (p *poller) notify() {
	one := [8]byte{1} // more than 0 in either order of bytes
	_, _ = unix.Write(p.notice, one[:])
}

// noticed takes note of notify.
func (p *poller) noticed() {
	var count [8]byte
	_, _ = unix.Read(p.notice, count[:])
}
