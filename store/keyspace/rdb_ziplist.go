package keyspace

import (
	"encoding/binary"
	"strconv"
)

// ziplist returns the elements of a ziplist: what listpacks were before Redis
// 7.0, whose payloads can still be restored. A header of the size, the position
// of the last element and the number of elements; the elements, each beginning
// with the size of the one before it; a terminator.
func (r *rdbReader) ziplist(b []byte) (out [][]byte) {
	const header = 4 + 4 + 2
	if r.bad || len(b) < header+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != 0xff {
		r.fail()
		return nil
	}
	z := rdbReader{buf: b[header : len(b)-1]}
	n, last := binary.LittleEndian.Uint16(b[8:]), header
	for before, at := uint64(0), header; len(z.buf) > 0; {
		left := len(z.buf)
		size := uint64(z.byte())
		if size == 0xfe {
			if b := z.take(4); !z.bad {
				size = uint64(binary.LittleEndian.Uint32(b))
			}
		}
		out = append(out, z.ziplistElement())
		if z.bad || size != before {
			r.fail()
			return nil
		}
		before, last = uint64(left-len(z.buf)), at
		at += left - len(z.buf)
	}
	if n != 1<<16-1 && int(n) != len(out) || uint64(binary.LittleEndian.Uint32(b[4:])) != uint64(last) {
		r.fail()
		return nil
	}
	return out
}

// ziplistElement reads an element without the size before it: a string, or an
// integer of one of six widths.
func (r *rdbReader) ziplistElement() []byte {
	c := r.byte()
	var v int64
	switch {
	case c < 0x40:
		return r.take(uint64(c))
	case c < 0x80:
		return r.take(uint64(c&0x3f)<<8 | uint64(r.byte()))
	case c == 0x80:
		b := r.take(4)
		if r.bad {
			return nil
		}
		return r.take(uint64(binary.BigEndian.Uint32(b)))
	case c == 0xc0:
		v = r.signed(2)
	case c == 0xd0:
		v = r.signed(4)
	case c == 0xe0:
		v = r.signed(8)
	case c == 0xf0:
		v = r.signed(3)
	case c == 0xfe:
		v = r.signed(1)
	case c >= 0xf1 && c <= 0xfd:
		v = int64(c&0x0f) - 1
	default:
		r.fail()
	}
	if r.bad {
		return nil
	}
	return strconv.AppendInt(nil, v, 10)
}
