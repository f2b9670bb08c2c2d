package keyspace

import (
	"bytes"
	"iter"
	"unsafe"
)

// HashView is a hash for reading. A small one is a pack of fields and values in
// turn, in order of insertion; a big one is a dict. The change from one to the
// other is sticky.
type HashView struct {
	pack pack
	dict *dict[[]byte] // nil for a small hash. A value is never written to in place
	size int           // bytes of the fields and values in dict
}

// HashObject is a hash for changing. The zero value is an empty one.
type HashObject struct{ HashView }

// HashAt returns the hash at key, nil if there is none.
func (v *View) HashAt(key []byte) (*HashView, error) {
	o, err := v.object(key, Hash)
	if o == nil {
		return nil, err
	}
	return &o.(*HashObject).HashView, nil //nolint:errcheck // object has compared the kinds
}

// HashForUpdate returns the hash at key for changing, nil if there is none and
// create is not set. Whoever empties a hash deletes its key.
func (db *DB) HashForUpdate(key []byte, create bool) (*HashObject, error) {
	o, err := db.objectForUpdate(key, Hash, creator(create, func() Object { return &HashObject{} }))
	if o == nil {
		return nil, err
	}
	return o.(*HashObject), nil //nolint:errcheck // objectForUpdate has compared the kinds
}

// stringBytes returns the bytes of s, which must not be written to.
func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Len returns the number of fields.
func (h *HashView) Len() int {
	if h.dict != nil {
		return h.dict.len()
	}
	return h.pack.n / 2
}

// find returns the positions of a field and of its value in the pack.
func (h *HashView) find(field []byte) (pos, value int, ok bool) {
	p := &h.pack
	for pos = p.start(); pos < p.end(); {
		b, next := p.at(pos)
		if bytes.Equal(b, field) {
			return pos, next, true
		}
		_, pos = p.at(next)
	}
	return 0, 0, false
}

// Get returns the value of a field. It aliases the hash: it is valid until the
// hash is next changed.
func (h *HashView) Get(field []byte) (value []byte, ok bool) {
	if h.dict != nil {
		if pos := h.dict.find(field); pos >= 0 {
			return h.dict.at(pos).val, true
		}
		return nil, false
	}
	if _, pos, ok := h.find(field); ok {
		value, _ = h.pack.at(pos)
		return value, true
	}
	return nil, false
}

// All walks the fields and values in their order.
func (h *HashView) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(field, value []byte) bool) {
		if h.dict != nil {
			for i := range h.dict.len() {
				if it := h.dict.at(i); !yield(stringBytes(it.key), it.val) {
					return
				}
			}
			return
		}
		for pos := h.pack.start(); pos < h.pack.end(); {
			field, next := h.pack.at(pos)
			value, next := h.pack.at(next)
			if !yield(field, value) {
				return
			}
			pos = next
		}
	}
}

// At returns field i of [0, Len) in the order of All.
func (h *HashView) At(i int) (field, value []byte) {
	if h.dict != nil {
		it := h.dict.at(i)
		return stringBytes(it.key), it.val
	}
	field, next := h.pack.at(h.pack.seek(2 * i))
	value, _ = h.pack.at(next)
	return field, value
}

// Picker returns At for many calls: it finds its way in a small hash only once.
func (h *HashView) Picker() func(i int) (field, value []byte) {
	if h.dict != nil {
		return h.At
	}
	type pair struct{ field, value []byte }
	pairs := make([]pair, 0, h.Len())
	for field, value := range h.All() {
		pairs = append(pairs, pair{field, value})
	}
	return func(i int) (field, value []byte) { return pairs[i].field, pairs[i].value }
}

// Scan visits up to count fields from cursor and returns the next cursor, 0 at
// the end; a small hash it visits whole. See dict for what it guarantees.
func (h *HashView) Scan(cursor uint64, count int, visit func(field, value []byte)) uint64 {
	if h.dict != nil {
		return h.dict.scan(cursor, count, func(it *item[[]byte]) { visit(stringBytes(it.key), it.val) })
	}
	for field, value := range h.All() {
		visit(field, value)
	}
	return 0
}

