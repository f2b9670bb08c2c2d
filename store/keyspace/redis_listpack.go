package keyspace

import (
	"encoding/binary"
	"strconv"
)

// listpack is a list of strings and integers in one run of bytes, in Redis's
// own layout: a header of the total size and the number of elements, the
// elements, a terminator. An element that reads as an integer is held as one.
//
// Streams are made of these, in Redis's layout and not in one of our own,
// because the size of a node in bytes decides where the next one begins and
// thereby what an approximate trim removes; and because DUMP then is a copy.
//
// The methods that read take it that the bytes are well formed. What came from
// outside must pass validateListpack first.
type listpack []byte

const (
	lpHeader  = 6    // size uint32, elements uint16
	lpEnd     = 0xff // terminator
	lpUnknown = 1<<16 - 1
)

// newListpack returns an empty listpack.
func newListpack(capacity int) listpack {
	lp := make(listpack, lpHeader, max(capacity, lpHeader+1))
	return append(lp, lpEnd).seal(0)
}

// open takes the terminator off, so that elements can be appended with addInt
// and addString. shut must follow.
func (lp listpack) open() listpack { return lp[:len(lp)-1] }

// shut puts the terminator back after so many elements were appended.
func (lp listpack) shut(added int) listpack { return append(lp, lpEnd).seal(added) }

// seal writes the header.
func (lp listpack) seal(added int) listpack {
	binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
	if n := binary.LittleEndian.Uint16(lp[4:]); n != lpUnknown {
		binary.LittleEndian.PutUint16(lp[4:], uint16(min(int(n)+added, lpUnknown)))
	}
	return lp
}

// addInt appends an integer element to an opened listpack.
func (lp listpack) addInt(v int64) listpack {
	switch {
	case v >= 0 && v <= 127:
		return append(lp, byte(v), 1)
	case v >= -4096 && v <= 4095:
		return append(lp, 0xc0|byte(v>>8)&0x1f, byte(v), 2)
	case v >= -1<<15 && v < 1<<15:
		return append(lp, 0xf1, byte(v), byte(v>>8), 3)
	case v >= -1<<23 && v < 1<<23:
		return append(lp, 0xf2, byte(v), byte(v>>8), byte(v>>16), 4)
	case v >= -1<<31 && v < 1<<31:
		return append(lp, 0xf3, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), 5)
	default:
		return append(binary.LittleEndian.AppendUint64(append(lp, 0xf4), uint64(v)), 9)
	}
}

// addString appends a string element to an opened listpack.
func (lp listpack) addString(s []byte) listpack {
	if v, ok := canonicalInt(s); ok {
		return lp.addInt(v)
	}
	n := len(s)
	switch {
	case n < 1<<6:
		lp = append(lp, 0x80|byte(n))
		n++
	case n < 1<<12:
		lp = append(lp, 0xe0|byte(n>>8), byte(n))
		n += 2
	default:
		lp = binary.LittleEndian.AppendUint32(append(lp, 0xf0), uint32(n))
		n += 5
	}
	return appendBackLen(append(lp, s...), n)
}

// appendBackLen appends the length of an element's encoding as it is read from
// behind: seven bits a byte, the most significant first, all but the first
// marked.
func appendBackLen(b []byte, n int) []byte {
	size := backLenSize(n)
	for i := size - 1; i >= 0; i-- {
		c := byte(n>>(7*i)) & 0x7f
		if i < size-1 {
			c |= 0x80
		}
		b = append(b, c)
	}
	return b
}

// backLenSize is how many bytes appendBackLen writes. The bounds are one lower
// than seven bits a byte would allow, but for the first: so Redis has it.
func backLenSize(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 1<<14-1:
		return 2
	case n < 1<<21-1:
		return 3
	case n < 1<<28-1:
		return 4
	default:
		return 5
	}
}

