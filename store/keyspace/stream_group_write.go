package keyspace

// Group is a consumer group for changing.
type Group struct {
	GroupView
	o *StreamObject
}

// CreateGroup makes a group. It reports false if there is one of that name.
func (s *StreamObject) CreateGroup(name []byte, last StreamID, read int64) bool {
	if s.findGroup(string(name)) != nil {
		return false
	}
	if s.groups == nil {
		s.groups = newGroupTree()
	}
	s.groups.Set(&streamGroup{
		epoch: s.epoch, name: string(name), last: last, read: read,
		pending: newPendingTree(), consumers: newConsumerTree(),
	})
	s.size += groupBytes + len(name)
	return true
}

// DeleteGroup removes a group and reports whether there was one.
func (s *StreamObject) DeleteGroup(name []byte) bool {
	g := s.findGroup(string(name))
	if g == nil {
		return false
	}
	s.groups.Delete(g)
	s.size -= groupBytes + len(name) + g.pending.Len()*pendingBytes
	g.consumers.Scan(func(c *streamConsumer) bool {
		s.size -= consumerBytes + len(c.name)
		return true
	})
	return true
}

// GroupForUpdate finds a group for changing.
func (s *StreamObject) GroupForUpdate(name []byte) (*Group, bool) {
	g := s.findGroup(string(name))
	if g == nil {
		return nil, false
	}
	if g.epoch != s.epoch {
		fork := *g
		fork.epoch, fork.pending, fork.consumers = s.epoch, g.pending.Copy(), g.consumers.Copy()
		g = &fork
		s.groups.Set(g)
	}
	return &Group{GroupView{g, &s.StreamView}, s}, true
}

// SetLast sets the last delivered ID and the number of entries read.
func (g *Group) SetLast(id StreamID, read int64) { g.g.last, g.g.read = id, read }

// Advance notes that the entry id is being delivered: what was read so far is
// counted on if that is possible.
func (g *Group) Advance(id StreamID) {
	if id.Compare(g.g.last) <= 0 {
		return
	}
	if g.g.read != EntriesReadUnknown && !g.s.deletedFrom(id) {
		g.g.read++
	} else if g.s.added != 0 {
		g.g.read = g.s.readAt(id)
	}
	g.g.last = id
}

// CreateConsumer makes a consumer. It reports false if there is one of that
// name.
func (g *Group) CreateConsumer(name []byte, now int64) bool {
	if g.consumer(string(name)) != nil {
		return false
	}
	g.g.consumers.Set(&streamConsumer{epoch: g.o.epoch, name: string(name), seen: now})
	g.o.size += consumerBytes + len(name)
	return true
}

// See creates a consumer, or notes that it was seen.
func (g *Group) See(name []byte, now int64) (created bool) {
	if created = g.CreateConsumer(name, now); !created {
		g.own(string(name)).seen = now
	}
	return created
}

// own returns the consumer of that name, which must exist, for changing.
func (g *Group) own(name string) *streamConsumer {
	c := g.consumer(name)
	if c.epoch != g.o.epoch {
		fork := *c
		fork.epoch = g.o.epoch
		if c.pending != nil {
			fork.pending = c.pending.Copy()
		}
		c = &fork
		g.g.consumers.Set(c)
	}
	return c
}

// DeleteConsumer removes a consumer and what was pending for it.
func (g *Group) DeleteConsumer(name []byte) (pending int, ok bool) {
	c := g.consumer(string(name))
	if c == nil {
		return 0, false
	}
	if c.pending != nil {
		c.pending.Scan(func(id StreamID) bool {
			g.g.pending.Delete(Pending{ID: id})
			return true
		})
	}
	g.g.consumers.Delete(c)
	g.o.size -= consumerBytes + len(c.name) + c.len()*pendingBytes
	return c.len(), true
}

// SetPending makes p pending, for its consumer, which must exist. If the entry
// is pending already, for whomever, p takes its place.
func (g *Group) SetPending(p Pending) {
	c := g.own(p.Consumer)
	p.Consumer = c.name // one string for all of them
	old, was := g.g.pending.Set(p)
	switch {
	case !was:
		g.o.size += pendingBytes
	case old.Consumer == p.Consumer:
		return
	default:
		g.own(old.Consumer).pending.Delete(p.ID)
	}
	if c.pending == nil {
		c.pending = newIDTree()
	}
	c.pending.Set(p.ID)
}

// Acknowledge removes the pending entry of that ID and reports whether there
// was one.
func (g *Group) Acknowledge(id StreamID) bool {
	p, ok := g.g.pending.Delete(Pending{ID: id})
	if !ok {
		return false
	}
	g.own(p.Consumer).pending.Delete(id)
	g.o.size -= pendingBytes
	return true
}
