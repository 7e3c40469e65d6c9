//go:build unix

package respserver

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// canTryNow says that sockets can be read and written without waiting.
const canTryNow = true

// tcpNotSentLowat is TCP_NOTSENT_LOWAT of Linux, which package syscall does not name.
const tcpNotSentLowat = 25

// boundUnsent has the kernel hold no more than about n bytes that it could not send yet. Otherwise it takes megabytes for a peer that does not
// read, which belong to nobody's limit, but to that of the control group. Where the system does not have that nothing is changed.
func boundUnsent(raw syscall.RawConn, n int) {
	if runtime.GOOS != "linux" {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, n) })
}

// isReset reports whether the peer has reset the connection.
func isReset(raw syscall.RawConn) bool {
	failed := 0
	err := raw.Control(func(fd uintptr) { failed, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR) })
	return err != nil || failed != 0
}

// readNow reads what the kernel has, at most len(b) bytes, and reports whether it had nothing yet. 0 bytes otherwise are the end.
func readNow(fd uintptr, b []byte) (n int, nothing bool, err error) {
	for {
		n, err := syscall.Read(int(fd), b)
		switch {
		case err == nil:
			return n, false, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, true, nil
		default:
			return 0, false, os.NewSyscallError("read", err)
		}
	}
}

// endSending ends the sending half behind what was written.
func endSending(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_WR) } // the peer may have left

// hasInput reports whether there are bytes to read.
func hasInput(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == nil && n > 0
}

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

// cpuSeconds is what the process has used, in the system and of its own.
func cpuSeconds() (system, user float64, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, false
	}
	return float64(u.Stime.Nano()) / 1e9, float64(u.Utime.Nano()) / 1e9, true
}
