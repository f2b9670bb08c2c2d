package machine

import (
	"slices"

	"github.com/tidwall/btree"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// waiting is the clients that wait for a key, and what has been taken for some of
// them and is not known to have reached them. It is state.
//
// A client is entered by the op of its command, if that finds nothing. When an op
// has touched a key, the clients that wait for it are served before anything else
// happens, in the order in which they were entered, whichever member they are at:
// see Machine.serve. The reply is kept until the member claims it for a client that
// is still there (Settlement). If it returns it instead, because the client has gone,
// or if its run ends or it is given up, what was taken is put back.
type waiting struct {
	entered uint64 // clients entered so far: the number of the last one
	taken   uint64 // and served

	clients  map[uint64]*member // by origin: those that wait or are served
	line     *waiter            // all that wait, in the order of entering
	lineEnd  *waiter
	spots    map[spotKey]*spot
	deadline *btree.BTreeG[*waiter] // those that do not wait for ever

	ready []*spot // keys that something may have come for, in the order in which it came

	served    *served // in the order of serving
	servedEnd *served
}

// member is the clients of one member's run. All are gone when that ends.
type member struct {
	waiting map[uint64]*waiter // by the number of the request that entered it
	served  map[uint64]*served
}

// WaitID says which client waits: the one whose command was the last of a request.
type WaitID struct{ Origin, Incarnation, Seq uint64 }

// waiter is one client that waits. All but its links never changes.
type waiter struct {
	id       WaitID
	number   uint64 // in the order of entering
	db       int
	resp3    bool
	deadline Millis // 0: none
	spec     *command.Spec
	argv     [][]byte

	places     []*place
	prev, next *waiter // in waiting.line
}

// spotKey is a key that clients wait for.
type spotKey struct {
	db  int
	key string
}

// spot is all who wait for one key.
type spot struct {
	spotKey
	queues []*queue
	ready  bool
}

// queue is those who compete for the same thing: see command.Block.Line.
type queue struct {
	spot        *spot
	kind        keyspace.Kind
	line        string
	first, last *place
}

// place is a waiter's place in a queue.
type place struct {
	w          *waiter
	q          *queue
	prev, next *place
}

// served is what was taken for a client and has not been claimed. All but its
// links never changes.
type served struct {
	id         WaitID
	number     uint64 // in the order of serving
	db         int
	spec       *command.Spec
	argv       [][]byte
	reply      *command.Recorded
	prev, next *served
}

func newWaiting() waiting {
	return waiting{
		clients: make(map[uint64]*member),
		spots:   make(map[spotKey]*spot),
		deadline: btree.NewBTreeGOptions(func(a, b *waiter) bool {
			return a.deadline < b.deadline || a.deadline == b.deadline && a.number < b.number
		}, btree.Options{NoLocks: true}),
	}
}

func (ws *waiting) member(origin uint64) *member {
	m := ws.clients[origin]
	if m == nil {
		m = &member{waiting: make(map[uint64]*waiter), served: make(map[uint64]*served)}
		ws.clients[origin] = m
	}
	return m
}

// forget drops a member that has no clients any more.
func (ws *waiting) forget(origin uint64) {
	if m := ws.clients[origin]; m != nil && len(m.waiting)+len(m.served) == 0 {
		delete(ws.clients, origin)
	}
}

// find returns a client that waits, or what it was served, or neither.
func (ws *waiting) find(origin, seq uint64) (*waiter, *served) {
	m := ws.clients[origin]
	if m == nil {
		return nil, nil
	}
	return m.waiting[seq], m.served[seq]
}

// enter puts a client at the end of every line that it waits in. The order of entering
// is that of the log, and so the same on every member: fairness holds across the
// cluster, and a snapshot needs to have nothing but the clients in that order, from
// which loading enters them again.
func (ws *waiting) enter(w *waiter) {
	ws.member(w.id.Origin).waiting[w.id.Seq] = w
	w.prev = ws.lineEnd
	if w.prev == nil {
		ws.line = w
	} else {
		w.prev.next = w
	}
	ws.lineEnd = w
	if w.deadline != 0 {
		ws.deadline.Set(w)
	}
	block := w.spec.Block
	line := ""
	if block.Line != nil {
		line = block.Line(w.argv)
	}
	for _, key := range block.Keys(w.argv) {
		q := ws.queue(spotKey{w.db, string(key)}, block.Kind, line)
		if slices.ContainsFunc(w.places, func(p *place) bool { return p.q == q }) {
			continue // a key may be named twice
		}
		p := &place{w: w, q: q, prev: q.last}
		if p.prev == nil {
			q.first = p
		} else {
			p.prev.next = p
		}
		q.last = p
		w.places = append(w.places, p)
	}
}

func (ws *waiting) queue(k spotKey, kind keyspace.Kind, line string) *queue {
	// A stream may be read by several groups: those of one do not compete with those of
	// another, nor clients that want a list with those that want a sorted set. In one
	// queue, the first who cannot be served would keep out who can.
	s := ws.spots[k]
	if s == nil {
		s = &spot{spotKey: k}
		ws.spots[k] = s
	}
	for _, q := range s.queues {
		if q.kind == kind && q.line == line {
			return q
		}
	}
	q := &queue{spot: s, kind: kind, line: line}
	s.queues = append(s.queues, q)
	return q
}

// leave takes a client out of every line, in time that does not grow with the number
// of clients (it does with the kinds of commands that wait for one key).
func (ws *waiting) leave(w *waiter) {
	delete(ws.clients[w.id.Origin].waiting, w.id.Seq)
	ws.forget(w.id.Origin)
	if w.prev == nil {
		ws.line = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		ws.lineEnd = w.prev
	} else {
		w.next.prev = w.prev
	}
	if w.deadline != 0 {
		ws.deadline.Delete(w)
	}
	for _, p := range w.places {
		q := p.q
		if p.prev == nil {
			q.first = p.next
		} else {
			p.prev.next = p.next
		}
		if p.next == nil {
			q.last = p.prev
		} else {
			p.next.prev = p.prev
		}
		if q.first != nil {
			continue
		}
		s := q.spot
		s.queues = slices.DeleteFunc(s.queues, func(o *queue) bool { return o == q })
		// A spot may be in ready still. It is left there: serve finds no queues in it.
		if len(s.queues) == 0 && ws.spots[s.spotKey] == s {
			delete(ws.spots, s.spotKey)
		}
	}
}

// keep keeps what a client was served, in the order of serving: what is given up is put
// back in the opposite order, on every member alike.
func (ws *waiting) keep(s *served) {
	ws.member(s.id.Origin).served[s.id.Seq] = s
	s.prev = ws.servedEnd
	if s.prev == nil {
		ws.served = s
	} else {
		s.prev.next = s
	}
	ws.servedEnd = s
}

// drop lets go of what a client was served.
func (ws *waiting) drop(s *served) {
	delete(ws.clients[s.id.Origin].served, s.id.Seq)
	ws.forget(s.id.Origin)
	if s.prev == nil {
		ws.served = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		ws.servedEnd = s.prev
	} else {
		s.next.prev = s.prev
	}
}

// touched notes what may have come for somebody. The rules are Redis's: a key is
// ready when it is created with a type that can be waited for, when a stream gets
// an entry, and, for the consumers of its groups, when a stream goes.
func (ws *waiting) touched(t keyspace.Touch) {
	if len(ws.spots) == 0 {
		return // nearly always: this is called for every key that is written
	}
	switch t.Change {
	case keyspace.Created:
		if t.Kind == keyspace.List || t.Kind == keyspace.ZSet || t.Kind == keyspace.Stream {
			ws.markReady(t.DB, t.Key)
		}
	case keyspace.Replaced, keyspace.Deleted, keyspace.Expired, keyspace.Evicted:
		// Of a stream that has gone, the consumers of its groups hear with an error. For
		// a list that has gone there is nothing to say: its clients wait on.
		if t.Kind == keyspace.Stream {
			ws.markReady(t.DB, t.Key)
		}
	case keyspace.Signalled:
		ws.markReady(t.DB, t.Key)
	case keyspace.Swept:
		// A whole database was exchanged or emptied, without a word for each key. In the
		// order of the line and not of the map of spots, which is another on every member.
		for w := ws.line; w != nil; w = w.next {
			if w.db != t.DB {
				continue
			}
			for _, p := range w.places {
				ws.mark(p.q.spot)
			}
		}
	}
}

func (ws *waiting) markReady(db int, key []byte) {
	if s := ws.spots[spotKey{db, string(key)}]; s != nil {
		ws.mark(s)
	}
}

func (ws *waiting) mark(s *spot) {
	if !s.ready { // in the order in which keys first became ready, as Redis
		s.ready = true
		ws.ready = append(ws.ready, s)
	}
}
