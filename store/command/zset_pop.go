package command

import "github.com/raftredis/raftredis/store/keyspace"

func zpopmin(w *Write) { zpop(w, false) }
func zpopmax(w *Write) { zpop(w, true) }

func zpop(w *Write, highest bool) {
	if len(w.Args) > 3 {
		w.Reply.Error(ErrSyntax)
		return
	}
	pop := zpopShape{highest: highest, count: 1}
	if len(w.Args) == 3 {
		var ok bool
		if pop.count, ok = zrangedInt(&w.Call, 2, 0, "ERR value is out of range, must be positive"); !ok {
			return
		}
		pop.nested = w.Reply.RESP3()
	}
	z, err := w.DB.ZSetAt(w.Args[1])
	switch {
	case err != nil:
		w.Fail(err)
	case z == nil || pop.count == 0:
		w.Reply.Array(0)
	default:
		pop.run(w, w.Args[1], z)
	}
}

// zrangedInt returns argument i as a number of at least low. If it is none it
// has replied text.
func zrangedInt(c *Call, i int, low int64, text string) (int64, bool) {
	n, ok := c.IntOr(i, text)
	if ok && n < low {
		c.Reply.Error(text)
		return 0, false
	}
	return n, ok
}

// zpopShape says what to pop and what the reply looks like: Redis has three
// forms of it.
type zpopShape struct {
	highest bool
	count   int64
	nested  bool // each member with its score in an array of its own
	withKey bool
}

// run pops from z, which is at key and not empty.
func (p zpopShape) run(w *Write, key []byte, z *keyspace.ZSetView) {
	n := int(min(p.count, int64(z.Len())))
	switch {
	case p.nested && p.withKey:
		w.Reply.Array(2)
		w.Reply.Bulk(key)
		w.Reply.Array(n)
	case p.nested:
		w.Reply.Array(n)
	case p.withKey:
		w.Reply.Array(2*n + 1)
		w.Reply.Bulk(key)
	default:
		w.Reply.Array(2 * n)
	}
	lo, hi, event := 0, n, "zpopmin"
	if p.highest {
		lo, hi, event = z.Len()-n, z.Len(), "zpopmax"
	}
	z.Range(lo, hi, p.highest, func(member []byte, score float64) bool {
		if p.nested {
			w.Reply.Array(2)
		}
		w.Reply.Bulk(member)
		w.Reply.Double(score)
		return true
	})
	zremoveSpan(w, key, z, lo, hi, event)
}

// first pops from the first of keys that is there. It reports whether it has
// replied, be it an error.
func (p zpopShape) first(w *Write, keys [][]byte) bool {
	for _, key := range w.waiting(keys) {
		z, err := w.DB.ZSetAt(key)
		if err != nil {
			w.Fail(err)
			return true
		}
		if z != nil {
			p.run(w, key, z)
			return true
		}
	}
	return false
}

func zmpop(w *Write) {
	keys, pop, ok := parseZMPop(&w.Call, 1)
	if ok && !pop.first(w, keys) {
		w.Reply.NullArray()
	}
}

// parseZMPop reads numkeys key [key ...] MIN|MAX [COUNT count] from argument i
// on.
func parseZMPop(c *Call, i int) (keys [][]byte, pop zpopShape, ok bool) {
	const errCount = "ERR count should be greater than 0"
	numKeys, ok := zrangedInt(c, i, 1, "ERR numkeys should be greater than 0")
	if !ok {
		return nil, pop, false
	}
	if numKeys >= int64(len(c.Args)-i-1) {
		c.Reply.Error(ErrSyntax)
		return nil, pop, false
	}
	pop = zpopShape{nested: true, withKey: true}
	where := i + 1 + int(numKeys)
	keys = c.Args[i+1 : where]
	switch {
	case c.Is(where, "min"):
	case c.Is(where, "max"):
		pop.highest = true
	default:
		c.Reply.Error(ErrSyntax)
		return nil, pop, false
	}
	for i := where + 1; i < len(c.Args); i += 2 {
		if pop.count != 0 || i+1 == len(c.Args) || !c.Is(i, "count") {
			c.Reply.Error(ErrSyntax)
			return nil, pop, false
		}
		if pop.count, ok = zrangedInt(c, i+1, 1, errCount); !ok {
			return nil, pop, false
		}
	}
	pop.count = max(pop.count, 1)
	return keys, pop, true
}

func bzpopmin(w *Write) { bzpop(w, false) }
func bzpopmax(w *Write) { bzpop(w, true) }

func bzpop(w *Write, highest bool) {
	pop := zpopShape{highest: highest, count: 1, withKey: true}
	if w.timeout(-1) {
		pop.orWait(w, w.Args[1:len(w.Args)-1])
	}
}

func bzmpop(w *Write) {
	keys, pop, ok := parseZMPop(&w.Call, 2)
	if ok && w.timeout(1) {
		pop.orWait(w, keys)
	}
}

// orWait pops from the first of keys that is there, or has the client wait.
func (p zpopShape) orWait(w *Write, keys [][]byte) {
	if !p.first(w, keys) && !w.WouldBlock() {
		w.Reply.NullArray()
	}
}

// bzpopBlock is how BZPOPMIN and BZPOPMAX wait, bzmpopBlock how BZMPOP does.
func bzpopBlock() *Block {
	return &Block{
		Kind:    keyspace.ZSet,
		Timeout: timeoutAt(-1),
		Keys:    func(argv [][]byte) [][]byte { return argv[1 : len(argv)-1] },
		Undo:    addBack,
	}
}

func bzmpopBlock() *Block {
	return &Block{
		Kind:    keyspace.ZSet,
		Timeout: timeoutAt(1),
		Keys: func(argv [][]byte) [][]byte {
			n, _ := ParseInt(argv[2])
			return argv[3 : 3+n]
		},
		Undo: addBack,
	}
}

// addBack adds what was popped from a sorted set again, but for members that
// somebody has given another score meanwhile.
func addBack(_ [][]byte, reply *Recorded) [][]byte {
	values := reply.Values()
	if len(values) < 3 {
		return nil
	}
	undo := [][]byte{[]byte("zadd"), values[0], []byte("nx")}
	for i := 1; i+1 < len(values); i += 2 {
		undo = append(undo, values[i+1], values[i])
	}
	return undo
}
