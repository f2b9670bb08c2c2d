//go:build !linux && !darwin

package raftnode

import "errors"

// diskFree is not known for this system.
func diskFree(string) (uint64, error) { return 0, errors.ErrUnsupported }
