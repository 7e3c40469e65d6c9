//go:build unix

package respserver

import (
	"errors"
	"os"
	"syscall"
)

const canWriteNow = true

// writeNow writes what the kernel takes without waiting.
func writeNow(fd uintptr, b []byte) (sent int, err error) {
	for sent < len(b) {
		n, err := syscall.Write(int(fd), b[sent:])
		if n > 0 {
			sent += n
		}
		switch {
		case err == nil, errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return sent, nil
		default:
			return sent, os.NewSyscallError("write", err)
		}
	}
	return sent, nil
}
