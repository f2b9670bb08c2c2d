package keyspace

import "github.com/tidwall/btree"

// EntriesReadUnknown is what a group's EntriesRead is when it cannot be known.
const EntriesReadUnknown = -1

// Pending is an entry that was delivered to a consumer and is not acknowledged.
type Pending struct {
	ID        StreamID
	Delivered int64 // when it last was, in ms
	Count     int64 // how often it was
	Consumer  string
}

type streamGroup struct {
	epoch     uint64
	name      string
	last      StreamID                       // the last one delivered
	read      int64                          // entries delivered so far, or EntriesReadUnknown
	pending   *btree.BTreeG[Pending]         // by ID
	consumers *btree.BTreeG[*streamConsumer] // by name
}

type streamConsumer struct {
	epoch   uint64
	name    string
	seen    int64
	pending *btree.BTreeG[StreamID] // those of the group that are this one's; nil for none
}

func newGroupTree() *btree.BTreeG[*streamGroup] {
	return btree.NewBTreeGOptions(func(a, b *streamGroup) bool { return a.name < b.name }, btree.Options{NoLocks: true})
}

func newConsumerTree() *btree.BTreeG[*streamConsumer] {
	return btree.NewBTreeGOptions(func(a, b *streamConsumer) bool { return a.name < b.name }, btree.Options{NoLocks: true})
}

func newPendingTree() *btree.BTreeG[Pending] {
	return btree.NewBTreeGOptions(func(a, b Pending) bool { return a.ID.Compare(b.ID) < 0 }, btree.Options{NoLocks: true})
}

func newIDTree() *btree.BTreeG[StreamID] {
	return btree.NewBTreeGOptions(func(a, b StreamID) bool { return a.Compare(b) < 0 }, btree.Options{NoLocks: true})
}

// GroupView is a consumer group for reading. It is valid until the stream is
// next changed.
type GroupView struct {
	g *streamGroup
	s *StreamView
}

// Consumer is a consumer of a group as it is now.
type Consumer struct {
	Name    string
	Seen    int64 // when it last tried to read or claim, in ms
	Pending int   // how many entries are pending for it
}

// Groups is the number of consumer groups.
func (s *StreamView) Groups() int {
	if s.groups == nil {
		return 0
	}
	return s.groups.Len()
}

// EachGroup calls visit for the groups by name.
func (s *StreamView) EachGroup(visit func(g GroupView)) {
	if s.groups != nil {
		s.groups.Scan(func(g *streamGroup) bool {
			visit(GroupView{g, s})
			return true
		})
	}
}

func (s *StreamView) findGroup(name string) *streamGroup {
	if s.groups == nil {
		return nil
	}
	g, _ := s.groups.Get(&streamGroup{name: name})
	return g
}

// Group finds a group.
func (s *StreamView) Group(name []byte) (g GroupView, ok bool) {
	g = GroupView{s.findGroup(string(name)), s}
	return g, g.g != nil
}

// Stream is the stream that the group is of.
func (g GroupView) Stream() *StreamView { return g.s }

// Name is the group's name.
func (g GroupView) Name() string { return g.g.name }

// Last is the ID that was last delivered.
func (g GroupView) Last() StreamID { return g.g.last }

// EntriesRead is the number of entries delivered so far, or EntriesReadUnknown.
func (g GroupView) EntriesRead() int64 { return g.g.read }

// Pending is the number of pending entries.
func (g GroupView) Pending() int { return g.g.pending.Len() }

// Consumers is the number of consumers.
func (g GroupView) Consumers() int { return g.g.consumers.Len() }

// Lag is how many entries of the stream are yet to be delivered. ok is false if
// that cannot be known, because entries in between were deleted.
func (g GroupView) Lag() (lag int64, ok bool) {
	if g.s.added == 0 {
		return 0, true
	}
	if g.g.read != EntriesReadUnknown && !g.s.deletedFrom(g.g.last) {
		return g.s.added - g.g.read, true
	}
	if read := g.s.readAt(g.g.last); read != EntriesReadUnknown {
		return g.s.added - read, true
	}
	return 0, false
}

// deletedFrom reports whether an entry from id on may have been deleted.
func (s *StreamView) deletedFrom(id StreamID) bool {
	if s.length == 0 || s.maxDeleted.IsZero() || s.first.Compare(s.maxDeleted) > 0 {
		return false
	}
	return id.Compare(s.maxDeleted) <= 0
}

// readAt returns how many entries were ever added up to id, EntriesReadUnknown
// if that cannot be told from the counters and the edges alone.
func (s *StreamView) readAt(id StreamID) int64 {
	if s.added == 0 {
		return 0
	}
	switch c := id.Compare(s.last); {
	case s.length == 0 && c <= 0, c == 0:
		return s.added
	case c > 0:
		return EntriesReadUnknown
	}
	if s.maxDeleted.IsZero() || s.maxDeleted.Compare(s.first) < 0 {
		switch c := id.Compare(s.first); {
		case c < 0:
			return s.added - int64(s.length)
		case c == 0:
			return s.added - int64(s.length) + 1
		}
	}
	return EntriesReadUnknown
}

// Find returns the pending entry of that ID.
func (g GroupView) Find(id StreamID) (Pending, bool) { return g.g.pending.Get(Pending{ID: id}) }

// PendingEdges returns the lowest and the highest pending ID, zero if there are
// none.
func (g GroupView) PendingEdges() (first, last StreamID) {
	f, _ := g.g.pending.Min()
	l, _ := g.g.pending.Max()
	return f.ID, l.ID
}

// EachPending calls visit for the pending entries from an ID on until it
// answers false.
func (g GroupView) EachPending(from StreamID, visit func(p Pending) bool) {
	g.g.pending.Ascend(Pending{ID: from}, visit)
}

// Consumer finds a consumer.
func (g GroupView) Consumer(name []byte) (Consumer, bool) {
	c := g.consumer(string(name))
	if c == nil {
		return Consumer{}, false
	}
	return c.view(), true
}

func (g GroupView) consumer(name string) *streamConsumer {
	c, _ := g.g.consumers.Get(&streamConsumer{name: name})
	return c
}

func (c *streamConsumer) view() Consumer {
	return Consumer{Name: c.name, Seen: c.seen, Pending: c.len()}
}

func (c *streamConsumer) len() int {
	if c.pending == nil {
		return 0
	}
	return c.pending.Len()
}

// EachConsumer calls visit for the consumers by name.
func (g GroupView) EachConsumer(visit func(c Consumer)) {
	g.g.consumers.Scan(func(c *streamConsumer) bool {
		visit(c.view())
		return true
	})
}

// EachPendingOf is EachPending for the entries of one consumer.
func (g GroupView) EachPendingOf(consumer string, from StreamID, visit func(p Pending) bool) {
	c := g.consumer(consumer)
	if c == nil || c.pending == nil {
		return
	}
	c.pending.Ascend(from, func(id StreamID) bool {
		p, ok := g.Find(id)
		if !ok {
			panic("keyspace: pending entry of a consumer is not its group's: " + id.String())
		}
		return visit(p)
	})
}
