package script

import (
	"fmt"
	"math"
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

// structFormat reads a format of the struct library.
type structFormat struct {
	t      *lua.Thread
	fmt    string
	pos    int
	little bool
	align  int
}

const (
	maxStructInt   = 32
	maxStructAlign = 8
)

func openStruct(m *lua.Machine) {
	lib := m.NewLibrary([]lua.Entry{
		{Name: "pack", Func: structPack}, {Name: "unpack", Func: structUnpack}, {Name: "size", Func: structSize},
	})
	m.SetString(m.Globals, "struct", lua.TableValue(lib))
}

func newStructFormat(t *lua.Thread, args []lua.Value) *structFormat {
	f := t.CheckString(args, 1)
	if i := strings.IndexByte(f, 0); i >= 0 {
		f = f[:i]
	}
	return &structFormat{t: t, fmt: f, little: true, align: 1}
}

func (f *structFormat) more() bool { return f.pos < len(f.fmt) }

// next returns the next option, its size and the bytes that align it at a position.
func (f *structFormat) next(at int) (opt byte, size, pad int) {
	f.t.Step(1)
	opt = f.fmt[f.pos]
	f.pos++
	switch opt {
	case 'B', 'b', 'x':
		size = 1
	case 'H', 'h':
		size = 2
	case 'L', 'l', 'T', 'd':
		size = 8
	case 'f':
		size = 4
	case 'c':
		size = f.number(1)
	case 'i', 'I':
		if size = f.number(4); size > maxStructInt {
			f.t.Fail("integral size %d is larger than limit of %d", size, maxStructInt)
		}
	}
	if size == 0 || opt == 'c' {
		return opt, size, 0
	}
	a := min(size, f.align)
	return opt, size, (a - at&(a-1)) & (a - 1)
}

func (f *structFormat) number(def int) int {
	if !f.more() || f.fmt[f.pos] < '0' || f.fmt[f.pos] > '9' {
		return def
	}
	n := 0
	for f.more() && f.fmt[f.pos] >= '0' && f.fmt[f.pos] <= '9' {
		d := int(f.fmt[f.pos] - '0')
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-d {
			f.t.Fail("integral size overflow")
		}
		n = n*10 + d
		f.pos++
	}
	return n
}

func (f *structFormat) control(opt byte) {
	switch opt {
	case ' ':
	case '>':
		f.little = false
	case '<':
		f.little = true
	case '!':
		a := f.number(maxStructAlign)
		if a <= 0 || a&(a-1) != 0 {
			f.t.Fail("alignment %d is not a power of 2", a)
		}
		f.align = a
	default:
		f.t.ArgError(1, fmt.Sprintf("invalid format option '%s'", []byte{opt}))
	}
}

// order reverses what was made little-endian where the format is not.
func (f *structFormat) order(b []byte) []byte {
	if !f.little {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	return b
}

func littleEndian(v uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v)
		v >>= 8
	}
	return b
}

func structPack(t *lua.Thread, args []lua.Value) []lua.Value {
	f := newStructFormat(t, args)
	args = append(args[:len(args):len(args)], lua.Value{}) // where the library marks the end, which a message may show
	var b []byte
	arg := 2
	for total := 0; f.more(); {
		opt, size, pad := f.next(total)
		t.Alloc(size + pad)
		total += pad
		b = append(b, make([]byte, pad)...)
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			n := t.CheckNumber(args, arg)
			arg++
			b = append(b, f.order(littleEndian(lua.ToUint(n), size))...)
		case 'x':
			b = append(b, 0)
		case 'f':
			n := t.CheckNumber(args, arg)
			arg++
			b = append(b, f.order(littleEndian(uint64(math.Float32bits(float32(n))), 4))...)
		case 'd':
			n := t.CheckNumber(args, arg)
			arg++
			b = append(b, f.order(littleEndian(math.Float64bits(n), 8))...)
		case 'c', 's':
			s := t.CheckString(args, arg)
			arg++
			if size == 0 {
				size = len(s)
			}
			if len(s) < size {
				t.ArgError(arg, "string too short")
			}
			t.Alloc(size + 1)
			b = append(b, s[:size]...)
			if opt == 's' {
				b = append(b, 0)
				size++
			}
		default:
			f.control(opt)
		}
		total += size
	}
	return t.ReturnString(string(b))
}

func (f *structFormat) integer(b []byte, signed bool) float64 {
	var v uint64
	for i := range b {
		c := b[i]
		if f.little {
			c = b[len(b)-1-i]
		}
		v = v<<8 | uint64(c)
	}
	if !signed {
		return float64(v)
	}
	mask := ^uint64(0) << (uint(len(b)*8-1) & 63)
	if v&mask != 0 {
		v |= mask
	}
	return float64(int64(v))
}

func structUnpack(t *lua.Thread, args []lua.Value) []lua.Value {
	f := newStructFormat(t, args)
	data := t.CheckString(args, 2)
	pos := 1
	if !lua.Arg(args, 3).IsNil() {
		i := t.CheckInteger(args, 3)
		if i == 0 {
			t.ArgError(3, "offset must be 1 or greater")
		}
		if i < 0 || i > math.MaxInt32 {
			pos = math.MaxInt32
		} else {
			pos = int(i)
		}
	}
	pos--
	var out []lua.Value
	for f.more() {
		opt, size, pad := f.next(pos)
		pos += pad
		if size > len(data) || pos > len(data)-size {
			t.ArgError(2, "data string too short")
		}
		if len(out) > 7990 {
			t.Fail("stack overflow (too many results)")
		}
		t.Alloc(24)
		bytes := func() []byte { return []byte(data[pos : pos+size]) }
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			out = append(out, lua.Number(f.integer(bytes(), opt >= 'a')))
		case 'x':
		case 'f':
			u := f.unsigned(bytes())
			out = append(out, lua.Number(float64(math.Float32frombits(uint32(u)))))
		case 'd':
			out = append(out, lua.Number(math.Float64frombits(f.unsigned(bytes()))))
		case 'c':
			if size == 0 {
				n, ok := 0.0, false
				if len(out) > 0 {
					n, ok = out[len(out)-1].ToNumber()
				}
				if !ok {
					t.Fail("format 'c0' needs a previous size")
				}
				out = out[:len(out)-1]
				if n < 0 || n > float64(len(data)) || pos > len(data)-int(n) {
					t.ArgError(2, "data string too short")
				}
				size = int(n)
			}
			out = append(out, t.NewString(data[pos:pos+size]))
		case 's':
			n := strings.IndexByte(data[pos:], 0)
			if n < 0 {
				t.Fail("unfinished string in data")
			}
			out = append(out, t.NewString(data[pos:pos+n]))
			size = n + 1
		default:
			f.control(opt)
		}
		pos += size
	}
	return append(out, lua.Int(pos+1))
}

func (f *structFormat) unsigned(b []byte) uint64 {
	var v uint64
	for i, c := range f.order(b) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

func structSize(t *lua.Thread, args []lua.Value) []lua.Value {
	f := newStructFormat(t, args)
	pos := 0
	for f.more() {
		opt, size, pad := f.next(pos)
		pos += pad
		switch {
		case opt == 's':
			t.ArgError(1, "option 's' has no fixed size")
		case opt == 'c' && size == 0:
			t.ArgError(1, "option 'c0' has no fixed size")
		}
		if !(opt >= '0' && opt <= '9' || opt|0x20 >= 'a' && opt|0x20 <= 'z') {
			f.control(opt)
		}
		pos += size
	}
	return t.Return1(lua.Int(pos))
}
