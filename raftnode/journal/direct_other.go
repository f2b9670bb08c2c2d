//go:build !linux

package journal

import (
	"errors"
	"os"
)

// openDirect is for Linux alone.
func openDirect(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func notDirect(error) bool { return false }
