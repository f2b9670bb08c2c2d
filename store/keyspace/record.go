package keyspace

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// record is a key with what belongs to it: the beginning of a piece of an arena,
// in which follow
//
//	the deadline (8 bytes, if flagDeadline)
//	the length of the key (8 bytes, if it is longKey or more)
//	the number of the box (4 bytes, if flagBoxed)
//	the key
//	the string (if not flagBoxed)
//
// There are no pointers in it: collections and long strings are in boxes.
//
// Invariant: a record whose version is above the keyspace's frozen revision
// belongs to the living keyspace alone, and so do what is in its box and, if
// flagPrivate, the bytes of a string there: they may be changed in place. touch
// establishes it. access is this node's own, is no state, and changes
// under the read lock, hence atomically.
type record struct {
	state  uint64 // version << 8 | flags
	access uint32 // when and how often it was used: see access.go
	key16  uint16 // length of the key, or longKey
	str16  uint16 // length of the string
}

const (
	kindMask     = 7      // of flags: the Kind, None in memory that is free
	flagRaw      = 1 << 3 // a string that was changed in place since it was set: OBJECT ENCODING tells
	flagDeadline = 1 << 4
	flagBoxed    = 1 << 5
	flagPrivate  = 1 << 6 // of a string in a box: nobody else has these bytes

	maxVersion = 1<<56 - 1

	headBytes = 16
	longKey   = 1<<16 - 1

	// maxInline is the longest string that stands in a record.
	maxInline = maxSmall - 512
)

// form is what the size of a record depends on.
type form struct {
	at       int64 // the deadline, 0 for none
	boxed    bool
	key, str int // bytes; str of one that is not boxed
}

func (f form) size() int {
	n := headBytes + f.key
	if f.at != 0 {
		n += 8
	}
	if f.key >= longKey {
		n += 8
	}
	if f.boxed {
		return n + 4
	}
	return n + f.str
}

func (r *record) flags() uint8        { return uint8(r.state) }
func (r *record) has(f uint8) bool    { return uint8(r.state)&f != 0 }
func (r *record) version() uint64     { return r.state >> 8 }
func (r *record) setVersion(v uint64) { r.state = v<<8 | r.state&0xff }
func (r *record) set(f uint8, on bool) {
	r.state &^= uint64(f)
	if on {
		r.state |= uint64(f)
	}
}

// kind is the type of the value, None of no record.
func (r *record) kind() Kind {
	if r == nil {
		return None
	}
	return Kind(r.state & kindMask)
}

func (r *record) setKind(k Kind) { r.state = r.state&^kindMask | uint64(k) }

// strLen is the length of a string that stands in the record.
func (r *record) strLen() int { return int(r.str16) }

func (r *record) setStrLen(n int) { r.str16 = uint16(n) }

// field returns n bytes of the record from byte at on. Of none the address is the
// record's: behind its last byte there may be the end of the slab, and the garbage
// collector does not bear pointers there.
func (r *record) field(at, n int) []byte {
	if n == 0 {
		at = 0
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(r), at)), n)
}

func (r *record) word(at int) uint64 { return binary.LittleEndian.Uint64(r.field(at, 8)) }

// keyAt returns where the key is and how long it is.
func (r *record) keyAt() (at, n int) {
	at, n = headBytes, int(r.key16)
	f := r.flags()
	if f&(flagDeadline|flagBoxed) == 0 && n != longKey {
		return at, n
	}
	if f&flagDeadline != 0 {
		at += 8
	}
	if n == longKey {
		n = int(r.word(at))
		at += 8
	}
	if f&flagBoxed != 0 {
		at += 4
	}
	return at, n
}

// key returns the key. It aliases the arena: see View.Get for how long.
func (r *record) key() []byte {
	at, n := r.keyAt()
	return r.field(at, n)
}

// deadline returns the deadline in ms on the state clock, 0 for none.
func (r *record) deadline() int64 {
	if !r.has(flagDeadline) {
		return 0
	}
	return int64(r.word(headBytes))
}

func (r *record) setDeadline(at int64) {
	binary.LittleEndian.PutUint64(r.field(headBytes, 8), uint64(at))
}

// box returns the number of the box.
func (r *record) box() uint32 {
	at, _ := r.keyAt()
	return binary.LittleEndian.Uint32(r.field(at-4, 4))
}

func (r *record) setBox(n uint32) {
	at, _ := r.keyAt()
	binary.LittleEndian.PutUint32(r.field(at-4, 4), n)
}

// inline returns the string that stands in the record.
func (r *record) inline() []byte {
	at, n := r.keyAt()
	return r.field(at+n, r.strLen())
}

func (r *record) form() form {
	_, n := r.keyAt()
	return form{r.deadline(), r.has(flagBoxed), n, r.strLen()}
}

// size is how many bytes the record has.
func (r *record) size() int {
	at, n := r.keyAt()
	if r.has(flagBoxed) {
		return at + n
	}
	return at + n + r.strLen()
}

// begin makes r, which is new, a record of form f for key, without a string.
func (r *record) begin(f form, key []byte) {
	r.state, r.access = 0, 0
	r.set(flagDeadline, f.at != 0)
	r.set(flagBoxed, f.boxed)
	at := headBytes
	if f.at != 0 {
		r.setDeadline(f.at)
		at += 8
	}
	r.key16, r.str16 = uint16(min(f.key, longKey)), 0
	if f.key >= longKey {
		binary.LittleEndian.PutUint64(r.field(at, 8), uint64(f.key))
	}
	if !f.boxed {
		r.setStrLen(f.str)
	}
	copy(r.key(), key)
}

// take takes over what does not depend on the form.
func (r *record) take(from *record) {
	const form = flagDeadline | flagBoxed
	r.state = from.state&^form | r.state&form
	r.access = atomic.LoadUint32(&from.access)
}

// copyRecord copies a record of size bytes. A reader may be noting an access to it.
func copyRecord(to, from *record, size int) {
	to.state = from.state
	to.access, to.key16, to.str16 = atomic.LoadUint32(&from.access), from.key16, from.str16
	copy(to.field(headBytes, size-headBytes), from.field(headBytes, size-headBytes))
}

// Memory that is free has no kind, and instead of a version where the next free
// piece of the slab is.

func (r *record) vacant() bool         { return r.state&kindMask == 0 }
func (r *record) nextFree() uint16     { return uint16(r.state >> 8) }
func (r *record) setNextFree(n uint16) { r.state = uint64(n) << 8 }
