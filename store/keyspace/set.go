package keyspace

import (
	"bytes"
	"iter"
	"strconv"
)

// SetView is a set for reading. One of integers only is an intset, which is
// sorted, up to a length; any other is a pack if it is small, in order of
// insertion, and a dict if not. Changes go in that direction only. Redis 7.0 has
// hash tables where we have packs, so that is what both are called: the sets of
// a few words that there are so many of take half the memory as packs.
//
// The members that it hands out are valid until the set is next changed or
// asked for another one.
type SetView struct {
	ints intset
	pack *pack           // nil for the other two forms
	dict *dict[struct{}] // nil for the other two forms
	size int             // bytes of the members in dict
}

// A set is a pack up to this number of members of up to so many bytes each.
const (
	packedMembers = 16
	packedMember  = 64
)

// SetObject is a set for changing. The zero value is an empty one.
type SetObject struct{ SetView }

// SetAt returns the set at key, nil if there is none.
func (v *View) SetAt(key []byte) (*SetView, error) {
	o, err := v.object(key, Set)
	if o == nil {
		return nil, err
	}
	return &o.(*SetObject).SetView, nil //nolint:errcheck // object has compared the kinds
}

// SetForUpdate returns the set at key for changing, nil if there is none and
// create is not set. Whoever empties a set deletes its key.
func (db *DB) SetForUpdate(key []byte, create bool) (*SetObject, error) {
	o, err := db.objectForUpdate(key, Set, creator(create, func() Object { return &SetObject{} }))
	if o == nil {
		return nil, err
	}
	return o.(*SetObject), nil //nolint:errcheck // objectForUpdate has compared the kinds
}

// Len returns the number of members.
func (s *SetView) Len() int {
	switch {
	case s.dict != nil:
		return s.dict.len()
	case s.pack != nil:
		return s.pack.n
	default:
		return s.ints.len()
	}
}

func (s *SetView) isInts() bool { return s.dict == nil && s.pack == nil }

// Has reports whether member is in the set.
func (s *SetView) Has(member []byte) bool {
	switch {
	case s.dict != nil:
		return s.dict.find(member) >= 0
	case s.pack != nil:
		return s.pack.find(member) >= 0
	default:
		n, ok := setInt(member)
		if ok {
			_, ok = s.ints.find(n)
		}
		return ok
	}
}

// find returns the position of the entry b, -1 if there is none.
func (p *pack) find(b []byte) int {
	for pos := p.start(); pos < p.end(); {
		e, next := p.at(pos)
		if bytes.Equal(e, b) {
			return pos
		}
		pos = next
	}
	return -1
}

// All walks the members in their order.
func (s *SetView) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.dict != nil {
			for i := range s.dict.len() {
				if !yield(stringBytes(s.dict.at(i).key)) {
					return
				}
			}
			return
		}
		if s.pack != nil {
			s.pack.all(s.pack.start())(yield)
			return
		}
		var buf [20]byte
		for i := range s.ints.len() {
			if !yield(strconv.AppendInt(buf[:0], s.ints.at(i), 10)) {
				return
			}
		}
	}
}

// At returns member i of [0, Len) in the order of All.
func (s *SetView) At(i int) []byte {
	switch {
	case s.dict != nil:
		return stringBytes(s.dict.at(i).key)
	case s.pack != nil:
		b, _ := s.pack.at(s.pack.seek(i))
		return b
	default:
		return strconv.AppendInt(nil, s.ints.at(i), 10)
	}
}

// Scan visits up to count members from cursor and returns the next cursor, 0 at
// the end; a set that is no dict it visits whole. See dict for what it guarantees.
func (s *SetView) Scan(cursor uint64, count int, visit func(member []byte)) uint64 {
	if s.dict != nil {
		return s.dict.scan(cursor, count, func(it *item[struct{}]) { visit(stringBytes(it.key)) })
	}
	for member := range s.All() {
		visit(member)
	}
	return 0
}

// Add adds a copy of member and reports whether it is new.
func (s *SetObject) Add(member []byte, lim *Limits) bool {
	if s.isInts() {
		if n, ok := setInt(member); ok {
			added := s.ints.add(n)
			if added && int64(s.ints.len()) > min(lim.SetMaxIntsetEntries, 1<<30) {
				s.Expand()
			}
			return added
		}
		s.Expand()
	}
	if s.pack != nil {
		if s.pack.find(member) >= 0 {
			return false
		}
		if s.pack.n < packedMembers && len(member) <= packedMember {
			s.pack.insert(s.pack.end(), member)
			return true
		}
		s.unpack()
	}
	return s.addBig(member)
}

