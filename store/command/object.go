package command

import (
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

// stringEncoding is what Redis would have made of a string.
func stringEncoding(s []byte, raw bool) string {
	const embedded = 44 // fits into one allocation with its header
	switch _, number := ParseInt(s); {
	case raw:
		return "raw"
	case number:
		return "int"
	case len(s) <= embedded:
		return "embstr"
	default:
		return "raw"
	}
}

func objectEncoding(r *Read) {
	in, ok := r.DB.Info(r.Args[2])
	r.quietly()
	switch {
	case !ok:
		r.Reply.Null()
	case in.Encoding != "":
		r.Reply.BulkString(in.Encoding)
	default:
		r.Reply.BulkString(stringEncoding(in.Str, in.Raw))
	}
}

func objectFreq(r *Read) {
	in, ok := r.DB.Info(r.Args[2])
	r.quietly()
	switch {
	case !ok:
		r.Reply.Null()
	case !r.DB.Limits().Policy().Counts():
		r.Reply.Error("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	default:
		r.Reply.Int(int64(in.Freq))
	}
}

func objectIdletime(r *Read) {
	in, ok := r.DB.Info(r.Args[2])
	r.quietly()
	switch {
	case !ok:
		r.Reply.Null()
	case r.DB.Limits().Policy().Counts():
		r.Reply.Error("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	default:
		r.Reply.Int(in.Idle / 1000)
	}
}

// objectRefcount answers as Redis does, which shares the numbers below 10,000
// between all keys and never counts the references to those.
func objectRefcount(r *Read) {
	in, ok := r.DB.Info(r.Args[2])
	r.quietly()
	if !ok {
		r.Reply.Null()
		return
	}
	if n, number := ParseInt(in.Str); number && !in.Raw && 0 <= n && n < 10000 {
		r.Reply.Int(math.MaxInt32)
		return
	}
	r.Reply.Int(1)
}

// quietly takes keymiss back: OBJECT's lookups count, and are told to nobody.
func (r *Read) quietly() { r.DB.Lookups.Missed = nil }

func memoryUsage(r *Read) {
	for i := 3; i < len(r.Args); i += 2 {
		if !r.Is(i, "samples") || i+1 == len(r.Args) {
			r.Reply.Error(ErrSyntax)
			return
		}
		n, ok := r.Int(i + 1)
		if !ok {
			return
		}
		if n < 0 {
			r.Reply.Error(ErrSyntax)
			return
		}
	}
	in, ok := r.DB.Info(r.Args[2])
	r.DB.Lookups = keyspace.Lookups{} // no lookup to Redis
	if !ok {
		r.Reply.Null()
		return
	}
	r.Reply.Int(int64(in.Bytes))
}
