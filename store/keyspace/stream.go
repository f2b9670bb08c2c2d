package keyspace

import (
	"errors"
	"slices"

	"github.com/tidwall/btree"
)

// StreamView is a stream for reading.
type StreamView struct {
	nodes  *btree.BTreeG[*streamNode]
	groups *btree.BTreeG[*streamGroup] // nil if there never was one

	length     int
	first      StreamID // of the first entry that is not deleted; zero if there is none
	last       StreamID // the highest ID ever
	maxDeleted StreamID // the highest ID that XDEL ever deleted
	added      int64    // entries ever added
	size       int      // bytes, as Bytes counts them
}

// StreamObject is a stream for writing: Redis's structure, a sorted tree of nodes of
// packed entries. What a snapshot may be reading is copied before it is changed,
// one node, group or consumer at a time: each carries the epoch in which it
// became private, and Fork begins a new one.
type StreamObject struct {
	StreamView
	epoch   uint64
	tail    *streamNode // the last node if that is known
	private uint64      // as value's version, for StreamForGroups, which leaves that as it is
}

var _ Object = (*StreamObject)(nil)

// Sizes that Bytes counts with, beside the bytes themselves.
const (
	streamBytes   = 256
	nodeBytes     = 96
	groupBytes    = 320
	consumerBytes = 240
	pendingBytes  = 96
)

// NewStream returns an empty stream.
func NewStream() *StreamObject {
	return &StreamObject{StreamView: StreamView{nodes: newNodeTree(), size: streamBytes}}
}

func newNodeTree() *btree.BTreeG[*streamNode] {
	return btree.NewBTreeGOptions(func(a, b *streamNode) bool { return a.id.Compare(b.id) < 0 }, btree.Options{NoLocks: true})
}

// Kind is Stream.
func (s *StreamView) Kind() Kind { return Stream }

// Encoding is what Redis calls it.
func (s *StreamView) Encoding() string { return "stream" }

// Bytes estimates the memory in use.
func (s *StreamView) Bytes() int { return s.size }

// Fork freezes s and returns a stream with the same contents. The trees are
// copied when they are written to, node by node.
func (s *StreamObject) Fork() Object {
	fork := &StreamObject{StreamView: s.StreamView, epoch: s.epoch + 1}
	fork.nodes = s.nodes.Copy()
	if s.groups != nil {
		fork.groups = s.groups.Copy()
	}
	return fork
}

// StreamAt returns the stream at key, nil if there is none. The error is
// ErrWrongType.
func (v *View) StreamAt(key []byte) (*StreamView, error) {
	o, err := v.object(key, Stream)
	if o == nil {
		return nil, err
	}
	return &o.(*StreamObject).StreamView, nil //nolint:errcheck // the kinds were compared
}

// StreamForUpdate returns the stream at key for changing, creating it if create
// says so and nil if it does not and there is none. The error is ErrWrongType.
// What StreamAt returned before must not be used any more.
func (db *DB) StreamForUpdate(key []byte, create bool) (*StreamObject, error) {
	var make func() Object
	if create {
		make = func() Object { return NewStream() }
	}
	o, err := db.objectForUpdate(key, Stream, make)
	if o == nil {
		return nil, err
	}
	return o.(*StreamObject), nil //nolint:errcheck // the kinds were compared
}

// StreamForGroups is StreamForUpdate for what Redis does not count as a change of
// the key: consumer groups, and what XSETID sets. WATCH does not see it.
func (db *DB) StreamForGroups(key []byte) (*StreamObject, error) {
	pos, r := db.lookupWrite(key)
	if r == nil {
		return nil, nil
	}
	if r.kind() != Stream {
		return nil, ErrWrongType
	}
	s := db.d.object(r).(*StreamObject) //nolint:errcheck // the kinds were compared
	if db.ks.shared(db.d, pos, r) && s.private <= db.ks.frozen {
		s = s.Fork().(*StreamObject) //nolint:errcheck // a stream's fork is a stream
		db.d.boxes.put(r.box(), s)
	}
	db.unsettle(pos)
	s.private = db.ks.revision
	db.used(r)
	db.ks.touched(db.id, r.key(), Changed, Stream)
	return s, nil
}

// Len is the number of entries.
func (s *StreamView) Len() int { return s.length }

// First is the ID of the first entry, zero if there is none.
func (s *StreamView) First() StreamID { return s.first }

