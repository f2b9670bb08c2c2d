package keyspace

import (
	"encoding/binary"
	"math"
	"strconv"
)

// rdbReader reads Redis's serialization of a value, from whomever. bad is
// sticky: once it is set every method answers a zero value.
type rdbReader struct {
	buf    []byte // what is left
	bad    bool
	limits *Limits
}

func (r *rdbReader) fail() { r.bad, r.buf = true, nil }

// take returns the next n bytes, which alias the input.
func (r *rdbReader) take(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.fail()
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *rdbReader) byte() byte {
	b := r.take(1)
	if r.bad {
		return 0
	}
	return b[0]
}

func (r *rdbReader) uint64() uint64 {
	b := r.take(8)
	if r.bad {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// lenOrForm reads a length, or if special is true the form that a string has
// instead.
func (r *rdbReader) lenOrForm() (n uint64, special bool) {
	switch c := r.byte(); {
	case c < 0x40:
		return uint64(c), false
	case c < 0x80:
		return uint64(c&0x3f)<<8 | uint64(r.byte()), false
	case c == 0x80:
		if b := r.take(4); !r.bad {
			return uint64(binary.BigEndian.Uint32(b)), false
		}
	case c == 0x81:
		if b := r.take(8); !r.bad {
			return binary.BigEndian.Uint64(b), false
		}
	case c >= 0xc0:
		return uint64(c & 0x3f), true
	default:
		r.fail()
	}
	return 0, false
}

func (r *rdbReader) len() uint64 {
	n, special := r.lenOrForm()
	if special {
		// Redis takes the form for a length here. No writer makes one.
		r.fail()
		return 0
	}
	return n
}

// count reads the length of a collection, which is never empty, and whose
// elements take a byte each at least.
func (r *rdbReader) count() uint64 {
	n := r.len()
	if n == 0 || n > uint64(len(r.buf)) {
		r.fail()
		return 0
	}
	return n
}

// string reads a string. It may alias the input; own copies it then.
func (r *rdbReader) string() (s []byte) {
	n, special := r.lenOrForm()
	if !special {
		return r.take(n)
	}
	var v int64
	switch n {
	case 0, 1, 2:
		v = r.signed(1 << n)
	case 3:
		return r.compressed()
	default:
		r.fail()
	}
	if r.bad {
		return nil
	}
	return strconv.AppendInt(nil, v, 10)
}

// own reads a string that may be kept.
func (r *rdbReader) own() []byte { return append([]byte{}, r.string()...) }

func (r *rdbReader) compressed() []byte {
	size, n := r.len(), r.len()
	in := r.take(size)
	out, ok := expandLZF(in, n)
	if r.bad || !ok {
		r.fail()
		return nil
	}
	return out
}

// expandLZF expands LZF to exactly n bytes. A byte below 32 begins a run of so
// many bytes plus one; any other repeats earlier output: its upper three bits
// and, if they are all set, one more byte give the length, its lower five and
// the next byte how far back.
func expandLZF(in []byte, n uint64) (out []byte, ok bool) {
	// Three bytes make at most 264, so what claims to expand to more is a lie and
	// must not be given the memory.
	const most = 264 / 3
	if n > uint64(len(in))*most || n == 0 {
		return nil, false
	}
	out = make([]byte, 0, n)
	for len(in) > 0 {
		c := int(in[0])
		in = in[1:]
		if c < 32 {
			if c++; c > len(in) || uint64(len(out)+c) > n {
				return nil, false
			}
			out, in = append(out, in[:c]...), in[c:]
			continue
		}
		size, back := c>>5, c&0x1f<<8
		if size == 7 && len(in) > 0 {
			size += int(in[0])
			in = in[1:]
		}
		if len(in) == 0 {
			return nil, false
		}
		back += int(in[0]) + 1
		in = in[1:]
		size += 2
		if back > len(out) || uint64(len(out)+size) > n {
			return nil, false
		}
		for from := len(out) - back; size > 0; size-- { // may overlap what it writes
			out = append(out, out[from])
			from++
		}
	}
	return out, uint64(len(out)) == n
}

// float reads eight bytes, or if old is true text with its length.
func (r *rdbReader) float(old bool) (f float64) {
	if !old {
		f = math.Float64frombits(r.uint64())
	} else {
		switch n := r.byte(); n {
		case 255:
			f = math.Inf(-1)
		case 254:
			f = math.Inf(1)
		case 253:
			f = math.NaN()
		default:
			var ok bool
			if f, ok = parseScore(r.take(uint64(n))); !ok {
				r.fail()
			}
		}
	}
	if math.IsNaN(f) {
		r.fail()
	}
	return f
}

// parseScore reads a score as Redis prints it.
func parseScore(b []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	return f, err == nil && !math.IsNaN(f)
}

func (r *rdbReader) streamID() StreamID {
	ms := r.len()
	return StreamID{ms, r.len()}
}

// bigStreamID reads an ID as sixteen bytes.
func (r *rdbReader) bigStreamID() (id StreamID) {
	if b := r.take(16); !r.bad {
		id = bigStreamID(b)
	}
	return id
}

// signed reads an integer of size bytes, the lowest first.
func (r *rdbReader) signed(size int) (v int64) {
	for i, c := range r.take(uint64(size)) {
		v |= int64(c) << (8 * i)
	}
	shift := 64 - 8*size
	return v << shift >> shift
}
