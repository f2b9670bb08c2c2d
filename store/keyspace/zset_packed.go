package keyspace

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
)

// packed is the small form of a sorted set: its members in order in one piece
// of memory, each as its score, its length (uvarint) and its bytes. A score is a byte
// that says how many bytes follow: those of a whole number, zigzag and without leading
// zeros, as most scores are; or all eight of a double.
// Everything is found by walking from the start, which is faster than any tree
// for the hundred members that it is made for.
type packed struct {
	buf []byte
	n   int
}

// entry returns the member at off and where the next one begins.
func (p *packed) entry(off int) (member []byte, score float64, next int) {
	score, off = p.score(off)
	size := uint64(p.buf[off])
	if off++; size >= 0x80 {
		var w int
		size, w = binary.Uvarint(p.buf[off-1:])
		off += w - 1
	}
	next = off + int(size)
	return p.buf[off:next:next], score, next
}

const (
	wholeBytes = 7 // of the longest score that is kept as a whole number
	mostWhole  = 1 << 53
	mostScore  = 1 + 8
)

// score returns the score at off, and where it ends.
func (p *packed) score(off int) (score float64, end int) {
	n := int(p.buf[off])
	off++
	if n > wholeBytes {
		return math.Float64frombits(binary.LittleEndian.Uint64(p.buf[off:])), off + 8
	}
	var u uint64
	for i, b := range p.buf[off : off+n] {
		u |= uint64(b) << (8 * i)
	}
	return float64(int64(u>>1) ^ -int64(u&1)), off + n
}

// putScore writes a score and returns how many bytes it takes. A negative zero becomes
// zero, as in Redis's listpacks, where such a score is stored as an integer.
func putScore(b *[mostScore]byte, score float64) int {
	if whole := int64(score); math.Abs(score) <= mostWhole && float64(whole) == score {
		u := uint64(whole<<1) ^ uint64(whole>>63)
		n := 0
		for ; u != 0; u >>= 8 {
			n++
			b[n] = byte(u)
		}
		b[0] = byte(n)
		return 1 + n
	}
	b[0] = wholeBytes + 1
	binary.LittleEndian.PutUint64(b[1:], math.Float64bits(score))
	return mostScore
}

// plainSize is what all take with scores of eight bytes and no byte in front of them.
func (p *packed) plainSize() (size int) {
	p.walk(0, p.n, func(m []byte, _ float64) bool {
		size += 8 + varintSize(len(m)) + len(m)
		return true
	})
	return size
}

// find returns the offset, the score and the rank of a member, -1 if absent.
func (p *packed) find(member []byte) (off int, score float64, rank int) {
	for next := 0; off < len(p.buf); off = next {
		var m []byte
		if m, score, next = p.entry(off); bytes.Equal(m, member) {
			return off, score, rank
		}
		rank++
	}
	return -1, 0, -1
}

// seek returns the offset and the rank of the first member that below rejects.
func (p *packed) seek(below func(member []byte, score float64) bool) (off, rank int) {
	for off < len(p.buf) {
		m, s, next := p.entry(off)
		if !below(m, s) {
			break
		}
		off = next
		rank++
	}
	return off, rank
}

// insert adds a member, which must be absent.
func (p *packed) insert(member []byte, score float64) {
	off, _ := p.seek(func(m []byte, s float64) bool {
		return s < score || s == score && bytes.Compare(m, member) < 0
	})
	p.insertAt(off, member, score)
}

// append adds a member that is above all others.
func (p *packed) append(member []byte, score float64) { p.insertAt(len(p.buf), member, score) }

func (p *packed) insertAt(off int, member []byte, score float64) {
	var head [mostScore + binary.MaxVarintLen64]byte
	n := putScore((*[mostScore]byte)(head[:]), score)
	n += binary.PutUvarint(head[n:], uint64(len(member)))
	end := len(p.buf)
	p.buf = append(p.buf, head[:n]...)
	p.buf = append(p.buf, member...)
	if off < end {
		size := n + len(member)
		copy(p.buf[off+size:], p.buf[off:end])
		copy(p.buf[off:], head[:n])
		copy(p.buf[off+n:], member)
	}
	p.n++
}

// removeAt deletes the member at off.
func (p *packed) removeAt(off int) {
	_, _, next := p.entry(off)
	p.buf = slices.Delete(p.buf, off, next)
	p.n--
}

// removeRange deletes the members of ranks [lo, hi).
func (p *packed) removeRange(lo, hi int) {
	from := p.offset(lo)
	to := from
	for range hi - lo {
		_, _, to = p.entry(to)
	}
	p.buf = slices.Delete(p.buf, from, to)
	p.n -= hi - lo
}

// offset returns where the member of a rank begins.
func (p *packed) offset(rank int) int {
	off := 0
	for range rank {
		_, _, off = p.entry(off)
	}
	return off
}

// walk visits the members of ranks [lo, hi) until visit answers false.
func (p *packed) walk(lo, hi int, visit func(member []byte, score float64) bool) {
	off := p.offset(lo)
	for range hi - lo {
		m, s, next := p.entry(off)
		if !visit(m, s) {
			return
		}
		off = next
	}
}

// walkBack visits the members of ranks [lo, hi) from the last to the first.
func (p *packed) walkBack(lo, hi int, visit func(member []byte, score float64) bool) {
	var room [128]int // on the stack for as many as there are by default
	offsets := room[:0]
	off := p.offset(lo)
	for range hi - lo {
		offsets = append(offsets, off)
		_, _, off = p.entry(off)
	}
	for _, off := range slices.Backward(offsets) {
		if m, s, _ := p.entry(off); !visit(m, s) {
			return
		}
	}
}
