package command

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/cfloat"
)

// Recorded is a Reply that keeps what it is told, so that it can be replayed into
// another one: the reply for a client that is elsewhere, or not to be answered yet.
type Recorded struct {
	b     []byte
	resp3 bool
}

var _ Reply = (*Recorded)(nil)

// NewRecorded returns an empty one for a client that speaks RESP3 or not.
func NewRecorded(resp3 bool) *Recorded { return &Recorded{resp3: resp3} }

// Reset empties it, for a client that speaks RESP3 or not. It keeps its memory unless
// that is more than a few kilobytes.
func (r *Recorded) Reset(resp3 bool) {
	const keep = 4 << 10
	if cap(r.b) > keep {
		r.b = nil
	}
	r.b, r.resp3 = r.b[:0], resp3
}

// What is recorded: a byte for the method, then its argument.
const (
	recStatus = iota
	recError
	recInt
	recBulk
	recNull
	recNullArray
	recArray
	recMap
	recSet
	recPush
	recDouble
	recDecimal
	recBool
	recBigNumber
	recVerbatim
)

func (r *Recorded) text(kind byte, s string) {
	r.b = binary.AppendUvarint(append(r.b, kind), uint64(len(s)))
	r.b = append(r.b, s...)
}

func (r *Recorded) num(kind byte, n int64) { r.b = binary.AppendVarint(append(r.b, kind), n) }

// Status records a simple string.
func (r *Recorded) Status(s string) { r.text(recStatus, s) }

// Error records an error line.
func (r *Recorded) Error(err string) { r.text(recError, err) }

// Int records an integer.
func (r *Recorded) Int(n int64) { r.num(recInt, n) }

// Bulk records a bulk string.
func (r *Recorded) Bulk(b []byte) { r.text(recBulk, string(b)) }

// BulkString records a bulk string.
func (r *Recorded) BulkString(s string) { r.text(recBulk, s) }

// Null records a missing value.
func (r *Recorded) Null() { r.b = append(r.b, recNull) }

// NullArray records a missing array.
func (r *Recorded) NullArray() { r.b = append(r.b, recNullArray) }

// Array records the beginning of an array.
func (r *Recorded) Array(n int) { r.num(recArray, int64(n)) }

// Map records the beginning of a map.
func (r *Recorded) Map(pairs int) { r.num(recMap, int64(pairs)) }

// Set records the beginning of a set.
func (r *Recorded) Set(n int) { r.num(recSet, int64(n)) }

// Push records the beginning of an out-of-band message.
func (r *Recorded) Push(n int) { r.num(recPush, int64(n)) }

// Double records a floating point number.
func (r *Recorded) Double(f float64) {
	r.b = binary.LittleEndian.AppendUint64(append(r.b, recDouble), math.Float64bits(f))
}

// Decimal records a double in its notation.
func (r *Recorded) Decimal(s string) { r.text(recDecimal, s) }

// Bool records a boolean.
func (r *Recorded) Bool(b bool) {
	n := int64(0)
	if b {
		n = 1
	}
	r.num(recBool, n)
}

// BigNumber records an integer of any size.
func (r *Recorded) BigNumber(s string) { r.text(recBigNumber, s) }

// Verbatim records a text with a hint.
func (r *Recorded) Verbatim(ext, s string) {
	r.text(recVerbatim, ext)
	r.text(recVerbatim, s)
}

// RESP3 reports whether the client speaks RESP3.
func (r *Recorded) RESP3() bool { return r.resp3 }

// Bytes returns the recording, for a snapshot; LoadRecorded reads it back.
func (r *Recorded) Bytes() []byte { return r.b }

// LoadRecorded returns the recording that Bytes gave, or an error if it is none.
func LoadRecorded(b []byte, resp3 bool) (*Recorded, error) {
	r := &Recorded{b, resp3}
	if !r.each(func(recordedItem) {}) {
		return nil, errors.New("not a recorded reply")
	}
	return r, nil
}

// recordedItem is one call of a method.
type recordedItem struct {
	kind byte
	s    []byte // text
	ext  []byte // of Verbatim
	n    int64
	f    float64
}

// each visits what is recorded. It answers false if that is damaged.
func (r *Recorded) each(visit func(recordedItem)) bool {
	b := r.b
	text := func() (s []byte, ok bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, false
		}
		s, b = b[size:size+int(n)], b[size+int(n):]
		return s, true
	}
	for len(b) > 0 {
		it := recordedItem{kind: b[0]}
		b = b[1:]
		ok := true
		switch it.kind {
		case recNull, recNullArray:
		case recDouble:
			if ok = len(b) >= 8; ok {
				it.f = math.Float64frombits(binary.LittleEndian.Uint64(b))
				b = b[8:]
			}
		case recInt, recArray, recMap, recSet, recPush, recBool:
			n, size := binary.Varint(b)
			if ok = size > 0; ok {
				it.n, b = n, b[size:]
			}
		case recVerbatim:
			if it.ext, ok = text(); ok && len(b) > 0 && b[0] == recVerbatim {
				b = b[1:]
				it.s, ok = text()
			} else {
				ok = false
			}
		case recStatus, recError, recBulk, recDecimal, recBigNumber:
			it.s, ok = text()
		default:
			ok = false
		}
		if !ok {
			return false
		}
		visit(it)
	}
	return true
}

// Replay writes what is recorded to another reply.
func (r *Recorded) Replay(to Reply) {
	r.each(func(it recordedItem) {
		switch it.kind {
		case recStatus:
			to.Status(string(it.s))
		case recError:
			to.Error(string(it.s))
		case recInt:
			to.Int(it.n)
		case recBulk:
			to.Bulk(it.s)
		case recNull:
			to.Null()
		case recNullArray:
			to.NullArray()
		case recArray:
			to.Array(int(it.n))
		case recMap:
			to.Map(int(it.n))
		case recSet:
			to.Set(int(it.n))
		case recPush:
			to.Push(int(it.n))
		case recDouble:
			to.Double(it.f)
		case recDecimal:
			to.Decimal(string(it.s))
		case recBool:
			to.Bool(it.n != 0)
		case recBigNumber:
			to.BigNumber(string(it.s))
		case recVerbatim:
			to.Verbatim(string(it.ext), string(it.s))
		}
	})
}

// Err returns the first error of the reply, "" if there is none.
func (r *Recorded) Err() (line string) {
	r.each(func(it recordedItem) {
		if it.kind == recError && line == "" {
			line = string(it.s)
		}
	})
	return line
}

// Values returns the strings and numbers of the reply, however they are nested, as
// arguments of a command. An error is none, and has none.
func (r *Recorded) Values() (values [][]byte) {
	r.each(func(it recordedItem) {
		switch it.kind {
		case recBulk, recStatus, recDecimal, recBigNumber, recVerbatim:
			values = append(values, it.s)
		case recInt:
			values = append(values, strconv.AppendInt(nil, it.n, 10))
		case recDouble:
			values = append(values, cfloat.AppendDouble(nil, it.f))
		}
	})
	return values
}
