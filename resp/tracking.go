package resp

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// tracking is one connection's CLIENT TRACKING: what it has asked for. Who has which
// keys, and when it is told, is the store's (store.Tracker).
type tracking struct {
	tracker *store.Tracker // nil until it has been on for the first time

	on, bcast, optin, optout, noloop bool

	caching  bool     // CLIENT CACHING, for the next command or transaction
	prefixes []string // in order

	// The apply loop reads the one and sets the other.
	redirect atomic.Int64 // the connection that is told instead, 0: this one
	broken   atomic.Bool  // and that has gone
}

// invalidation is what a client that caches is told: these keys are not what they
// were, or nil: none is.
type invalidation struct {
	keys   []string
	broken int64 // not 0: that connection is gone, and keys say nothing
	direct bool  // the connection tracks for itself, and not for others
}

// invalidations are those that the connection has not written yet. Others add to
// them; in which protocol they are written, or whether at all, the connection
// decides when it comes to that.
type invalidations struct {
	bytes atomic.Int64 // about what they will take; 0: there are none

	mu  sync.Mutex
	all []invalidation
}

// by says who runs the command to the store.
func (c *conn) by(cm *cmd) store.By {
	by := store.By{NoTouch: c.noTouch}
	if cm.spec.Runs != 0 {
		by.Policy, by.Inside = c.scriptPolicy(), c.showInside()
	}
	if c.tracking.on {
		by.Tracker, by.Remember = c.tracking.tracker, c.caches(cm, c.tracking.caching)
	}
	return by
}

// caches reports whether the client may keep what the command answers, or what a script
// reads. caching says that CLIENT CACHING was given for it.
func (c *conn) caches(cm *cmd, caching bool) bool {
	t := &c.tracking
	switch {
	case !t.on || t.bcast || cm.flags&command.Readonly == 0 && !cm.spec.Script:
		return false
	case t.optin:
		return caching
	default:
		return !t.optout || !caching
	}
}

// endCaching is called after every command: what CLIENT CACHING says is for the
// next one, or for a whole transaction.
func (c *conn) endCaching(name []byte) {
	if c.tracking.caching && !c.multi.on && !command.EqualFold(name, "client") {
		c.tracking.caching = false
	}
}

// invalidate is the Tracker's Tell.
func (c *conn) invalidate(keys []string, behind command.Reply) {
	id := c.tracking.redirect.Load()
	if id == 0 {
		if e, ok := behind.(*wire.Encoder); ok && (e == &c.sink.client || e == &c.sink.nobody) {
			c.writeInvalidation(&invalidation{keys: keys, direct: true})
			return
		}
		c.queueInvalidation(invalidation{keys: keys, direct: true})
		return
	}
	to := c.srv.client(id)
	if to == nil {
		c.tracking.broken.Store(true)
		c.queueInvalidation(invalidation{broken: id})
		return
	}
	to.queueInvalidation(invalidation{keys: keys})
}

// queueInvalidation leaves one for the connection to write.
func (c *conn) queueInvalidation(inv invalidation) {
	size := int64(invalidationSize)
	for _, key := range inv.keys {
		size += int64(len(key)) + wire.ArgSize
	}
	q := &c.invalid
	q.mu.Lock()
	q.all = append(q.all, inv)
	q.bytes.Add(size)
	q.mu.Unlock()
	c.link.Wake()
	if c.overOutputLimit(closedSoon) {
		c.link.Kill()
	}
}

// invalidationSize is about what one costs beside its keys.
const invalidationSize = 64

// takeInvalidations writes what is queued, behind the replies so far: none of them
// may be older than what the client was told before it.
func (c *conn) takeInvalidations() {
	q := &c.invalid
	if c.state == forBatch || c.state == forTask || q.bytes.Load() == 0 {
		return
	}
	q.mu.Lock()
	all := q.all
	q.all = nil
	q.bytes.Store(0)
	q.mu.Unlock()
	for i := range all {
		c.writeInvalidation(&all[i])
	}
}

