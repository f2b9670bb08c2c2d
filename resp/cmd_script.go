package resp

import (
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
)

// Scripts. Most of what there is to know about them is state, and in package command;
// here is what a node does about those that its clients run.

const (
	errBusyScript   = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	errBusyFunction = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	errNotBusy      = "NOTBUSY No scripts in execution right now."
	errUnkillable   = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)

func scriptingFamily() []local {
	const group = "scripting"
	const tips = "request_policy:all_shards response_policy:one_succeeded"
	const flags = command.NoScript | command.AllowBusy
	return []local{
		{spec: command.Spec{Name: "script", Arity: -2, Script: true, Group: group, Since: "2.6.0", Complexity: "Depends on subcommand.", Summary: "A container for Lua scripts management commands"},
			subs: []local{
				{spec: command.Spec{Name: "debug", Arity: 3, Flags: command.NoScript, Script: true, Since: "3.2.0", Complexity: "O(1)", Summary: "Set the debug mode for executed scripts.", Syntax: "<YES | SYNC | NO>"},
					when: inOrder, run: (*conn).cmdScriptDebug},
				{spec: command.Spec{Name: "kill", Arity: 2, Flags: flags, Script: true, Tips: tips, Since: "2.6.0", Complexity: "O(1)", Summary: "Kill the script currently in execution."},
					when: anytime, run: func(c *conn, _ [][]byte) { c.killScript(false) }},
			}},
		{spec: command.Spec{Name: "function", Arity: -2, Script: true, Group: group, Since: "7.0.0", Complexity: "Depends on subcommand.", Summary: "A container for function commands"},
			subs: []local{
				{spec: command.Spec{Name: "kill", Arity: 2, Flags: flags, Script: true, Tips: tips, Since: "7.0.0", Complexity: "O(1)", Summary: "Kill the function currently in execution."},
					when: anytime, run: func(c *conn, _ [][]byte) { c.killScript(true) }},
				{spec: command.Spec{Name: "stats", Arity: 2, Flags: flags, Script: true, Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "7.0.0", Complexity: "O(1)", Summary: "Return information about the function currently running (name, description, duration)"},
					when: inOrder, run: (*conn).cmdFunctionStats},
			}},
	}
}

// script runs EVAL or one of its kin. It is tried as a read first, and goes through
// the log when it comes to its first write; one that takes long goes on beside the
// connections.
func (c *conn) script(cm *cmd, argv [][]byte, end int64) (again bool) {
	// While writes are refused, a script is tried: it may do without, or handle the error.
	if c.srv.store.ScriptWrites(cm.spec, argv) && !c.srv.cluster.RefusesWrites() {
		c.endRead() // ScriptArgs takes the lock, and behind a writer that waits nobody gets it twice
		return c.write(cm, c.srv.store.ScriptArgs(cm.spec, argv), end)
	}
	if wait, refused := c.uncovered(cm, end); wait || refused {
		return wait
	}
	if c.batch.Len() > 0 {
		c.submit()
		return true
	}
	c.beginRead()
	if c.tally.cmd != cm {
		c.endTogether()
	}
	c.reader.By(c.by(cm))
	c.last = cm
	errs := c.enc.Errs
	next, args := c.reader.Script(c.db, cm.spec, argv, c.enc)
	if next != store.Answered {
		c.inside = nil // it is run once more
	}
	switch next {
	case store.ToWrite:
		c.endRead()
		if c.srv.cluster.RefusesWrites() {
			return c.reject(cm, string(store.ErrDiskFull))
		}
		c.addWrite(cm, args)
	case store.TooLong:
		c.longScript(cm, argv)
	default:
		c.refusedInside(cm, c.reader.Refusals())
		c.ran(cm, argv, c.db, c.lap(), c.enc.Errs > errs)
	}
	c.endRead()
	return false
}

const errNoDebugger = "ERR SCRIPT DEBUG is not supported: scripts are replicated, and cannot stop in the middle"

// cmdScriptDebug refuses the debugger: it would stop a script at one node in the middle of an
// entry, or of a read that others wait behind. redis-cli --ldb does not look at the answer and
// goes on to EVAL, of which its user expects that nothing comes of it: see undebugged.
func (c *conn) cmdScriptDebug(argv [][]byte) {
	switch {
	case command.EqualFold(argv[2], "no"):
		c.debugging = false
		c.enc.Status("OK")
	case command.EqualFold(argv[2], "yes"), command.EqualFold(argv[2], "sync"):
		c.debugging = true
		c.enc.Error(errNoDebugger)
	default:
		c.enc.Error("ERR Use SCRIPT DEBUG YES/SYNC/NO")
	}
}

