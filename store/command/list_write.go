package command

import (
	"bytes"

	"github.com/raftredis/raftredis/store/keyspace"
)

const errIndex = "ERR index out of range"

func lpush(w *Write)  { push(w, true, false) }
func rpush(w *Write)  { push(w, false, false) }
func lpushx(w *Write) { push(w, true, true) }
func rpushx(w *Write) { push(w, false, true) }

func push(w *Write, left, onlyIfThere bool) {
	l, err := w.DB.ListForUpdate(w.Args[1], !onlyIfThere)
	if err != nil {
		w.Fail(err)
		return
	}
	if l == nil {
		w.Reply.Int(0)
		return
	}
	for _, b := range w.Args[2:] {
		if left {
			l.PushFront(b, w.DB.Limits())
		} else {
			l.PushBack(b, w.DB.Limits())
		}
	}
	w.pushed(w.Args[1], left)
	w.Reply.Int(int64(l.Len()))
}

// pushed tells that something was pushed to a list, popped that it was popped.
func (w *Write) pushed(key []byte, left bool) {
	event := "rpush"
	if left {
		event = "lpush"
	}
	w.event(keyspace.EventList, event, key)
}

func (w *Write) popped(key []byte, left bool) {
	event := "rpop"
	if left {
		event = "lpop"
	}
	w.event(keyspace.EventList, event, key)
}

func linsert(w *Write) {
	behind := 0
	switch {
	case w.Is(2, "after"):
		behind = 1
	case w.Is(2, "before"):
	default:
		w.Reply.Error(ErrSyntax)
		return
	}
	view, err := w.DB.ListAt(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	if view == nil {
		w.Reply.Int(0)
		return
	}
	i := 0
	for b := range view.From(0) {
		if bytes.Equal(b, w.Args[3]) {
			break
		}
		i++
	}
	if i == view.Len() {
		w.Reply.Int(-1)
		return
	}
	l, err := w.DB.ListForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	l.Insert(i+behind, w.Args[4], w.DB.Limits())
	w.event(keyspace.EventList, "linsert", w.Args[1])
	w.Reply.Int(int64(l.Len()))
}

func lset(w *Write) {
	view, err := w.DB.ListAt(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	if view == nil {
		w.Reply.Error(ErrNoSuchKey)
		return
	}
	n, ok := w.Int(2)
	if !ok {
		return
	}
	i, ok := fromEnd(n, view.Len())
	if !ok {
		w.Reply.Error(errIndex)
		return
	}
	l, err := w.DB.ListForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	l.Set(i, w.Args[3], w.DB.Limits())
	w.event(keyspace.EventList, "lset", w.Args[1])
	w.OK()
}

func lrem(w *Write) {
	count, ok := w.Int(2)
	if !ok {
		return
	}
	view, err := w.DB.ListAt(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	there := false
	if view != nil {
		for b := range view.From(0) {
			if there = bytes.Equal(b, w.Args[3]); there {
				break
			}
		}
	}
	if !there { // nothing is changed, so the key's version must not be
		w.Reply.Int(0)
		return
	}
	l, err := w.DB.ListForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	limit := max(count, -count) // the one number that has no opposite stays negative: all
	w.Reply.Int(int64(l.Remove(w.Args[3], int(limit), count < 0, w.DB.Limits())))
	w.event(keyspace.EventList, "lrem", w.Args[1])
	if l.Len() == 0 {
		w.remove(w.Args[1])
	}
}

func ltrim(w *Write) {
	start, stop, ok := w.span(2)
	if !ok {
		return
	}
	l, err := w.DB.ListForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	if l != nil {
		if from, count := clip(start, stop, l.Len()); count > 0 {
			l.Trim(from, count)
			w.event(keyspace.EventList, "ltrim", w.Args[1])
		} else {
			w.event(keyspace.EventList, "ltrim", w.Args[1])
			w.remove(w.Args[1])
		}
	}
	w.OK()
}
