package command

import (
	"bytes"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

func sadd(w *Write) {
	view, ok := w.View().set()
	if !ok {
		return
	}
	if view != nil && hasAll(view, w.Args[2:]) { // nothing is changed, so the key's version must not be
		w.Reply.Int(0)
		return
	}
	s, err := w.DB.SetForUpdate(w.Args[1], true)
	if err != nil {
		w.Fail(err)
		return
	}
	added := 0
	for _, member := range w.Args[2:] {
		if s.Add(member, w.DB.Limits()) {
			added++
		}
	}
	w.event(keyspace.EventSet, "sadd", w.Args[1])
	w.Reply.Int(int64(added))
}

// saddUnchanged is sadd where all members are there.
func saddUnchanged(r *Read) bool {
	s, err := r.DB.SetAt(r.Args[1])
	return err == nil && s != nil && hasAll(s, r.Args[2:]) && r.none()
}

// sremUnchanged is srem where no member is there.
func sremUnchanged(r *Read) bool {
	s, err := r.DB.SetAt(r.Args[1])
	return err == nil && s != nil && !slices.ContainsFunc(r.Args[2:], s.Has) && r.none()
}

func hasAll(s *keyspace.SetView, members [][]byte) bool {
	for _, member := range members {
		if !s.Has(member) {
			return false
		}
	}
	return true
}

func srem(w *Write) {
	view, ok := w.View().set()
	if !ok {
		return
	}
	if view == nil || !slices.ContainsFunc(w.Args[2:], view.Has) {
		w.Reply.Int(0)
		return
	}
	s, err := w.DB.SetForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	removed := 0
	for _, member := range w.Args[2:] {
		if s.Remove(member) {
			removed++
		}
	}
	w.event(keyspace.EventSet, "srem", w.Args[1])
	if s.Len() == 0 {
		w.remove(w.Args[1])
	}
	w.Reply.Int(int64(removed))
}

func smove(w *Write) {
	from, ok := w.View().set()
	if !ok {
		return
	}
	if from == nil {
		w.Reply.Int(0)
		return
	}
	to, err := w.DB.SetAt(w.Args[2])
	if err != nil {
		w.Fail(err)
		return
	}
	member := w.Args[3]
	if there := from.Has(member); !there || bytes.Equal(w.Args[1], w.Args[2]) {
		w.IntBool(there)
		return
	}
	src, err := w.DB.SetForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	src.Remove(member)
	w.event(keyspace.EventSet, "srem", w.Args[1])
	if src.Len() == 0 {
		w.remove(w.Args[1])
	}
	if to == nil || !to.Has(member) {
		dst, err := w.DB.SetForUpdate(w.Args[2], true)
		if err != nil {
			w.Fail(err)
			return
		}
		dst.Add(member, w.DB.Limits())
		w.event(keyspace.EventSet, "sadd", w.Args[2])
	}
	w.Reply.Int(1)
}
