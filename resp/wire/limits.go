package wire

import "math"

// Bounds on what a client may send. A length beyond its bound is refused before
// anything is allocated for it and before redcon's parser, which has no bounds
// of its own, gets to see it.
const (
	maxArgs   = math.MaxInt32 // arguments of one command
	maxInline = 64 * 1024     // bytes of an inline command, or of a length's digits

	// ArgSize is what an argument costs beside its bytes in the buffer: the slice
	// that says where it is. It counts against client-query-buffer-limit, which is
	// what bounds a command of very many arguments.
	ArgSize = 24

	// Until a connection has authenticated, a stranger must not make the server
	// hold much. Redis has the same two figures.
	maxArgsNoAuth = 10
	maxBulkNoAuth = 16384
)

// big is the size of a bulk that is worth copying in steps.
const big = 256 * 1024
