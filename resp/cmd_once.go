package resp

import (
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

func onceFamily() []local {
	return []local{
		{spec: command.Spec{Name: "once", Arity: -4, Flags: command.NoScript | command.NoMulti, Group: "raft", ACL: "connection", Since: "7.0.0",
			Complexity: "That of the command", Local: true,
			Summary: "Run a command that writes, unless one with this id has been run: then answer what that was answered",
			Syntax:  "id milliseconds command [arg ...]"}, role: wraps},
	}
}

const (
	errOnceID    = "ERR the id of ONCE may have up to 128 bytes, and at least one"
	errOnceKeep  = "ERR ONCE keeps an outcome for 1 to 86400000 milliseconds"
	errOnceReads = "ERR ONCE is for commands that write and do not wait"
)

// once runs the command that ONCE is about, in the ordinary way but for the last step
// (writeOnce): it is that command which a user must be allowed to call, which monitors
// see, and which counts.
func (c *conn) once(cm *cmd, argv [][]byte, end int64) (again bool) {
	keep, ok := command.ParseInt(argv[2])
	switch inner, _ := c.srv.lookup(argv[3:]); {
	case len(argv[1]) == 0 || len(argv[1]) > store.MaxAttemptID:
		return c.reject(cm, errOnceID)
	case !ok || keep <= 0 || keep > store.MaxKeep:
		return c.reject(cm, errOnceKeep)
	case inner != nil && (inner.spec.Write == nil || inner.spec.Block != nil):
		return c.reject(cm, errOnceReads)
	}
	c.attempt = &store.Attempt{ID: argv[1], Keep: keep}
	defer func() { c.attempt = nil }()
	return c.dispatch(argv[3:], end)
}

// writeOnce is write for ONCE.
func (c *conn) writeOnce(cm *cmd, argv [][]byte) (again bool) {
	if c.srv.cluster.RefusesWrites() { // a script, too: it cannot be tried as a read first
		return c.reject(cm, string(store.ErrDiskFull))
	}
	c.endRead() // ScriptArgs takes the lock, and behind a writer that waits nobody gets it twice
	if c.batch.Len() > 0 && c.batchTo != c.enc {
		c.submit()
		return true
	}
	c.last = cm
	args := argv
	if cm.spec.Runs != 0 {
		args = c.srv.store.ScriptArgs(cm.spec, argv)
	}
	c.addSent(cm)
	c.batchTo = c.enc
	c.batch.By(c.by(cm))
	c.batch.Once(c.db, cm.spec, args, argv, *c.attempt, c.enc.RESP3())
	c.batchFull()
	return false
}