// canonicalInt reads s as an integer if printing the integer gives s again:
// no sign of plus, no leading zero, no minus zero.
func canonicalInt(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	digits, negative := s, s[0] == '-'
	if negative {
		digits = s[1:]
	}
	if len(digits) == 0 || digits[0] == '0' && (negative || len(digits) > 1) {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' || n > (1<<64-1)/10 {
			return 0, false
		}
		d := uint64(c - '0')
		if n = n * 10; n > 1<<64-1-d {
			return 0, false
		}
		n += d
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

// span is how long the encoding of the element at pos is, without its
// length from behind.
func (lp listpack) span(pos int) int {
	switch c := lp[pos]; {
	case c < 0x80:
		return 1
	case c < 0xc0:
		return 1 + int(c&0x3f)
	case c < 0xe0:
		return 2
	case c < 0xf0:
		return 2 + int(c&0x0f)<<8 + int(lp[pos+1])
	case c == 0xf0:
		return 5 + int(binary.LittleEndian.Uint32(lp[pos+1:]))
	case c == 0xf1:
		return 3
	case c == 0xf2:
		return 4
	case c == 0xf3:
		return 5
	default:
		return 9
	}
}

// next returns the position behind the element at pos.
func (lp listpack) next(pos int) int {
	n := lp.span(pos)
	if n <= 127 {
		return pos + n + 1
	}
	return pos + n + backLenSize(n)
}

// skip returns the position behind n elements from pos on.
func (lp listpack) skip(pos, n int) int {
	for ; n > 0; n-- {
		pos = lp.next(pos)
	}
	return pos
}

// prev returns the position of the element before pos. There must be one.
func (lp listpack) prev(pos int) int {
	size, shift := 0, 0
	for at := pos - 1; ; at-- {
		size |= int(lp[at]&0x7f) << shift
		if lp[at] < 0x80 {
			return at - size
		}
		shift += 7
	}
}

// end reports whether there is no element at pos.
func (lp listpack) end(pos int) bool { return lp[pos] == lpEnd }

// get returns the element at pos: s, or n if s is nil.
func (lp listpack) get(pos int) (s []byte, n int64) {
	switch c := lp[pos]; {
	case c < 0x80:
		return nil, int64(c)
	case c < 0xc0:
		return lp[pos+1 : pos+lp.span(pos)], 0
	case c < 0xe0:
		return nil, int64(uint64(c&0x1f)<<59|uint64(lp[pos+1])<<51) >> 51
	case c < 0xf0:
		return lp[pos+2 : pos+lp.span(pos)], 0
	case c == 0xf0:
		return lp[pos+5 : pos+lp.span(pos)], 0
	case c == 0xf1:
		return nil, int64(int16(binary.LittleEndian.Uint16(lp[pos+1:])))
	case c == 0xf2:
		return nil, int64(lp[pos+1]) | int64(lp[pos+2])<<8 | int64(int8(lp[pos+3]))<<16
	case c == 0xf3:
		return nil, int64(int32(binary.LittleEndian.Uint32(lp[pos+1:])))
	default:
		return nil, int64(binary.LittleEndian.Uint64(lp[pos+1:]))
	}
}

// bytes returns the element at pos as a string. buf is where an integer is
// printed to; it must be empty and is best given room for twenty bytes.
func (lp listpack) bytes(pos int, buf []byte) []byte {
	s, n := lp.get(pos)
	if s == nil {
		s = strconv.AppendInt(buf, n, 10)
	}
	return s
}

// num returns the element at pos as an integer.
func (lp listpack) num(pos int) (int64, bool) {
	s, n := lp.get(pos)
	if s != nil {
		return canonicalInt(s)
	}
	return n, true
}

// setInt replaces the element at pos by an integer. The result is lp itself,
// changed, or a grown one; what follows may have moved.
func (lp listpack) setInt(pos int, v int64) listpack {
	var room [16]byte
	fresh := listpack(room[:0]).addInt(v)
	old := lp.next(pos) - pos
	if delta := len(fresh) - old; delta > 0 {
		lp = append(lp, fresh[:delta]...) // any bytes: only for the room
		copy(lp[pos+len(fresh):], lp[pos+old:len(lp)-delta])
	} else if delta < 0 {
		copy(lp[pos+len(fresh):], lp[pos+old:])
		lp = lp[:len(lp)+delta]
	}
	copy(lp[pos:], fresh)
	return lp.seal(0)
}

// validateListpack reports whether b is a well formed listpack, and how many elements
// it has.
func validateListpack(b []byte) (elements int, ok bool) {
	if len(b) < lpHeader+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != lpEnd {
		return 0, false
	}
	lp, last := listpack(b), len(b)-1
	pos := lpHeader
	for pos < last {
		// The longest fixed part is five bytes; the terminator alone guarantees one.
		need := 1
		switch c := lp[pos]; {
		case c > 0xf4:
			return 0, false
		case c == 0xf0:
			need = 5
		case c >= 0xe0 && c < 0xf0:
			need = 2
		}
		if last-pos < need {
			return 0, false
		}
		n := lp.span(pos)
		size := backLenSize(n)
		if n > last-pos-size {
			return 0, false
		}
		var back [5]byte
		if string(appendBackLen(back[:0], n)) != string(lp[pos+n:pos+n+size]) {
			return 0, false
		}
		pos += n + size
		elements++
	}
	n := int(binary.LittleEndian.Uint16(b[4:]))
	return elements, pos == last && (n == lpUnknown || n == elements)
}
