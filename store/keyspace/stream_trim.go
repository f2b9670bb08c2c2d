package keyspace

// StreamTrim says how to shorten a stream from its beginning.
type StreamTrim struct {
	ByID   bool     // keep entries from MinID on, not the last MaxLen
	MaxLen int64    //
	MinID  StreamID //
	Approx bool     // only remove whole nodes
	Limit  int64    // remove at most so many entries, if positive
}

// next says what to do after removed entries have been removed: drop the whole
// first node, or mark entries in it, or neither if it answers nil.
func (s *StreamView) next(t StreamTrim, removed int) (node *streamNode, whole bool) {
	node, ok := s.nodes.Min()
	if !ok || !t.ByID && int64(s.length) <= t.MaxLen {
		return nil, false
	}
	live := node.live()
	if t.Limit > 0 && int64(removed+live) > t.Limit {
		return nil, false
	}
	if t.ByID {
		whole = node.last().Compare(t.MinID) < 0
	} else {
		whole = int64(s.length-live) >= t.MaxLen
	}
	if !whole && (t.Approx || t.ByID && (s.length == 0 || s.first.Compare(t.MinID) >= 0)) {
		return nil, false
	}
	return node, whole
}

// WouldTrim reports whether Trim would change anything, so that a command that
// does not need not touch the key.
func (s *StreamView) WouldTrim(t StreamTrim) bool {
	node, _ := s.next(t, 0)
	return node != nil
}

// Trim removes entries and returns how many. Whole nodes are dropped at once;
// only an exact trim looks into one, and then into one alone.
func (s *StreamObject) Trim(t StreamTrim) (removed int) {
	for {
		node, whole := s.next(t, removed)
		if node == nil {
			break
		}
		if !whole {
			removed += s.trimIn(node, t)
			break
		}
		s.drop(node)
		s.length -= node.live()
		removed += node.live()
		if removed > 0 {
			s.first = StreamID{} // unknown: next must not stop because of it
		}
	}
	if removed > 0 {
		s.findFirst()
	}
	return removed
}

// trimIn marks entries of the first node as deleted.
func (s *StreamObject) trimIn(node *streamNode, t StreamTrim) int {
	var at []int
	node.each(func(e *StreamEntry) bool {
		if t.ByID && e.ID.Compare(t.MinID) >= 0 || !t.ByID && int64(s.length-len(at)) <= t.MaxLen {
			return false
		}
		if e.flags&entryDeleted == 0 {
			at = append(at, e.at)
		}
		return true
	})
	if len(at) > 0 {
		s.mark(node, at...)
		s.length -= len(at)
	}
	return len(at)
}
