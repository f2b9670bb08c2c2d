package resp

import (
	"slices"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// Transactions. MULTI, the queueing and DISCARD are this connection's own
// business and never depend on raft. EXEC is one operation of a batch, and so
// one piece of one log entry; without a write in it, it is a few reads under
// one lock.
//
// Commands of the front may stand in a transaction, too (PING, SELECT, INFO).
// They do not run while the store applies the entry: they are run afterwards,
// and their replies are put where they belong.

// transaction is the state between MULTI and EXEC, and what WATCH watches.
type transaction struct {
	on      bool
	aborted bool // a command could not be queued
	queue   []queuedCommand
	bytes   int
	writes  bool // some command in the queue writes
	watched []store.Watched
}

type queuedCommand struct {
	cmd  *cmd
	argv [][]byte
}

func transactionFamily() []local {
	const group = "transactions"
	flags := command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy
	return []local{
		{spec: command.Spec{Name: "multi", Arity: 1, Flags: flags, Group: group, Since: "1.2.0", Complexity: "O(1)",
			Summary: "Mark the start of a transaction block"}, when: anytime, run: (*conn).cmdMulti, role: unqueued},
		{spec: command.Spec{Name: "exec", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.SkipSlowlog, Group: group, Since: "1.2.0", Complexity: "Depends on commands in the transaction",
			Summary: "Execute all commands issued after MULTI"}, when: anytime, run: (*conn).cmdExec, role: unqueued | executes},
		{spec: command.Spec{Name: "discard", Arity: 1, Flags: flags, Group: group, Since: "2.0.0", Complexity: "O(N), when N is the number of queued commands",
			Summary: "Discard all commands issued after MULTI"}, when: anytime, run: (*conn).cmdDiscard, role: unqueued},
		{spec: command.Spec{Name: "watch", Arity: -2, Flags: flags, Keys: command.All(1, 1, "RO"), Group: group, Since: "2.2.0", Complexity: "O(1) for every key.",
			Summary: "Watch the given keys to determine execution of the MULTI/EXEC block", Syntax: "key [key ...]"}, when: inOrder, run: (*conn).cmdWatch, role: unqueued},
		{spec: command.Spec{Name: "unwatch", Arity: 1, Flags: flags, Group: group, Since: "2.2.0", Complexity: "O(1)",
			Summary: "Forget about all watched keys"}, when: anytime, run: (*conn).cmdUnwatch},
	}
}

func (c *conn) cmdMulti([][]byte) {
	if c.multi.on {
		c.enc.Error("ERR MULTI calls can not be nested")
		return
	}
	c.multi.on = true
	c.enc.Status("OK")
}

func (c *conn) cmdDiscard([][]byte) {
	if !c.multi.on {
		c.enc.Error("ERR DISCARD without MULTI")
		return
	}
	c.discard()
	c.enc.Status("OK")
}

// discard ends the transaction and lets go of what is watched.
func (c *conn) discard() {
	c.srv.store.Unwatch(c.multi.watched)
	c.multi = transaction{}
}

// cmdWatch notes how the keys are on this node now. It is this node's state that
// the client goes on to read; whether it still is the state when the transaction
// runs is decided there, on every node alike.
func (c *conn) cmdWatch(argv [][]byte) {
	if c.multi.on {
		c.enc.Error("ERR WATCH inside MULTI is not allowed")
		return
	}
	c.beginRead()
	for _, key := range argv[1:] {
		c.watch(key)
	}
	c.endRead()
	c.enc.Status("OK")
}

func (c *conn) watch(key []byte) {
	if c.multi.watches(c.db, key) {
		return // the first look is the one that counts
	}
	c.multi.watched = append(c.multi.watched, c.reader.Watch(c.db, key))
}

func (c *conn) cmdUnwatch([][]byte) {
	c.srv.store.Unwatch(c.multi.watched)
	c.multi.watched = nil
	c.enc.Status("OK")
}

// add keeps a command for EXEC.
func (t *transaction) add(cm *cmd, argv [][]byte) {
	own := command.CloneArgs(argv)
	for _, a := range own {
		t.bytes += len(a) + wire.ArgSize
	}
	t.queue = append(t.queue, queuedCommand{cm, own})
	t.writes = t.writes || cm.spec.Write != nil
}

// watches reports whether a key is watched already.
func (t *transaction) watches(db int, key []byte) bool {
	return slices.ContainsFunc(t.watched, func(w store.Watched) bool { return w.DB == db && string(w.Key) == string(key) })
}

// oversized closes a connection whose transaction has grown beyond what a
// client may keep here.
func (c *conn) oversized() bool {
	if int64(c.multi.bytes) <= c.srv.config().QueryBufLimit {
		return false
	}
	c.srv.stats.queryLimit.Add(1)
	c.dead = true
	return true
}

// later is a command of the front within a transaction: its reply belongs at
// offset at of the replies, or nowhere if it was never reached.
type later struct {
	cmd     *cmd
	argv    [][]byte
	db      int // selected after it
	at      int
	reached bool
}

func (c *conn) cmdExec(argv [][]byte) {
	if !c.multi.on {
		c.enc.Error("ERR EXEC without MULTI")
		return
	}
	t := c.multi
	c.multi = transaction{}
	defer c.srv.store.Unwatch(t.watched) // the batch has its marks
	switch {
	case t.aborted:
		c.enc.Error(errExecAbort)
	case c.unchanged(t.watched):
		c.txArgv = command.CloneArgs(argv)
		c.exec(&t)
	default:
		c.enc.NullArray()
	}
}

// unchanged reports whether nothing watched has changed as far as this node
// knows, and has its marks brought up to now.
func (c *conn) unchanged(watched []store.Watched) bool {
	if len(watched) == 0 {
		return true
	}
	c.beginRead()
	defer c.endRead()
	return c.reader.Unchanged(watched)
}

// exec runs a transaction: through the log if it writes, else here and now.
func (c *conn) exec(t *transaction) {
	db := c.db
	var after []*later
	cmds := make([]store.Queued, len(t.queue))
	caching, noTouch := c.tracking.caching, c.noTouch
	for i, q := range t.queue {
		if line := c.deniedNow(q.cmd, q.argv); line != "" {
			cmds[i] = store.Queued{Local: func(reply command.Reply) {
				reply.Error(line)
				c.ownError()
			}}
			continue
		}
		if line := c.deniedInside(q.cmd, q.argv); line != "" {
			at := db
			cmds[i] = store.Queued{Local: func(reply command.Reply) {
				reply.Error(line)
				c.ran(q.cmd, q.argv, at, 0, true)
				c.ownError()
			}}
			continue
		}
		if q.cmd.run == nil {
			cmds[i] = store.Queued{DB: db, Spec: q.cmd.spec, Argv: q.argv, Remember: c.caches(q.cmd, caching), NoTouch: noTouch}
			if q.cmd.spec.Runs != 0 {
				cmds[i].Argv = c.srv.store.ScriptArgs(q.cmd.spec, q.argv)
			}
			continue
		}
		if n, ok := selectedDB(q); ok {
			db = n
		}
		caching = caching || c.queuedCaching(q)
		if on, ok := queuedNoTouch(q); ok {
			noTouch = on
		}
		l := &later{cmd: q.cmd, argv: q.argv, db: db}
		after = append(after, l)
		cmds[i] = store.Queued{Local: func(command.Reply) {
			l.at, l.reached = len(c.enc.Buf), true
			c.note(l.cmd, l.argv, l.db)
		}}
	}
	c.txDB = db
	if c.batch.Len() == 0 && !t.writes {
		if c.linear && c.barrierErr != nil {
			c.enc.Error(store.Line(c.barrierErr))
			return
		}
		c.reported = true
		c.execReads(t, cmds)
		c.runLater(after)
		return
	}
	c.reported = true
	c.addSent(c.srv.execCmd)
	c.batch.By(c.byExec(false, false))
	c.batch.Exec(t.watched, cmds)
	c.batchTo = c.enc
	if len(after) == 0 {
		c.batchFull()
		return
	}
	c.after = after
	c.submit()
}

// ownError says that the error which has just been written is not of a command that the
// batch's observer is told of.
func (c *conn) ownError() {
	if c.batchTo != nil {
		c.errsSeen = c.batchTo.Errs
	}
}

// byExec says who runs the commands of a transaction.
func (c *conn) byExec(remember, noTouch bool) store.By {
	by := store.By{NoTouch: noTouch, Policy: c.scriptPolicy(), Inside: c.showInside()}
	if c.tracking.on {
		by.Tracker, by.Remember = c.tracking.tracker, remember
	}
	return by
}

// execReads runs a transaction that changes nothing.
func (c *conn) execReads(t *transaction, cmds []store.Queued) {
	c.beginRead()
	defer c.endRead()
	began := c.clock
	defer func() {
		c.lap()
		c.ran(c.srv.execCmd, c.txArgv, c.txDB, c.clock-began, false)
	}()
	if !c.reader.Unchanged(t.watched) {
		c.enc.NullArray()
		return
	}
	c.enc.Array(len(cmds))
	for i := range cmds {
		if q := &cmds[i]; q.Local != nil {
			q.Local(c.enc)
		} else {
			errs := c.enc.Errs
			if q.Remember || q.NoTouch || q.Spec.Runs != 0 {
				c.reader.By(c.byExec(q.Remember, q.NoTouch))
			}
			c.reader.Do(q.DB, q.Spec, q.Argv, c.enc)
			c.refusedInside(t.queue[i].cmd, c.reader.Refusals())
			c.ran(t.queue[i].cmd, q.Argv, q.DB, c.lap(), c.enc.Errs > errs)
		}
	}
}

// afterBatch runs what an EXEC in the batch has left for afterwards. It reports
// whether commands may go on.
func (c *conn) afterBatch() bool {
	after := c.after
	c.after = nil
	if after == nil {
		return true
	}
	c.runLater(after)
	return c.state == forNothing
}

// runLater runs the front's commands of a transaction and inserts their replies
// into those of the data commands.
func (c *conn) runLater(after []*later) {
	if len(after) == 0 || !after[0].reached {
		return
	}
	for _, l := range after {
		if l.cmd.when == slow {
			c.wait(forTask)
			c.startTask = func() {
				defer c.srv.recovered("transaction", func() {
					c.dead = true
					c.signal()
				})
				c.splice(after)
				c.endTask()
			}
			return
		}
	}
	c.splice(after)
}

func (c *conn) splice(after []*later) {
	c.executing = true
	defer func() { c.executing, c.tracking.caching = false, false }()
	replies := c.enc.Buf
	spliced := make([]byte, 0, len(replies)+64*len(after))
	from := 0
	for _, l := range after {
		spliced = append(spliced, replies[from:l.at]...)
		from = l.at
		c.enc.Buf = spliced
		c.endStats() // it may be INFO
		errs := c.enc.Errs
		c.clock = c.srv.nanotime()
		if line := c.deniedNow(l.cmd, l.argv); line != "" {
			c.enc.Error(line) // the users have changed since EXEC began
		} else {
			l.cmd.run(c, l.argv)
		}
		c.count(l.cmd, l.argv, c.lap(), c.enc.Errs > errs)
		spliced = c.enc.Buf
	}
	c.enc.Buf = append(spliced, replies[from:]...)
}

// selectedDB returns the database that a queued SELECT goes to.
func selectedDB(q queuedCommand) (db int, ok bool) {
	if !q.cmd.is(selects) {
		return 0, false
	}
	n, ok := command.ParseInt(q.argv[1])
	return int(n), ok && n >= 0 && n < databases
}
