package store

import (
	"context"
	"errors"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Error is an error as a client sees it: the whole line without '-'.
type Error string

// Error returns the line.
func (e Error) Error() string { return string(e) }

// What a client is told when a command could not be answered from an applied
// entry. All but ErrUnknown mean that nothing was applied and that sending the
// command again is safe (after ErrTooBig also useless). The first word is the code that programs look at.
const (
	ErrNoLeader Error = "CLUSTERDOWN The cluster has no leader; nothing was applied"
	ErrNotTaken Error = "CLUSTERDOWN The command did not get its turn in time; nothing was applied"
	ErrStopped  Error = "CLUSTERDOWN The node is stopping; nothing was applied"
	ErrBusy     Error = "BUSY Too many writes are waiting for their outcome; nothing was applied"
	ErrTooBig   Error = "ERR The command, or its transaction, is too big to be replicated; nothing was applied"
	ErrDiskFull Error = "MISCONF The disks of too many members are nearly full, so writes are refused until there is room; nothing was applied"
	ErrUnknown  Error = "UNKNOWN the outcome of this write is not known; it may or may not have been applied"

	// ErrReadTimeout answers a linearizable read that the leader did not confirm
	// in time.
	ErrReadTimeout Error = "CLUSTERDOWN The leader did not confirm the read in time"
)

// Line returns the error reply for err, whatever it came from: one of this
// package's errors, a refused membership change, an expired context.
func Line(err error) string {
	var line Error
	switch {
	case errors.As(err, &line):
		return string(line)
	case errors.Is(err, commit.ErrNotTaken):
		return string(ErrNotTaken)
	case errors.Is(err, commit.ErrUnknown):
		return "UNKNOWN " + err.Error()
	case errors.Is(err, commit.ErrNoLeader):
		return string(ErrNoLeader)
	case errors.Is(err, commit.ErrStopped):
		return string(ErrStopped)
	case errors.Is(err, context.DeadlineExceeded):
		return "ERR it took too long" // what did, its caller knows
	default:
		return "ERR " + err.Error()
	}
}
