package store

import (
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Commands that come to nothing. A queue that is empty is asked again and again, and a
// cache deletes what it never had: as log entries these would be half of all writes,
// and each would change nothing. They need no entry, only the promise that one gives:
// that nothing was there when they were answered, on whatever node. That is what a
// linearizable read knows.

// Absent reports whether a call of a command that changes nothing then (Spec.Vain) finds
// none of its keys, as far as this node knows. A key whose deadline has passed counts as
// there: when it is gone is for the log to say, and not for this node's clock.
//
// It is no answer for a client: another node may know more. It says whether a Barrier is
// worth waiting for, behind which Do answers the call.
func (r *Reader) Absent(db int, spec *command.Spec, argv [][]byte) bool {
	ks := r.s.m.Keyspace()
	if !spec.Vain || r.s.outbox.unsettled() {
		return false // a DEL that is answered would not keep a SET that timed out from coming true
	}
	if spec.CountLookups && ks.Events()&keyspace.EventMiss != 0 {
		return false // a miss that is told of is told of at all nodes
	}
	view := ks.View(db, 0) // as of when no deadline had passed
	if spec.OneKey() {
		return view.Kind(argv[spec.Keys[0].Index]) == keyspace.None
	}
	refs, err := command.Keys(spec, argv)
	for _, ref := range refs {
		if view.Kind(argv[ref.Pos]) != keyspace.None {
			return false
		}
	}
	return err == nil && len(refs) > 0
}

// vain runs a call of which nothing is there: in a database where there is nothing else,
// either, which makes no difference to it. So the reply, and the errors of its arguments,
// are those of the command itself.
func (r *reading) vain(now int64, db int, spec *command.Spec, argv [][]byte, reply command.Reply) {
	if r.nowhere == nil {
		r.nowhere = &nowhere{space: keyspace.New()}
	}
	n := r.nowhere
	n.space.Begin(0, now)
	n.space.Use(&n.db, db)
	n.call = command.Write{DB: &n.db, Space: n.space,
		Call: command.Call{Args: argv, Now: now, Reply: reply, Rand: &r.rand, Selected: db}}
	spec.Write(&n.call)
	if spec.CountLookups {
		r.count(&n.db.View)
	}
	n.call = command.Write{} // do not keep a connection's memory
}

// nowhere is an empty keyspace and what a handler must get by pointer.
type nowhere struct {
	space *keyspace.Keyspace
	db    keyspace.DB
	call  command.Write
}
