package machine

import (
	"cmp"
	"maps"
	"math"
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
		db: db, resp3: resp3, spec: spec, argv: cloneArgs(f.call.Args),
	}
	if timeout > 0 {
		w.deadline = m.now + Millis(min(timeout, maxWait))
	}
	m.waiting.enter(w)
}

// maxWait (ms) keeps deadlines from overflowing.
const maxWait = 1 << 53

func cloneArgs(argv [][]byte) [][]byte {
	n := 0
	for _, a := range argv {
		n += len(a)
	}
	own, buf := make([][]byte, len(argv)), make([]byte, 0, n)
	for i, a := range argv {
		start := len(buf)
		buf = append(buf, a...)
		own[i] = buf[start:len(buf):len(buf)]
	}
	return own
}

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

// frozenWaiting is waiting as it was at one index.
type frozenWaiting struct {
	entered, taken uint64
	waiters        []*waiter
	served         []*served
}

func (ws *waiting) freeze() (f frozenWaiting) {
	f.entered, f.taken = ws.entered, ws.taken
	for w := ws.line; w != nil; w = w.next {
		f.waiters = append(f.waiters, w)
	}
	for s := ws.served; s != nil; s = s.next {
		f.served = append(f.served, s)
	}
	return f
}

func (f *frozenWaiting) encode(e *keyspace.Encoder) {
	e.Uvarint(f.entered)
	e.Uvarint(f.taken)
	e.Uvarint(uint64(len(f.waiters)))
	for _, w := range f.waiters {
		encodeClient(e, w.id, w.db, w.resp3, w.argv)
		e.Uvarint(w.number)
		e.Uvarint(uint64(w.deadline))
	}
	e.Uvarint(uint64(len(f.served)))
	for _, s := range f.served {
		encodeClient(e, s.id, s.db, s.reply.RESP3(), s.argv)
		e.Uvarint(s.number)
		e.Bytes(s.reply.Bytes())
	}
}

func encodeClient(e *keyspace.Encoder, id WaitID, db int, resp3 bool, argv [][]byte) {
	e.Uvarint(id.Origin)
	e.Uvarint(id.Seq)
	e.Byte(byte(db))
	b := byte(0)
	if resp3 {
		b = 1
	}
	e.Byte(b)
	e.Uvarint(uint64(len(argv)))
	for _, a := range argv {
		e.Bytes(a)
	}
}

// decodeWaiting needs the sessions. It checks what the rest of the machine takes for
// granted, above all the order and that every command can wait: a bad snapshot has to
// end here, with an error, and not as a panic or a wrong order later.
func (m *Machine) decodeWaiting(d *keyspace.Decoder) error {
	ws := &m.waiting
	ws.entered, ws.taken = d.Uvarint(), d.Uvarint()
	last := uint64(0)
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		w := &waiter{}
		w.id, w.db, w.resp3, w.spec, w.argv = m.decodeClient(d)
		w.number = d.Uvarint()
		w.deadline = Millis(d.Uvarint())
		if d.Err() == nil && (w.number <= last || w.number > ws.entered || w.deadline < 0) {
			d.Fail("clients that wait are out of order")
		}
		if d.Err() == nil {
			ws.enter(w)
		}
		last = w.number
	}
	taken := uint64(0)
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		s := &served{}
		var resp3 bool
		s.id, s.db, resp3, s.spec, s.argv = m.decodeClient(d)
		if s.number = d.Uvarint(); s.number <= taken || s.number > ws.taken {
			d.Fail("what was taken for clients is out of order")
		}
		taken = s.number
		reply, err := command.LoadRecorded(d.Bytes(), resp3)
		if err != nil {
			d.Fail(err.Error())
		}
		s.reply = reply
		if d.Err() == nil {
			ws.keep(s)
		}
	}
	return nil
}

func (m *Machine) decodeClient(d *keyspace.Decoder) (id WaitID, db int, resp3 bool, spec *command.Spec, argv [][]byte) {
	id.Origin = d.Uvarint()
	id.Seq = d.Uvarint()
	id.Incarnation = m.RunOf(id.Origin)
	db, resp3 = int(d.Byte()), d.Byte() != 0
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		argv = append(argv, d.Bytes())
	}
	if d.Err() != nil {
		return id, db, resp3, nil, argv
	}
	if len(argv) > 0 {
		spec = m.table.Resolve(argv)
	}
	w, s := m.waiting.find(id.Origin, id.Seq)
	switch {
	case spec == nil || spec.Write == nil || spec.Block == nil || !spec.ArityOK(len(argv)) || !m.waits(spec, argv):
		d.Fail("a client waits with a command that cannot")
	case db >= keyspace.Databases || m.sessions[id.Origin] == nil || id.Seq > math.MaxInt64 || w != nil || s != nil:
		d.Fail("a client that cannot be")
	}
	return id, db, resp3, spec, argv
}

// waits reports whether the arguments ask to wait, and name keys to wait for.
func (m *Machine) waits(spec *command.Spec, argv [][]byte) bool {
	_, ok, _ := spec.Block.Timeout(argv)
	if !ok {
		return false
	}
	refs, err := command.Keys(spec, argv)
	return err == nil && len(refs) > 0
}
