package keyspace

// Encode writes the edges and counters, the nodes as they are, and the groups,
// each with its consumers and what is pending in it.
func (s *StreamObject) Encode(e *Encoder) {
	e.Uvarint(uint64(s.length))
	e.streamID(s.last)
	e.streamID(s.maxDeleted)
	e.Uvarint(uint64(s.added))
	e.Uvarint(uint64(s.nodes.Len()))
	s.nodes.Scan(func(n *streamNode) bool {
		e.streamID(n.id)
		e.Bytes(n.lp)
		return true
	})
	e.Uvarint(uint64(s.Groups()))
	s.EachGroup(func(g GroupView) { g.g.encode(e) })
}

func (g *streamGroup) encode(e *Encoder) {
	e.String(g.name)
	e.streamID(g.last)
	e.Uvarint(uint64(g.read))
	e.Uvarint(uint64(g.consumers.Len()))
	number := make(map[string]uint64, g.consumers.Len())
	g.consumers.Scan(func(c *streamConsumer) bool {
		number[c.name] = uint64(len(number))
		e.String(c.name)
		e.Uvarint(uint64(c.seen))
		return true
	})
	e.Uvarint(uint64(g.pending.Len()))
	g.pending.Scan(func(p Pending) bool {
		e.streamID(p.ID)
		e.Uvarint(uint64(p.Delivered))
		e.Uvarint(uint64(p.Count))
		e.Uvarint(number[p.Consumer])
		return true
	})
}

// decodeStream reads back what Encode wrote.
func decodeStream(d *Decoder) *StreamObject {
	s := NewStream()
	l := streamLoader{s: s}
	length := d.Uvarint()
	s.last, s.maxDeleted, s.added = d.streamID(), d.streamID(), int64(d.Uvarint())
	for nodes := d.Uvarint(); nodes > 0 && d.Err() == nil; nodes-- {
		if id := d.streamID(); !l.add(id, d.Bytes()) {
			d.fail("malformed node of a stream")
		}
	}
	if uint64(s.length) != length || l.top.Compare(s.last) > 0 {
		d.fail("wrong length or last ID of a stream")
	}
	for groups := d.Uvarint(); groups > 0 && d.Err() == nil; groups-- {
		s.decodeGroup(d)
	}
	return s
}

// streamLoader fills a new stream with nodes whose bytes may come from anywhere.
type streamLoader struct {
	s   *StreamObject
	top StreamID // of the last live entry
}

// add appends a node and reports whether it is one, and fits behind those
// before it.
func (l *streamLoader) add(id StreamID, lp []byte) bool {
	n := &streamNode{epoch: l.s.epoch, id: id, lp: lp}
	live, first, last, ok := n.valid()
	before, _ := l.s.nodes.Max()
	if !ok || before != nil && before.id.Compare(id) >= 0 || live > 0 && first.Compare(l.top) <= 0 {
		return false
	}
	if live > 0 {
		if l.s.length == 0 {
			l.s.first = first
		}
		l.top = last
	}
	l.s.nodes.Load(n)
	l.s.length += live
	l.s.size += nodeBytes + len(lp)
	return true
}

func (s *StreamObject) decodeGroup(d *Decoder) {
	name := d.Bytes()
	last, read := d.streamID(), int64(d.Uvarint())
	if d.Err() != nil {
		return
	}
	// A client may have set read to the largest number, and reading on makes it
	// negative, as in Redis.
	if !s.CreateGroup(name, last, read) {
		d.fail("malformed group of a stream")
		return
	}
	g, _ := s.GroupForUpdate(name)
	var names []string
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		name := d.Bytes()
		if !g.CreateConsumer(name, int64(d.Uvarint())) {
			d.fail("consumer listed twice")
		}
		names = append(names, string(name))
	}
	var before StreamID
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		p := Pending{ID: d.streamID(), Delivered: int64(d.Uvarint()), Count: int64(d.Uvarint())}
		of := d.Uvarint()
		if of >= uint64(len(names)) || p.ID.Compare(before) <= 0 && g.Pending() > 0 {
			d.fail("malformed pending entry")
			return
		}
		p.Consumer, before = names[of], p.ID
		g.SetPending(p)
	}
}
