package command

import "github.com/raftredis/raftredis/store/keyspace"

// Call is what every handler gets, whether it reads or writes.
type Call struct {
	// Args is the command as the client sent it; Args[0] is its name (for a
	// subcommand Args[1] is the subcommand's). The number of arguments has been
	// checked against the Spec's arity. The slices are valid during the call
	// only: what is kept must be copied.
	Args [][]byte

	// KeepFrom, if not 0, is an exception: the arguments of a write are memory that
	// nobody else holds, and one of so many bytes, which is most of it, may be kept.
	KeepFrom int

	// Now is the time in ms: for a write the entry's stamp on the state clock,
	// for a read the node's estimate of it.
	Now int64

	// Rand is the only source of randomness. For a write it is seeded from the
	// log entry.
	Rand *keyspace.Rand

	// Reply takes the reply. Exactly one must be written, unless WouldBlock.
	Reply Reply

	// MayBlock says that the client waits if the call finds nothing, so that it may
	// end without a reply. In a transaction, or a script, it may not. See Block.
	MayBlock bool

	// Ready is set if the client has been waiting: it is the one of its keys that
	// something has come for. The call looks at no other, as Redis serves a client
	// from the key that became ready.
	Ready []byte

	// Selected is the number of the database that the call goes to.
	Selected int

	// Host is who runs the call, for what runs other commands or is about scripts.
	Host *Host

	// InScript says that a script makes the call.
	InScript bool

	blocked  bool
	deferred bool
	long     bool
}

// WouldBlock is called by the handler of a blocking command that finds nothing
// to take, before it has changed or replied anything. If it answers true the
// handler returns without a reply; otherwise it replies what Redis does in a
// transaction. The call is made again, with Ready, once something may have come; with
// what Args is now: XREAD has put an ID in the place of "$", which must not move
// while the client waits.
func (c *Call) WouldBlock() bool {
	c.blocked = c.MayBlock
	return c.MayBlock
}

// waiting narrows the keys of a call down to those that it may look at.
func (c *Call) waiting(keys [][]byte) [][]byte {
	if c.Ready != nil {
		return [][]byte{c.Ready}
	}
	return keys
}

// Blocked reports whether the handler has returned without a reply because it
// would have had to wait.
func (c *Call) Blocked() bool { return c.blocked }

// Defer is called by the Read of a command that has a Write as well and finds that
// it has to change something, before it has replied anything. The call is then
// made as a write.
func (c *Call) Defer() { c.deferred = true }

// Deferred reports whether Defer was called.
func (c *Call) Deferred() bool { return c.deferred }

// Long reports whether the call was given up because it took longer than
// Host.Quick allows. There is no reply then, and nothing was changed.
func (c *Call) Long() bool { return c.long }

// Read is a call of a command that only reads. It runs under the read lock,
// beside others.
type Read struct {
	Call
	DB *keyspace.View
}

// Write is a call of a command that may change the keyspace. It runs under the
// write lock, on every node, in log order.
type Write struct {
	Call
	DB *keyspace.DB
	// Space is for the few commands that reach beyond one database.
	Space *keyspace.Keyspace
	// Publish sends a message to a channel, or a shard channel, and returns how many
	// clients of all nodes subscribe to it. It copies both.
	Publish func(shard bool, channel, message []byte) int64
}

// event tells of what the command has done to a key: see keyspace.DB.Event. It comes
// after the change.
func (w *Write) event(class keyspace.Events, name string, key []byte) { w.DB.Event(class, name, key) }

// remove deletes a key, be it only because nothing is left in it, and tells of that.
// It reports whether the key was there.
func (w *Write) remove(key []byte) bool {
	there := w.DB.Delete(key)
	if there {
		w.event(keyspace.EventGeneric, "del", key)
	}
	return there
}

// setArg makes key the string arg, one of the call's arguments.
func (w *Write) setArg(key, arg []byte, expire int64) {
	if w.KeepFrom > 0 && len(arg) >= w.KeepFrom {
		w.DB.SetOwned(key, arg, expire)
		return
	}
	w.DB.Set(key, arg, expire)
}

// View returns the call as one that only reads, so that a writing command can
// share a reading one's code.
func (w *Write) View() *Read { return &Read{Call: w.Call, DB: &w.DB.View} }
