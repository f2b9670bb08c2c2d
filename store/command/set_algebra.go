package command

import (
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

func sinter(r *Read) { algebra(r, inter) }
func sunion(r *Read) { algebra(r, union) }
func sdiff(r *Read)  { algebra(r, diff) }

func sinterstore(w *Write) { algebraStore(w, inter, "sinterstore") }
func sunionstore(w *Write) { algebraStore(w, union, "sunionstore") }
func sdiffstore(w *Write)  { algebraStore(w, diff, "sdiffstore") }

// setOp gives every member of the result to yield, more than once perhaps,
// until that answers false. A set that is not there is nil.
type setOp func(sets []*keyspace.SetView, yield func(member []byte) bool)

// sets returns the sets at keys. If one is of another type, sets has written the
// error and ok is false.
func (r *Read) sets(keys [][]byte) (sets []*keyspace.SetView, ok bool) {
	for _, key := range keys {
		s, err := r.DB.SetAt(key)
		if err != nil {
			r.Fail(err)
			return nil, false
		}
		sets = append(sets, s)
	}
	return sets, true
}

func inter(sets []*keyspace.SetView, yield func([]byte) bool) {
	if slices.Contains(sets, nil) {
		return
	}
	// The smallest first: it is walked, and the others are asked in the order of
	// how likely they are to say no.
	sets = slices.Clone(sets)
	slices.SortStableFunc(sets, func(a, b *keyspace.SetView) int { return a.Len() - b.Len() })
next:
	for member := range sets[0].All() {
		for _, s := range sets[1:] {
			if s != sets[0] && !s.Has(member) {
				continue next
			}
		}
		if !yield(member) {
			return
		}
	}
}

func union(sets []*keyspace.SetView, yield func([]byte) bool) {
	for _, s := range sets {
		if s == nil {
			continue
		}
		for member := range s.All() {
			if !yield(member) {
				return
			}
		}
	}
}

func diff(sets []*keyspace.SetView, yield func([]byte) bool) {
	if sets[0] == nil {
		return
	}
	rest := make([]*keyspace.SetView, 0, len(sets))
	for _, s := range sets[1:] {
		switch s {
		case nil:
		case sets[0]:
			return
		default:
			rest = append(rest, s)
		}
	}
	slices.SortStableFunc(rest, func(a, b *keyspace.SetView) int { return b.Len() - a.Len() })
next:
	for member := range sets[0].All() {
		for _, s := range rest {
			if s.Has(member) {
				continue next
			}
		}
		if !yield(member) {
			return
		}
	}
}

// collectSet makes a set of an operation's result. It is what Redis does even
// for a reply: numbers then come in their order.
func collectSet(op setOp, sets []*keyspace.SetView, lim *keyspace.Limits) *keyspace.SetObject {
	result := &keyspace.SetObject{}
	op(sets, func(member []byte) bool {
		result.Add(member, lim)
		return true
	})
	return result
}

func algebra(r *Read, op setOp) {
	sets, ok := r.sets(r.Args[1:])
	if !ok {
		return
	}
	replySet(r.Reply, &collectSet(op, sets, r.DB.Limits()).SetView)
}

func algebraStore(w *Write, op setOp, event string) {
	sets, ok := w.View().sets(w.Args[2:])
	if !ok {
		return
	}
	result := collectSet(op, sets, w.DB.Limits())
	if result.Len() == 0 {
		w.remove(w.Args[1])
	} else {
		w.DB.SetObject(w.Args[1], result, 0)
		w.event(keyspace.EventSet, event, w.Args[1])
	}
	w.Reply.Int(int64(result.Len()))
}

func sintercard(r *Read) {
	n, ok := r.positive(1, "ERR numkeys should be greater than 0")
	if !ok {
		return
	}
	if n > int64(len(r.Args)-2) {
		r.Reply.Error("ERR Number of keys can't be greater than number of args")
		return
	}
	limit := int64(0)
	for i := 2 + int(n); i < len(r.Args); i += 2 {
		if !r.Is(i, "limit") || i+1 == len(r.Args) {
			r.Reply.Error(ErrSyntax)
			return
		}
		if limit, ok = r.notNegative(i+1, "ERR LIMIT can't be negative"); !ok {
			return
		}
	}
	sets, ok := r.sets(r.Args[2 : 2+n])
	if !ok {
		return
	}
	card := int64(0)
	inter(sets, func([]byte) bool {
		card++
		return card != limit
	})
	r.Reply.Int(card)
}
