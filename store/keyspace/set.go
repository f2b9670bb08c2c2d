package keyspace

import (
	"iter"
	"strconv"
)

// SetView is a set for reading. A small one of integers only is an intset,
// which is sorted; any other is a dict. The change from one to the other is
// sticky.
//
// The members that it hands out are valid until the set is next changed or
// asked for another one.
type SetView struct {
	ints intset
	dict *dict[struct{}] // nil for an intset
	size int             // bytes of the members in dict
}

// SetObject is a set for changing. The zero value is an empty one.
type SetObject struct{ SetView }

// SetAt returns the set at key, nil if there is none.
func (v *View) SetAt(key []byte) (*SetView, error) {
	o, err := v.object(key, Set)
	if o == nil {
		return nil, err
	}
	return &o.(*SetObject).SetView, nil
}

// SetForUpdate returns the set at key for changing, nil if there is none and
// create is not set. Whoever empties a set deletes its key.
func (db *DB) SetForUpdate(key []byte, create bool) (*SetObject, error) {
	o, err := db.objectForUpdate(key, Set, creator(create, func() Object { return &SetObject{} }))
	if o == nil {
		return nil, err
	}
	return o.(*SetObject), nil
}

// Len returns the number of members.
func (s *SetView) Len() int {
	if s.dict != nil {
		return s.dict.len()
	}
	return s.ints.len()
}

// Has reports whether member is in the set.
func (s *SetView) Has(member []byte) bool {
	if s.dict != nil {
		return s.dict.find(member) >= 0
	}
	n, ok := setInt(member)
	if ok {
		_, ok = s.ints.find(n)
	}
	return ok
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
	if s.dict != nil {
		return stringBytes(s.dict.at(i).key)
	}
	return strconv.AppendInt(nil, s.ints.at(i), 10)
}

// Scan visits up to count members from cursor and returns the next cursor, 0 at
// the end; an intset it visits whole. See dict for what it guarantees.
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
	if s.dict == nil {
		if n, ok := setInt(member); ok {
			added := s.ints.add(n)
			if added && int64(s.ints.len()) > min(lim.SetMaxIntsetEntries, 1<<30) {
				s.Expand()
			}
			return added
		}
		s.Expand()
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

// Expand gives the set the form that is fast when big.
func (s *SetObject) Expand() {
	if s.dict != nil {
		return
	}
	small := SetView{ints: s.ints}
	s.ints, s.dict = intset{}, &dict[struct{}]{}
	for member := range small.All() {
		s.addBig(member)
	}
}

// Remove removes member and reports whether it was there.
func (s *SetObject) Remove(member []byte) bool {
	if s.dict != nil {
		pos := s.dict.find(member)
		if pos >= 0 {
			s.RemoveAt(pos)
		}
		return pos >= 0
	}
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

// RemoveAt removes member i of [0, Len). Others may change places.
func (s *SetObject) RemoveAt(i int) {
	if s.dict == nil {
		s.ints.remove(i)
		return
	}
	s.size -= len(s.dict.at(i).key)
	s.dict.remove(i)
}

// Kind is Set.
func (s *SetObject) Kind() Kind { return Set }

// Encoding is Redis's name for the form.
func (s *SetObject) Encoding() string {
	if s.dict != nil {
		return "hashtable"
	}
	return "intset"
}

const (
	setBytes    = 96 // the object
	memberBytes = 56 // what a dict spends on an item without a value, beside its bytes
)

// Bytes estimates the memory in use. That of an intset counts what its members
// need and not how wide they once were, which is not part of the state.
func (s *SetObject) Bytes() int {
	if s.dict != nil {
		return setBytes + dictBytes + s.dict.len()*memberBytes + s.size
	}
	return setBytes + 8*s.ints.len()
}

// Fork copies an intset, and the directory of a dict.
func (s *SetObject) Fork() Object {
	if s.dict != nil {
		return &SetObject{SetView{dict: s.dict.fork(), size: s.size}}
	}
	return &SetObject{SetView{ints: s.ints.clone()}}
}

// Encode writes the form, the number of members and the members.
func (s *SetObject) Encode(e *Encoder) {
	form := byte(formSmall)
	if s.dict != nil {
		form = formBig
	}
	e.Byte(form)
	e.Uvarint(uint64(s.Len()))
	for member := range s.All() {
		e.Bytes(member)
	}
}

func decodeSet(d *Decoder) Object {
	s := &SetObject{}
	form := d.Byte()
	if form == formBig {
		s.Expand()
	} else if form != formSmall {
		d.fail("unknown form of set")
	}
	lim := Limits{SetMaxIntsetEntries: maxLong}
	for n := d.Uvarint(); n > 0 && d.err == nil; n-- {
		if !s.Add(d.Bytes(), &lim) && d.err == nil {
			d.fail("member listed twice")
		}
		if form == formSmall && s.dict != nil && d.err == nil {
			d.fail("intset of something else")
		}
	}
	if s.Len() == 0 {
		d.fail("empty set")
	}
	return s
}
