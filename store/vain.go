package store

import (
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Commands that come to nothing. A queue that is empty is asked again and again, a cache
// deletes what it never had, and who counts visitors adds the same ones all day: as log
// entries these would be half of all writes, and each would change nothing. They need no
// entry, only the promise that one gives: that it was so when they were answered, on
// whatever node. That is what a linearizable read knows.

// Vain reports whether a call of a command that writes comes to nothing, as far as this
// node knows: it finds none of its keys and would need one (Spec.Vain), or all as it wants
// it (Spec.Unchanged). A key whose deadline has passed is neither there nor gone: when it
// is gone is for the log to say, and not for this node's clock.
//
// It is no answer for a client: another node may know more. It says whether a Barrier is
// worth waiting for, behind which Do answers the call. It is no use of the keys, either.
func (r *Reader) Vain(db int, spec *command.Spec, argv [][]byte) bool {
	return r.mayBeVain(spec, argv) && (r.absent(db, spec, argv) || r.unchanged(db, spec, argv, By{NoTouch: true}, command.Discard{}))
}

// answerVain answers a call that comes to nothing. If it answers false there is no reply.
func (r *Reader) answerVain(db int, spec *command.Spec, argv [][]byte, by By, reply command.Reply) bool {
	switch {
	case !r.mayBeVain(spec, argv):
		return false
	case r.absent(db, spec, argv):
		r.r.nothingThere(r.now, db, spec, argv, reply)
		return true
	default:
		return r.unchanged(db, spec, argv, by, reply)
	}
}

// mayBeVain reports whether a call may be answered without an entry.
func (r *Reader) mayBeVain(spec *command.Spec, argv [][]byte) bool {
	switch s := r.r.s; {
	case !spec.MayBeVain(argv):
		return false
	case s.outbox.unsettled():
		return false // a DEL that is answered would not keep a SET that timed out from coming true
	case spec.Flags&command.DenyOOM != 0 && s.pressure.full.Load():
		return false // it is refused, or makes room first: perhaps of the very key
	default:
		// A miss that is told of is told of at all nodes.
		return !spec.CountLookups || s.m.Keyspace().Events()&keyspace.EventMiss == 0
	}
}

// absent reports whether none of the keys of a call is there that needs one.
func (r *Reader) absent(db int, spec *command.Spec, argv [][]byte) bool {
	if !spec.Vain {
		return false
	}
	view := r.s.m.Keyspace().View(db, 0) // as of when no deadline had passed
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

// unchanged answers a call that finds all as it wants it.
func (r *Reader) unchanged(db int, spec *command.Spec, argv [][]byte, by By, reply command.Reply) bool {
	if spec.Unchanged == nil {
		return false
	}
	n := r.r
	n.call.Call = command.Call{Args: argv, Now: r.now, Reply: reply, Rand: &n.rand, Selected: db}
	n.view = r.s.m.Keyspace().View(db, r.now)
	n.watchReads(&n.view, &by)
	ok := spec.Unchanged(&n.call)
	n.call.Args, n.call.Reply = nil, nil // do not keep a connection's memory
	return ok
}

// nothingThere runs a call of which nothing is there: in a database where there is nothing else,
// either, which makes no difference to it. So the reply, and the errors of its arguments,
// are those of the command itself.
func (r *reading) nothingThere(now int64, db int, spec *command.Spec, argv [][]byte, reply command.Reply) {
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
