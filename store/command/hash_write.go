package command

import (
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/keyspace"
)

func hset(w *Write) {
	if created, ok := setFields(w, "hset"); ok {
		w.Reply.Int(int64(created))
	}
}

func hmset(w *Write) {
	if _, ok := setFields(w, "hmset"); ok {
		w.OK()
	}
}

func setFields(w *Write, name string) (created int, ok bool) {
	if len(w.Args)%2 != 0 {
		w.Reply.Error(ErrArity(name))
		return 0, false
	}
	h, err := w.DB.HashForUpdate(w.Args[1], true)
	if err != nil {
		w.Fail(err)
		return 0, false
	}
	for i := 2; i < len(w.Args); i += 2 {
		if h.Set(w.Args[i], w.Args[i+1], w.DB.Limits()) {
			created++
		}
	}
	w.event(keyspace.EventHash, "hset", w.Args[1])
	return created, true
}

// setField sets one field of the hash at argument 1, creating that, and tells of it.
func setField(w *Write, field, value []byte, event string) bool {
	h, err := w.DB.HashForUpdate(w.Args[1], true)
	if err != nil {
		w.Fail(err)
		return false
	}
	h.Set(field, value, w.DB.Limits())
	w.event(keyspace.EventHash, event, w.Args[1])
	return true
}

func hsetnx(w *Write) {
	view, ok := w.View().hash()
	if !ok {
		return
	}
	if view != nil && !lacks(view.Get, w.Args[2:3]) {
		w.Reply.Int(0)
		return
	}
	if setField(w, w.Args[2], w.Args[3], "hset") {
		w.Reply.Int(1)
	}
}

// hsetnxUnchanged is hsetnx where the field is there.
func hsetnxUnchanged(r *Read) bool {
	h, err := r.DB.HashAt(r.Args[1])
	return err == nil && h != nil && !lacks(h.Get, r.Args[2:3]) && r.none()
}

// hdelUnchanged is hdel where no field is there.
func hdelUnchanged(r *Read) bool {
	h, err := r.DB.HashAt(r.Args[1])
	return err == nil && h != nil && lacks(h.Get, r.Args[2:]) && r.none()
}

func hdel(w *Write) {
	view, ok := w.View().hash()
	if !ok {
		return
	}
	if view == nil || lacks(view.Get, w.Args[2:]) { // nothing is changed, so the key's version must not be
		w.Reply.Int(0)
		return
	}
	h, err := w.DB.HashForUpdate(w.Args[1], false)
	if err != nil {
		w.Fail(err)
		return
	}
	deleted := 0
	for _, field := range w.Args[2:] {
		if h.Delete(field) {
			deleted++
		}
	}
	w.event(keyspace.EventHash, "hdel", w.Args[1])
	if h.Len() == 0 {
		w.remove(w.Args[1])
	}
	w.Reply.Int(int64(deleted))
}

// field returns the value of the field at argument 2 of the hash at argument 1.
// If the key is of another type, field has written the error and ok is false.
func (w *Write) field() (value []byte, there, ok bool) {
	h, ok := w.View().hash()
	if ok && h != nil {
		value, there = h.Get(w.Args[2])
	}
	return value, there, ok
}

func hincrby(w *Write) {
	by, ok := w.Int(3)
	if !ok {
		return
	}
	value, there, ok := w.field()
	if !ok {
		return
	}
	var n int64
	if there {
		if n, ok = ParseInt(value); !ok {
			w.Reply.Error("ERR hash value is not an integer")
			return
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		w.Reply.Error(ErrOverflow)
		return
	}
	n += by
	if setField(w, w.Args[2], strconv.AppendInt(nil, n, 10), "hincrby") {
		w.Reply.Int(n)
	}
}

func hincrbyfloat(w *Write) {
	by, ok := cfloat.ParseLongDouble(w.Args[3])
	if !ok {
		w.Reply.Error(ErrNotFloat)
		return
	}
	if by.IsInf() {
		w.Reply.Error("ERR value is NaN or Infinity")
		return
	}
	value, there, ok := w.field()
	if !ok {
		return
	}
	var n cfloat.LongDouble
	if there {
		if n, ok = cfloat.ParseLongDouble(value); !ok {
			w.Reply.Error("ERR hash value is not a float")
			return
		}
	}
	if n, ok = n.Add(by); !ok {
		w.Reply.Error(errNaNOrInf)
		return
	}
	sum := n.Append(nil)
	if setField(w, w.Args[2], sum, "hincrbyfloat") {
		w.Reply.Bulk(sum)
	}
}
