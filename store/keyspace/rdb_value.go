package keyspace

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// value reads a value with its type.
func (r *rdbReader) value() *Dumped {
	d := &Dumped{}
	switch r.byte() {
	case rdbString:
		d.str = r.own()
	case rdbList:
		d.obj = r.list(r.elements())
	case rdbListZiplist:
		d.obj = r.list(r.ziplist(r.string()))
	case rdbQuicklist:
		d.obj = r.list(r.quicklist(false))
	case rdbQuicklist2:
		d.obj = r.list(r.quicklist(true))
	case rdbSet:
		d.obj = r.set(r.elements())
	case rdbSetIntset:
		d.obj = r.intset()
	case rdbHash:
		d.obj = r.hash(r.pairs(r.elements2()), false)
	case rdbHashListpack:
		d.obj = r.hash(r.pairs(r.listpack(r.string())), true)
	case rdbHashZiplist:
		d.obj = r.hash(r.pairs(r.ziplist(r.string())), true)
	case rdbZSet:
		d.obj = r.zset(r.scores(true), false)
	case rdbZSet2:
		d.obj = r.zset(r.scores(false), false)
	case rdbZSetListpack:
		d.obj = r.zset(r.packedScores(r.listpack(r.string())), true)
	case rdbZSetZiplist:
		d.obj = r.zset(r.packedScores(r.ziplist(r.string())), true)
	case rdbStream:
		d.obj = r.stream(false)
	case rdbStream2:
		d.obj = r.stream(true)
	default:
		r.fail()
	}
	return d
}

// elements reads a number and so many strings.
func (r *rdbReader) elements() [][]byte { return r.strings(r.count()) }

// elements2 reads a number and twice so many strings.
func (r *rdbReader) elements2() [][]byte { return r.strings(2 * min(r.count(), 1<<40)) }

func (r *rdbReader) strings(n uint64) (out [][]byte) {
	for ; n > 0 && !r.bad; n-- {
		out = append(out, r.string())
	}
	return out
}

// listpack returns the elements of a listpack.
func (r *rdbReader) listpack(b []byte) [][]byte {
	n, ok := validateListpack(b)
	if r.bad || !ok {
		r.fail()
		return nil
	}
	out := make([][]byte, 0, n)
	lp := listpack(b)
	for pos := lpHeader; !lp.end(pos); pos = lp.next(pos) {
		out = append(out, lp.bytes(pos, nil))
	}
	return out
}

// quicklist reads the nodes of a list: each a ziplist, or as packed says a
// listpack or a single element. Empty ones are passed over.
func (r *rdbReader) quicklist(packed bool) (out [][]byte) {
	for n := r.count(); n > 0 && !r.bad; n-- {
		form := uint64(rdbPackedNode)
		if packed {
			form = r.len()
		}
		b := r.string()
		switch {
		case len(b) == 0:
			r.fail()
		case !packed:
			out = append(out, r.ziplist(b)...)
		case form == rdbPlainNode:
			out = append(out, b)
		case form == rdbPackedNode:
			out = append(out, r.listpack(b)...)
		default:
			r.fail()
		}
	}
	return out
}

func (r *rdbReader) list(elements [][]byte) Object {
	l := &ListObject{}
	for _, b := range elements {
		l.PushBack(b, r.limits)
	}
	if l.Len() == 0 {
		r.fail()
	}
	return l
}

func (r *rdbReader) set(members [][]byte) Object {
	s := &SetObject{}
	if int64(len(members)) > r.limits.SetMaxIntsetEntries {
		s.Expand()
	}
	for _, b := range members {
		if !s.Add(b, r.limits) {
			r.fail()
			break
		}
	}
	return s
}

// intset reads a set of integers in order.
func (r *rdbReader) intset() Object {
	s := &SetObject{}
	b := r.string()
	if len(b) < 8 {
		r.fail()
		return s
	}
	size, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	b = b[8:]
	if size != 2 && size != 4 && size != 8 || n == 0 || uint64(n)*uint64(size) != uint64(len(b)) {
		r.fail()
		return s
	}
	unlimited := Limits{SetMaxIntsetEntries: maxLong}
	var buf [20]byte
	for before := int64(0); len(b) > 0; b = b[size:] {
		var v int64
		switch size {
		case 2:
			v = int64(int16(binary.LittleEndian.Uint16(b)))
		case 4:
			v = int64(int32(binary.LittleEndian.Uint32(b)))
		default:
			v = int64(binary.LittleEndian.Uint64(b))
		}
		if s.Len() > 0 && v <= before {
			r.fail()
			return s
		}
		s.Add(strconv.AppendInt(buf[:0], v, 10), &unlimited)
		before = v
	}
	if int64(n) > r.limits.SetMaxIntsetEntries {
		s.Expand()
	}
	return s
}

