//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && !race

package store

import "golang.org/x/sys/unix"

// mapRegion is mapMemory: these systems use large pages without being asked, or not at all.
func mapRegion(n int) ([]byte, error) { return mapMemory(n) }

// populateMemory does nothing: b is backed as it is touched.
func populateMemory([]byte) {}

// discardMemory lets the system take the pages of b; what is in b afterwards is anything.
func discardMemory(b []byte) {
	if err := unix.Madvise(b, unix.MADV_FREE); err != nil {
		panic("store: madvise of memory that mmap gave: " + err.Error())
	}
}