// Set gives a field a copy of value and reports whether the field is new.
func (h *HashObject) Set(field, value []byte, lim *Limits) bool {
	if h.dict == nil {
		if int64(max(len(field), len(value))) <= lim.HashMaxListpackValue {
			return h.setSmall(field, value, lim)
		}
		h.Expand()
	}
	return h.setBig(field, value)
}

func (h *HashObject) setSmall(field, value []byte, lim *Limits) bool {
	if _, pos, ok := h.find(field); ok {
		h.pack.replace(pos, value)
		return false
	}
	h.pack.insert(h.pack.end(), field)
	h.pack.insert(h.pack.end(), value)
	if int64(h.Len()) > lim.HashMaxListpackEntries {
		h.Expand()
	}
	return true
}

func (h *HashObject) setBig(field, value []byte) bool {
	value = append(make([]byte, 0, len(value)), value...)
	if pos := h.dict.find(field); pos >= 0 {
		it := h.dict.mut(pos)
		h.size += len(value) - len(it.val)
		it.val = value
		return false
	}
	h.dict.add(string(field), value)
	h.size += len(field) + len(value)
	return true
}

// Expand gives the hash the form that is fast when big.
func (h *HashObject) Expand() {
	if h.dict != nil {
		return
	}
	small := HashView{pack: h.pack}
	h.pack, h.dict = pack{}, &dict[[]byte]{}
	for field, value := range small.All() {
		h.setBig(field, value)
	}
}

// Delete removes a field and reports whether it was there.
func (h *HashObject) Delete(field []byte) bool {
	if h.dict != nil {
		pos := h.dict.find(field)
		if pos < 0 {
			return false
		}
		it := h.dict.at(pos)
		h.size -= len(it.key) + len(it.val)
		h.dict.remove(pos)
		return true
	}
	pos, value, ok := h.find(field)
	if ok {
		_, next := h.pack.at(value)
		h.pack.cut(pos, next, 2)
	}
	return ok
}

// Kind is Hash.
func (h *HashObject) Kind() Kind { return Hash }

// Encoding is Redis's name for the form.
func (h *HashObject) Encoding() string {
	if h.dict != nil {
		return "hashtable"
	}
	return "listpack"
}

const (
	hashBytes = 112 // the object
	dictBytes = 160 // a dict's own
	pairBytes = 88  // what a dict spends on an item with a value, beside their bytes
)

// Bytes estimates the memory in use.
func (h *HashObject) Bytes() int {
	if h.dict != nil {
		return hashBytes + dictBytes + h.dict.len()*pairBytes + h.size
	}
	return hashBytes + h.pack.size()
}

// Fork copies a small hash, and the directory of a big one.
func (h *HashObject) Fork() Object {
	if h.dict != nil {
		return &HashObject{HashView{dict: h.dict.fork(), size: h.size}}
	}
	return &HashObject{HashView{pack: h.pack.clone()}}
}

// The forms of a collection in the snapshot format. Being sticky, the form is
// state.
const (
	formSmall  = 0
	formBig    = 1
	formPacked = 2 // of a set: see SetView
)

// Encode writes the form, the number of fields, the fields and values.
func (h *HashObject) Encode(e *Encoder) {
	form := byte(formSmall)
	if h.dict != nil {
		form = formBig
	}
	e.Byte(form)
	e.Uvarint(uint64(h.Len()))
	for field, value := range h.All() {
		e.Bytes(field)
		e.Bytes(value)
	}
}

func decodeHash(d *Decoder) Object {
	h := &HashObject{}
	form := d.Byte()
	if form == formBig {
		h.Expand()
	} else if form != formSmall {
		d.fail("unknown form of hash")
	}
	for n := d.Uvarint(); n > 0 && d.err == nil; n-- {
		field, value := d.Bytes(), d.Bytes()
		if h.dict == nil {
			// Looking for duplicates here would make a restore quadratic.
			h.pack.insert(h.pack.end(), field)
			h.pack.insert(h.pack.end(), value)
		} else if !h.setBig(field, value) {
			d.fail("field listed twice")
		}
	}
	if h.Len() == 0 {
		d.fail("empty hash")
	}
	return h
}
