package resp

import (
	"sync"
	"time"
)

// aclLog keeps the latest refusals of this node.
type aclLog struct {
	mu      sync.Mutex
	entries []*aclEntry // the latest first
}

// aclEntry is one refusal, or several that are alike.
type aclEntry struct {
	count  int64
	reason string // "command", "key", "channel" or "auth"
	where  string // "toplevel", "multi" or "lua"
	object string // the command, key or channel
	user   string
	at     time.Time // of the last one
	client string    // as CLIENT LIST shows it, likewise
}

// As Redis: what is alike within a minute is one entry, if it is found among the
// last few.
const (
	aclLogGroups  = time.Minute
	aclLogLooksAt = 10
)

func (e *aclEntry) like(o *aclEntry) bool {
	apart := e.at.Sub(o.at)
	return e.reason == o.reason && e.where == o.where && e.object == o.object && e.user == o.user && max(apart, -apart) <= aclLogGroups
}

func (l *aclLog) add(e *aclEntry, keep int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, have := range l.entries {
		if i == aclLogLooksAt {
			break
		}
		if have.like(e) {
			e.count = have.count + 1
			copy(l.entries[1:], l.entries[:i])
			l.entries[0] = e
			return
		}
	}
	e.count = 1
	l.entries = append([]*aclEntry{e}, l.entries...)
	if int64(len(l.entries)) > keep {
		l.entries = l.entries[:keep]
	}
}

// latest returns up to n entries, the latest first.
func (l *aclLog) latest(n int64) []aclEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []aclEntry
	for _, e := range l.entries[:min(n, int64(len(l.entries)))] {
		all = append(all, *e)
	}
	return all
}

func (l *aclLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

// where says in what a command stands that is answered as it comes.
func (c *conn) where() string {
	if c.multi.on || c.executing {
		return "multi"
	}
	return "toplevel"
}

// denied logs a refusal.
func (c *conn) denied(cm *cmd, where, reason, object, user string) {
	c.publish()
	c.face.mu.Lock()
	c.face.lastCmd = cm
	c.face.mu.Unlock()
	now := c.srv.now()
	c.srv.aclLog.add(&aclEntry{reason: reason, where: where, object: object, user: user, at: now, client: c.info(now)},
		c.srv.config().ACLLogMaxLen)
}
