package respserver

import "golang.org/x/sys/unix"

// cork has the kernel send no part of a segment until the sending half ends, which then goes with the rest.
func cork(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) }

// unacknowledged is how many bytes, and whether the end, the peer's system has not confirmed; 0 where it is not known.
func unacknowledged(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
