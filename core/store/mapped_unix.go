//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !race

package store

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = os.Getpagesize()

// mapMemory gives n bytes outside the Go heap, n being a multiple of pageSize. Pages cost memory once they are
// touched.
func mapMemory(n int) ([]byte, error) {
	addr, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(addr), n), nil
}

// unmapMemory gives the bytes back to the system. Any later use of them is a fault that cannot be recovered from.
func unmapMemory(b []byte) {
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))); err != nil {
		panic("store: munmap of memory that mmap gave: " + err.Error())
	}
}