// pairs checks that there are as many fields as values.
func (r *rdbReader) pairs(elements [][]byte) [][]byte {
	if len(elements)%2 != 0 || len(elements) == 0 {
		r.fail()
		return nil
	}
	return elements
}

// hash makes a hash of fields and values in turn. One that was packed stays so
// whatever the size of its values, as Redis has it.
func (r *rdbReader) hash(elements [][]byte, packed bool) Object {
	h := &HashObject{}
	limits := *r.limits
	if packed {
		limits.HashMaxListpackValue = maxLong
	}
	if int64(len(elements)/2) > limits.HashMaxListpackEntries {
		h.Expand()
	}
	for i := 0; i < len(elements); i += 2 {
		if !h.Set(elements[i], elements[i+1], &limits) {
			r.fail()
			break
		}
	}
	return h
}

// scores reads a number and so many members with their scores.
func (r *rdbReader) scores(old bool) (out []Member) {
	for n := r.count(); n > 0 && !r.bad; n-- {
		m := Member{Name: r.string()}
		m.Score = r.float(old)
		out = append(out, m)
	}
	return out
}

// packedScores makes members of names and scores in turn.
func (r *rdbReader) packedScores(elements [][]byte) (out []Member) {
	elements = r.pairs(elements)
	for i := 0; i < len(elements); i += 2 {
		score, ok := parseScore(elements[i+1])
		if !ok {
			r.fail()
			return nil
		}
		out = append(out, Member{elements[i], score})
	}
	return out
}

func (r *rdbReader) zset(members []Member, packed bool) Object {
	if r.bad || len(members) == 0 || duplicateMembers(members) {
		r.fail()
		return &ZSetObject{}
	}
	limits := *r.limits
	if packed {
		limits.ZSetMaxListpackValue = maxLong
	}
	return NewZSet(members, &limits)
}

func duplicateMembers(members []Member) bool {
	seen := make(map[string]struct{}, len(members))
	for _, m := range members {
		seen[string(m.Name)] = struct{}{}
	}
	return len(seen) != len(members)
}

// stream reads a stream. The old form has fewer counters.
func (r *rdbReader) stream(counters bool) Object {
	s := NewStream()
	l := streamLoader{s: s}
	for n := r.len(); n > 0 && !r.bad; n-- {
		id, lp := r.string(), r.string()
		if len(id) != 16 || !l.add(bigStreamID(id), slices.Clone(lp)) {
			r.fail()
			return s
		}
	}
	length := r.len()
	s.last = r.streamID()
	s.added = int64(s.length)
	if counters {
		r.streamID() // the first entry's, which the nodes tell
		s.maxDeleted = r.streamID()
		s.added = int64(r.len())
	}
	if uint64(s.length) != length || l.top.Compare(s.last) > 0 || s.added < 0 {
		r.fail()
		return s
	}
	for n := r.len(); n > 0 && !r.bad; n-- {
		r.streamGroup(s, counters)
	}
	return s
}

func (r *rdbReader) streamGroup(s *StreamObject, counters bool) {
	name, last := r.string(), r.streamID()
	read := s.readAt(last)
	if counters {
		read = int64(r.len())
	}
	if r.bad || read < EntriesReadUnknown || !s.CreateGroup(name, last, read) {
		r.fail()
		return
	}
	g, _ := s.GroupForUpdate(name)
	pending := make(map[StreamID]Pending)
	for n := r.len(); n > 0 && !r.bad; n-- {
		p := Pending{ID: r.bigStreamID(), Delivered: int64(r.uint64())}
		p.Count = int64(r.len())
		if _, twice := pending[p.ID]; twice {
			r.fail()
		}
		pending[p.ID] = p
	}
	for n := r.len(); n > 0 && !r.bad; n-- {
		name, seen := r.string(), int64(r.uint64())
		if r.bad || !g.CreateConsumer(name, seen) {
			r.fail()
			return
		}
		for n := r.len(); n > 0 && !r.bad; n-- {
			id := r.bigStreamID()
			p, ok := pending[id]
			if !ok {
				r.fail()
				return
			}
			p.Consumer = string(name)
			g.SetPending(p)
			delete(pending, id)
		}
	}
	if len(pending) > 0 { // nobody's
		r.fail()
	}
}
