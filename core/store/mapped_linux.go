//go:build !race

package store

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapRegion is mapMemory at an address, and with a request, that let the system use huge pages.
func mapRegion(n int) ([]byte, error) {
	addr, err := unix.MmapPtr(-1, 0, nil, uintptr(n+hugePage), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	all := unsafe.Slice((*byte)(addr), n+hugePage)
	skip := int(-uintptr(addr) & (hugePage - 1))
	for _, rest := range [][]byte{all[:skip], all[skip+n:]} {
		if len(rest) > 0 {
			unmapMemory(rest)
		}
	}
	b := all[skip : skip+n : skip+n]
	if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: built without them
		unmapMemory(b)
		return nil, err
	}
	return b, nil
}

// populateMemory has the system back b now. Where it does not know how, that is done as b is touched.
func populateMemory(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }

// discardMemory gives the pages of b back to the system; what is in b afterwards is anything.
func discardMemory(b []byte) {
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		panic("store: madvise of memory that mmap gave: " + err.Error())
	}
}
