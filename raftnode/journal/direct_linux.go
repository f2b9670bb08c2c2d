package journal

import (
	"errors"
	"os"
	"syscall"
)

// openDirect opens a segment for writes that are durable when they return and pass by
// the kernel's cache: one command to the disk, where a write and a sync are two, and the
// second has to wait for what others are writing.
func openDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|syscall.O_DIRECT|syscall.O_DSYNC, 0)
}

// notDirect reports whether a file system or a disk has refused such a write, of which
// it has written nothing then: its own sectors may be larger than ours.
func notDirect(err error) bool { return errors.Is(err, syscall.EINVAL) }
