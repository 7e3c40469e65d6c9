//go:build unix

package loadgen

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used so far, of the user's time and the system's.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