// undebugged refuses a script that is to be debugged, as Redis does one that its debugger
// cannot begin with: the session ends, the reason follows, and the connection is closed.
func (c *conn) undebugged(cm *cmd) bool {
	switch {
	case cm.spec.Runs == command.BySHA:
		return c.reject(cm, "ERR Please use EVAL instead of EVALSHA for debugging")
	case c.multi.on:
		return c.reject(cm, errNoDebugger)
	}
	c.literal(func() {
		c.enc.Array(1)
		c.enc.Status("<endsession>")
	})
	c.reject(cm, errNoDebugger)
	c.closing = true
	return false
}

// longScript runs a script on a goroutine of its own, which has the connection until
// the script has ended, or has been applied.
func (c *conn) longScript(cm *cmd, argv [][]byte) {
	own, db, by := command.CloneArgs(argv), c.db, c.by(cm)
	c.wait(forTask)
	c.startTask = func() {
		defer c.srv.recovered("command "+cm.name, func() {
			c.dead = true
			c.signal()
		})
		errs := c.enc.Errs
		c.clock = c.srv.nanotime()
		next, args := c.srv.store.RunLong(by, db, cm.spec, own, c.enc, c.gone.Load, c.srv.busy,
			func(all []acl.Refusal) { c.refusedInside(cm, all) })
		if next == store.ToWrite {
			c.inside = nil
		}
		switch {
		case next == store.ToWrite && !c.srv.cluster.RefusesWrites():
			c.toWrite = &longWrite{queuedCommand{cm, args}, by}
		case next == store.ToWrite:
			c.enc.Error(string(store.ErrDiskFull))
			fallthrough
		default:
			c.ran(cm, own, db, c.lap(), c.enc.Errs > errs)
		}
		c.endTask()
	}
}

// longWrite is a script that has taken long to come to its first write.
type longWrite struct {
	queuedCommand
	by store.By
}

// writeScript sends a script on its way through the log that a task has left to be
// written. It reports whether there is one.
func (c *conn) writeScript() bool {
	q := c.toWrite
	if q == nil {
		return false
	}
	c.toWrite = nil
	c.addSent(q.cmd)
	c.batchTo = c.enc
	c.batch.By(q.by)
	c.batch.Write(c.db, q.cmd.spec, q.argv)
	c.submit()
	return true
}

// busy returns what clients are told while a script runs for longer than
// busy-reply-threshold, and nothing if none does.
func (s *Server) busy() string {
	run := s.store.LongScript()
	if run == nil {
		return ""
	}
	switch {
	case !s.config().BusyThreshold.reached(s.now().Sub(run.Started).Nanoseconds()):
		return ""
	case run.Function:
		return errBusyFunction
	default:
		return errBusyScript
	}
}

func (c *conn) killScript(function bool) {
	st := c.srv.store
	run := st.LongScript()
	switch {
	case run == nil && st.ApplyingScript():
		c.enc.Error(errUnkillable)
	case run == nil:
		c.enc.Error(errNotBusy)
	case run.Function && !function:
		c.enc.Error(errBusyFunction)
	case !run.Function && function:
		c.enc.Error(errBusyScript)
	default:
		run.Kill()
		c.enc.Status("OK")
	}
}

func (c *conn) cmdFunctionStats([][]byte) {
	c.enc.Map(2)
	c.enc.BulkString("running_script")
	if run := c.srv.store.LongScript(); run == nil || !run.Function {
		c.enc.Null()
	} else {
		c.enc.Map(3)
		c.enc.BulkString("name")
		c.enc.BulkString(run.Name)
		c.enc.BulkString("command")
		c.enc.Array(len(run.Args))
		for _, a := range run.Args {
			c.enc.Bulk(a)
		}
		c.enc.BulkString("duration_ms")
		c.enc.Int(c.srv.now().Sub(run.Started).Milliseconds())
	}
	_, _, libraries, functions := c.srv.store.Scripts()
	c.enc.BulkString("engines")
	c.enc.Map(1)
	c.enc.BulkString("LUA")
	c.enc.Map(2)
	c.enc.BulkString("libraries_count")
	c.enc.Int(int64(libraries))
	c.enc.BulkString("functions_count")
	c.enc.Int(int64(functions))
}

// scriptLog takes what scripts log.
func (s *Server) scriptLog(level int, message string) {
	switch level {
	case 0, 1:
		s.log.Debug("script", zap.String("message", message))
	case 2:
		s.log.Info("script", zap.String("message", message))
	default:
		s.log.Warn("script", zap.String("message", message))
	}
}

// calledInside counts commands that a script has called.
func (s *Server) calledInside(c command.Called, n int64) {
	if c.Err != "" {
		s.stats.countErrors(c.Err, n)
	}
	cm := s.bySpec[c.Spec]
	switch {
	case cm == nil:
	case c.Rejected:
		cm.rejected.Add(n)
	default:
		cm.calls.Add(n)
		s.stats.commands.Add(n)
		if c.Err != "" {
			cm.failed.Add(n)
		}
	}
}
