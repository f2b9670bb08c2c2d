//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// openFilesLimit raises the soft limit of open files to the hard one, as far as Go
// has not done so, and returns what the limit is.
func openFilesLimit() (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	if l.Cur < l.Max {
		higher := l
		higher.Cur = l.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &higher) == nil {
			return uint64(higher.Cur), nil //nolint:unconvert // int64 on FreeBSD
		}
	}
	return uint64(l.Cur), nil //nolint:unconvert // as above
}
