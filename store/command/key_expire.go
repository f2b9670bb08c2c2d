package command

import (
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

// expireCondition says when EXPIRE and its like do anything.
type expireCondition struct{ nx, xx, gt, lt bool }

func parseExpireCondition(c *Call) (e expireCondition, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.Is(i, "nx"):
			e.nx = true
		case c.Is(i, "xx"):
			e.xx = true
		case c.Is(i, "gt"):
			e.gt = true
		case c.Is(i, "lt"):
			e.lt = true
		default:
			c.Reply.Error("ERR Unsupported option " + string(c.Args[i]))
			return e, false
		}
	}
	switch {
	case e.nx && (e.xx || e.gt || e.lt):
		c.Reply.Error("ERR NX and XX, GT or LT options at the same time are not compatible")
	case e.gt && e.lt:
		c.Reply.Error("ERR GT and LT options at the same time are not compatible")
	default:
		return e, true
	}
	return e, false
}

// holds reports whether the condition allows a deadline to be set where the
// current one is current, 0 for none, which counts as infinitely late.
func (e expireCondition) holds(deadline, current int64) bool {
	switch {
	case e.nx && current != 0,
		e.xx && current == 0,
		e.gt && (current == 0 || deadline <= current),
		e.lt && current != 0 && deadline >= current:
		return false
	}
	return true
}

// expireKey is EXPIRE and its like: the time is in units of so many ms, and
// counts from base.
func expireKey(w *Write, unit, base int64) {
	condition, ok := parseExpireCondition(&w.Call)
	if !ok {
		return
	}
	n, ok := w.Int(2)
	if !ok {
		return
	}
	if n > math.MaxInt64/unit || n < math.MinInt64/unit || n*unit > math.MaxInt64-base {
		w.Reply.Error(errExpireTime(&w.Call))
		return
	}
	deadline := n*unit + base
	current, ok := w.DB.Expire(w.Args[1])
	switch {
	case !ok || !condition.holds(deadline, current):
		w.Reply.Int(0)
		return
	case deadline <= w.Now:
		w.remove(w.Args[1])
	default:
		w.DB.SetExpire(w.Args[1], deadline)
		w.event(keyspace.EventGeneric, "expire", w.Args[1])
	}
	w.Reply.Int(1)
}

// replyTTL replies how far the deadline is from base, rounded to units of so
// many ms; -1 if there is none, -2 if there is no key.
func replyTTL(r *Read, unit, base int64) {
	at, ok := r.DB.Expire(r.Args[1])
	switch {
	case !ok:
		r.Reply.Int(-2)
	case at == 0:
		r.Reply.Int(-1)
	default:
		left := at - base
		rounded := left / unit
		if left%unit >= (unit+1)/2 { // adding half a unit could overflow
			rounded++
		}
		r.Reply.Int(rounded)
	}
}

func persist(w *Write) { w.IntBool(persistKey(w, w.Args[1])) }

// persistUnchanged is persist where there is no deadline.
func persistUnchanged(r *Read) bool {
	at, ok := r.DB.Expire(r.Args[1])
	return ok && at == 0 && r.none()
}

// persistKey takes away the deadline of key and reports whether it had one.
func persistKey(w *Write, key []byte) bool {
	at, ok := w.DB.Expire(key)
	if !ok || at == 0 || !w.DB.SetExpire(key, 0) {
		return false
	}
	w.event(keyspace.EventGeneric, "persist", key)
	return true
}
