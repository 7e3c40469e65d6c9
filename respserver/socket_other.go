//go:build !unix

package respserver

import (
	"errors"
	"syscall"
)

// canTryNow: connections are read with a buffer in hand, and everything is sent through the queue.
const canTryNow = false

func readNow(uintptr, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }

func writeNow(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// cpuSeconds is not known here.
func cpuSeconds() (system, user float64, ok bool) { return 0, 0, false }

func hasInput(uintptr) bool { return false }

func endSending(uintptr) {}

func boundUnsent(syscall.RawConn, int) {}

func isReset(syscall.RawConn) bool { return false }
