package keyspace

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/raftredis/raftredis/store/cfloat"
)

// rdbWriter builds Redis's serialization of a value. Each is written in the form
// that Redis has it in, for the same limits: whoever restores it has the same
// OBJECT ENCODING. Strings are never compressed.
type rdbWriter struct{ buf []byte }

func (w *rdbWriter) byte(b byte) { w.buf = append(w.buf, b) }

// len writes a length: one, two, five or nine bytes, which the top two bits of
// the first tell.
func (w *rdbWriter) len(n uint64) {
	switch {
	case n < 1<<6:
		w.byte(byte(n))
	case n < 1<<14:
		w.buf = append(w.buf, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, 0x80), uint32(n))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, 0x81), n)
	}
}

// string writes a string, as a number if it is a short one.
func (w *rdbWriter) string(s []byte) {
	if n, ok := canonicalInt(s); ok && len(s) <= 11 {
		switch {
		case n == int64(int8(n)):
			w.buf = append(w.buf, 0xc0, byte(n))
			return
		case n == int64(int16(n)):
			w.buf = binary.LittleEndian.AppendUint16(append(w.buf, 0xc1), uint16(n))
			return
		case n == int64(int32(n)):
			w.buf = binary.LittleEndian.AppendUint32(append(w.buf, 0xc2), uint32(n))
			return
		}
	}
	w.len(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *rdbWriter) float(f float64) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(f))
}

func (w *rdbWriter) streamID(id StreamID) {
	w.len(id.MS)
	w.len(id.Seq)
}

// list writes nodes of about eight kilobytes, as Redis's default has it.
func (w *rdbWriter) list(l *ListView) {
	const nodeBytes = 8 << 10
	var nodes [][]byte // nil: the next of plain
	var plain [][]byte
	lp := newListpack(0)
	flush := func() {
		if len(lp) > lpHeader+1 {
			nodes = append(nodes, lp)
			lp = newListpack(0)
		}
	}
	for b := range l.From(0) {
		if len(lp)+len(b) > nodeBytes {
			flush()
		}
		if len(b) > rdbMaxPackedBytes {
			nodes, plain = append(nodes, nil), append(plain, b)
			continue
		}
		lp = lp.open().addString(b).shut(1)
	}
	flush()
	w.byte(rdbQuicklist2)
	w.len(uint64(len(nodes)))
	for _, node := range nodes {
		if node == nil {
			w.len(rdbPlainNode)
			w.string(plain[0])
			plain = plain[1:]
			continue
		}
		w.len(rdbPackedNode)
		w.string(node)
	}
}

func (w *rdbWriter) set(s *SetView) {
	if s.isInts() {
		w.byte(rdbSetIntset)
		w.intset(&s.ints)
		return
	}
	w.byte(rdbSet)
	w.len(uint64(s.Len()))
	for member := range s.All() {
		w.string(member)
	}
}

// intset writes a header of the width in bytes and the number, and the numbers
// in order.
func (w *rdbWriter) intset(s *intset) {
	wide := uint8(1)
	for i := range s.len() {
		wide = max(wide, widthOf(s.at(i)))
	}
	size := 1 << wide
	b := binary.LittleEndian.AppendUint32(nil, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(s.len()))
	b = slices.Grow(b, size*s.len())
	for i := range s.len() {
		n := uint64(s.at(i))
		for range size {
			b = append(b, byte(n))
			n >>= 8
		}
	}
	w.string(b)
}

func (w *rdbWriter) hash(h *HashView) {
	size := 0
	for field, value := range h.All() {
		size += len(field) + len(value)
	}
	if h.dict == nil && size <= rdbMaxPackedBytes {
		lp := newListpack(size + 8*h.Len()).open()
		for field, value := range h.All() {
			lp = lp.addString(field).addString(value)
		}
		w.byte(rdbHashListpack)
		w.string(lp.shut(2 * h.Len()))
		return
	}
	w.byte(rdbHash)
	w.len(uint64(h.Len()))
	for field, value := range h.All() {
		w.string(field)
		w.string(value)
	}
}

func (w *rdbWriter) zset(z *ZSetView) {
	if z.Small() && z.packed.plainSize() <= rdbMaxPackedBytes {
		lp := newListpack(len(z.packed.buf) + 8*z.Len()).open()
		z.Range(0, z.Len(), false, func(member []byte, score float64) bool {
			lp = lp.addString(member)
			if n := int64(score); math.Abs(score) <= math.MaxInt64/2 && float64(n) == score {
				lp = lp.addInt(n)
			} else {
				lp = lp.addString(cfloat.AppendDouble(nil, score))
			}
			return true
		})
		w.byte(rdbZSetListpack)
		w.string(lp.shut(2 * z.Len()))
		return
	}
	// From the highest to the lowest, which is how Redis reads it fastest.
	w.byte(rdbZSet2)
	w.len(uint64(z.Len()))
	z.Range(0, z.Len(), true, func(member []byte, score float64) bool {
		w.string(member)
		w.float(score)
		return true
	})
}

// stream writes the nodes as they are, the counters, and the groups with what is
// pending twice: in all, and by consumer.
func (w *rdbWriter) stream(s *StreamView) {
	w.byte(rdbStream2)
	w.len(uint64(s.nodes.Len()))
	s.nodes.Scan(func(n *streamNode) bool {
		id := n.id.big()
		w.string(id[:])
		w.string(n.lp)
		return true
	})
	w.len(uint64(s.length))
	w.streamID(s.last)
	w.streamID(s.first)
	w.streamID(s.maxDeleted)
	w.len(uint64(s.added))
	w.len(uint64(s.Groups()))
	s.EachGroup(func(g GroupView) {
		w.string([]byte(g.Name()))
		w.streamID(g.Last())
		w.len(uint64(g.EntriesRead()))
		w.len(uint64(g.Pending()))
		g.EachPending(StreamID{}, func(p Pending) bool {
			id := p.ID.big()
			w.buf = binary.LittleEndian.AppendUint64(append(w.buf, id[:]...), uint64(p.Delivered))
			w.len(uint64(p.Count))
			return true
		})
		w.len(uint64(g.Consumers()))
		g.g.consumers.Scan(func(c *streamConsumer) bool {
			w.string([]byte(c.name))
			w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(c.seen))
			w.len(uint64(c.len()))
			if c.pending != nil {
				c.pending.Scan(func(id StreamID) bool {
					b := id.big()
					w.buf = append(w.buf, b[:]...)
					return true
				})
			}
			return true
		})
	})
}
