package loadgen

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// precise makes pause of the calling goroutine precise. Go's timers may be a millisecond late, since its network poller counts in those;
// a thread's own sleep is exact to some microseconds once its timer slack is small. The thread ends with the goroutine.
func precise() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it a sleep is 50 µs longer, no more
}

// pause sleeps for d, or less.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // the caller looks at the clock
}
