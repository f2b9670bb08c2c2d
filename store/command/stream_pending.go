package command

import (
	"strconv"

	"github.com/raftredis/raftredis/store/keyspace"
)

func xpending(r *Read) {
	n := len(r.Args)
	if n != 3 && (n < 6 || n > 9) {
		r.Reply.Error(ErrSyntax)
		return
	}
	var q pendingQuery
	if n > 3 {
		var ok bool
		if q, ok = r.pendingQuery(); !ok {
			return
		}
	}
	g, found, ok := r.group()
	switch {
	case !ok:
	case !found:
		r.Reply.Error(noGroup(r.Args[1], r.Args[2]))
	case n == 3:
		r.pendingSummary(g)
	default:
		r.pendingRange(g, q)
	}
}

// pendingQuery is what XPENDING asks for, but for its short form.
type pendingQuery struct {
	idle       int64
	start, end keyspace.StreamID
	count      int64
	consumer   []byte // nil: all
}

func (r *Read) pendingQuery() (q pendingQuery, ok bool) {
	at := 3
	if r.Is(3, "idle") {
		if q.idle, ok = r.Int(4); !ok {
			return q, false
		}
		if len(r.Args) < 8 {
			r.Reply.Error(ErrSyntax)
			return q, false
		}
		at = 5
	}
	if q.count, ok = r.Int(at + 2); !ok {
		return q, false
	}
	if q.start, ok = r.streamStart(at); !ok {
		return q, false
	}
	if q.end, ok = r.streamEnd(at + 1); !ok {
		return q, false
	}
	if at+3 < len(r.Args) {
		q.consumer = r.Args[at+3]
	}
	return q, true
}

func (r *Read) pendingSummary(g keyspace.GroupView) {
	r.Reply.Array(4)
	r.Reply.Int(int64(g.Pending()))
	if g.Pending() == 0 {
		r.Reply.Null()
		r.Reply.Null()
		r.Reply.NullArray()
		return
	}
	first, last := g.PendingEdges()
	r.replyStreamID(first)
	r.replyStreamID(last)
	busy := 0
	g.EachConsumer(func(c keyspace.Consumer) {
		if c.Pending > 0 {
			busy++
		}
	})
	r.Reply.Array(busy)
	g.EachConsumer(func(c keyspace.Consumer) {
		if c.Pending > 0 {
			r.Reply.Array(2)
			r.Reply.BulkString(c.Name)
			r.Reply.BulkString(strconv.Itoa(c.Pending))
		}
	})
}

func (r *Read) pendingRange(g keyspace.GroupView, q pendingQuery) {
	var hits []keyspace.Pending
	visit := func(p keyspace.Pending) bool {
		if int64(len(hits)) >= q.count || p.ID.Compare(q.end) > 0 {
			return false
		}
		if q.idle == 0 || r.Now-p.Delivered >= q.idle {
			hits = append(hits, p)
		}
		return true
	}
	if q.consumer == nil {
		g.EachPending(q.start, visit)
	} else {
		g.EachPendingOf(string(q.consumer), q.start, visit)
	}
	r.Reply.Array(len(hits))
	for _, p := range hits {
		r.Reply.Array(4)
		r.replyStreamID(p.ID)
		r.Reply.BulkString(p.Consumer)
		r.Reply.Int(max(r.Now-p.Delivered, 0))
		r.Reply.Int(p.Count)
	}
}

// claimArgs are the options of XCLAIM.
type claimArgs struct {
	ids       []keyspace.StreamID
	delivered int64
	count     int64 // -1: as it is
	last      keyspace.StreamID
	force     bool
	justID    bool
}

func (w *Write) claimArgs() (a claimArgs, ok bool) {
	i := 5
	for ; i < len(w.Args); i++ {
		id, ok := parseStreamID(w.Args[i], 0, true)
		if !ok {
			break // perhaps an option
		}
		a.ids = append(a.ids, id)
	}
	a.delivered, a.count = -1, -1
	for ; i < len(w.Args); i++ {
		more := i+1 < len(w.Args)
		switch {
		case w.Is(i, "force"):
			a.force = true
		case w.Is(i, "justid"):
			a.justID = true
		case w.Is(i, "idle") && more:
			i++
			if a.delivered, ok = w.IntOr(i, "ERR Invalid IDLE option argument for XCLAIM"); !ok {
				return a, false
			}
			a.delivered = w.Now - a.delivered
		case w.Is(i, "time") && more:
			i++
			if a.delivered, ok = w.IntOr(i, "ERR Invalid TIME option argument for XCLAIM"); !ok {
				return a, false
			}
		case w.Is(i, "retrycount") && more:
			i++
			if a.count, ok = w.IntOr(i, "ERR Invalid RETRYCOUNT option argument for XCLAIM"); !ok {
				return a, false
			}
		case w.Is(i, "lastid") && more:
			i++
			if a.last, ok = w.streamID(i); !ok {
				return a, false
			}
		default:
			w.Reply.Error("ERR Unrecognized XCLAIM option '" + cstring(w.Args[i]) + "'")
			return a, false
		}
	}
	if a.delivered < 0 || a.delivered > w.Now {
		a.delivered = w.Now
	}
	return a, true
}