func (s *SetObject) addBig(member []byte) bool {
	if s.dict.find(member) >= 0 {
		return false
	}
	s.dict.add(string(member), struct{}{})
	s.size += len(member)
	return true
}

// Expand turns an intset into what else the set can be.
func (s *SetObject) Expand() {
	if !s.isInts() {
		return
	}
	small := SetView{ints: s.ints}
	s.ints = intset{}
	if small.Len() > packedMembers {
		s.dict = &dict[struct{}]{}
		for member := range small.All() {
			s.addBig(member)
		}
		return
	}
	s.pack = &pack{}
	if small.Len() > 0 {
		for member := range small.All() {
			s.pack.insert(s.pack.end(), member)
		}
	}
}

// unpack turns a pack into a dict.
func (s *SetObject) unpack() {
	p := s.pack
	s.pack, s.dict = nil, &dict[struct{}]{}
	for member := range p.all(p.start()) {
		s.addBig(member)
	}
}

// Remove removes member and reports whether it was there.
func (s *SetObject) Remove(member []byte) bool {
	switch {
	case s.dict != nil:
		pos := s.dict.find(member)
		if pos >= 0 {
			s.RemoveAt(pos)
		}
		return pos >= 0
	case s.pack != nil:
		pos := s.pack.find(member)
		if pos >= 0 {
			s.removePacked(pos)
		}
		return pos >= 0
	default:
		n, ok := setInt(member)
		if !ok {
			return false
		}
		i, ok := s.ints.find(n)
		if ok {
			s.ints.remove(i)
		}
		return ok
	}
}

// RemoveAt removes member i of [0, Len). Others may change places.
func (s *SetObject) RemoveAt(i int) {
	switch {
	case s.dict != nil:
		s.size -= len(s.dict.at(i).key)
		s.dict.remove(i)
	case s.pack != nil:
		s.removePacked(s.pack.seek(i))
	default:
		s.ints.remove(i)
	}
}

func (s *SetObject) removePacked(pos int) {
	_, next := s.pack.at(pos)
	s.pack.cut(pos, next, 1)
}

// Kind is Set.
func (s *SetObject) Kind() Kind { return Set }

// Encoding is Redis's name for the form.
func (s *SetObject) Encoding() string {
	if s.isInts() {
		return "intset"
	}
	return "hashtable"
}

const (
	setBytes    = 104 // the object
	packBytes   = 48  // a pack's own
	memberBytes = 56  // what a dict spends on an item without a value, beside its bytes
)

// Bytes estimates the memory in use. That of an intset counts what its members
// need and not how wide they once were, which is not part of the state.
func (s *SetObject) Bytes() int {
	switch {
	case s.dict != nil:
		return setBytes + dictBytes + s.dict.len()*memberBytes + s.size
	case s.pack != nil:
		return setBytes + packBytes + s.pack.size()
	default:
		return setBytes + 8*s.ints.len()
	}
}

// Fork copies what is small, and the directory of a dict.
func (s *SetObject) Fork() Object {
	switch {
	case s.dict != nil:
		return &SetObject{SetView{dict: s.dict.fork(), size: s.size}}
	case s.pack != nil:
		p := s.pack.clone()
		return &SetObject{SetView{pack: &p}}
	default:
		return &SetObject{SetView{ints: s.ints.clone()}}
	}
}

// Encode writes the form, the number of members and the members.
func (s *SetObject) Encode(e *Encoder) {
	form := byte(formSmall)
	switch {
	case s.dict != nil:
		form = formBig
	case s.pack != nil:
		form = formPacked
	}
	e.Byte(form)
	e.Uvarint(uint64(s.Len()))
	for member := range s.All() {
		e.Bytes(member)
	}
}

func decodeSet(d *Decoder) Object {
	s := &SetObject{}
	var add func([]byte) bool
	switch form := d.Byte(); form {
	case formSmall:
		add = func(b []byte) bool {
			n, ok := setInt(b)
			return ok && s.ints.add(n)
		}
	case formPacked:
		s.pack = &pack{}
		add = func(b []byte) bool {
			if s.pack.n == packedMembers || len(b) > packedMember || s.pack.find(b) >= 0 {
				return false
			}
			s.pack.insert(s.pack.end(), b)
			return true
		}
	default:
		if form != formBig {
			d.fail("unknown form of set")
		}
		s.dict = &dict[struct{}]{}
		add = s.addBig
	}
	for n := d.Uvarint(); n > 0 && d.err == nil; n-- {
		if b := d.Bytes(); d.err == nil && !add(b) {
			d.fail("member that cannot be in such a set, or is listed twice")
		}
	}
	if s.Len() == 0 {
		d.fail("empty set")
	}
	return s
}
