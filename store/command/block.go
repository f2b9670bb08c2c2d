package command

import (
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Block describes how a blocking command waits. The command itself never does:
// its handler takes what it finds, or calls WouldBlock and leaves everything as
// it is. The state machine then enters the client among those that wait for Keys,
// and calls the handler again for the one that becomes ready, first come first
// served, until the timeout has passed: then the reply is a null array.
type Block struct {
	// Kind is the type of value that is waited for.
	Kind keyspace.Kind

	// Timeout returns how long to wait in ms, 0 for ever, and the error that the
	// handler replies as well if that is not in the arguments. ok is false if the
	// arguments do not ask to wait at all (XREAD without BLOCK).
	Timeout func(argv [][]byte) (ms int64, ok bool, err string)

	// Keys returns the keys that are waited for. It is only called with arguments
	// that the handler has accepted.
	Keys func(argv [][]byte) [][]byte

	// Line, if not nil, names what clients that wait for one key compete for, where
	// that is not the key itself: a group of a stream. If the first in a line finds
	// nothing, nobody behind it would.
	Line func(argv [][]byte) string

	// Undo, if not nil, returns the command that puts back where it was what a call
	// has taken, given its reply: that client had gone. It returns nil if nothing was
	// taken. What was only moved, or is kept in a list of pending entries, needs no
	// undoing.
	Undo func(argv [][]byte, reply *Recorded) [][]byte
}

// maxTimeout keeps a deadline from overflowing: a good quarter of a million
// years.
const maxTimeout = 1 << 53

// parseTimeout reads a timeout in seconds.
func parseTimeout(b []byte) (ms int64, err string) {
	f, ok := ParseFloat(b)
	if !ok {
		return 0, "ERR timeout is not a float or out of range"
	}
	// Redis converts to an integer before it looks at the sign, so that whatever
	// is above one's range is negative, too.
	f = math.Ceil(f * 1000)
	if f < 0 || f >= math.MaxInt64 {
		return 0, "ERR timeout is negative"
	}
	return int64(min(f, maxTimeout)), ""
}

// timeoutAt is the Timeout of a command with a timeout in seconds at argument i,
// from the end if i is negative.
func timeoutAt(i int) func([][]byte) (int64, bool, string) {
	return func(argv [][]byte) (int64, bool, string) {
		ms, err := parseTimeout(argv[(i+len(argv))%len(argv)])
		return ms, err == "", err
	}
}

// timeout checks the timeout at argument i, as timeoutAt. If it is none, timeout
// has written the error and the handler returns.
func (c *Call) timeout(i int) bool {
	_, err := parseTimeout(c.Args[(i+len(c.Args))%len(c.Args)])
	if err != "" {
		c.Reply.Error(err)
	}
	return err == ""
}
