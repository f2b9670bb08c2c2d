//go:build !unix

package main

import "math"

// openFilesLimit is not known for this system.
func openFilesLimit() (uint64, error) { return math.MaxInt32, nil }