// Last is the highest ID that any entry ever had.
func (s *StreamView) Last() StreamID { return s.last }

// MaxDeleted is the highest ID that was ever deleted by Delete.
func (s *StreamView) MaxDeleted() StreamID { return s.maxDeleted }

// Added is the number of entries ever added.
func (s *StreamView) Added() int64 { return s.added }

// Nodes is the number of nodes that the entries are packed into.
func (s *StreamView) Nodes() int { return s.nodes.Len() }

// Top returns the ID of the last entry that is not deleted, zero if there is
// none.
func (s *StreamView) Top() (id StreamID) {
	s.Visit(StreamRange{End: MaxStreamID(), Reverse: true}, func(e *StreamEntry) bool {
		id = e.ID
		return false
	})
	return id
}

// Exists reports whether there is an entry of that ID.
func (s *StreamView) Exists(id StreamID) bool {
	_, ok := s.Entry(id)
	return ok
}

// Entry returns the entry of that ID.
func (s *StreamView) Entry(id StreamID) (entry StreamEntry, ok bool) {
	s.Visit(StreamRange{Start: id, End: id}, func(e *StreamEntry) bool {
		entry, ok = *e, true
		return false
	})
	return entry, ok
}

// StreamRange is the entries from Start to End, both included, in that order or
// in reverse.
type StreamRange struct {
	Start, End StreamID
	Reverse    bool
}

// floor returns the node that id would be in, nil if it is before all of them.
func (s *StreamView) floor(id StreamID) (node *streamNode) {
	s.nodes.Descend(&streamNode{id: id}, func(n *streamNode) bool {
		node = n
		return false
	})
	return node
}

// Visit calls visit for the entries of r until it answers false.
func (s *StreamView) Visit(r StreamRange, visit func(e *StreamEntry) bool) {
	if r.Start.Compare(r.End) > 0 || s.length == 0 {
		return
	}
	if r.Reverse {
		s.nodes.Descend(&streamNode{id: r.End}, func(n *streamNode) bool {
			return n.eachBack(func(e *StreamEntry) bool {
				if e.flags&entryDeleted != 0 || e.ID.Compare(r.End) > 0 {
					return true
				}
				return e.ID.Compare(r.Start) >= 0 && visit(e)
			})
		})
		return
	}
	from := s.floor(r.Start)
	if from == nil {
		from = &streamNode{id: r.Start}
	}
	s.nodes.Ascend(from, func(n *streamNode) bool {
		return n.id.Compare(r.End) <= 0 && n.each(func(e *StreamEntry) bool {
			if e.flags&entryDeleted != 0 || e.ID.Compare(r.Start) < 0 {
				return true
			}
			return e.ID.Compare(r.End) <= 0 && visit(e)
		})
	})
}

// Count returns how many entries of r there are, but not more than limit (0: no
// limit). Nodes that lie wholly within r are not looked into, so it is much
// cheaper than to visit them.
func (s *StreamView) Count(r StreamRange, limit int) (n int) {
	if limit == 0 {
		limit = s.length
	}
	if r.Start.Compare(r.End) > 0 || s.length == 0 {
		return 0
	}
	from := s.floor(r.Start)
	if from == nil {
		from = &streamNode{id: r.Start}
	}
	var before *streamNode // the last one seen, not counted yet
	count := func(next *streamNode) {
		switch {
		case before == nil:
		case next != nil && before.id.Compare(r.Start) >= 0 && next.id.Compare(r.End) <= 0:
			n += before.live()
		default:
			before.each(func(e *StreamEntry) bool {
				if e.flags&entryDeleted == 0 && e.ID.Compare(r.Start) >= 0 && e.ID.Compare(r.End) <= 0 {
					n++
				}
				return n < limit
			})
		}
		before = next
	}
	if r.Reverse { // how many there are does not depend on where one begins
		r.Reverse = false
	}
	s.nodes.Ascend(from, func(node *streamNode) bool {
		if node.id.Compare(r.End) > 0 {
			return false
		}
		count(node)
		return n < limit
	})
	if n < limit {
		count(nil)
	}
	return min(n, limit)
}

// ErrStreamIDTooLow and ErrStreamItemTooBig are why Add refuses.
var (
	ErrStreamIDTooLow   = errors.New("stream ID is not above the last one")
	ErrStreamItemTooBig = errors.New("stream entry too big")
)

