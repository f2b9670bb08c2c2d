package resp

import (
	"strings"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// run takes commands from the input until it is used up or the connection has
// to wait, and leaves replies in sink. The driver calls it after input and after
// every wake.
func (c *conn) run() {
	if c.ownedByOthers() || c.dead {
		return
	}
	c.serving = c.srv.store.Serving() // before the users: who they are is known once it serves
	if c.refresh(); c.dead {
		return
	}
	c.takeInvalidations()
	ready := c.resume()
	c.takePushes() // behind the replies that it has waited for
	c.takeInvalidations()
	if ready && !c.dead {
		c.commands()
	}
	c.endRead()
	switch {
	case c.state == forNothing && c.batch.Len() > 0:
		c.submit()
	case c.state == forNothing && c.listen.announcing:
		c.endStats()
		c.announce()
	case !c.ownedByOthers() || c.startTask != nil:
		c.endStats()
	}
	c.checkQuery()
	c.gather()
	c.publish()
	c.noteMemory()
	if !c.ownedByOthers() && c.overOutputLimit(closedSoon) {
		c.dead = true
	}
	if start := c.startTask; start != nil {
		// From here on the connection is the task's.
		c.startTask = nil
		go start()
	}
}

// checkQuery closes a connection that has sent more than it may before it is
// answered. It reports whether that is not so.
func (c *conn) checkQuery() bool {
	if int64(c.w-c.r+c.multi.bytes+c.frame.Args()*wire.ArgSize) <= c.srv.config().QueryBufLimit {
		return true
	}
	c.srv.stats.queryLimit.Add(1)
	c.dead = true
	return false
}

// commands runs what is in the input.
func (c *conn) commands() {
	cfg := c.srv.config()
	lim := wire.FrameLimits{Bulk: int(cfg.MaxBulkLen)}
	if !c.modeSet {
		c.linear = cfg.ReadMode == "linearizable"
	}
	c.need, c.ahead = 0, 0
	from := len(c.sink.client.Buf)
	for c.state == forNothing && !c.closing && !c.dead {
		if len(c.sink.client.Buf)-from >= flushAt {
			break // there is more, but the replies so far should be on their way
		}
		c.enc = c.sink.choose()
		lim.NoAuth = c.authRequired()
		b := c.in[c.r:c.w]
		n, need, err := c.frame.Next(b, lim)
		if err != nil {
			c.endRead()
			if c.batch.Len() > 0 {
				c.frame.Reset()
				c.submit()
				break
			}
			c.literal(func() { c.enc.Error("ERR " + err.Error()) })
			c.closing = true
			break
		}
		if n == 0 {
			c.need = need
			break
		}
		if c.frame.Args() > cap(c.args) && !c.checkQuery() || !c.parse(b[:n]) {
			break
		}
		c.frame.Reset()
		if len(c.args) == 0 {
			c.r += n
			c.sink.taken() // Redis counts it as the command that is skipped
			continue
		}
		end := c.total - int64(c.w-c.r) + int64(n)
		if c.dispatch(c.args, end) {
			break // not yet: it will be looked at again after the wait
		}
		c.r += n
		c.sink.taken()
		c.endCaching(c.args[0])
	}
}

// resume finishes what the connection has been waiting for. It reports whether
// commands may go on.
func (c *conn) resume() bool {
	switch c.state {
	case forNothing:
		return true
	case forPause:
		c.state = forNothing // the command looks again whether it is over
		return true
	case forKeys:
		return c.afterWait()
	}
	if !c.over.Load() {
		return false
	}
	was := c.state
	c.state = forNothing
	if was == forBatch {
		c.waited(c.batch.Err())
		if all := c.batch.Refusals(); len(all) > 0 {
			c.refusedInside(c.last, all)
		}
		c.batch.Reset()
		return c.afterBatch()
	}
	return was != forTask || !c.writeScript()
}

// parse splits one complete command. It reports false if the connection is not
// to go on.
func (c *conn) parse(b []byte) bool {
	var ok bool
	if b[0] == '*' {
		if c.args, ok = c.frame.SplitArray(b, c.args); !ok {
			c.srv.log.Error("a command was framed wrongly")
			c.dead = true
		}
		return ok
	}
	line := b[:len(b)-1]
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if c.args, ok = wire.SplitInline(line, c.args); !ok {
		if c.batch.Len() > 0 {
			c.submit()
			return false
		}
		c.literal(func() { c.enc.Error("ERR Protocol error: unbalanced quotes in request") })
		c.closing = true
	}
	return ok
}

// dispatch is the one way that every command takes, in the order of checks of
// Redis's processCommand. It returns true if the command cannot run before
// something else has come; it is then dispatched again. end is its place in the
// connection's input.
func (c *conn) dispatch(argv [][]byte, end int64) (again bool) {
	s := c.srv
	cm, container := s.lookup(argv)
	if c.listen.announcing && (cm == nil || !cm.is(subscribes)) {
		c.announce()
		return true
	}
	if cm == nil {
		if cm := argv[0]; command.EqualFold(cm, "post") || command.EqualFold(cm, "host:") {
			// Somebody makes a browser talk to us: not a word back.
			c.dead = true
			return false
		}
		return c.reject(nil, unknownCommand(argv, container))
	}
	if !cm.spec.ArityOK(len(argv)) {
		return c.reject(cm, command.ErrArity(cm.name))
	}
	cfg := s.config()
	if cm.is(guarded) && (cfg.DebugCommand == "no" || cfg.DebugCommand == "local" && !c.isLocal) {
		return c.reject(cm, errDebugForbidden)
	}
	if c.who.limited && cm.flags&command.NoAuth == 0 && c.authRequired() {
		return c.reject(cm, errNoAuth)
	}
	if c.multi.on && cm.flags&command.NoMulti != 0 {
		return c.reject(cm, errNotInMulti)
	}
	if c.who.limited {
		if c.unknown() && cm.flags&command.Admin != 0 && !cm.is(harmless) {
			return c.reject(cm, loadingError(s.store.Readiness()))
		}
		if line, ok := c.permitted(cm, argv); !ok {
			return c.reject(cm, line)
		}
	}
	if c.inSubscribedMode() && !cm.is(subscribes|whileListens) {
		return c.reject(cm, errSubscribed(cm.name))
	}
	if cfg.oneSlot() && c.crossesSlots(cm, argv) {
		return c.reject(cm, errCrossSlot)
	}
	if c.redirects {
		if line := c.elsewhere(cm, argv); line != "" {
			return c.reject(cm, line)
		}
	}
	if cm.spec.Write != nil && cm.spec.Level > s.store.Level() {
		return c.reject(cm, command.ErrLevel(strings.ToUpper(cm.name), cm.spec.Level, s.store.Level()))
	}
	if c.writes(cm) && s.cluster.RefusesWrites() {
		return c.reject(cm, string(store.ErrDiskFull))
	}
	if !cfg.ServeStale && cm.flags&command.Stale == 0 && !cm.is(always) && !s.hasLeader() {
		return c.reject(cm, errMasterDown)
	}
	if cm.flags&command.Loading == 0 && !cm.is(always) && !c.serving {
		return c.reject(cm, loadingError(s.store.Readiness()))
	}
	if cm.flags&command.AllowBusy == 0 {
		if line := s.busy(); line != "" {
			return c.reject(cm, line)
		}
	}
	if p := s.pause.Load(); p != nil && p.holds(c, cm, argv, s.now()) {
		if c.batch.Len() > 0 {
			c.submit()
			return true
		}
		c.endRead()
		c.state = forPause
		return true
	}
	if c.debugging && (cm.spec.Runs == command.BySource || cm.spec.Runs == command.BySHA) {
		return c.undebugged(cm)
	}
	if cm.is(wraps) {
		return c.once(cm, argv, end)
	}
	if c.multi.on && !cm.is(unqueued) {
		if blocked := c.oversized(); blocked {
			return false
		}
		if c.srv.store.OutOfMemory() {
			return c.reject(cm, command.ErrOOM) // whatever it is: a queue is memory as well
		}
		c.multi.add(cm, argv)
		c.literal(func() { c.enc.Status("QUEUED") })
		return false
	}
	if line := c.deniedInside(cm, argv); line != "" {
		c.ran(cm, argv, c.db, 0, true)
		return c.literal(func() { c.enc.Error(line) })
	}
	switch {
	case c.attempt != nil:
		return c.writeOnce(cm, argv)
	case cm.spec.Runs != 0:
		return c.script(cm, argv, end)
	case cm.spec.Read != nil:
		return c.read(cm, argv, end)
	case cm.spec.Write != nil:
		return c.write(cm, argv, end)
	default:
		return c.local(cm, argv, end)
	}
}

// writes reports whether a command changes data. PING is not among those that are
// refused on a full disk, other than with Redis: whoever asks by it whether a node
// is alive might restart it, and reads are served.
func (c *conn) writes(cm *cmd) bool {
	return cm.spec.Write != nil && cm.spec.Read == nil || cm.is(executes) && c.multi.writes
}

// reject refuses a command before it runs. Within MULTI that spoils the
// transaction.
func (c *conn) reject(cm *cmd, line string) bool {
	if cm != nil {
		cm.rejected.Add(1)
		c.last = cm
	}
	if cm != nil && cm.is(executes) {
		// Redis: the transaction is over, and the answer says why.
		c.discard()
		c.note(cm, c.args, c.db)
		if line != errExecAbort && line != errCrossSlot && !strings.HasPrefix(line, moved) && !strings.HasPrefix(line, redirect) {
			line = "EXECABORT Transaction discarded because of: " + strings.TrimPrefix(line, "ERR ")
		}
	} else if c.multi.on {
		c.multi.aborted = true
	}
	return c.literal(func() { c.enc.Error(line) })
}

// literal writes a reply that depends on nothing: at once, or behind the
// replies of the batch.
func (c *conn) literal(write func()) bool {
	from := len(c.enc.Buf)
	write()
	if c.batch.Len() > 0 {
		c.behindBatch(from)
	}
	return false
}

// behindBatch moves what has been written since from behind the replies of the
// operations in the batch.
func (c *conn) behindBatch(from int) {
	reply := append([]byte(nil), c.enc.Buf[from:]...)
	c.enc.Buf = c.enc.Buf[:from]
	if to := c.enc; len(reply) > 0 {
		c.batch.Local(func(command.Reply) { to.Raw(reply) })
	}
}

// read runs a command that only reads: in the batch if there is one, else
// beside the following reads under one lock.
func (c *conn) read(cm *cmd, argv [][]byte, end int64) (again bool) {
	if wait, refused := c.uncovered(cm, end); wait || refused {
		return wait
	}
	if cm.spec.Block != nil {
		return c.blocking(cm, argv)
	}
	if c.batch.Len() > 0 && c.batchTo != c.enc {
		c.submit()
		return true
	}
	c.last = cm
	switch {
	case c.batch.Len() == 0:
		c.beginRead()
		if !c.readNow(cm, argv) {
			c.endRead()
			c.addWrite(cm, argv)
		}
	case cm.spec.IsWrite():
		c.addWrite(cm, argv)
	default:
		c.batch.By(c.by(cm))
		c.batch.Read(c.db, cm.spec, argv)
		c.batchFull()
	}
	return false
}

// uncovered reports whether a read has to wait for a barrier, which it has begun then,
// or was refused because there came none.
func (c *conn) uncovered(cm *cmd, end int64) (wait, refused bool) {
	switch {
	case !c.linear:
	case end > c.coveredTo && c.batch.Len() > 0:
		c.submit()
		return true, false
	case end > c.coveredTo:
		c.barrier()
		return true, false
	case c.barrierErr != nil:
		c.reject(cm, store.Line(c.barrierErr))
		return false, true
	}
	return false, false
}

// readNow runs a read with the reader that has been begun. It answers false if the
// command has to be run as a write.
func (c *conn) readNow(cm *cmd, argv [][]byte) bool {
	if c.ahead--; c.ahead < 0 {
		c.lookAhead()
	}
	if c.tally.cmd != cm {
		c.endTogether()
	}
	from, errs := len(c.enc.Buf), c.enc.Errs
	if c.tracking.on || c.noTouch || cm.spec.Runs != 0 {
		c.reader.By(c.by(cm))
	}
	if !c.reader.Do(c.db, cm.spec, argv, c.enc) {
		return false
	}
	c.ranRead(cm, argv, len(c.enc.Buf)-from, c.enc.Errs > errs)
	if c.readsLeft--; c.readsLeft == 0 {
		c.endRead()
	}
	return true
}

// barrier begins to wait for the point from which everything that has been
// received so far may be read.
func (c *conn) barrier() {
	c.endRead()
	c.coveredTo = c.total
	c.wait(forBarrier)
	c.srv.store.Barrier(func(err error) {
		c.barrierErr = err
		c.signal()
	})
}

// write puts a command into the batch, unless it comes to nothing.
func (c *conn) write(cm *cmd, argv [][]byte, end int64) (again bool) {
	if cm.spec.MayBeVain(argv) && c.batch.Len() == 0 {
		if done, wait := c.vain(cm, argv, end); done || wait {
			return wait
		}
	}
	c.endRead()
	if cm.spec.Block != nil {
		return c.blocking(cm, argv)
	}
	if c.batch.Len() > 0 && c.batchTo != c.enc {
		c.submit()
		return true
	}
	c.last = cm
	c.addWrite(cm, argv)
	return false
}

// addWrite adds to the batch what has to go through the log.
func (c *conn) addWrite(cm *cmd, argv [][]byte) {
	c.addSent(cm)
	if c.batch.Len() == 0 {
		c.batch.Expect(min(c.w-c.r, maxBatchSize))
	}
	c.batchTo = c.enc
	c.batch.By(c.by(cm))
	c.batch.Write(c.db, cm.spec, argv)
	c.batchFull()
}

// batchFull submits a batch that has become big.
func (c *conn) batchFull() {
	if c.batch.Len() >= maxBatchOps || c.batch.Bytes() >= maxBatchSize {
		c.submit()
	}
}

// local runs a command of the front.
func (c *conn) local(cm *cmd, argv [][]byte, end int64) (again bool) {
	if cm.is(executes) && c.linear && c.multi.on && !c.multi.aborted && !c.multi.writes && end > c.coveredTo {
		if c.batch.Len() > 0 {
			c.submit()
			return true
		}
		c.barrier()
		return true
	}
	if c.batch.Len() > 0 && (cm.when != anytime || c.srv.monitors.Load() > 0 || cm.is(executes) && c.batchTo != c.enc) {
		c.submit()
		return true
	}
	c.endRead()
	c.endStats() // it may be INFO
	c.last, c.reported = cm, false
	to, from, errs := c.enc, len(c.enc.Buf), c.enc.Errs
	if cm.when == slow {
		c.task(cm, argv)
		return false
	}
	c.clock = c.srv.nanotime()
	cm.run(c, argv)
	if !c.reported {
		c.ran(cm, argv, c.db, c.lap(), to.Errs > errs)
	}
	if c.state != forNothing {
		return false // EXEC has sent a batch on its way, or left work for a task
	}
	if c.batch.Len() > 0 && len(c.enc.Buf) > from {
		c.behindBatch(from)
	}
	return false
}

// task runs a command that may take long on a goroutine of its own. The
// connection is that goroutine's until it signals.
func (c *conn) task(cm *cmd, argv [][]byte) {
	own := command.CloneArgs(argv)
	c.wait(forTask)
	c.startTask = func() {
		defer c.srv.recovered("command "+cm.name, func() {
			c.dead = true
			c.signal()
		})
		errs := c.enc.Errs
		c.clock = c.srv.nanotime()
		cm.run(c, own)
		c.ran(cm, own, c.db, c.lap(), c.enc.Errs > errs)
		c.endTask()
	}
}

// endTask gives the connection back to its driver.
func (c *conn) endTask() {
	c.signal()
	if c.gone.Load() {
		c.abandonTracking() // Abandon has left it to us
		c.endBackup()
	}
}
