package keyspace

// streamNode is a run of consecutive entries of a stream, packed into one
// listpack as Redis does it:
//
//	live deleted n field-1 ... field-n 0
//	flags ms seq [n] [field-1] value-1 ... length
//	...
//
// The first line is the header: how many entries are live and how many are
// marked deleted, and the fields of the first entry ever in the node. Each entry
// gives its ID relative to the node's; an entry whose fields are those of the
// header leaves them out. The length at its end is the number of elements in
// it, for reading backwards.
type streamNode struct {
	epoch uint64 // the stream's epoch in which this node became private to it
	id    StreamID
	lp    listpack
}

const (
	entryDeleted    = 1
	entrySameFields = 2
)

// maxStreamItem bounds the bytes of one entry, and of one node.
const maxStreamItem = 1 << 30

// newStreamNode returns a node without entries, whose fields are those of args,
// which alternates fields and values.
func newStreamNode(epoch uint64, id StreamID, args [][]byte) *streamNode {
	size := 0
	for _, a := range args {
		size += len(a) + 6
	}
	lp := newListpack(min(size+32, 4096)).open().addInt(0).addInt(0).addInt(int64(len(args) / 2))
	for i := 0; i < len(args); i += 2 {
		lp = lp.addString(args[i])
	}
	lp = lp.addInt(0).shut(len(args)/2 + 4)
	return &streamNode{epoch: epoch, id: id, lp: lp}
}

// header reads the first line: counts, the number of the fields and the
// position of the first of them.
func (n *streamNode) header() (live, deleted, fields, fieldsAt int) {
	pos := lpHeader
	var num [3]int
	for i := range num {
		v, _ := n.lp.num(pos)
		num[i] = int(v)
		pos = n.lp.next(pos)
	}
	return num[0], num[1], num[2], pos
}

// live is the number of entries that are not deleted.
func (n *streamNode) live() int {
	v, _ := n.lp.num(lpHeader)
	return int(v)
}

// append adds an entry at the end.
func (n *streamNode) append(id StreamID, args [][]byte) {
	live, _, fields, fieldsAt := n.header()
	same := fields == len(args)/2
	var buf [20]byte
	for i, pos := 0, fieldsAt; same && i < len(args); i += 2 {
		same = string(n.lp.bytes(pos, buf[:0])) == string(args[i])
		pos = n.lp.next(pos)
	}
	lp := n.lp.setInt(lpHeader, int64(live+1)).open()
	elements := 3 + len(args)/2
	if same {
		lp = lp.addInt(entrySameFields)
	} else {
		lp = lp.addInt(0)
		elements += 1 + len(args)/2
	}
	lp = lp.addInt(int64(id.MS - n.id.MS)).addInt(int64(id.Seq - n.id.Seq))
	if !same {
		lp = lp.addInt(int64(len(args) / 2))
	}
	for i := 0; i < len(args); i += 2 {
		if !same {
			lp = lp.addString(args[i])
		}
		lp = lp.addString(args[i+1])
	}
	n.lp = lp.addInt(int64(elements)).shut(elements + 1)
}

// StreamEntry is an entry within its stream. A visitor gets the same one again
// and again, with other contents; a copy is valid until the stream is next
// changed.
type StreamEntry struct {
	ID     StreamID
	Fields int // number of pairs

	lp     listpack
	flags  int64
	at     int // position of the entry's flags
	names  int // position of the header's fields, or -1 if the entry has its own
	values int // position of the first value, or of the first field if names is -1

	nameBuf, valueBuf [20]byte // to print integers to
}

// Each calls visit for each pair. The slices are valid during the call only.
func (e *StreamEntry) Each(visit func(field, value []byte)) {
	names, pos := e.names, e.values
	for range e.Fields {
		var field []byte
		if e.names >= 0 {
			field = e.lp.bytes(names, e.nameBuf[:0])
			names = e.lp.next(names)
		} else {
			field = e.lp.bytes(pos, e.nameBuf[:0])
			pos = e.lp.next(pos)
		}
		value := e.lp.bytes(pos, e.valueBuf[:0])
		pos = e.lp.next(pos)
		visit(field, value)
	}
}

