// Package resp is the front of a node: it turns bytes into commands and replies
// into bytes, and decides where each command runs.
//
// A connection (conn) is a state machine with bytes going in and bytes coming
// out; it does no input or output of its own. A driver owns it and moves the
// bytes (resp/driver). Everything about a connection happens on
// its driver's goroutine, with two exceptions that it waits for: while its batch
// of writes is on its way, the store writes the replies to come, and a command
// that takes long (RAFT ADD, SAVE, WAIT) has the connection to itself.
//
// What a pipeline brings runs in its order. Reads take the store's lock
// together, a bounded number at a time. Writes collect in a store.Batch, as does
// whatever stands behind them, until the input is used up; then the batch goes
// off, and its replies come back in one piece, in order.
//
// Goroutines: one for each listener; cron, which closes idle clients and takes
// samples; those of the drivers, and one for each slow command. Server.Close ends them all.
//
// Locks: Server.mu (the list of clients), face.mu and
// pushQueue.mu (one connection's), the statistics' and logs' own are held for a few instructions, and nothing else is taken under
// them.
package resp
