//go:build kafkacache_broken

package respserver

import (
	"os"
	"slices"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// The faults of whole.go, one of which KAFKACACHE_BROKEN_TRACKING names. This build is for the tests of client-side caches alone.
var (
	dropFlush    = broken("drop-flush")
	rememberLate = broken("remember-late")
	noLoopByKey  = broken("noloop-by-key")
	dropSome     = broken("drop-invalidations")
)

// beLate gives a change time to come between.
func beLate() { time.Sleep(50 * time.Microsecond) }

// drops leaves out the change of every 31st offset.
func drops(e *cache.Event) bool { return dropSome && e.Offset%31 == 0 }

func broken(fault string) bool { return os.Getenv("KAFKACACHE_BROKEN_TRACKING") == fault }

func init() {
	if !slices.Contains([]string{"", "drop-flush", "remember-late", "noloop-by-key", "drop-invalidations"}, os.Getenv("KAFKACACHE_BROKEN_TRACKING")) {
		panic("respserver: KAFKACACHE_BROKEN_TRACKING names no fault of this build")
	}
}
