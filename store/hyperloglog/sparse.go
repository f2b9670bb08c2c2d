package hyperloglog

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
	maxSparse = 32 // the highest value that VAL has room for
	maxRun    = 4  // of a VAL
	maxZero   = 64 // of a ZERO
)

// New returns an empty HyperLogLog: one XZERO.
func New() Sketch {
	h := make(Sketch, header+2, header+64)
	copy(h, "HYLL\x01")
	h[header], h[header+1] = 0x40|(Count-1)>>8, (Count-1)&0xff
	return h
}

// run is one opcode of the sparse form.
type run struct {
	value byte // 0 for ZERO and XZERO
	n     int  // registers
	size  int  // bytes
}

// run decodes the opcode at offset at.
func (h Sketch) run(at int) run {
	switch b := h[at]; {
	case b&0x80 != 0:
		return run{b>>2&0x1f + 1, int(b&3) + 1, 1}
	case b&0x40 == 0:
		return run{0, int(b) + 1, 1}
	case at+1 < len(h):
		return run{0, int(b&0x3f)<<8 + int(h[at+1]) + 1, 2}
	default: // cut off: Redis reads the zero behind a string
		return run{0, int(b&0x3f)<<8 + 1, 2}
	}
}

// appendRun appends the opcode for a run that fits into one.
func (h Sketch) appendRun(value byte, n int) Sketch {
	switch {
	case value > 0:
		return append(h, 0x80|(value-1)<<2|byte(n-1))
	case n <= maxZero:
		return append(h, byte(n-1))
	default:
		return append(h, 0x40|byte((n-1)>>8), byte(n-1))
	}
}

// runs visits the runs of a sparse h. It is not ok if they are not as many
// registers as they should be; visit sees none that are too many.
func (h Sketch) runs(visit func(first, n int, value byte)) (ok bool) {
	first := 0
	for at := header; at < len(h); {
		r := h.run(at)
		if first+r.n > Count {
			return false
		}
		visit(first, r.n, r.value)
		first, at = first+r.n, at+r.size
	}
	return first == Count
}

// find returns the offset of the opcode that register i belongs to, that of the
// one before (0 if it is the first) and its first register.
func (h Sketch) find(i int) (at, before, first int, ok bool) {
	for at = header; at < len(h); {
		r := h.run(at)
		if i < first+r.n {
			return at, before, first, true
		}
		before, first, at = at, first+r.n, at+r.size
	}
	return 0, 0, 0, false
}

// SparseRegister returns register i.
func (h Sketch) SparseRegister(i int) (value byte, ok bool) {
	at, _, _, ok := h.find(i)
	if !ok {
		return 0, false
	}
	return h.run(at).value, true
}

// SparseSet raises register i to count, if it is lower, and returns h, which may
// have moved, and has become dense if count has no room in the sparse form or h
// would grow beyond maxBytes. It is not ok if h is corrupt.
func (h Sketch) SparseSet(i int, count byte, maxBytes int64) (_ Sketch, ok bool) {
	if count > maxSparse {
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
	split := Sketch(room[:0])
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
		before = header
	}
	h = h.join(before)
	h.Invalidate()
	return h, true
}

// join merges neighbouring runs of one value among the five opcodes from at on.
func (h Sketch) join(at int) Sketch {
	for tries := 5; at < len(h) && tries > 0; tries-- {
		r := h.run(at)
		if r.value > 0 && at+1 < len(h) {
			next := h.run(at + 1)
			if next.value == r.value && next.n+r.n <= maxRun {
				h[at+1] = 0x80 | (r.value-1)<<2 | byte(next.n+r.n-1)
				h = slices.Delete(h, at, at+1)
				continue // it may go on
			}
		}
		at += r.size
	}
	return h
}

// ToDense returns h in the dense form, h itself if it is. It is not ok if h is
// corrupt.
func (h Sketch) ToDense() (Sketch, bool) {
	if h.Dense() {
		return h, true
	}
	d := make(Sketch, denseSize)
	copy(d, h[:header])
	d[4] = 0
	ok := h.runs(func(first, n int, value byte) {
		for i := first; i < first+n && value > 0; i++ {
			d.SetRegister(i, value)
		}
	})
	return d, ok
}

// promote makes h dense and sets a register that is known to be lower.
func (h Sketch) promote(i int, count byte) (Sketch, bool) {
	d, ok := h.ToDense()
	if !ok {
		return h, false
	}
	if count > d.Register(i) {
		d.SetRegister(i, count)
	}
	return d, true
}

// Runs lists the runs for PFDEBUG.
func (h Sketch) Runs() []byte {
	var b []byte
	for at := header; at < len(h); {
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
