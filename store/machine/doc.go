// Package machine is the state machine: what the log determines, and nothing
// else. It holds the keyspace, the sessions of the members, the clients that wait
// for a key, the scripts and functions, the state clock, the revision and the level in force, and interprets log entries.
//
// It has no goroutine, no lock, no clock and no idea which node it is on. Its
// owner (package store) feeds it entries with Apply, reads it in between, and
// learns through an Observer what there is to do for this node: whose reply this
// is, which key was touched, that readers may be let in. Nothing that an Observer
// answers reaches the state, so all members arrive at the same, whoever of them
// has clients. Capture freezes the state for a snapshot and for a digest.
package machine
