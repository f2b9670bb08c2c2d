package resp

import (
	"time"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// waiter is the blocking command that a connection waits with. Whoever waits is
// state (store.Wait); all that the front does is to hand the command in and to say
// when its client leaves or is unblocked. The reply has a buffer of its own, so that
// the connection can be read and written to meanwhile.
type waiter struct {
	cmd  *cmd
	db   int
	argv [][]byte // its own copy
	enc  wire.Encoder
	wait store.Wait
}

// blocking runs a command that may have to wait. It travels alone: what follows in
// the pipeline has to wait for it anyway.
func (c *conn) blocking(cm *cmd, argv [][]byte) (again bool) {
	if c.batch.Len() > 0 {
		c.submit()
		return true
	}
	c.last = cm
	if !asksToWait(cm.spec, argv) {
		if cm.spec.Read != nil {
			c.beginRead()
			c.readNow(cm, argv)
			return false
		}
		c.batchTo = c.enc
		c.addSent(cm)
		c.batch.By(c.by(cm))
		c.batch.Write(c.db, cm.spec, argv)
		c.submit()
		return false
	}
	c.endRead()
	c.endStats()
	w := &waiter{cmd: cm, db: c.db, argv: command.CloneArgs(argv)}
	w.wait.Waits = func(took time.Duration) { c.srv.startedWaiting(c.addr, w, int64(took)) }
	w.enc.OnError = c.enc.OnError
	w.enc.SetRESP3(c.enc.RESP3())
	if cm.spec.Write != nil {
		c.addSent(cm)
		c.sentAt = c.srv.nanotime()
	}
	c.wait(forKeys)
	c.srv.store.Block(&w.wait, c.by(cm), w.db, cm.spec, w.argv, &w.enc, c.signal)
	c.block.Store(w) // only now may others see it; the reply is taken on this goroutine, later
	return false
}

// asksToWait reports whether a command may come to wait. If its arguments are wrong,
// its handler says so at once.
func asksToWait(spec *command.Spec, argv [][]byte) bool {
	if _, waits, _ := spec.Block.Timeout(argv); !waits {
		return false
	}
	_, err := command.Keys(spec, argv)
	return err == nil
}

// afterWait takes the reply of a blocking command if there is one by now. It
// reports whether commands may go on.
func (c *conn) afterWait() bool {
	if !c.over.Load() {
		return false
	}
	w := c.block.Swap(nil)
	c.state = forNothing
	switch {
	case !w.wait.Blocked:
		c.waited(w.wait.Err)
		if w.wait.Err == "" {
			c.ran(w.cmd, w.argv, w.db, int64(w.wait.Took), w.enc.Errs > 0)
		}
	case w.wait.Answered:
		c.servedLater(w)
	}
	c.sent = c.sent[:0]
	c.enc.Raw(w.enc.Buf)
	return true
}

// unblock is CLIENT UNBLOCK. It reports whether the client was blocked.
func (s *Server) unblock(id int64, err string) bool {
	c := s.client(id)
	if c == nil {
		return false
	}
	w := c.block.Load()
	return w != nil && s.store.Unblock(&w.wait, err)
}
