package keyspace

import (
	"encoding/binary"
	"slices"
	"sort"
)

// intset is a sorted set of integers in one allocation, each as wide as the
// widest that was ever in it needs.
type intset struct {
	buf  []byte
	wide uint8 // log2 of the width in bytes: 1, 2 or 3; 0 in an empty set
}

func (s *intset) len() int { return len(s.buf) >> s.wide }

func (s *intset) at(i int) int64 {
	switch s.wide {
	case 1:
		return int64(int16(binary.LittleEndian.Uint16(s.buf[2*i:])))
	case 2:
		return int64(int32(binary.LittleEndian.Uint32(s.buf[4*i:])))
	default:
		return int64(binary.LittleEndian.Uint64(s.buf[8*i:]))
	}
}

func (s *intset) put(i int, n int64) {
	switch s.wide {
	case 1:
		binary.LittleEndian.PutUint16(s.buf[2*i:], uint16(n))
	case 2:
		binary.LittleEndian.PutUint32(s.buf[4*i:], uint32(n))
	default:
		binary.LittleEndian.PutUint64(s.buf[8*i:], uint64(n))
	}
}

// find returns where n is or belongs.
func (s *intset) find(n int64) (i int, ok bool) {
	count := s.len()
	if count == 0 || n > s.at(count-1) { // in order of insertion, often enough
		return count, false
	}
	i = sort.Search(count, func(i int) bool { return s.at(i) >= n })
	return i, s.at(i) == n
}

// add reports whether n is new.
func (s *intset) add(n int64) bool {
	i, ok := s.find(n)
	if ok {
		return false
	}
	if w := widthOf(n); w > s.wide {
		s.widen(w)
	}
	width := 1 << s.wide
	s.buf = slices.Grow(s.buf, width)[:len(s.buf)+width]
	copy(s.buf[(i+1)*width:], s.buf[i*width:])
	s.put(i, n)
	return true
}

func widthOf(n int64) uint8 {
	switch {
	case n == int64(int16(n)):
		return 1
	case n == int64(int32(n)):
		return 2
	default:
		return 3
	}
}

func (s *intset) widen(wide uint8) {
	count := s.len()
	grown := intset{buf: make([]byte, count<<wide, (count+1)<<wide), wide: wide}
	for i := range count {
		grown.put(i, s.at(i))
	}
	*s = grown
}

// remove removes element i.
func (s *intset) remove(i int) {
	width := 1 << s.wide
	s.buf = slices.Delete(s.buf, i*width, (i+1)*width)
}

func (s *intset) clone() intset {
	return intset{buf: append(make([]byte, 0, len(s.buf)+8), s.buf...), wide: s.wide}
}

// setInt reports whether member is an integer exactly as it would be printed,
// which is what an intset can hold.
func setInt(member []byte) (n int64, ok bool) {
	if len(member) == 0 || len(member) > 20 {
		return 0, false
	}
	digits, negative := member, false
	if member[0] == '-' {
		digits, negative = member[1:], true
	}
	if len(digits) == 0 || digits[0] == '0' && len(member) > 1 {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		c -= '0'
		if c > 9 || u > (1<<64-1-uint64(c))/10 {
			return 0, false
		}
		u = u*10 + uint64(c)
	}
	switch {
	case negative:
		return -int64(u), u <= 1<<63
	default:
		return int64(u), u < 1<<63
	}
}
