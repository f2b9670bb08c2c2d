package command

import (
	"errors"

	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
	"github.com/raftredis/raftredis/store/script"
)

// Host is who runs a call, as far as that can be seen: the state machine, which
// applies an entry, or a node that reads.
type Host struct {
	Table   *Table
	Library *library.Library // of the state that is being read or changed
	Engine  *script.Engine
	Limits  script.Limits // of one script

	// Exec runs a command for a script. The error is ErrWrites if the host only reads
	// and the command may do more.
	Exec func(spec *Spec, db int, argv [][]byte, reply Reply) error

	// OOM says that maxmemory was exceeded when the command began: scripts that may write
	// have to say that they can do without more.
	OOM bool
	// InExec says that it is a transaction's: Redis has two answers.
	InExec bool

	// Permits returns the error for a call that the script's user may not make, "" if
	// it may; nil: who may do everything.
	Permits func(spec *Spec, argv [][]byte, step PermitStep) (refusal string)

	// Called takes, for statistics, what came of commands that a script has called: n
	// of them. Less than none are an error that the script's own reply repeats, so that
	// it is counted there. Nothing of it may reach the state.
	Called func(c Called, n int64)

	// What follows only a host that reads has; nothing of it may reach the state.

	// Reads says that this is one. Where OOM decides, the log has to.
	Reads bool
	// Quick says that Limits bound how long others can be kept waiting, and not what
	// a script may do: see Call.Long.
	Quick bool
	// Stop is asked now and then whether a script is to end.
	Stop func() error
	// Compiled finds a script that was evaluated on this node and is not in Library,
	// nil if there is none. Keep keeps one for it.
	Compiled func(sha string) *library.Entry
	Keep     func(*library.Entry)
	// Log takes what a script logs. One that is applied logs at every node.
	Log func(level int, message string)
}

// PermitStep is what Host.Permits is asked for.
type PermitStep uint8

// Steps: a script wants to know, calls, or the command runs (and refuses what it finds
// in its arguments that the user may not do).
const (
	PermitAsk PermitStep = iota
	PermitCall
	PermitRun
)

// Called is what came of a command that a script has called.
type Called struct {
	Spec     *Spec  // nil if there is none
	Rejected bool   // it was not run
	Err      string // the ErrorCode of its reply, "" if that was none
}

// ErrWrites ends a script that would write where the host only reads.
var ErrWrites = errors.New("the script writes")

// ScriptLimits bound a script that is applied. They are part of what an entry means:
// all members have to have the same.
func ScriptLimits() script.Limits {
	return script.Limits{Instructions: 200_000_000, Memory: 512 << 20}
}

// RunRead runs a command that reads, for a host's Exec.
func RunRead(spec *Spec, call *Read, view *keyspace.View) error {
	call.DB = view
	spec.Read(call)
	if call.Deferred() {
		return ErrWrites
	}
	return nil
}
