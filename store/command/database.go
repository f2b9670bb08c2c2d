package command

import "github.com/raftredis/raftredis/store/keyspace"

func dbsize(r *Read) { r.Reply.Int(int64(r.DB.Len())) }

// flushMode accepts ASYNC and SYNC, which are the same here: a flush drops the
// database as a whole, and the garbage collector takes it apart.
func flushMode(w *Write) bool {
	if len(w.Args) == 1 || len(w.Args) == 2 && (w.Is(1, "async") || w.Is(1, "sync")) {
		return true
	}
	w.Reply.Error(ErrSyntax)
	return false
}

func flushdb(w *Write) {
	if flushMode(w) {
		w.DB.Flush()
		w.OK()
	}
}

func flushall(w *Write) {
	if !flushMode(w) {
		return
	}
	for i := range keyspace.Databases {
		db := w.Space.DB(i)
		db.Flush()
	}
	w.OK()
}

func swapdb(w *Write) {
	const lo, hi = -1 << 31, 1<<31 - 1
	a, ok := ParseInt(w.Args[1])
	if !ok || a < lo || a > hi {
		w.Reply.Error("ERR invalid first DB index")
		return
	}
	b, ok := ParseInt(w.Args[2])
	switch {
	case !ok || b < lo || b > hi:
		w.Reply.Error("ERR invalid second DB index")
	case a < 0 || a >= keyspace.Databases || b < 0 || b >= keyspace.Databases:
		w.Reply.Error(ErrDBIndex)
	default:
		if a != b {
			w.Space.Swap(int(a), int(b))
		}
		w.OK()
	}
}
