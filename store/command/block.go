package command

import (
	"math"
)

// Block describes how a blocking command waits. The command itself never does:
// its handler takes what it finds, or calls WouldBlock and leaves everything as
// it is. Whoever called it then waits until one of Keys is touched and calls
// again, first come first served, until the timeout has passed, and replies a
// null array then.
//
// So "exactly one client gets each element" needs no more than the order of the
// log: taking is an entry like any other, and a client that goes away while it
// waits has taken nothing.
type Block struct {
	// Timeout returns how long to wait in ms, 0 for ever, and the error that the
	// handler replies as well if that is not in the arguments. ok is false if the
	// arguments do not ask to wait at all (XREAD without BLOCK).
	Timeout func(argv [][]byte) (ms int64, ok bool, err string)

	// Keys returns the keys whose change is to be waited for. It is only called
	// with arguments that the handler has accepted.
	Keys func(argv [][]byte) [][]byte
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