func xclaim(w *Write) {
	view, found, ok := w.View().group()
	if !ok {
		return
	}
	if !found {
		w.Reply.Error(noGroup(w.Args[1], w.Args[2]))
		return
	}
	idle, ok := w.IntOr(4, "ERR Invalid min-idle-time argument for XCLAIM")
	if !ok {
		return
	}
	a, ok := w.claimArgs()
	if !ok {
		return
	}
	if !w.claims(view, a) {
		w.Reply.Array(0)
		return
	}
	s, g, ok := w.groupForUpdate(w.Args[1], w.Args[2])
	if !ok {
		return
	}
	if a.last.Compare(g.Last()) > 0 {
		g.SetLast(a.last, g.EntriesRead())
	}
	c := claimer{w: w, s: s, g: g, justID: a.justID}
	for _, id := range a.ids {
		p, pending := g.Find(id)
		if !s.Exists(id) {
			g.Acknowledge(id) // it can never be delivered again
			continue
		}
		switch {
		case pending && idle > 0 && w.Now-p.Delivered < idle:
			continue
		case !pending && !a.force:
			continue
		case !pending:
			p = keyspace.Pending{ID: id, Count: 1}
		}
		p.Delivered = a.delivered
		if a.count >= 0 {
			p.Count = a.count
		} else if !a.justID {
			p.Count++
		}
		c.claim(p)
	}
	c.reply()
}

// claims reports whether XCLAIM may change anything, so that it need not touch
// the key if not.
func (w *Write) claims(g keyspace.GroupView, a claimArgs) bool {
	if a.force || a.last.Compare(g.Last()) > 0 {
		return true
	}
	for _, id := range a.ids {
		if _, ok := g.Find(id); ok {
			return true
		}
	}
	return false
}

// claimer gives pending entries to the consumer that XCLAIM and XAUTOCLAIM name,
// and replies them.
type claimer struct {
	w      *Write
	s      *keyspace.StreamObject
	g      *keyspace.Group
	justID bool
	ids    []keyspace.StreamID
}

func (c *claimer) claim(p keyspace.Pending) {
	name := c.w.Args[3]
	if len(c.ids) == 0 {
		c.w.see(c.w.Args[1], c.g, name)
	}
	p.Consumer = string(name)
	c.g.SetPending(p)
	c.ids = append(c.ids, p.ID)
}

func (c *claimer) reply() {
	c.w.Reply.Array(len(c.ids))
	for _, id := range c.ids {
		if c.justID {
			c.w.replyStreamID(id)
		} else if e, ok := c.s.Entry(id); ok {
			c.w.replyEntry(&e)
		}
	}
}

func xautoclaim(w *Write) {
	w.DB.Exists(w.Args[1]) // for keyspace_hits: Redis looks before it reads the arguments
	lookups := w.DB.Lookups
	idle, ok := w.IntOr(4, "ERR Invalid min-idle-time argument for XAUTOCLAIM")
	if !ok {
		return
	}
	start, ok := w.streamStart(5)
	if !ok {
		return
	}
	const attemptsFactor = 10
	count, justID := int64(100), false
	for i := 6; i < len(w.Args); i++ {
		switch {
		case w.Is(i, "count") && i+1 < len(w.Args):
			i++
			const most = (1<<63 - 1) / 16 // Redis's, for the memory of so many IDs
			if count, ok = ParseInt(w.Args[i]); !ok || count < 1 || count > most {
				w.Reply.Error("ERR COUNT must be > 0")
				return
			}
		case w.Is(i, "justid"):
			justID = true
		default:
			w.Reply.Error(ErrSyntax)
			return
		}
	}
	view, found, ok := w.View().group()
	w.DB.Lookups = lookups
	if !ok {
		return
	}
	if !found {
		w.Reply.Error(noGroup(w.Args[1], w.Args[2]))
		return
	}
	// What is to be claimed is listed first: a tree must not be walked while it is
	// written to, and if it is nothing the key is not touched.
	var claims []keyspace.Pending
	var next keyspace.StreamID
	attempts := count * attemptsFactor
	stream := view.Stream()
	view.EachPending(start, func(p keyspace.Pending) bool {
		if attempts == 0 || int64(len(claims)) == count {
			next = p.ID
			return false
		}
		attempts--
		if idle <= 0 || w.Now-p.Delivered >= idle || !stream.Exists(p.ID) {
			claims = append(claims, p)
		}
		return true
	})
	w.Reply.Array(3)
	w.replyStreamID(next)
	if len(claims) == 0 {
		w.Reply.Array(0)
		w.Reply.Array(0)
		return
	}
	w.autoclaim(claims, justID)
}

// autoclaim gives the pending entries to the consumer, or drops those whose
// entry is deleted, and replies the ones and the others.
func (w *Write) autoclaim(claims []keyspace.Pending, justID bool) {
	s, g, ok := w.groupForUpdate(w.Args[1], w.Args[2])
	if !ok {
		return
	}
	c := claimer{w: w, s: s, g: g, justID: justID}
	var deleted []keyspace.StreamID
	for _, p := range claims {
		if !s.Exists(p.ID) {
			g.Acknowledge(p.ID)
			deleted = append(deleted, p.ID)
			continue
		}
		p.Delivered = w.Now
		if !justID {
			p.Count++
		}
		c.claim(p)
	}
	c.reply()
	w.Reply.Array(len(deleted))
	for _, id := range deleted {
		w.replyStreamID(id)
	}
}
