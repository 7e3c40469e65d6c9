//go:build kafkacache_broken

package cache

import (
	"os"
	"slices"
)

// The faults of whole.go, one of which KAFKACACHE_BROKEN names. This build is for the tests of the history checker alone.
var (
	publishBeforeCommit = broken("publish-before-commit")
	skipTombstones      = broken("skip-tombstones")
	resumeAhead         = broken("resume-ahead")
	confirmAhead        = broken("confirm-ahead")
)

func broken(fault string) bool { return os.Getenv("KAFKACACHE_BROKEN") == fault }

func init() {
	if !slices.Contains([]string{"", "publish-before-commit", "skip-tombstones", "resume-ahead", "confirm-ahead"}, os.Getenv("KAFKACACHE_BROKEN")) {
		panic("cache: KAFKACACHE_BROKEN names no fault of this build")
	}
}
