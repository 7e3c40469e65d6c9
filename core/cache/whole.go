//go:build !kafkacache_broken

package cache

// Faults that a build with the tag kafkacache_broken can be given, so that the history checker can show that it finds them.
// They are constants here, so the compiler leaves nothing of them.
const (
	// publishBeforeCommit publishes a batch's position, and so wakes who waits for it, before the commit that makes it true.
	publishBeforeCommit = false
	// skipTombstones passes over every second tombstone.
	skipTombstones = false
	// resumeAhead resumes a partition one record above its durable position.
	resumeAhead = false
	// confirmAhead tells other instances one record more of each partition than is applied.
	confirmAhead = false
)
