package keyspace

import (
	"errors"
	"fmt"
	"math"
)

// rawString marks the kind of a string that OBJECT ENCODING calls raw because it
// has been changed in place.
const rawString = 0x80

// Encode writes the frozen keyspace: the limits; the journal; for each database
// that has anything its number plus one, when it was last swapped and its keys in
// order; then 0.
// The order of keys is part of the state, and so is written as it is.
func (f *Frozen) Encode(e *Encoder) {
	n := len(limitTable)
	if f.first {
		n = firstLimits
	}
	f.limits.encode(e, n)
	f.journal.encode(e)
	for i := range f.dbs {
		d := &f.dbs[i]
		if d.order.n == 0 && d.swapped == 0 {
			continue
		}
		e.Uvarint(uint64(i) + 1)
		e.Uvarint(d.swapped)
		e.Uvarint(uint64(d.order.n))
		for j := range d.order.n {
			if j%MaxAhead == 0 {
				if f.once {
					d.passed.Store(int64(j))
				}
				d.lookAhead(j)
			}
			r := d.at(j)
			kind := byte(r.kind())
			if r.has(flagRaw) {
				kind |= rawString
			}
			e.Byte(kind)
			e.Bytes(r.key())
			e.Uvarint(uint64(r.deadline()))
			e.Uvarint(r.version())
			if o := objectOf(r, &d.boxes); o != nil {
				o.Encode(e)
			} else {
				e.Bytes(textOf(r, &d.boxes))
			}
		}
	}
	e.Uvarint(0)
}

// Decode reads what Frozen.Encode wrote into a new keyspace.
func Decode(d *Decoder) (*Keyspace, error) { return decode(d, len(limitTable)) }

// DecodeFirst is Decode for what Encode wrote of a keyspace with First set, or 0.1.0 did.
func DecodeFirst(d *Decoder) (*Keyspace, error) {
	ks, err := decode(d, firstLimits)
	if err == nil {
		ks.First = true
	}
	return ks, err
}

func decode(d *Decoder, limits int) (*Keyspace, error) {
	ks := New()
	ks.limits.decode(d, limits)
	ks.learn()
	ks.journal.decode(d)
	for last := uint64(0); ; {
		n := d.Uvarint()
		if err := d.Err(); err != nil {
			return nil, err
		}
		if n == 0 {
			return ks, nil
		}
		if n > Databases || n <= last {
			return nil, fmt.Errorf("database %d after %d of %d", n, last, Databases)
		}
		last = n
		db := ks.dbs[n-1]
		db.swapped = d.Uvarint()
		for keys := d.Uvarint(); keys > 0 && d.Err() == nil; keys-- {
			kind := d.Byte()
			k := Kind(kind &^ rawString)
			key := d.Bytes()
			expire, version := int64(d.Uvarint()), d.Uvarint()
			c, str := contents{kind: k}, []byte(nil)
			if k == String {
				c, str = text(d.Bytes())
				c.raw = kind&rawString != 0
			} else {
				c.held = decodeObject(k, d)
				if compact, ok := appendCompact(ks.scratch[:0], c.held); ok {
					c.held, str, ks.scratch = nil, compact, compact[:0]
				}
			}
			if d.Err() != nil {
				return nil, d.Err()
			}
			if expire < 0 || version > maxVersion || kind&rawString != 0 && k != String {
				return nil, errors.New("impossible deadline, version or kind of value")
			}
			if db.find(key) >= 0 {
				return nil, errors.New("key listed twice")
			}
			ks.unsettled |= 1 << (n - 1)
			db.restore(key, c, str, expire, version)
		}
	}
}

// restore adds a key that a snapshot has.
func (d *data) restore(key []byte, c contents, str []byte, expire int64, version uint64) {
	pos := d.add(key, form{at: expire, boxed: c.held != nil, key: len(key), str: len(str)})
	r := d.at(pos)
	r.setKind(c.kind)
	r.setVersion(version)
	r.setAccessed(0, newHits)
	r.set(flagRaw, c.raw)
	r.set(flagPrivate, c.private)
	if c.held != nil {
		r.setBox(d.boxes.add(c.held))
		d.boxes.changing(r.box(), d.order.at(pos))
	} else {
		copy(r.inline(), str)
	}
}

// cloneObject returns a copy that shares nothing with o: what a snapshot and
// its restoration would give.
func cloneObject(o Object) Object {
	var e Encoder
	o.Encode(&e)
	d := NewDecoder(e.Take())
	c := decodeObject(o.Kind(), d)
	if d.Err() != nil {
		panic("keyspace: cannot decode what was encoded: " + d.Err().Error())
	}
	return c
}

// Encoder builds the binary form of a state in memory, to be drained by its
// owner as it grows (see Flush). The zero value is ready.
type Encoder struct {
	buf []byte

	// Flush, if not nil, is called with what has been encoded whenever that is
	// more than a few tens of kilobytes. As with an io.Writer, the bytes are its
	// own during the call only.
	Flush func([]byte)
}

const flushAt = 64 << 10

// Take returns what has been encoded since the last Flush.
func (e *Encoder) Take() []byte {
	b := e.buf
	e.buf = nil
	return b
}

func (e *Encoder) grown() {
	if e.Flush != nil && len(e.buf) >= flushAt {
		e.Flush(e.buf)
		e.buf = e.buf[:0]
	}
}

// Byte appends one byte.
func (e *Encoder) Byte(b byte) {
	e.buf = append(e.buf, b)
	e.grown()
}

// Uvarint appends an unsigned number.
func (e *Encoder) Uvarint(n uint64) {
	for n >= 0x80 {
		e.buf = append(e.buf, byte(n)|0x80)
		n >>= 7
	}
	e.buf = append(e.buf, byte(n))
	e.grown()
}

// Float appends a float, bit for bit.
func (e *Encoder) Float(f float64) {
	n := math.Float64bits(f)
	e.buf = append(e.buf, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(n>>32), byte(n>>40), byte(n>>48), byte(n>>56))
	e.grown()
}

// Bytes appends a length and bytes.
func (e *Encoder) Bytes(b []byte) {
	e.Uvarint(uint64(len(b)))
	if e.Flush != nil && len(b) >= flushAt { // half a gigabyte needs no second copy in memory
		e.Flush(e.buf)
		e.buf = e.buf[:0]
		e.Flush(b)
		return
	}
	e.buf = append(e.buf, b...)
	e.grown()
}

// String appends a length and bytes.
func (e *Encoder) String(s string) {
	e.Uvarint(uint64(len(s)))
	e.buf = append(e.buf, s...)
	e.grown()
}
