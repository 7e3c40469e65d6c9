//go:build !kafkacache_broken

package respserver

import "github.com/yolean/kafka-cache/core/cache"

// Faults that a build with the tag kafkacache_broken can be given, so that the test of client-side caches can show that it finds them. They are constants
// here, so the compiler leaves nothing of them.
const (
	// dropFlush tells nobody that a topic was made anew.
	dropFlush = false
	// rememberLate notes who has read a key after it was read.
	rememberLate = false
	// noLoopByKey takes every change of a key for a connection's own once it has written that key.
	noLoopByKey = false
)

// beLate makes what is late later.
func beLate() {}

// drops makes changes that nobody is told of.
func drops(*cache.Event) bool { return false }
