//go:build !linux

package loadgen

import "time"

func precise() {}

// pause sleeps for d, or somewhat longer.
func pause(d time.Duration) { time.Sleep(d) }
