package command

import (
	"errors"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Dump returns the commands about values in Redis's serialization.
func Dump() []*Spec {
	return []*Spec{
		{
			Name: "dump", Arity: 2, Keys: One(1, "RO ACCESS"), ACL: "keyspace",
			Group: "generic", Since: "2.6.0", Complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
			Summary: "Return a serialized version of the value stored at the specified key.", Tips: "nondeterministic_output",
			Syntax: "key",
			Read:   dump,
		},
		{
			Name: "restore", Arity: -4, Flags: DenyOOM | Dangerous, Keys: One(1, "OW UPDATE"), ACL: "keyspace",
			Group: "generic", Since: "2.6.0", Complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
			Summary: "Create a key using the provided serialized value, previously obtained using DUMP.",
			Syntax:  "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
			Write:   restore,
		},
	}
}

func dump(r *Read) {
	if payload, ok := r.DB.Dump(r.Args[1]); ok {
		r.Reply.Bulk(payload)
	} else {
		r.Reply.Null()
	}
}

// restoreArgs are the options of RESTORE.
type restoreArgs struct {
	replace, absTTL bool
	idle, freq      int64 // -1: not given
}

func (w *Write) restoreArgs() (a restoreArgs, ok bool) {
	a.idle, a.freq = -1, -1
	for i := 4; i < len(w.Args); i++ {
		more := i+1 < len(w.Args)
		switch {
		case w.Is(i, "replace"):
			a.replace = true
		case w.Is(i, "absttl"):
			a.absTTL = true
		case w.Is(i, "idletime") && more && a.freq == -1:
			i++
			if a.idle, ok = w.Int(i); !ok {
				return a, false
			}
			if a.idle < 0 {
				w.Reply.Error("ERR Invalid IDLETIME value, must be >= 0")
				return a, false
			}
		case w.Is(i, "freq") && more && a.idle == -1:
			i++
			if a.freq, ok = w.Int(i); !ok {
				return a, false
			}
			if a.freq < 0 || a.freq > 255 {
				w.Reply.Error("ERR Invalid FREQ value, must be >= 0 and <= 255")
				return a, false
			}
		default:
			w.Reply.Error(ErrSyntax)
			return a, false
		}
	}
	return a, true
}

func restore(w *Write) {
	a, ok := w.restoreArgs()
	if !ok {
		return
	}
	key := w.Args[1]
	if !a.replace && w.DB.Exists(key) {
		w.Reply.Error("BUSYKEY Target key name already exists.")
		return
	}
	ttl, ok := w.Int(2)
	if !ok {
		return
	}
	if ttl < 0 {
		w.Reply.Error("ERR Invalid TTL value, must be >= 0")
		return
	}
	value, err := keyspace.ParseDump(w.Args[3], w.DB.Limits())
	switch {
	case errors.Is(err, keyspace.ErrDumpChecksum):
		w.Reply.Error("ERR DUMP payload version or checksum are wrong")
		return
	case err != nil:
		w.Reply.Error("ERR Bad data format")
		return
	}
	if ttl != 0 && !a.absTTL {
		ttl += w.Now // what overflows is over, as in Redis
	}
	if ttl != 0 && ttl <= w.Now {
		w.remove(key)
	} else {
		w.DB.Delete(key) // as in Redis it is another key, not another value
		w.DB.Restore(key, value, ttl, a.idle, a.freq)
		w.event(keyspace.EventGeneric, "restore", key)
	}
	w.OK()
}
