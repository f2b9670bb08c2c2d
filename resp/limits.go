package resp

// Sizes of a connection's buffers.
const (
	readAhead    = 64 * 1024          // input taken in while the connection waits for something else
	flushAt      = 256 * 1024         // replies gathered before the driver gets to send some
	maxBatchOps  = 4096               // operations that one pipeline puts into one batch
	maxBatchSize = 1024 * 1024        // bytes of arguments, the same
	readsPerLock = 64                 // reads that share one hold of the read lock
	maxQueryBuf  = 1024 * 1024 * 1024 // default of client-query-buffer-limit
)
