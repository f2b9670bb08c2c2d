package machine

import "github.com/raftredis/raftredis/store/keyspace"

// lookahead walks over the ops of an entry in front of the apply loop and has the
// keyspace load the keys that will be written next: see keyspace.View.CallsAhead.
// What it says is a hint. It does not look into transactions, and does not know
// which requests will be found to be duplicates.
type lookahead struct {
	requests cursor // of the entry, behind the one that ops are of
	ops      cursor
	left     int // ops that it has passed and that have not been applied
	keys     [keyspace.MaxAhead][]byte
	args     [keyspace.MaxAhead][2][]byte // the first and the last behind the key
}

// start begins with an entry, whose requests c stands at.
func (l *lookahead) start(c cursor) { l.requests, l.ops, l.left = c, cursor{}, 0 }

// stop lets go of the entry.
func (l *lookahead) stop() {
	l.start(cursor{})
	clear(l.keys[:])
	clear(l.args[:])
}

// next is called before each op.
func (l *lookahead) next(ks *keyspace.Keyspace, now int64) {
	if l.left--; l.left >= 0 {
		return
	}
	n, of := 0, 0
	for l.left = 0; l.left < len(l.keys) && l.more(); l.left++ {
		kind, db := l.ops.op()
		if n == 0 {
			of = db
		}
		if kind != opWrite {
			l.ops = cursor{} // its ops are applied without a hint
			continue
		}
		var key []byte
		var args [2][]byte
		count := l.ops.count()
		for i := range count {
			switch arg := l.ops.bytes(); i {
			case 0:
			case 1:
				key = arg
			case 2:
				args[0], args[1] = arg, arg
			case count - 1:
				args[1] = arg
			}
		}
		if count > 1 && db == of {
			l.keys[n], l.args[n] = key, args
			n++
		}
	}
	l.left--
	if n > 1 {
		view := ks.View(of, now)
		view.CallsAhead(l.keys[:n], l.args[:n])
	}
}

// more moves to the next request that has ops, if need be. A broken encoding ends
// the walk here; the apply loop will say what is wrong with it.
func (l *lookahead) more() bool {
	for !l.ops.more() {
		if !l.requests.more() {
			return false
		}
		l.ops = cursor{b: l.requests.bytes()}
		l.ops.head()
	}
	return true
}
