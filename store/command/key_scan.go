package command

import (
	"strconv"

	"github.com/raftredis/raftredis/store/glob"
	"github.com/raftredis/raftredis/store/keyspace"
)

// everything reports whether a pattern is the one that matches all keys, the
// empty one included.
func everything(pattern []byte) bool { return string(pattern) == "*" }

func keys(r *Read) {
	pattern, all := r.Args[1], everything(r.Args[1])
	var found [][]byte
	r.DB.Scan(0, r.DB.Len(), func(key []byte, _ keyspace.Kind) {
		if all || glob.Match(pattern, key, false) {
			found = append(found, key)
		}
	})
	replyKeys(r.Reply, found)
}

func replyKeys(reply Reply, keys [][]byte) {
	reply.Array(len(keys))
	for _, key := range keys {
		reply.Bulk(key)
	}
}

func scan(r *Read) {
	cursor, ok := parseCursor(&r.Call, 1)
	if !ok {
		return
	}
	o, ok := parseScan(&r.Call, 2, true)
	if !ok {
		return
	}
	var found [][]byte
	cursor = r.DB.Scan(cursor, o.count, func(key []byte, k keyspace.Kind) {
		if o.pattern != nil && !glob.Match(o.pattern, key, false) {
			return
		}
		if o.kind != nil {
			r.DB.Lookup(key, true)
		}
		if o.kind == nil || EqualFold(o.kind, k.String()) {
			found = append(found, key)
		}
	})
	r.Reply.Array(2)
	r.Reply.BulkString(strconv.FormatUint(cursor, 10))
	replyKeys(r.Reply, found)
}

func randomkey(r *Read) {
	n := r.DB.Len()
	if n == 0 {
		r.Reply.Null()
		return
	}
	// Most keys are not past their deadline: a few throws find one. If none does,
	// the search goes on from the last throw, which favours some keys but ends.
	const throws = 100
	at := 0
	for range throws {
		at = r.Rand.Intn(n)
		if key, ok := r.DB.At(at); ok {
			r.Reply.Bulk(key)
			return
		}
	}
	for i := range n {
		if key, ok := r.DB.At((at + i) % n); ok {
			r.Reply.Bulk(key)
			return
		}
	}
	r.Reply.Null()
}
