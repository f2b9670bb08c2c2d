package machine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Ended says why a client does not wait any more, without having been served.
type Ended uint8

// The reasons.
const (
	TimedOut  Ended = iota // its time is up
	Cancelled              // its member has asked for that
	GivenUp                // its member was given up by the others, and may enter it again
)

// enter has the client whose command is in f wait. timeout is in ms, 0 for ever.
func (m *Machine) enter(f *frame, spec *command.Spec, db int, resp3 bool, timeout uint64) {
	// Counted by the state and not by the entry's index: several clients may be entered
	// by one entry, and the order among them matters.
	m.waiting.entered++
	w := &waiter{
		id: WaitID{m.head.Origin, m.head.Incarnation, m.head.Seq}, number: m.waiting.entered,
		// A copy: the arguments are part of the entry, which would stay in memory for as
		// long as the client waits.
		db: db, resp3: resp3, spec: spec, argv: command.CloneArgs(f.call.Args),
	}
	if timeout > 0 {
		w.deadline = m.now + Millis(min(timeout, maxWait))
	}
	m.waiting.enter(w)
}

// maxWait (ms) keeps deadlines from overflowing.
const maxWait = 1 << 53

// expireWaiters ends the waits whose time is up on the state clock. There is no
// entry for that: any entry that moves the clock does it, before its first request, so
// that nothing in it serves a client whose time was up when it was sealed.
func (m *Machine) expireWaiters() {
	for {
		w, ok := m.waiting.deadline.Min()
		if !ok || w.deadline > m.now {
			return
		}
		m.waiting.leave(w)
		m.obs.Ended(w.id, TimedOut)
	}
}

// serve serves the clients that wait for keys which have become ready, until there
// is nothing left for anybody: what one is served may be what another waits for
// (BLMOVE). It is called after each op, so that nothing else comes in between; the
// order is that of Redis's handleClientsBlockedOnKeys.
func (m *Machine) serve() {
	ws := &m.waiting
	for i := 0; i < len(ws.ready); i++ { // what serving makes ready is appended
		s := ws.ready[i]
		s.ready = false // before serving, which may make the same key ready again
		view := m.ks.View(s.db, int64(m.now))
		kind := view.Kind([]byte(s.key))
		// By who came first: the order of queues is not in the snapshot. A copy as well,
		// since serving takes queues out of the spot.
		queues := slices.SortedFunc(slices.Values(s.queues), func(a, b *queue) int {
			return cmp.Compare(a.first.w.number, b.first.w.number)
		})
		for _, q := range queues {
			// A consumer of a group hears of a stream that has gone as well.
			for q.first != nil && (q.kind == kind || q.kind == keyspace.Stream) && m.serveOne(q.first.w, s.key) {
			}
		}
	}
	clear(ws.ready)
	ws.ready = ws.ready[:0]
}

// serveOne serves a client from a key, if there is anything for it.
func (m *Machine) serveOne(w *waiter, key string) bool {
	f := m.push()
	defer m.pop()
	// In the protocol that the client spoke when it was entered: the reply is state, so
	// it cannot depend on what the client's own node knows by now.
	reply := command.NewRecorded(w.resp3)
	f.call.Call = command.Call{Args: w.argv, Reply: reply, MayBlock: true, Ready: []byte(key)}
	m.obs.Serving(w.id, true)
	m.call(f, w.spec, w.db)
	m.obs.Serving(w.id, false)
	if f.call.Blocked() {
		return false // it found nothing, and whoever is behind it in the queue would not either
	}
	// From here on the element is in nobody's list: only this record keeps it, until
	// the client's member has claimed or returned it. The record is state and in every
	// snapshot for that reason.
	m.waiting.leave(w)
	m.waiting.taken++
	m.waiting.keep(&served{id: w.id, number: m.waiting.taken, db: w.db, spec: w.spec, argv: w.argv, reply: reply})
	m.obs.Served(w.id)
	return true
}