// CheckAdd reports why Add would refuse.
func (s *StreamView) CheckAdd(id StreamID, args [][]byte) error {
	if id.Compare(s.last) <= 0 {
		return ErrStreamIDTooLow
	}
	size := 0
	for _, a := range args {
		if size += len(a); size > maxStreamItem {
			return ErrStreamItemTooBig
		}
	}
	return nil
}

// Add appends an entry of the fields and values that alternate in args.
func (s *StreamObject) Add(id StreamID, args [][]byte, limits *Limits) error {
	if err := s.CheckAdd(id, args); err != nil {
		return err
	}
	size := 0
	for _, a := range args {
		size += len(a)
	}
	if s.tail == nil {
		s.tail, _ = s.nodes.Max()
	}
	if s.tail != nil && s.full(s.tail, size, limits) {
		s.tail = nil
	}
	if s.tail == nil {
		s.tail = newStreamNode(s.epoch, id, args)
		s.nodes.Set(s.tail)
		s.size += nodeBytes
	} else {
		s.tail = s.own(s.tail)
		s.size -= len(s.tail.lp)
	}
	s.tail.append(id, args)
	s.size += len(s.tail.lp)
	s.length++
	s.added++
	s.last = id
	if s.length == 1 {
		s.first = id
	}
	return nil
}

// full reports whether an entry of size bytes begins a new node behind n, as
// Redis decides it.
func (s *StreamObject) full(n *streamNode, size int, limits *Limits) bool {
	most := limits.StreamNodeMaxBytes
	if most == 0 || most > maxStreamItem {
		most = maxStreamItem
	}
	full := int64(len(n.lp)+size) >= most
	if !full && limits.StreamNodeMaxEntries > 0 {
		live, deleted, _, _ := n.header()
		full = int64(live+deleted) >= limits.StreamNodeMaxEntries
	}
	if full && cap(n.lp)-len(n.lp) > len(n.lp)/8 && n.epoch == s.epoch {
		n.lp = slices.Clone(n.lp) // it is not going to grow any more
	}
	return full
}

// own makes node n private and returns it.
func (s *StreamObject) own(n *streamNode) *streamNode {
	if n.epoch == s.epoch {
		return n
	}
	lp := make(listpack, len(n.lp), len(n.lp)+64)
	copy(lp, n.lp)
	n = &streamNode{epoch: s.epoch, id: n.id, lp: lp}
	s.nodes.Set(n)
	return n
}

func (s *StreamObject) drop(n *streamNode) {
	s.nodes.Delete(n)
	s.size -= nodeBytes + len(n.lp)
	s.tail = nil
}

// Delete removes the entry of that ID and reports whether there was one.
func (s *StreamObject) Delete(id StreamID) bool {
	node, at := s.floor(id), -1
	if node == nil {
		return false
	}
	node.each(func(e *StreamEntry) bool {
		if e.flags&entryDeleted != 0 {
			return true
		}
		if e.ID == id {
			at = e.at
		}
		return e.ID.Compare(id) < 0
	})
	if at < 0 {
		return false
	}
	if node.live() == 1 {
		s.drop(node)
	} else {
		s.mark(node, at)
	}
	s.length--
	if id.Compare(s.maxDeleted) > 0 {
		s.maxDeleted = id
	}
	if id == s.first {
		s.findFirst()
	}
	return true
}

// mark marks the entries of node at these positions as deleted.
func (s *StreamObject) mark(node *streamNode, at ...int) {
	node = s.own(node)
	s.size -= len(node.lp)
	node.mark(at)
	s.size += len(node.lp)
	s.tail = nil
}

// findFirst sets first.
func (s *StreamObject) findFirst() {
	s.first = StreamID{}
	s.Visit(StreamRange{End: MaxStreamID()}, func(e *StreamEntry) bool {
		s.first = e.ID
		return false
	})
}

// SetLast is XSETID: it sets the last ID, which must not be below that of any
// entry, and the other two unless they are negative and zero.
func (s *StreamObject) SetLast(id StreamID, added int64, maxDeleted StreamID) {
	// A node whose entries are all deleted may be above id. Were it left, entries
	// to come would have IDs below that of their node.
	for n, ok := s.nodes.Max(); ok && n.id.Compare(id) > 0; n, ok = s.nodes.Max() {
		s.drop(n)
	}
	s.last = id
	if added >= 0 {
		s.added = added
	}
	if !maxDeleted.IsZero() {
		s.maxDeleted = maxDeleted
	}
}
