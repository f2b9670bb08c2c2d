package command

import (
	"fmt"
	"slices"
)

// The sparse form lists runs of registers with the same value:
//
//	00nnnnnn            n+1 zeros (ZERO)
//	01nnnnnn nnnnnnnn   n+1 zeros (XZERO)
//	1vvvvvnn            n+1 registers of value v+1 (VAL)
//
// How runs are split and joined when a register changes is part of the format,
// too, for as much as two HyperLogLogs with the same elements should be equal.
const (
	hllMaxSparse = 32 // the highest value that VAL has room for
	hllMaxRun    = 4  // of a VAL
	hllMaxZero   = 64 // of a ZERO
)

// newHLL returns an empty HyperLogLog: one XZERO.
func newHLL() hll {
	h := make(hll, hllHeader+2, hllHeader+64)
	copy(h, "HYLL\x01")
	h[hllHeader], h[hllHeader+1] = 0x40|(hllCount-1)>>8, (hllCount-1)&0xff
	return h
}

// run is one opcode of the sparse form.
type hllRun struct {
	value byte // 0 for ZERO and XZERO
	n     int  // registers
	size  int  // bytes
}

// run decodes the opcode at offset at.
func (h hll) run(at int) hllRun {
	switch b := h[at]; {
	case b&0x80 != 0:
		return hllRun{b>>2&0x1f + 1, int(b&3) + 1, 1}
	case b&0x40 == 0:
		return hllRun{0, int(b) + 1, 1}
	case at+1 < len(h):
		return hllRun{0, int(b&0x3f)<<8 + int(h[at+1]) + 1, 2}
	default: // cut off: Redis reads the zero behind a string
		return hllRun{0, int(b&0x3f)<<8 + 1, 2}
	}
}

// appendRun appends the opcode for a run that fits into one.
func (h hll) appendRun(value byte, n int) hll {
	switch {
	case value > 0:
		return append(h, 0x80|(value-1)<<2|byte(n-1))
	case n <= hllMaxZero:
		return append(h, byte(n-1))
	default:
		return append(h, 0x40|byte((n-1)>>8), byte(n-1))
	}
}

// runs visits the runs of a sparse h. It is not ok if they are not as many
// registers as they should be; visit sees none that are too many.
func (h hll) runs(visit func(first, n int, value byte)) (ok bool) {
	first := 0
	for at := hllHeader; at < len(h); {
		r := h.run(at)
		if first+r.n > hllCount {
			return false
		}
		visit(first, r.n, r.value)
		first, at = first+r.n, at+r.size
	}
	return first == hllCount
}

// find returns the offset of the opcode that register i belongs to, that of the
// one before (0 if it is the first) and its first register.
func (h hll) find(i int) (at, before, first int, ok bool) {
	for at = hllHeader; at < len(h); {
		r := h.run(at)
		if i < first+r.n {
			return at, before, first, true
		}
		before, first, at = at, first+r.n, at+r.size
	}
	return 0, 0, 0, false
}

// sparseRegister returns register i.
func (h hll) sparseRegister(i int) (value byte, ok bool) {
	at, _, _, ok := h.find(i)
	if !ok {
		return 0, false
	}
	return h.run(at).value, true
}

// sparseSet raises register i to count, if it is lower, and returns h, which may
// have moved, and has become dense if count has no room in the sparse form or h
// would grow beyond maxBytes. It is not ok if h is corrupt.
func (h hll) sparseSet(i int, count byte, maxBytes int64) (_ hll, ok bool) {
	if count > hllMaxSparse {
		return h.promote(i, count)
	}
	at, before, first, ok := h.find(i)
	if !ok {
		return h, false
	}
	old := h.run(at)
	if old.value >= count {
		return h, true
	}
	// Split the run around the register.
	var room [5]byte
	split := hll(room[:0])
	if i > first {
		split = split.appendRun(old.value, i-first)
	}
	split = split.appendRun(count, 1)
	if last := first + old.n - 1; i < last {
		split = split.appendRun(old.value, last-i)
	}
	if grow := len(split) - old.size; grow > 0 && int64(len(h)+grow) > maxBytes {
		return h.promote(i, count)
	}
	end := min(at+old.size, len(h))
	h = slices.Replace(h, at, end, split...)
	if before == 0 {
		before = hllHeader
	}
	h = h.join(before)
	h.invalidate()
	return h, true
}

// join merges neighbouring runs of one value among the five opcodes from at on.
func (h hll) join(at int) hll {
	for tries := 5; at < len(h) && tries > 0; tries-- {
		r := h.run(at)
		if r.value > 0 && at+1 < len(h) {
			next := h.run(at + 1)
			if next.value == r.value && next.n+r.n <= hllMaxRun {
				h[at+1] = 0x80 | (r.value-1)<<2 | byte(next.n+r.n-1)
				h = slices.Delete(h, at, at+1)
				continue // it may go on
			}
		}
		at += r.size
	}
	return h
}

// toDense returns h in the dense form, h itself if it is. It is not ok if h is
// corrupt.
func (h hll) toDense() (hll, bool) {
	if h.dense() {
		return h, true
	}
	d := make(hll, hllDenseSize)
	copy(d, h[:hllHeader])
	d[4] = 0
	ok := h.runs(func(first, n int, value byte) {
		for i := first; i < first+n && value > 0; i++ {
			d.setRegister(i, value)
		}
	})
	return d, ok
}

// promote makes h dense and sets a register that is known to be lower.
func (h hll) promote(i int, count byte) (hll, bool) {
	d, ok := h.toDense()
	if !ok {
		return h, false
	}
	if count > d.register(i) {
		d.setRegister(i, count)
	}
	return d, true
}

// decode lists the runs for PFDEBUG.
func (h hll) decode() []byte {
	var b []byte
	for at := hllHeader; at < len(h); {
		r := h.run(at)
		if len(b) > 0 {
			b = append(b, ' ')
		}
		switch {
		case r.value > 0:
			b = fmt.Appendf(b, "v:%d,%d", r.value, r.n)
		case r.size == 2:
			b = fmt.Appendf(b, "Z:%d", r.n)
		default:
			b = fmt.Appendf(b, "z:%d", r.n)
		}
		at += r.size
	}
	return b
}
