//go:build !unix

package loadgen

import "time"

// cpuTime is not known here; 0 is reported as not known.
func cpuTime() time.Duration { return 0 }