// writeInvalidation writes one if the connection can take it: CLIENT REPLY does not
// silence it, but RESP2 has no pushes, and only a subscriber that others redirect to
// gets messages.
func (c *conn) writeInvalidation(inv *invalidation) {
	e := &c.sink.client
	switch {
	case inv.broken != 0:
		if e.RESP3() {
			e.Push(2)
			e.BulkString("tracking-redir-broken")
			e.Int(inv.broken)
		}
		return
	case e.RESP3():
		e.Push(2)
		e.BulkString("invalidate")
	case !inv.direct && c.subscribed():
		e.Array(3)
		e.BulkString("message")
		e.BulkString(invalidateChannel)
	default:
		return
	}
	if inv.keys == nil {
		e.Null()
		return
	}
	e.Strings(inv.keys...)
}

// invalidateChannel is where a RESP2 client hears of invalid keys.
const invalidateChannel = "__redis__:invalidate"

// subscribed reports whether the connection has subscribed to anything.
func (c *conn) subscribed() bool { return c.listen.total() > 0 }

// abandonTracking is the end of a connection that is gone, whose fields may be in
// use still. Either Abandon or, if that comes while a task has the connection, the
// task's end calls it, or both.
func (c *conn) abandonTracking() {
	if t := c.tracking.tracker; t != nil {
		c.srv.store.Untrack(t)
	}
}

// untrack ends tracking, but for what is queued.
func (c *conn) untrack() {
	t := &c.tracking
	if !t.on {
		return
	}
	c.srv.store.Untrack(t.tracker)
	t.on, t.bcast, t.optin, t.optout, t.noloop, t.caching = false, false, false, false, false, false
	t.prefixes = nil
	t.broken.Store(false)
}

// trackingFlags are its letters in CLIENT LIST.
func (c *conn) trackingFlags(dst []byte) []byte {
	t := &c.tracking
	if t.on {
		dst = append(dst, 't')
	}
	if t.broken.Load() {
		dst = append(dst, 'R')
	}
	if t.bcast {
		dst = append(dst, 'B')
	}
	return dst
}

// trackingRequest is the arguments of CLIENT TRACKING.
type trackingRequest struct {
	redirect                     int64
	bcast, optin, optout, noloop bool
	prefixes                     []string
}

func (c *conn) parseTracking(argv [][]byte) (r trackingRequest, err string) {
	for i := 3; i < len(argv); i++ {
		more := i+1 < len(argv)
		switch arg := argv[i]; {
		case command.EqualFold(arg, "redirect") && more:
			i++
			if r.redirect != 0 {
				return r, "ERR A client can only redirect to a single other client"
			}
			id, ok := command.ParseInt(argv[i])
			if !ok {
				return r, command.ErrNotInteger
			}
			if c.srv.client(id) == nil {
				return r, "ERR The client ID you want redirect to does not exist"
			}
			r.redirect = id
		case command.EqualFold(arg, "bcast"):
			r.bcast = true
		case command.EqualFold(arg, "optin"):
			r.optin = true
		case command.EqualFold(arg, "optout"):
			r.optout = true
		case command.EqualFold(arg, "noloop"):
			r.noloop = true
		case command.EqualFold(arg, "prefix") && more:
			i++
			r.prefixes = append(r.prefixes, string(argv[i]))
		default:
			return r, command.ErrSyntax
		}
	}
	return r, ""
}

// refuses returns Redis's reason why the request cannot be, "" if there is none.
func (t *tracking) refuses(r *trackingRequest) string {
	switch {
	case !r.bcast && len(r.prefixes) > 0:
		return "ERR PREFIX option requires BCAST mode to be enabled"
	case t.on && t.bcast != r.bcast:
		return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	case r.bcast && (r.optin || r.optout):
		return "ERR OPTIN and OPTOUT are not compatible with BCAST"
	case r.optin && r.optout:
		return "ERR You can't specify both OPTIN mode and OPTOUT mode"
	case r.optin && t.optout || r.optout && t.optin:
		return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	}
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	for i, p := range r.prefixes {
		for _, old := range t.prefixes {
			if overlap(p, old) {
				return prefixOverlap(p, "an existing", old)
			}
		}
		for _, other := range r.prefixes[i+1:] {
			if overlap(p, other) {
				return prefixOverlap(p, "another provided", other)
			}
		}
	}
	return ""
}

