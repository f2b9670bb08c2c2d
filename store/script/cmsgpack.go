package script

import (
	"encoding/binary"
	"math"

	"github.com/raftredis/raftredis/store/script/lua"
)

const maxMsgpackNesting = 16

func openCmsgpack(m *lua.Machine) {
	lib := m.NewLibrary([]lua.Entry{
		{Name: "pack", Func: msgpackPack}, {Name: "unpack", Func: msgpackUnpack},
		{Name: "unpack_one", Func: msgpackUnpackOne}, {Name: "unpack_limit", Func: msgpackUnpackLimit},
	})
	m.SetString(lib, "_NAME", lua.String("cmsgpack"))
	m.SetString(lib, "_VERSION", lua.String("lua-cmsgpack 0.4.0"))
	m.SetString(lib, "_COPYRIGHT", lua.String("Copyright (C) 2012, Salvatore Sanfilippo"))
	m.SetString(lib, "_DESCRIPTION", lua.String("MessagePack C implementation for Lua"))
	m.SetString(m.Globals, "cmsgpack", lua.TableValue(lib))
}

type msgpackEncoder struct {
	t   *lua.Thread
	buf []byte
}

func msgpackPack(t *lua.Thread, args []lua.Value) []lua.Value {
	if len(args) == 0 {
		t.ArgError(0, "MessagePack pack needs input.")
	}
	e := &msgpackEncoder{t: t}
	for _, v := range args {
		e.value(v, 0)
	}
	return t.ReturnString(string(e.buf))
}

func (e *msgpackEncoder) add(b ...byte) {
	e.t.Alloc(len(b))
	e.buf = append(e.buf, b...)
}

func (e *msgpackEncoder) value(v lua.Value, level int) {
	e.t.Step(1)
	if s, ok := v.AsString(); ok {
		e.str(s)
	} else if b, ok := v.AsBool(); ok {
		if b {
			e.add(0xc3)
		} else {
			e.add(0xc2)
		}
	} else if f, ok := v.AsNumber(); ok {
		if f >= -9223372036854775808 && f < 9223372036854775808 && math.Trunc(f) == f {
			e.integer(int64(f))
		} else {
			e.float(f)
		}
	} else if tb, ok := v.AsTable(); ok && level < maxMsgpackNesting {
		e.table(tb, level)
	} else {
		e.add(0xc0)
	}
}

