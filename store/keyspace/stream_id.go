package keyspace

import (
	"cmp"
	"encoding/binary"
	"strconv"
)

// StreamID names an entry of a stream: the time in ms that it was added at, and
// a number to tell entries of one millisecond apart.
type StreamID struct{ MS, Seq uint64 }

// MaxStreamID returns the highest ID there is; the lowest is the zero one.
func MaxStreamID() StreamID { return StreamID{1<<64 - 1, 1<<64 - 1} }

// Compare orders IDs.
func (id StreamID) Compare(other StreamID) int {
	if c := cmp.Compare(id.MS, other.MS); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, other.Seq)
}

// IsZero reports whether id is 0-0, which no entry ever has.
func (id StreamID) IsZero() bool { return id == StreamID{} }

// Next returns the ID after id. ok is false if id is the highest.
func (id StreamID) Next() (next StreamID, ok bool) {
	if id.Seq++; id.Seq != 0 {
		return id, true
	}
	id.MS++
	return id, id.MS != 0
}

// Prev returns the ID before id. ok is false if id is the lowest.
func (id StreamID) Prev() (prev StreamID, ok bool) {
	if id.IsZero() {
		return MaxStreamID(), false
	}
	if id.Seq == 0 {
		id.MS--
	}
	id.Seq--
	return id, true
}

// Append appends the ID as clients see it.
func (id StreamID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, id.MS, 10)
	return strconv.AppendUint(append(b, '-'), id.Seq, 10)
}

// String is the ID as clients see it.
func (id StreamID) String() string { return string(id.Append(nil)) }

// big is the ID as sixteen bytes that sort as IDs do.
func (id StreamID) big() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], id.MS)
	binary.BigEndian.PutUint64(b[8:], id.Seq)
	return b
}

func bigStreamID(b []byte) StreamID {
	return StreamID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (e *Encoder) streamID(id StreamID) {
	e.Uvarint(id.MS)
	e.Uvarint(id.Seq)
}

func (d *Decoder) streamID() StreamID { return StreamID{d.Uvarint(), d.Uvarint()} }
