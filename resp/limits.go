package resp

import "math"

// Bounds on what a client may send. A length beyond its bound is refused before
// anything is allocated for it and before redcon's parser, which has no bounds
// of its own, gets to see it.
const (
	maxArgs   = math.MaxInt32 // arguments of one command
	maxInline = 64 * 1024     // bytes of an inline command, or of a length's digits

	// argSize is what an argument costs beside its bytes in the buffer: the slice
	// that says where it is. It counts against client-query-buffer-limit, which is
	// what bounds a command of very many arguments.
	argSize = 24

	// Until a connection has authenticated, a stranger must not make the server
	// hold much. Redis has the same two figures.
	maxArgsNoAuth = 10
	maxBulkNoAuth = 16384
)

// Sizes of a connection's buffers.
const (
	readSize     = 16 * 1024          // room offered to a read
	keepOutput   = 64 * 1024          // an output buffer that grew beyond this is not kept
	readAhead    = 64 * 1024          // input taken in while the connection waits for something else
	flushAt      = 256 * 1024         // replies gathered before the driver gets to send some
	maxBatchOps  = 4096               // operations that one pipeline puts into one batch
	maxBatchSize = 1024 * 1024        // bytes of arguments, the same
	readsPerLock = 64                 // reads that share one hold of the read lock
	maxQueryBuf  = 1024 * 1024 * 1024 // default of client-query-buffer-limit
)
