package keyspace

import "unsafe"

// value is what a key maps to: a string, or an Object.
//
// Invariant: if version is above the keyspace's frozen index, then the bytes (if
// private) and the object belong to the live keyspace alone and may be changed in
// place. touch establishes it.
//
// With its key it fills 64 bytes, one cache line: there may be a hundred million.
// That is why the slice of a
// string is kept in 16 bytes (no string is longer than 512 MB), and an object, of
// which there are fewer, behind a pointer.
type value struct {
	str     *byte
	strLen  uint32
	strCap  uint32
	box     *Object // nil for a string; what it points at never changes
	expire  int64   // deadline in ms on the state clock, 0 for none
	version uint64  // index of the log entry that last changed the key
	access  uint32  // seconds on the reader's clock; this node's own, not state
	hits    uint8   // logarithmic access counter (LFU); this node's own, not state
	private bool    // the bytes were copied for this key alone
	raw     bool    // they have been changed in place since they were set: OBJECT ENCODING tells
}

func (v *value) kind() Kind {
	switch {
	case v == nil:
		return None
	case v.box == nil:
		return String
	default:
		return (*v.box).Kind()
	}
}

// bytes returns the string, nil if the value is an object.
func (v *value) bytes() []byte { return unsafe.Slice(v.str, v.strCap)[:v.strLen] }

// setBytes makes the value a string, or gives a string other bytes.
func (v *value) setBytes(s []byte) {
	v.str, v.strLen, v.strCap, v.box = unsafe.SliceData(s), uint32(len(s)), uint32(cap(s)), nil
}

// object returns the object, nil if the value is a string.
func (v *value) object() Object {
	if v.box == nil {
		return nil
	}
	return *v.box
}

// setObject makes the value an object. It takes a new box each time: a snapshot
// may be looking into the old one.
func (v *value) setObject(o Object) {
	v.str, v.strLen, v.strCap, v.box = nil, 0, 0, &o
}
