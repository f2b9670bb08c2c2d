// Package wire is RESP, the protocol, in both directions: where a command in a
// client's bytes ends and what its arguments are (Frame, SplitInline), and what a
// reply looks like (Encoder). It is pure: bytes in, bytes out, no connection, no
// clock, no lock. Whoever owns a Frame or an Encoder is the only one to use it.
//
// The bounds on what a client may send are checked here, before anything is
// allocated for what it has announced.
package wire