// read fills e in with the entry at pos.
func (n *streamNode) read(e *StreamEntry, pos, fields, fieldsAt int) {
	e.lp, e.at, e.names, e.Fields = n.lp, pos, fieldsAt, fields
	e.flags, _ = n.lp.num(pos)
	pos = n.lp.next(pos)
	ms, _ := n.lp.num(pos)
	pos = n.lp.next(pos)
	seq, _ := n.lp.num(pos)
	pos = n.lp.next(pos)
	e.ID = StreamID{n.id.MS + uint64(ms), n.id.Seq + uint64(seq)}
	if e.flags&entrySameFields == 0 {
		own, _ := n.lp.num(pos)
		pos = n.lp.next(pos)
		e.names, e.Fields = -1, int(own)
	}
	e.values = pos
}

// end is the position behind the entry.
func (e *StreamEntry) end() int {
	elements := e.Fields
	if e.names < 0 {
		elements *= 2
	}
	return e.lp.skip(e.values, elements+1)
}

// each calls visit for the entries in order, the deleted ones included, until
// it answers false, and reports whether it never did.
func (n *streamNode) each(visit func(e *StreamEntry) bool) bool {
	_, _, fields, fieldsAt := n.header()
	e := new(StreamEntry) // one for all: visitors copy what they keep
	for pos := n.lp.skip(fieldsAt, fields+1); !n.lp.end(pos); pos = e.end() {
		if n.read(e, pos, fields, fieldsAt); !visit(e) {
			return false
		}
	}
	return true
}

// eachBack is each from the last entry to the first.
func (n *streamNode) eachBack(visit func(e *StreamEntry) bool) bool {
	_, _, fields, fieldsAt := n.header()
	e := new(StreamEntry)
	for pos := len(n.lp) - 1; ; {
		pos = n.lp.prev(pos)
		elements, _ := n.lp.num(pos)
		if elements == 0 { // the end of the header
			return true
		}
		for ; elements > 0; elements-- {
			pos = n.lp.prev(pos)
		}
		if n.read(e, pos, fields, fieldsAt); !visit(e) {
			return false
		}
	}
}

// last returns the ID of the last entry, be it a deleted one. There always is
// one.
func (n *streamNode) last() (id StreamID) {
	n.eachBack(func(e *StreamEntry) bool { id = e.ID; return false })
	return id
}

// mark marks the live entries at these positions as deleted.
func (n *streamNode) mark(at []int) {
	for _, pos := range at { // first: the header may grow or shrink
		flags, _ := n.lp.num(pos)
		n.lp = n.lp.setInt(pos, flags|entryDeleted)
	}
	live, deleted, _, _ := n.header()
	n.lp = n.lp.setInt(lpHeader, int64(live-len(at)))
	n.lp = n.lp.setInt(n.lp.next(lpHeader), int64(deleted+len(at)))
}

// valid reports whether the node, whose bytes may come from anywhere, is what
// this package could have made, and returns its first and last live entries.
//
// The IDs of live entries rise. Those of deleted ones need not: after XSETID has
// taken the last ID back to a live entry's, lower ones follow.
func (n *streamNode) valid() (live int, first, last StreamID, ok bool) {
	elements, ok := validateListpack(n.lp)
	if !ok || elements < 4 {
		return 0, first, last, false
	}
	pos, left := lpHeader, elements
	num := func() int64 { // the next element; out of range if it is none
		if left == 0 || n.lp.end(pos) {
			ok = false
			return 0
		}
		v, isNum := n.lp.num(pos)
		ok = ok && isNum
		pos = n.lp.next(pos)
		left--
		return v
	}
	skip := func(k int64) {
		if k < 0 || k > int64(left) {
			ok = false
			return
		}
		pos = n.lp.skip(pos, int(k))
		left -= int(k)
	}
	wantLive, wantDeleted, fields := num(), num(), num()
	skip(fields)
	ok = ok && num() == 0
	var deleted int64
	for ok && left > 0 {
		flags := num()
		id := StreamID{n.id.MS + uint64(num()), n.id.Seq + uint64(num())}
		own, want := fields, 3+fields
		if flags&entrySameFields == 0 {
			own = num()
			if own > int64(left) {
				return 0, first, last, false
			}
			skip(own)
			want = 4 + 2*own
		}
		skip(own)
		switch {
		case !ok || flags&^(entryDeleted|entrySameFields) != 0 || num() != want:
			return 0, first, last, false
		case flags&entryDeleted != 0:
			deleted++
			continue
		case live == 0 && id.Compare(n.id) < 0, live > 0 && id.Compare(last) <= 0:
			return 0, first, last, false
		case live == 0:
			first = id
		}
		live++
		last = id
	}
	return live, first, last, ok && live+int(deleted) > 0 && int64(live) == wantLive && deleted == wantDeleted
}
