package machine

import (
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Observer is what one node makes of a log that it applies: who waits for a reply,
// who has to be told, when readers are let in. The machine calls it in the middle
// of applying, so it must be quick. None of its answers reaches the state: two
// machines that apply the same log with different observers arrive at the same.
type Observer interface {
	// Entry is called before an entry is applied, with its stamp.
	Entry(stamp Millis)

	// Request is called before a request is applied. fresh is false if it was
	// applied before, or is refused for good: it is dropped then, and the Asker may
	// be nil. An error is a reason to stop this node.
	Request(h Head, fresh bool) (Asker, error)

	// Touched is called for every key that is touched, as keyspace.OnTouch.
	Touched(keyspace.Touch)

	// Swapping is called before two databases are exchanged, as keyspace.OnSwap.
	Swapping(a, b int)

	// Executed is called after each command, whoever asked for it.
	Executed()

	// Script is called before a script is run, and when it has ended.
	Script(running bool)

	// Served is called when something was taken for a client that waited. The
	// client's member has to claim or return it with a Settlement.
	Served(WaitID)

	// Serving is called around running the command of a client that waits once more: what
	// is touched in between is that client's doing, and not of whose request it is part.
	Serving(id WaitID, on bool)

	// Claimed is called when a member has claimed what its client was served: the
	// reply is for that client now, and nobody else will ever see it.
	Claimed(WaitID, *command.Recorded)

	// Ended is called when a client does not wait any more, or is not served after
	// all (GivenUp).
	Ended(WaitID, Ended)

	// Published is called for every message. Who gets it is told after Pause: the
	// log's order is that of these calls.
	Published(Message)

	// Announced is called when a member's announcement is in force: from here on its
	// subscribers get what is published. upTo is what its Request.Announce had.
	Announced(h Head, upTo uint64)

	// Silenced is called when the subscribers of a member's run are forgotten, since
	// it has ended or was given up. If it is there all the same it has to announce
	// them again.
	Silenced(origin, incarnation uint64)

	// UsersChanged is called after the users have changed.
	UsersChanged(*acl.Users)

	// Expired is called with how many keys an op has deleted because the leader
	// found their deadlines passed.
	Expired(n uint64)

	// Read is called for a key that clients of a node, perhaps of this one, have read about
	// so many times.
	Read(h Head, view *keyspace.View, key []byte, times uint64)

	// Aside calls f, which may take long and changes nothing that others read: they
	// may do so meanwhile. It is called between two entries.
	Aside(f func())

	// Pause is called after each op, when those who waited for what it has done are
	// served: the state may be read by others until it returns. work says how much was done since the last call, in
	// commands and kilobytes.
	Pause(work int)
}

// Asker is who asked for a request that is being applied. Its methods are called
// in the order of the ops. It may read the state in between, and answer with what
// it finds there.
type Asker interface {
	// Command returns where the reply of the next command goes.
	Command() command.Reply

	// Runs is called right before the command runs. argv is valid during Runs only.
	Runs(db int, spec *command.Spec, argv [][]byte)

	// Ran is called when the command has run. call is valid during Ran only.
	Ran(db int, spec *command.Spec, call *command.Write)

	// RanInside is called when a command of a script has run, in front of Ran for the
	// script, whose own arguments script is. view has what the command has looked up.
	// script, argv and view are valid during RanInside only.
	RanInside(script [][]byte, db int, spec *command.Spec, argv [][]byte, view *keyspace.View)

	// Refused is called when a script was not let make a call that its user may not
	// make.
	Refused(acl.Refusal)

	// Called is command.Host.Called, behind RanInside if the command has run.
	Called(c command.Called, n int64)

	// Blocked says that the last command has ended without a reply: its client
	// waits. It comes in front of Ran.
	Blocked()

	// Exec is called at the beginning of a transaction, instead of Command. If run
	// is true, Command is called for each of its commands, and then EndExec;
	// otherwise a watched key had changed and nothing is run.
	Exec(run bool)
	EndExec()

	// RefuseExec is called instead of Exec if the transaction is not run for another
	// reason, which line tells.
	RefuseExec(line string)

	// End says that the whole request is applied.
	End()
}

// Nobody is the Asker of requests that no one here waits for.
type Nobody struct{}

var _ Asker = Nobody{}

// Command discards the reply.
func (Nobody) Command() command.Reply { return command.Discard{} }

// Runs does nothing.
func (Nobody) Runs(int, *command.Spec, [][]byte) {}

// Ran does nothing.
func (Nobody) Ran(int, *command.Spec, *command.Write) {}

// RanInside does nothing.
func (Nobody) RanInside([][]byte, int, *command.Spec, [][]byte, *keyspace.View) {}

// Refused does nothing.
func (Nobody) Refused(acl.Refusal) {}

// Called does nothing.
func (Nobody) Called(command.Called, int64) {}

// Blocked does nothing.
func (Nobody) Blocked() {}

// Exec does nothing.
func (Nobody) Exec(bool) {}

// EndExec does nothing.
func (Nobody) EndExec() {}

// RefuseExec does nothing.
func (Nobody) RefuseExec(string) {}

// End does nothing.
func (Nobody) End() {}
