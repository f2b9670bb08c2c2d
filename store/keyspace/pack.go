package keyspace

import "iter"

// pack is a sequence of byte strings in one allocation: what small hashes and
// the nodes of lists are made of. An entry is
//
//	length (varint) | bytes | size of the two before (varint, read backwards)
//
// so that it can be walked from both ends. There may be room before the first
// entry, so that a list grows at its head as cheaply as at its tail. (Redis's
// own listpack, which streams use, has none, and holds numbers as such.)
//
// Positions are offsets into buf and stay valid until the next change.
type pack struct {
	buf []byte
	off int // where the first entry starts
	n   int
}

// maxPackGrowth bounds the room that a growing pack reserves beyond what it
// holds.
const maxPackGrowth = 4 << 10

func (p *pack) size() int  { return len(p.buf) - p.off }
func (p *pack) start() int { return p.off }
func (p *pack) end() int   { return len(p.buf) }

func varintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// entrySize is what an entry for n bytes takes.
func entrySize(n int) int {
	body := varintSize(n) + n
	return body + varintSize(body)
}

// writeEntry writes the entry for b, which has exactly the room it needs.
func writeEntry(dst, b []byte) {
	i := 0
	for n := len(b); ; n >>= 7 {
		if n < 0x80 {
			dst[i] = byte(n)
			i++
			break
		}
		dst[i] = byte(n) | 0x80
		i++
	}
	i += copy(dst[i:], b)
	for j, n := i, i; j < len(dst); j, n = j+1, n>>7 {
		// The lowest seven bits stand last: they are what is read first.
		at := len(dst) - 1 - (j - i)
		dst[at] = byte(n & 0x7f)
		if n >= 0x80 {
			dst[at] |= 0x80
		}
	}
}

// at returns the entry at pos and the position of the one behind it. The bytes
// alias the pack.
func (p *pack) at(pos int) (b []byte, next int) {
	n := int(p.buf[pos])
	if n < 0x80-1 { // one byte before and one behind
		return p.buf[pos+1 : pos+1+n : pos+1+n], pos + n + 2
	}
	n &= 0x7f
	at := pos + 1
	if p.buf[pos] >= 0x80 {
		for shift := 7; ; shift += 7 {
			c := p.buf[at]
			at++
			n |= int(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
	}
	end := at + n
	return p.buf[at:end:end], end + varintSize(end-pos)
}

// before returns the position of the entry that ends where pos is.
func (p *pack) before(pos int) int {
	n, size := 0, 0
	for {
		pos--
		c := p.buf[pos]
		n |= int(c&0x7f) << (7 * size)
		size++
		if c < 0x80 {
			return pos - n
		}
	}
}

// seek returns the position of entry i of [0, n].
func (p *pack) seek(i int) int {
	if i <= p.n/2 {
		pos := p.off
		for ; i > 0; i-- {
			_, pos = p.at(pos)
		}
		return pos
	}
	pos := len(p.buf)
	for ; i < p.n; i++ {
		pos = p.before(pos)
	}
	return pos
}

// all walks the entries from the one at pos to the end.
func (p *pack) all(pos int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for pos < len(p.buf) {
			b, next := p.at(pos)
			if !yield(b) {
				return
			}
			pos = next
		}
	}
}

// insert puts b before the entry at pos.
func (p *pack) insert(pos int, b []byte) {
	size := entrySize(len(b))
	pos = p.open(pos, size)
	writeEntry(p.buf[pos:pos+size], b)
	p.n++
}

// open makes a gap of size bytes at pos and returns its position. Of the two
// sides it moves the smaller one that has room.
func (p *pack) open(pos, size int) int {
	head, tail := pos-p.off, len(p.buf)-pos
	room := cap(p.buf) - len(p.buf)
	switch {
	case p.off >= size && (head < tail || room < size):
		copy(p.buf[p.off-size:], p.buf[p.off:pos])
		p.off -= size
		return pos - size
	case room >= size:
		p.buf = p.buf[:len(p.buf)+size]
		copy(p.buf[pos+size:], p.buf[pos:])
		return pos
	}
	total := head + size + tail
	spare := min(total, maxPackGrowth)
	if total < 64 {
		spare = 16 // small ones are many: do not let them waste half
	}
	grown := make([]byte, total+spare)
	off := 0
	if head < tail { // growing at the head, most likely
		off = spare
	}
	copy(grown[off:], p.buf[p.off:pos])
	copy(grown[off+head+size:], p.buf[pos:])
	p.buf, p.off = grown[:off+total], off
	return off + head
}

// cut removes count entries, those that stand in [from, to).
func (p *pack) cut(from, to, count int) {
	head, tail := from-p.off, len(p.buf)-to
	p.n -= count
	if head < tail {
		copy(p.buf[p.off+to-from:to], p.buf[p.off:from])
		p.off += to - from
	} else {
		copy(p.buf[from:], p.buf[to:])
		p.buf = p.buf[:from+tail]
	}
	if have := cap(p.buf); have > 256 && p.size() < have/4 {
		p.buf, p.off = append(make([]byte, 0, have/2), p.buf[p.off:]...), 0
	}
}

// replace puts b in the place of the entry at pos.
func (p *pack) replace(pos int, b []byte) {
	old, next := p.at(pos)
	if len(old) == len(b) {
		copy(old, b)
		return
	}
	size := entrySize(len(b))
	switch have := next - pos; {
	case size > have:
		at := p.open(next, size-have)
		pos += at - next // by as much as open has moved what is before the gap
	case size < have:
		copy(p.buf[pos+size:], p.buf[next:])
		p.buf = p.buf[:len(p.buf)-(have-size)]
	}
	writeEntry(p.buf[pos:pos+size], b)
}

// splitOff moves the entries from pos on, count of them, to a pack of their
// own.
func (p *pack) splitOff(pos, count int) pack {
	right := pack{buf: append([]byte(nil), p.buf[pos:]...), n: count}
	p.buf, p.n = p.buf[:pos], p.n-count
	return right
}

// join appends the entries of q.
func (p *pack) join(q *pack) {
	p.buf, p.n = append(p.buf, q.buf[q.off:]...), p.n+q.n
}

// clone returns a copy that shares nothing with p.
func (p *pack) clone() pack {
	buf := make([]byte, len(p.buf), cap(p.buf))
	copy(buf[p.off:], p.buf[p.off:])
	return pack{buf: buf, off: p.off, n: p.n}
}
