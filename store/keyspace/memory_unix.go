//go:build unix && !race

package keyspace

import "golang.org/x/sys/unix"

// mapped returns zeroed memory. That there is none is no error that anybody could
// handle, as it is none for Go's heap.
func mapped(size int) []byte {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic("keyspace: out of memory: " + err.Error())
	}
	return b
}

func unmap(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic("keyspace: memory that is not mapped: " + err.Error())
	}
}

// discard gives the pages back to the system. Their contents are lost, and if it cannot
// be done they stay.
func discard(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
