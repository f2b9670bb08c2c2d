package keyspace

import "unsafe"

// value is what a key maps to: a string, or an Object.
//
// Invariant: if version is above the keyspace's frozen revision, then the bytes (if
// private) and the object belong to the live keyspace alone and may be changed in
// place. touch establishes it.
//
// With its key it fills 56 bytes: there may be a hundred million. That is why the
// slice of a string is kept in 16 bytes (no string is longer than 512 MB), and an
// object, of which there are fewer, behind the same pointer.
type value struct {
	ptr     unsafe.Pointer // *byte of a string, *box if boxed; the object in it is never exchanged
	strLen  uint32
	strCap  uint32
	expire  int64  // deadline in ms on the state clock, 0 for none
	version uint64 // the revision that last changed the key
	access  uint32 // see accessed; this node's own, not state
	private bool   // the bytes were copied for this key alone
	raw     bool   // they have been changed in place since they were set: OBJECT ENCODING tells
	boxed   bool   // it is an object
}

func (v *value) kind() Kind {
	switch {
	case v == nil:
		return None
	case !v.boxed:
		return String
	default:
		return v.object().Kind()
	}
}

// bytes returns the string, nil if the value is an object.
func (v *value) bytes() []byte {
	if v.boxed {
		return nil
	}
	return unsafe.Slice((*byte)(v.ptr), v.strCap)[:v.strLen]
}

// setBytes makes the value a string, or gives a string other bytes.
func (v *value) setBytes(s []byte) {
	v.ptr, v.strLen, v.strCap, v.boxed = unsafe.Pointer(unsafe.SliceData(s)), uint32(len(s)), uint32(cap(s)), false
}

// object returns the object, nil if the value is a string.
func (v *value) object() Object {
	if !v.boxed {
		return nil
	}
	return v.box().Object
}

// box returns where the object is. There must be one.
func (v *value) box() *box { return (*box)(v.ptr) }

// setObject makes the value an object. It takes a new box each time: a snapshot
// may be looking into the old one.
func (v *value) setObject(o Object) {
	v.ptr, v.strLen, v.strCap, v.boxed = unsafe.Pointer(&box{Object: o}), 0, 0, true
}

// fork makes the object one that may be changed.
func (v *value) fork() {
	old := v.box()
	v.setObject(old.Fork())
	v.box().counted, old.counted = old.counted, gone
}