func prefixOverlap(p, which, other string) string {
	text := func(s string) string { return cString([]byte(s), len(s)) }
	return oneLine(fmt.Sprintf("ERR Prefix '%s' overlaps with %s prefix '%s'. Prefixes for a single client must not overlap.", text(p), which, text(other)))
}

func (c *conn) cmdTracking(argv [][]byte) {
	t := &c.tracking
	r, err := c.parseTracking(argv)
	switch {
	case err != "":
		c.enc.Error(err)
		return
	case command.EqualFold(argv[2], "off"):
		c.untrack()
		c.takeInvalidations() // what was so far: nothing of it comes behind the reply
		c.enc.Status("OK")
		return
	case !command.EqualFold(argv[2], "on"):
		c.enc.Error(command.ErrSyntax)
		return
	}
	if err := t.refuses(&r); err != "" {
		c.enc.Error(err)
		return
	}
	if r.bcast {
		if len(r.prefixes) == 0 {
			r.prefixes = []string{""}
		}
		r.prefixes = append(r.prefixes, t.prefixes...)
		slices.Sort(r.prefixes)
		r.prefixes = slices.Compact(r.prefixes)
	}
	if t.tracker == nil {
		t.tracker = &store.Tracker{ID: c.id, Tell: c.invalidate}
	}
	t.on, t.bcast, t.optin, t.optout, t.noloop, t.prefixes = true, r.bcast, r.optin, r.optout, r.noloop, r.prefixes
	t.redirect.Store(r.redirect)
	t.broken.Store(false)
	c.srv.store.Track(t.tracker, store.TrackingMode{Broadcast: r.bcast, Prefixes: r.prefixes, NoLoop: r.noloop})
	c.enc.Status("OK")
}

func (c *conn) cmdCaching(argv [][]byte) {
	t := &c.tracking
	switch yes := command.EqualFold(argv[2], "yes"); {
	case !t.on:
		c.enc.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case yes && !t.optin:
		c.enc.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case yes:
		t.caching = true
		c.enc.Status("OK")
	case !command.EqualFold(argv[2], "no"):
		c.enc.Error(command.ErrSyntax)
	case !t.optout:
		c.enc.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	default:
		t.caching = true
		c.enc.Status("OK")
	}
}

// queuedCaching reports whether a queued command is a CLIENT CACHING that is in
// force for those behind it.
func (c *conn) queuedCaching(q queuedCommand) bool {
	return q.cmd.is(allowsCache) &&
		(c.tracking.optin && command.EqualFold(q.argv[2], "yes") || c.tracking.optout && command.EqualFold(q.argv[2], "no"))
}

// redirection is what CLIENT GETREDIR answers.
func (c *conn) redirection() int64 {
	if !c.tracking.on {
		return -1
	}
	return c.tracking.redirect.Load()
}

func (c *conn) cmdTrackingInfo([][]byte) {
	t := &c.tracking
	flags := []string{"off"}
	if t.on {
		flags[0] = "on"
	}
	for _, f := range []struct {
		set  bool
		name string
	}{
		{t.bcast, "bcast"},
		{t.optin, "optin"}, {t.optin && t.caching, "caching-yes"},
		{t.optout, "optout"}, {t.optout && t.caching, "caching-no"},
		{t.noloop, "noloop"},
		{t.broken.Load(), "broken_redirect"},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	c.enc.Map(3)
	c.enc.BulkString("flags")
	c.enc.Set(len(flags))
	for _, f := range flags {
		c.enc.BulkString(f)
	}
	c.enc.BulkString("redirect")
	c.enc.Int(c.redirection())
	c.enc.BulkString("prefixes")
	c.enc.Strings(t.prefixes...)
}
