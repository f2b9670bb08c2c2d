package resp

import (
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// What a connection's commands leave behind: statistics, the slow log, lines for
// monitors. A command is counted once it has been executed, wherever that was: a
// read here and now, a write when its log entry is applied. The time that counts
// is then that of its execution; what a client waited for the log is kept apart
// (waits).

// record is what a connection keeps of its commands until others may see it. While a
// batch is on its way it is the store's, as the replies are.
type record struct {
	srv *Server

	last     *cmd // the latest command, for CLIENT LIST
	tally    tally
	untimed  int64  // reads of tally.cmd since clock
	clock    int64  // when the read or the command that runs now began
	errsSeen int    // of replies, as of the latest command that has run in the batch
	sent     []sent // what waits for the batch
	sentAt   int64
	reported bool     // EXEC has counted itself
	txArgv   [][]byte // EXEC, of the latest transaction
	txDB     int      // the database at its end
	notes    []byte   // for monitors: commands that have run
	inside   []byte   // and those of the script that runs
	ended    atomic.Bool
}

// lap returns the time since the command that runs now began, and begins the next.
func (r *record) lap() int64 {
	was := r.clock
	r.clock = r.srv.nanotime()
	return r.clock - was
}

// ran records a command that has been executed. argv is not kept.
func (c *conn) ran(cm *cmd, argv [][]byte, db int, took int64, failed bool) {
	c.count(cm, argv, took, failed)
	c.note(cm, argv, db)
}

// count is ran for a command that monitors have seen.
func (c *conn) count(cm *cmd, argv [][]byte, took int64, failed bool) {
	if cm.is(untimed) {
		took = 0 // it was not at work
	}
	cfg := c.srv.config()
	c.tally.add(c.srv, cm, took, 1, cfg.LatencyTracking)
	if failed {
		c.tally.failed++
	}
	if cfg.slow(took) {
		c.srv.observeSlow(c, cm, argv, took)
	}
}

// exactFrom: if slowlog-log-slower-than is less, every command is timed by itself.
const exactFrom Micros = 1000

// exact reports whether somebody wants to know of each command by itself.
func (s *Server) exact() bool {
	slower := s.config().SlowlogSlower
	return slower >= 0 && slower < exactFrom || s.monitors.Load() > 0
}

// smallReply is the size up to which the reply of a fast command cannot have taken
// long to write.
const smallReply = 4 << 10

// ranRead records a read. Looking at the clock costs a tenth of a GET, so those
// that follow another of their kind under the same lock are timed together, unless
// somebody wants to know more.
func (c *conn) ranRead(cm *cmd, argv [][]byte, replySize int, failed bool) {
	if cm.flags&command.Fast == 0 || c.tally.cmd != cm || replySize > smallReply || c.srv.exact() {
		cfg := c.srv.config()
		if n := c.untimed; n > 0 { // of cm: next to nothing against this one
			c.untimed = 0
			c.tally.add(c.srv, cm, 0, n, cfg.LatencyTracking)
		}
		c.ran(cm, argv, c.db, c.lap(), failed)
		return
	}
	c.untimed++
	if failed {
		c.tally.failed++
	}
}

// endTogether ends a run of reads that are timed together.
func (r *record) endTogether() {
	if n := r.untimed; n > 0 {
		r.untimed = 0
		r.tally.add(r.srv, r.tally.cmd, r.lap(), n, r.srv.config().LatencyTracking)
	}
}

// batchObserver is the observer of a connection's batch: the store calls it while it owns the
// connection's replies and statistics.
type batchObserver conn

// Failed reports whether the command that has been answered last has failed.
func (o *batchObserver) Failed() bool {
	failed := o.batchTo.Errs > o.errsSeen
	o.errsSeen = o.batchTo.Errs
	return failed
}

// Exact is Server.exact.
func (o *batchObserver) Exact() bool { return o.srv.exact() }

// Ran records commands that have been executed.
func (o *batchObserver) Ran(db int, spec *command.Spec, argv [][]byte, n, failed int, took time.Duration) {
	c := (*conn)(o)
	if spec == nil {
		c.ran(c.srv.execCmd, c.txArgv, c.txDB, int64(took), false)
		return
	}
	cm := c.tally.cmd
	if cm == nil || cm.spec != spec {
		cm = c.srv.bySpec[spec]
	}
	if n == 1 {
		c.ran(cm, argv, db, int64(took), failed > 0)
		return
	}
	cfg := c.srv.config()
	c.tally.add(c.srv, cm, int64(took), int64(n), cfg.LatencyTracking)
	c.tally.failed += int64(failed)
	if cfg.slow(int64(took)) { // as a whole, so one of them was
		c.srv.observeSlow(c, cm, argv, int64(took))
	}
}

// startedWaiting records a blocking command whose client has begun to wait: it is
// a call, and the rest of its story follows when it is served. It is called by any
// goroutine.
func (s *Server) startedWaiting(addr string, w *waiter, took int64) {
	w.cmd.calls.Add(1)
	w.cmd.nanos.Add(took)
	s.stats.commands.Add(1)
	if s.monitors.Load() > 0 && w.cmd.monitored() {
		s.feedMonitors(nil, s.appendNote(nil, addr, w.db, w.cmd, w.argv))
	}
}

// servedLater records the end of a blocking command that had to wait, as Redis
// does: the time that it waited is not counted. Nor is that of serving it, which is
// the time of the write that did.
func (c *conn) servedLater(w *waiter) {
	cm, cfg := w.cmd, c.srv.config()
	took := int64(w.wait.Took)
	if w.enc.Errs > 0 {
		cm.failed.Add(1)
	}
	if cfg.LatencyTracking {
		cm.latency.add(bucketOf(took), 1)
	}
	if cfg.slow(took) {
		c.srv.observeSlow(c, cm, w.argv, took)
	}
}

// addSent notes that the client waits for one more command of the batch.
func (r *record) addSent(cm *cmd) {
	if n := len(r.sent); n > 0 && r.sent[n-1].cmd == cm {
		r.sent[n-1].n++
		return
	}
	r.sent = append(r.sent, sent{cm, 1})
}

// waited records how long the client has waited for the batch, and, if none of its
// writes came to be executed, that.
func (r *record) waited(err store.Error) {
	took := r.srv.nanotime() - r.sentAt
	for _, s := range r.sent {
		switch err {
		case "":
			s.cmd.waited.add(took, s.n)
		case store.ErrUnknown: // it may have been executed: not by this node's hand
			s.cmd.waited.add(took, s.n)
			s.cmd.calls.Add(s.n)
			s.cmd.failed.Add(s.n)
			r.srv.stats.commands.Add(s.n)
		default:
			s.cmd.rejected.Add(s.n)
		}
	}
	if limit := r.srv.config().LatencyLimit; limit.reached(took) && len(r.sent) > 0 {
		r.srv.latency.add("raft-commit", r.srv.now(), millisOf(took))
	}
	if cap(r.sent) > 64 {
		r.sent = nil
	}
	r.sent = r.sent[:0]
}

// note keeps a command for monitors. They see it once the statistics are flushed,
// in the order in which this connection's commands have been executed.
func (c *conn) note(cm *cmd, argv [][]byte, db int) {
	if c.srv.monitors.Load() > 0 && cm.monitored() {
		c.notes = append(c.srv.appendNote(c.notes, c.addr, db, cm, argv), c.inside...)
	}
	c.inside = nil
}

// maxInside is how many bytes monitors see of what one script runs. A script may run
// many millions of commands, and all of it is kept until it has ended.
const maxInside = 1 << 20

// showInside is store.By.Inside.
func (c *conn) showInside() func(db int, spec *command.Spec, argv [][]byte) {
	if c.srv.monitors.Load() == 0 {
		return nil
	}
	return func(db int, spec *command.Spec, argv [][]byte) {
		if cm := c.srv.bySpec[spec]; cm.monitored() && len(c.inside) < maxInside {
			c.inside = c.srv.appendNote(c.inside, "lua", db, cm, argv)
		}
	}
}

// endStats makes the statistics so far visible to others.
func (c *conn) endStats() {
	c.tally.flush(c.srv)
	if len(c.notes) > 0 {
		c.srv.feedMonitors(c, c.notes)
		c.notes = nil
	}
}

// lastStats is endStats for a connection that has ended, perhaps in front of the
// outcome of its last writes.
func (c *conn) lastStats() {
	if c.ended.CompareAndSwap(false, true) {
		c.endStats()
	}
}