// putBack puts back what was taken for a client that has gone. The command that does so
// is made of the reply alone, and an error of its is dropped with its reply: if the key
// is of another type by now, there is no place to put the element. The keys that it
// touches are ready, so serving follows at the end of the op, and the next in line may
// get what the first has not taken.
func (m *Machine) putBack(s *served) error {
	m.waiting.drop(s)
	if s.spec.Block.Undo == nil {
		return nil
	}
	undo := s.spec.Block.Undo(s.argv, s.reply)
	if undo == nil {
		return nil
	}
	return m.Exec(s.db, undo, command.Discard{})
}

// settle applies an opSettle: who is named may have been served meanwhile, or have
// timed out. The place in the log decides.
func (m *Machine) settle(c *cursor) error {
	var returned []*served
	for n := c.count(); n > 0; n-- {
		seq, what := c.uvarint(), What(c.byte())
		if what >= whats {
			c.fail("no such settlement")
		}
		if c.err != nil { // before anything is done by what was not read
			return c.err
		}
		// A member settles for its own run only: m.head is the request's, and the clients
		// of an earlier run were ended by the first request of this one.
		w, s := m.waiting.find(m.head.Origin, seq)
		switch {
		case w != nil && what != Claim:
			m.waiting.leave(w)
			m.obs.Ended(w.id, Cancelled)
		case s != nil && slices.Contains(returned, s): // what is said first counts
		case s != nil && what == Claim:
			m.waiting.drop(s)
			m.obs.Claimed(s.id, s.reply)
		case s != nil && what == Return:
			// Not put back at once: what was taken first has to come back last.
			returned = append(returned, s)
		}
		// Cancel of one who is served changes nothing: the push stood in front of it, and
		// its member will claim. Anything about a client who is not known is late: it was
		// settled before, or given up.
	}
	if c.err != nil {
		return c.err
	}
	// What was taken last goes back first, so that all of it stands where it was.
	slices.SortFunc(returned, func(a, b *served) int { return cmp.Compare(b.number, a.number) })
	for _, s := range returned {
		if err := m.putBack(s); err != nil {
			return err
		}
		m.obs.Ended(s.id, Cancelled)
	}
	return nil
}

// endClients ends all clients of a member: its run has ended, or it is given up.
// What was taken for them is put back, the last first, so that it stands where it
// was.
func (m *Machine) endClients(origin uint64) error {
	member := m.waiting.clients[origin]
	if member == nil {
		return nil
	}
	// Sorted, because a map's order is another on every member, and putting back and
	// telling are both seen.
	waiting := slices.SortedFunc(maps.Values(member.waiting), func(a, b *waiter) int { return cmp.Compare(a.number, b.number) })
	taken := slices.SortedFunc(maps.Values(member.served), func(a, b *served) int { return cmp.Compare(b.number, a.number) })
	// Those who wait go first: what is put back must not serve a client of the member
	// that is being given up.
	for _, w := range waiting {
		m.waiting.leave(w)
		m.obs.Ended(w.id, GivenUp)
	}
	for _, s := range taken {
		if err := m.putBack(s); err != nil {
			return err
		}
		m.obs.Ended(s.id, GivenUp)
	}
	return nil
}

// giveUp applies an opGiveUp.
func (m *Machine) giveUp(c *cursor) error {
	origin, incarnation := c.uvarint(), c.uvarint()
	if c.err != nil {
		return c.err
	}
	if m.RunOf(origin) != incarnation {
		// It has ended by itself: the member is back with a new run, whose clients are
		// not those that the leader meant.
		return nil
	}
	m.silence(origin)
	return m.endClients(origin)
}

// Clients is how many clients of a member's run wait or are served and have not
// claimed it.
type Clients struct {
	Origin, Incarnation uint64
	N                   int
}

// Clients lists the members that have any, in no particular order.
func (m *Machine) Clients() []Clients {
	all := make([]Clients, 0, len(m.waiting.clients))
	for origin, c := range m.waiting.clients {
		all = append(all, Clients{origin, m.RunOf(origin), len(c.waiting) + len(c.served)})
	}
	return all
}

// ClientsOf visits the clients of one member, with whether they are served.
func (m *Machine) ClientsOf(origin uint64, visit func(seq uint64, served bool)) {
	c := m.waiting.clients[origin]
	if c == nil {
		return
	}
	for seq := range c.waiting {
		visit(seq, false)
	}
	for seq := range c.served {
		visit(seq, true)
	}
}
