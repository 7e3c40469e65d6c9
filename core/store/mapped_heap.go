//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd) || race

package store

// On systems without an anonymous mmap the index lies on the Go heap, in slices without pointers. It does so under the race
// detector too, which does not see memory that it did not give.

const pageSize = 4096

func mapMemory(n int) ([]byte, error) { return make([]byte, n), nil }

func mapRegion(n int) ([]byte, error) { return mapMemory(n) }

func unmapMemory([]byte) {}

func populateMemory([]byte) {}

func discardMemory([]byte) {}
