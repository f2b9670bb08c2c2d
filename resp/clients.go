package resp

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

func sortClients(conns []*conn) {
	sort.Slice(conns, func(i, j int) bool { return conns[i].id < conns[j].id })
}

// info is the connection's line in CLIENT LIST.
func (c *conn) info(now time.Time) string {
	f := &c.face
	f.mu.Lock()
	defer f.mu.Unlock()
	name := "NULL"
	if f.lastCmd != nil {
		name = f.lastCmd.name
	}
	obl, oll, omem := c.pending()
	events := "r"
	if c.out.unsent.Load() > 0 {
		events = "rw"
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d",
		c.id, c.addr, c.laddr, c.fd, f.name, int64(now.Sub(c.created).Seconds()), max(0, now.UnixMilli()-f.active)/1000, f.flags, f.db, f.subs[store.Channels], f.subs[store.Patterns], f.subs[store.ShardChannels], f.multi,
		f.qbuf, f.qbufFree, f.argvMem, f.multiMem, f.output, f.output, obl, oll, omem, c.memoryLocked(), events, name, f.user, f.redirect, f.resp)
}

func (c *conn) isMonitor() bool {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return strings.Contains(c.face.flags, "O")
}

// userName is the connection's user. Others ask.
func (c *conn) userName() string {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return c.face.user
}

// busy reports whether the connection owes its client something. Others ask.
func (c *conn) busy() bool {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	return c.out.unsent.Load() > 0 || c.out.owed.Load() > 0 || c.face.working
}

// pushQueue holds messages from other goroutines until the connection may write
// them between two replies.
type pushQueue struct {
	mu    sync.Mutex
	items []pushed
	bytes int64 // of items on the wire, about
}

// pushed is a message that is encoded already, or one that other connections get as
// well.
type pushed struct {
	bytes   []byte
	message *store.Message
}

// put adds a message that takes about size bytes on the wire.
func (p *pushQueue) put(message pushed, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items = append(p.items, message)
	p.bytes += size
}

// take empties the queue.
func (p *pushQueue) take() []pushed {
	p.mu.Lock()
	defer p.mu.Unlock()
	items := p.items
	p.items, p.bytes = nil, 0
	return items
}

// size is how many bytes wait.
func (p *pushQueue) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// takePushes moves messages from other goroutines behind the replies so far.
func (c *conn) takePushes() {
	if c.state == forBatch || c.state == forTask {
		return // they would stand in the middle of the replies to come
	}
	items := c.push.take()
	if len(items) == 0 {
		return
	}
	// Behind take, not before: a message of after a change of the users is never
	// written by the users of before.
	if c.refresh(); c.closing || c.dead {
		return // they may be of after the change that ends the connection
	}
	for _, it := range items {
		if it.message != nil {
			writeMessage(&c.sink.client, it.message)
		} else {
			c.sink.client.Raw(it.bytes)
		}
	}
}

// pushBytes sends an encoded message to the connection's client, from any
// goroutine.
func (c *conn) pushBytes(b []byte) {
	c.push.put(pushed{bytes: append([]byte(nil), b...)}, int64(len(b)))
	c.link.Wake()
}

// appendNote writes what monitors see of a command.
func (s *Server) appendNote(line []byte, addr string, db int, cm *cmd, argv [][]byte) []byte {
	now := s.now()
	line = fmt.Appendf(line, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, db, addr)
	for i, a := range argv {
		if cm.hides(argv, i) {
			a = []byte("(redacted)")
		}
		line = append(line, ' ')
		line = appendQuoted(line, a)
	}
	return append(line, '\r', '\n')
}

// feedMonitors shows commands to all who asked with MONITOR.
func (s *Server) feedMonitors(from *conn, line []byte) {
	s.eachClient(func(c *conn) {
		if c == from || !c.isMonitor() {
			return
		}
		c.pushBytes(line)
		if c.overOutputLimit(closedSoon) {
			c.link.Kill()
		}
	})
}

// appendQuoted appends b as Redis prints arguments: in double quotes, with
// escapes for what is not printable ASCII.
func appendQuoted(dst, b []byte) []byte {
	dst = append(dst, '"')
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\a':
			dst = append(dst, `\a`...)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c < ' ' || c > '~':
			dst = fmt.Appendf(dst, `\x%02x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// pause is a CLIENT PAUSE that is going on.
type pause struct {
	until int64 // ms
	all   bool  // not writes alone
}

// holds reports whether the pause stops the command.
func (p *pause) holds(c *conn, cm *cmd, argv [][]byte, now time.Time) bool {
	if now.UnixMilli() >= p.until {
		return false
	}
	if p.all {
		return true
	}
	if cm.spec.Runs != 0 {
		c.endRead() // the store takes the lock
		if c.srv.store.ScriptReads(cm.spec, argv) {
			return false
		}
	}
	return c.writes(cm) || cm.flags&command.MayReplicate != 0
}

// unpause ends a pause and wakes who waits for it.
func (s *Server) unpause(p *pause) {
	if s.pause.CompareAndSwap(p, nil) {
		s.eachClient(func(c *conn) { c.link.Wake() })
	}
}
