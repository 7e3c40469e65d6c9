package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// stallAfter is how long the server may answer nothing at all.
const stallAfter = 30 * time.Second

// openEpoll is an epoll for connections to an IPv4 address.
func openEpoll(address string) (epoll int, addr netip.AddrPort, err error) {
	if addr, err = netip.ParseAddrPort(address); err != nil {
		return 0, addr, err
	}
	if !addr.Addr().Is4() {
		return 0, addr, fmt.Errorf("%s is no IPv4 address", addr)
	}
	epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return epoll, addr, os.NewSyscallError("epoll_create1", err)
}

// connectSocket is a connected socket, which still blocks.
func connectSocket(addr netip.AddrPort) (fd int, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		syscall.Close(fd)
		return 0, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	return fd, nil
}

// unblockSocket readies a socket for epoll.
func unblockSocket(fd int) error {
	return errors.Join(syscall.SetNonblock(fd, true), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
}

// awaitEvents returns how many events there are; none within stallAfter is an error.
func awaitEvents(epoll int, events []syscall.EpollEvent) (int, error) {
	for {
		n, err := syscall.EpollWait(epoll, events, int(stallAfter.Milliseconds()))
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("epoll_wait", err)
		case n == 0:
			return 0, fmt.Errorf("no reply within %v", stallAfter)
		default:
			return n, nil
		}
	}
}