func (e *msgpackEncoder) str(s string) {
	switch n := len(s); {
	case n < 32:
		e.add(0xa0 | byte(n))
	case n <= 0xff:
		e.add(0xd9, byte(n))
	case n <= 0xffff:
		e.add(0xda, byte(n>>8), byte(n))
	default:
		e.add(0xdb, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	e.t.Alloc(len(s))
	e.buf = append(e.buf, s...)
}

func (e *msgpackEncoder) float(f float64) {
	if s := float32(f); float64(s) == f {
		e.add(binary.BigEndian.AppendUint32([]byte{0xca}, math.Float32bits(s))...)
		return
	}
	e.add(binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(f))...)
}

func (e *msgpackEncoder) integer(n int64) {
	switch {
	case n >= -32 && n <= 127:
		e.add(byte(n))
	case n >= 0 && n <= 0xff:
		e.add(0xcc, byte(n))
	case n >= 0 && n <= 0xffff:
		e.add(0xcd, byte(n>>8), byte(n))
	case n >= 0 && n <= 0xffffffff:
		e.add(binary.BigEndian.AppendUint32([]byte{0xce}, uint32(n))...)
	case n >= 0:
		e.add(binary.BigEndian.AppendUint64([]byte{0xcf}, uint64(n))...)
	case n >= -128:
		e.add(0xd0, byte(n))
	case n >= -32768:
		e.add(0xd1, byte(n>>8), byte(n))
	case n >= -2147483648:
		e.add(binary.BigEndian.AppendUint32([]byte{0xd2}, uint32(n))...)
	default:
		e.add(binary.BigEndian.AppendUint64([]byte{0xd3}, uint64(n))...)
	}
}

// header is that of an array or a map.
func (e *msgpackEncoder) header(n int, fix, b16 byte) {
	switch {
	case n <= 15:
		e.add(fix | byte(n))
	case n <= 65535:
		e.add(b16, byte(n>>8), byte(n))
	default:
		e.add(b16+1, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func (e *msgpackEncoder) table(tb *lua.Table, level int) {
	array, count, most := true, 0, 0.0
	var k, v lua.Value
	for {
		e.t.Step(1)
		if k, _, _ = tb.Next(k); k.IsNil() {
			break
		}
		count++
		f, ok := k.AsNumber()
		if !ok || f <= 0 || math.Trunc(f) != f || f > math.MaxInt32 {
			array = false
			continue
		}
		most = max(most, f)
	}
	if array && int(most) == count {
		n := tb.Len()
		e.header(n, 0x90, 0xdc)
		for i := 1; i <= n; i++ {
			e.value(e.t.Index(lua.TableValue(tb), lua.Int(i)), level+1)
		}
		return
	}
	e.header(count, 0x80, 0xde)
	for k = (lua.Value{}); ; {
		if k, v, _ = tb.Next(k); k.IsNil() {
			return
		}
		e.value(k, level+1)
		e.value(v, level+1)
	}
}

func msgpackUnpack(t *lua.Thread, args []lua.Value) []lua.Value {
	return msgpackUnpackFull(t, args, 0, 0)
}

func msgpackUnpackOne(t *lua.Thread, args []lua.Value) []lua.Value {
	return msgpackUnpackFull(t, args, 1, optInteger(t, args, 2))
}

func msgpackUnpackLimit(t *lua.Thread, args []lua.Value) []lua.Value {
	limit := t.CheckInteger(args, 2)
	return msgpackUnpackFull(t, args, limit, optInteger(t, args, 3))
}

func optInteger(t *lua.Thread, args []lua.Value, i int) int64 {
	if lua.Arg(args, i).IsNil() {
		return 0
	}
	return t.CheckInteger(args, i)
}

type msgpackDecoder struct {
	t     *lua.Thread
	s     string
	pos   int
	depth int
}

func msgpackUnpackFull(t *lua.Thread, args []lua.Value, limit, offset int64) []lua.Value {
	s := t.CheckString(args, 1)
	all := limit == 0 && offset == 0
	switch {
	case offset < 0 || limit < 0:
		t.Fail("Invalid request to unpack with offset of %d and limit of %d.", int32(offset), int32(len(s)))
	case offset > int64(len(s)):
		t.Fail("Start offset %d greater than input length %d.", int32(offset), int32(len(s)))
	}
	if all {
		limit = math.MaxInt32
	}
	d := &msgpackDecoder{t: t, s: s, pos: int(offset)}
	var out []lua.Value
	if !all {
		out = append(out, lua.Value{})
	}
	for n := int64(0); d.pos < len(s) && n < limit; n++ {
		if len(out) > 7990 {
			t.Fail("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
		}
		t.Alloc(24)
		out = append(out, d.value())
	}
	if !all {
		out[0] = lua.Int(d.pos)
		if d.pos == len(s) {
			out[0] = lua.Int(-1)
		}
	}
	return out
}

// need returns the next n bytes.
func (d *msgpackDecoder) need(n int) string {
	if len(d.s)-d.pos < n {
		d.t.Fail("Missing bytes in input.")
	}
	b := d.s[d.pos : d.pos+n]
	d.pos += n
	return b
}

func (d *msgpackDecoder) uint(n int) uint64 {
	var v uint64
	for _, c := range []byte(d.need(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (d *msgpackDecoder) value() lua.Value {
	d.t.Step(1)
	c := d.need(1)[0]
	switch {
	case c < 0x80:
		return lua.Int(int(c))
	case c >= 0xe0:
		return lua.Int(int(int8(c)))
	case c&0xe0 == 0xa0:
		return d.str(int(c & 0x1f))
	case c&0xf0 == 0x90:
		return d.array(int(c & 0xf))
	case c&0xf0 == 0x80:
		return d.hash(int(c & 0xf))
	}
	switch c {
	case 0xc0:
		return lua.Value{}
	case 0xc2, 0xc3:
		return lua.Bool(c == 0xc3)
	case 0xca:
		return lua.Number(float64(math.Float32frombits(uint32(d.uint(4)))))
	case 0xcb:
		return lua.Number(math.Float64frombits(d.uint(8)))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return lua.Number(float64(d.uint(1 << (c - 0xcc))))
	case 0xd0:
		return lua.Int(int(int8(d.uint(1))))
	case 0xd1:
		return lua.Int(int(int16(d.uint(2))))
	case 0xd2:
		return lua.Int(int(int32(d.uint(4))))
	case 0xd3:
		return lua.Int(int(int64(d.uint(8))))
	case 0xd9, 0xda, 0xdb:
		return d.str(int(d.uint(1 << (c - 0xd9))))
	case 0xdc, 0xdd:
		return d.array(int(d.uint(2 << (c - 0xdc))))
	case 0xde, 0xdf:
		return d.hash(int(d.uint(2 << (c - 0xde))))
	}
	d.t.Fail("Bad data format in input.")
	return lua.Value{}
}

func (d *msgpackDecoder) str(n int) lua.Value { return d.t.NewString(d.need(n)) }

// maxMsgpackDepth is about what Lua's stack for C lets lua-cmsgpack nest.
const maxMsgpackDepth = 2600

func (d *msgpackDecoder) descend() {
	if d.depth++; d.depth > maxMsgpackDepth {
		d.t.Fail("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
	}
}

func (d *msgpackDecoder) array(n int) lua.Value {
	d.descend()
	tb := d.t.NewTable()
	for i := 1; i <= n; i++ {
		d.t.Set(tb, lua.Int(i), d.value())
	}
	d.depth--
	return lua.TableValue(tb)
}

func (d *msgpackDecoder) hash(n int) lua.Value {
	d.descend()
	tb := d.t.NewTable()
	for range n {
		k := d.value()
		v := d.value()
		d.t.SetIndex(lua.TableValue(tb), k, v)
	}
	d.depth--
	return lua.TableValue(tb)
}
