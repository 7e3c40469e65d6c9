//go:build unix

package kafka

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isReadable reports whether a read of a socket would not wait: there are bytes, the end, or an error.
func isReadable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || n > 0
		}
	}
}
