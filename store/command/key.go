package command

import "github.com/raftredis/raftredis/store/keyspace"

// count replies how many of the keys f is true of.
func count(c *Call, f func(key []byte) bool) {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if f(key) {
			n++
		}
	}
	c.Reply.Int(n)
}

func del(w *Write)   { count(&w.Call, w.remove) }
func exists(r *Read) { count(&r.Call, r.DB.Exists) }
func touch(r *Read)  { count(&r.Call, r.DB.Touch) }
func typeOf(r *Read) {
	k := r.DB.Kind(r.Args[1])
	r.DB.Lookup(r.Args[1], k != keyspace.None)
	r.Reply.Status(k.String())
}

func rename(w *Write) { renameKey(w, false) }

func renamenx(w *Write) { renameKey(w, true) }

func renameKey(w *Write, nx bool) {
	from, to := w.Args[1], w.Args[2]
	switch {
	case !w.DB.Exists(from):
		w.Reply.Error(ErrNoSuchKey)
		return
	case nx && w.DB.Exists(to): // the same key included
		w.Reply.Int(0)
		return
	case string(from) != string(to):
		w.DB.Move(from, w.DB, to)
		w.event(keyspace.EventGeneric, "rename_from", from)
		w.event(keyspace.EventGeneric, "rename_to", to)
	}
	if nx {
		w.Reply.Int(1)
	} else {
		w.OK()
	}
}

func copyKey(w *Write) {
	from, to := w.Args[1], w.Args[2]
	db, replace := w.DB.ID(), false
	for i := 3; i < len(w.Args); i++ {
		switch {
		case w.Is(i, "replace"):
			replace = true
		case w.Is(i, "db") && i+1 < len(w.Args):
			i++
			var ok bool
			if db, ok = w.Database(i); !ok {
				return
			}
		default:
			w.Reply.Error(ErrSyntax)
			return
		}
	}
	if db == w.DB.ID() && string(from) == string(to) {
		w.Reply.Error(ErrSameObject)
		return
	}
	dst := w.Space.DB(db)
	if !w.DB.Exists(from) || dst.Exists(to) && !replace {
		w.Reply.Int(0)
		return
	}
	copied := w.DB.Copy(from, &dst, to)
	if copied {
		dst.Event(keyspace.EventGeneric, "copy_to", to)
	}
	w.IntBool(copied)
}

func move(w *Write) {
	db, ok := w.Database(2)
	if !ok {
		return
	}
	if db == w.DB.ID() {
		w.Reply.Error(ErrSameObject)
		return
	}
	key, dst := w.Args[1], w.Space.DB(db)
	moved := w.DB.Exists(key) && !dst.Exists(key) && w.DB.Move(key, &dst, key)
	if moved {
		w.event(keyspace.EventGeneric, "move_from", key)
		dst.Event(keyspace.EventGeneric, "move_to", key)
	}
	w.IntBool(moved)
}
