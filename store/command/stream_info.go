package command

import "github.com/raftredis/raftredis/store/keyspace"

// xinfo returns the stream that XINFO is about. If s is nil it has written the
// error.
func (r *Read) xinfo() (s *keyspace.StreamView) {
	s, err := r.DB.StreamAt(r.Args[2])
	switch {
	case err != nil:
		r.Fail(err)
	case s == nil:
		r.Reply.Error(ErrNoSuchKey)
	}
	return s
}

func (r *Read) pair(name string, n int64) {
	r.Reply.BulkString(name)
	r.Reply.Int(n)
}

func (r *Read) idPair(name string, id keyspace.StreamID) {
	r.Reply.BulkString(name)
	r.replyStreamID(id)
}

func xinfoStream(r *Read) {
	s := r.xinfo()
	if s == nil {
		return
	}
	count, full := int64(10), len(r.Args) > 3
	if full {
		if len(r.Args) != 4 && len(r.Args) != 6 || !r.Is(3, "full") || len(r.Args) == 6 && !r.Is(4, "count") {
			r.subcommandSyntax()
			return
		}
		if len(r.Args) == 6 {
			n, ok := r.Int(5)
			if !ok {
				return
			}
			if n >= 0 {
				count = n
			}
		}
	}
	if full {
		r.Reply.Map(9)
	} else {
		r.Reply.Map(10)
	}
	r.pair("length", int64(s.Len()))
	r.pair("radix-tree-keys", int64(s.Nodes()))
	r.pair("radix-tree-nodes", int64(s.RadixNodes()))
	r.idPair("last-generated-id", s.Last())
	r.idPair("max-deleted-entry-id", s.MaxDeleted())
	r.pair("entries-added", s.Added())
	r.idPair("recorded-first-entry-id", s.First())
	all := keyspace.StreamRange{End: keyspace.MaxStreamID()}
	if full {
		r.Reply.BulkString("entries")
		r.replyEntries(s, all, int(count))
		r.fullGroups(s, count)
		return
	}
	r.pair("groups", int64(s.Groups()))
	r.Reply.BulkString("first-entry")
	r.replyEdge(s, all)
	all.Reverse = true
	r.Reply.BulkString("last-entry")
	r.replyEdge(s, all)
}

// replyEdge replies the first entry of a range, or null.
func (r *Read) replyEdge(s *keyspace.StreamView, of keyspace.StreamRange) {
	found := false
	s.Visit(of, func(e *keyspace.StreamEntry) bool {
		r.replyEntry(e)
		found = true
		return false
	})
	if !found {
		r.Reply.Null()
	}
}

// fullGroups replies all there is to know about groups, but no more than count
// pending entries of each (0: all).
func (r *Read) fullGroups(s *keyspace.StreamView, count int64) {
	r.Reply.BulkString("groups")
	r.Reply.Array(s.Groups())
	most := func(n int) int64 {
		if count == 0 {
			return int64(n)
		}
		return min(int64(n), count)
	}
	s.EachGroup(func(g keyspace.GroupView) {
		r.Reply.Map(7)
		r.Reply.BulkString("name")
		r.Reply.BulkString(g.Name())
		r.groupProgress(g)
		r.pair("pel-count", int64(g.Pending()))
		r.Reply.BulkString("pending")
		left := most(g.Pending())
		r.Reply.Array(int(left))
		g.EachPending(keyspace.StreamID{}, func(p keyspace.Pending) bool {
			if left--; left < 0 {
				return false
			}
			r.Reply.Array(4)
			r.replyStreamID(p.ID)
			r.Reply.BulkString(p.Consumer)
			r.Reply.Int(p.Delivered)
			r.Reply.Int(p.Count)
			return true
		})
		r.Reply.BulkString("consumers")
		r.Reply.Array(g.Consumers())
		g.EachConsumer(func(c keyspace.Consumer) {
			r.Reply.Map(4)
			r.Reply.BulkString("name")
			r.Reply.BulkString(c.Name)
			r.pair("seen-time", c.Seen)
			r.pair("pel-count", int64(c.Pending))
			r.Reply.BulkString("pending")
			left := most(c.Pending)
			r.Reply.Array(int(left))
			g.EachPendingOf(c.Name, keyspace.StreamID{}, func(p keyspace.Pending) bool {
				if left--; left < 0 {
					return false
				}
				r.Reply.Array(3)
				r.replyStreamID(p.ID)
				r.Reply.Int(p.Delivered)
				r.Reply.Int(p.Count)
				return true
			})
		})
	})
}

// groupProgress replies how far a group has got.
func (r *Read) groupProgress(g keyspace.GroupView) {
	r.idPair("last-delivered-id", g.Last())
	r.Reply.BulkString("entries-read")
	if n := g.EntriesRead(); n != keyspace.EntriesReadUnknown {
		r.Reply.Int(n)
	} else {
		r.Reply.Null()
	}
	r.Reply.BulkString("lag")
	if lag, ok := g.Lag(); ok {
		r.Reply.Int(lag)
	} else {
		r.Reply.Null()
	}
}

func xinfoGroups(r *Read) {
	s := r.xinfo()
	if s == nil {
		return
	}
	r.Reply.Array(s.Groups())
	s.EachGroup(func(g keyspace.GroupView) {
		r.Reply.Map(6)
		r.Reply.BulkString("name")
		r.Reply.BulkString(g.Name())
		r.pair("consumers", int64(g.Consumers()))
		r.pair("pending", int64(g.Pending()))
		r.groupProgress(g)
	})
}

func xinfoConsumers(r *Read) {
	s := r.xinfo()
	if s == nil {
		return
	}
	g, ok := s.Group(r.Args[3])
	if !ok {
		r.Reply.Error(noGroupForKey(r.Args[2], r.Args[3]))
		return
	}
	r.Reply.Array(g.Consumers())
	g.EachConsumer(func(c keyspace.Consumer) {
		r.Reply.Map(3)
		r.Reply.BulkString("name")
		r.Reply.BulkString(c.Name)
		r.pair("pending", int64(c.Pending))
		r.pair("idle", max(r.Now-c.Seen, 0))
	})
}
