//go:build !linux

package journal

import (
	"errors"
	"os"
)

// async is for Linux alone.
type async struct{}

func openAsync() (*async, error) { return nil, errors.ErrUnsupported }

func (*async) writeAt(f *os.File, b []byte, at int64) (int, error) { return f.WriteAt(b, at) }

func (*async) close() error { return nil }
