package command

import "fmt"

// Level is how much of the log's and the snapshots' formats, and of what commands do when
// they are applied, a program knows. Members of one cluster may run different programs for
// a while, so the log has only what the oldest of them can apply: the cluster has a level
// in force, which is state, and which only rises (package machine).
//
// A release that adds something to apply (a command that writes or that scripts can call, an
// argument or another meaning of one that there is, a kind of op, a section of the snapshot)
// adds a Level, and names it where it declares what is new.
type Level uint64

// The levels, and with which release each came.
const (
	Level1 Level = 1 + iota // 0.1.0; what says nothing of a level has this one
	Level2                  // 0.2.0

	// Latest is what this program knows.
	Latest = Level2
)

// Release is the first release that knows the level.
func (l Level) Release() string {
	switch l {
	case Level1:
		return "0.1.0"
	case Level2:
		return "0.2.0"
	default:
		return "a newer one"
	}
}

// ErrLevel is the error of what needs a higher level than the one in force. Nothing of it
// has been written.
func ErrLevel(what string, needs, inForce Level) string {
	return fmt.Sprintf("ERR %s needs all members of the cluster to be at level %d (raftredis %s or later), and the cluster is at level %d; INFO raft on the leader says whom it waits for",
		what, needs, needs.Release(), inForce)
}
