//go:build linux || darwin

package raftnode

import (
	"fmt"
	"syscall"
)

// diskFree returns how many bytes of the file system of dir this process may still
// fill. It is the default of Config.DiskFree.
func diskFree(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}
