package resp

import (
	"time"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// What a connection's commands leave behind: statistics, the slow log, lines for
// monitors. A command is counted once it has been executed, wherever that was: a
// read here and now, a write when its log entry is applied. The time that counts
// is then that of its execution; what a client waited for the log is kept apart
// (waits).

// lap returns the time since the command that runs now began, and begins the next.
func (c *conn) lap() int64 {
	was := c.clock
	c.clock = c.srv.nanotime()
	return c.clock - was
}

// ran records a command that has been executed. argv is not kept.
func (c *conn) ran(cm *cmd, argv [][]byte, db int, took int64, failed bool) {
	c.count(cm, argv, took, failed)
	c.note(cm, argv, db)
}

// count is ran for a command that monitors have seen.
func (c *conn) count(cm *cmd, argv [][]byte, took int64, failed bool) {
	if cm.waits {
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

// exactFrom: if slowlog-log-slower-than is less, every read is timed.
const exactFrom Micros = 1000

// smallReply is the size up to which the reply of a fast command cannot have taken
// long to write.
const smallReply = 4 << 10

// ranRead records a read. Looking at the clock costs a tenth of a GET, so those
// that follow another of their kind under the same lock are timed together, unless
// somebody wants to know more.
func (c *conn) ranRead(cm *cmd, argv [][]byte, replySize int, failed bool) {
	cfg := c.srv.config()
	if cm.flags&command.Fast == 0 || c.tally.cmd != cm || replySize > smallReply ||
		cfg.SlowlogSlower >= 0 && cfg.SlowlogSlower < exactFrom || c.srv.monitors.Load() > 0 {
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
func (c *conn) endTogether() {
	if n := c.untimed; n > 0 {
		c.untimed = 0
		c.tally.add(c.srv, c.tally.cmd, c.lap(), n, c.srv.config().LatencyTracking)
	}
}

// executed is the batch's observer: the store calls it for each command, while it
// owns the connection's replies and statistics.
func (c *conn) executed(db int, spec *command.Spec, argv [][]byte, took time.Duration) {
	failed := c.replies.errs > c.errsSeen
	c.errsSeen = c.replies.errs
	switch {
	case took < 0:
		return // see waited
	case spec == nil:
		c.ran(c.srv.execCmd, c.txArgv, c.txDB, int64(took), failed)
		return
	}
	cm := c.tally.cmd
	if cm == nil || cm.spec != spec {
		cm = c.srv.bySpec[spec]
	}
	c.ran(cm, argv, db, int64(took), failed)
}

// startedWaiting records a blocking command whose client has begun to wait: it is
// a call, and the rest of its story follows when it is served. It is called by any
// goroutine.
func (s *Server) startedWaiting(addr string, w *waiter, took int64) {
	w.cmd.calls.Add(1)
	w.cmd.nanos.Add(took)
	s.stats.commands.Add(1)
	if s.monitors.Load() > 0 && w.cmd.flags&(command.SkipMonitor|command.Admin) == 0 {
		s.feedMonitors(nil, s.appendNote(nil, addr, w.db, w.argv))
	}
}

// servedLater records the end of a blocking command that had to wait, as Redis
// does: the time that it waited is not counted. Nor is that of serving it, which is
// the time of the write that did.
func (c *conn) servedLater(w *waiter) {
	cm, cfg := w.cmd, c.srv.config()
	took := int64(w.wait.Took)
	if w.enc.errs > 0 {
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
func (c *conn) addSent(cm *cmd) {
	if n := len(c.sent); n > 0 && c.sent[n-1].cmd == cm {
		c.sent[n-1].n++
		return
	}
	c.sent = append(c.sent, sent{cm, 1})
}

// waited records how long the client has waited for the batch, and, if none of its
// writes came to be executed, that.
func (c *conn) waited(err store.Error) {
	took := c.srv.nanotime() - c.sentAt
	for _, s := range c.sent {
		switch err {
		case "":
			s.cmd.waited.add(took, s.n)
		case store.ErrUnknown: // it may have been executed: not by this node's hand
			s.cmd.waited.add(took, s.n)
			s.cmd.calls.Add(s.n)
			s.cmd.failed.Add(s.n)
			c.srv.stats.commands.Add(s.n)
		default:
			s.cmd.rejected.Add(s.n)
		}
	}
	if limit := c.srv.config().LatencyLimit; limit.reached(took) && len(c.sent) > 0 {
		c.srv.latency.add("raft-commit", c.srv.now(), millisOf(took))
	}
	if cap(c.sent) > 64 {
		c.sent = nil
	}
	c.sent = c.sent[:0]
}

// note keeps a command for monitors. They see it once the statistics are flushed,
// in the order in which this connection's commands have been executed.
func (c *conn) note(cm *cmd, argv [][]byte, db int) {
	if c.srv.monitors.Load() > 0 && cm.flags&(command.SkipMonitor|command.Admin) == 0 {
		c.notes = c.srv.appendNote(c.notes, c.addr, db, argv)
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
