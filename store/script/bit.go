package script

import (
	"math"

	"github.com/raftredis/raftredis/store/script/lua"
)

// bitArg is the BitOp library's conversion: adding 2^52+2^51 leaves the integer, modulo
// 2^32, in the low bits.
func bitArg(t *lua.Thread, args []lua.Value, i int) uint32 {
	f, ok := lua.Arg(args, i).ToNumber()
	if !ok {
		t.CheckNumber(args, i)
	}
	return uint32(math.Float64bits(f + 6755399441055744.0))
}

func bitResult(t *lua.Thread, b uint32) []lua.Value { return t.Return1(lua.Int(int(int32(b)))) }

func bitFold(f func(a, b uint32) uint32) lua.GoFunc {
	return func(t *lua.Thread, args []lua.Value) []lua.Value {
		b := bitArg(t, args, 1)
		for i := len(args); i > 1; i-- {
			b = f(b, bitArg(t, args, i))
		}
		return bitResult(t, b)
	}
}

func bitShift(f func(b, n uint32) uint32) lua.GoFunc {
	return func(t *lua.Thread, args []lua.Value) []lua.Value {
		b := bitArg(t, args, 1)
		return bitResult(t, f(b, bitArg(t, args, 2)&31))
	}
}

func openBit(m *lua.Machine) {
	lib := m.NewLibrary([]lua.Entry{
		{Name: "tobit", Func: func(t *lua.Thread, args []lua.Value) []lua.Value { return bitResult(t, bitArg(t, args, 1)) }},
		{Name: "bnot", Func: func(t *lua.Thread, args []lua.Value) []lua.Value { return bitResult(t, ^bitArg(t, args, 1)) }},
		{Name: "band", Func: bitFold(func(a, b uint32) uint32 { return a & b })},
		{Name: "bor", Func: bitFold(func(a, b uint32) uint32 { return a | b })},
		{Name: "bxor", Func: bitFold(func(a, b uint32) uint32 { return a ^ b })},
		{Name: "lshift", Func: bitShift(func(b, n uint32) uint32 { return b << n })},
		{Name: "rshift", Func: bitShift(func(b, n uint32) uint32 { return b >> n })},
		{Name: "arshift", Func: bitShift(func(b, n uint32) uint32 { return uint32(int32(b) >> n) })},
		{Name: "rol", Func: bitShift(func(b, n uint32) uint32 { return b<<n | b>>(32-n) })},
		{Name: "ror", Func: bitShift(func(b, n uint32) uint32 { return b<<(32-n) | b>>n })},
		{Name: "bswap", Func: func(t *lua.Thread, args []lua.Value) []lua.Value {
			b := bitArg(t, args, 1)
			return bitResult(t, b>>24|b>>8&0xff00|b&0xff00<<8|b<<24)
		}},
		{Name: "tohex", Func: bitToHex},
	})
	m.SetString(m.Globals, "bit", lua.TableValue(lib))
}

func bitToHex(t *lua.Thread, args []lua.Value) []lua.Value {
	b := bitArg(t, args, 1)
	n := int32(8)
	if len(args) > 1 {
		n = int32(bitArg(t, args, 2))
	}
	digits := "0123456789abcdef"
	if n < 0 {
		n, digits = -n, "0123456789ABCDEF"
	}
	if n > 8 || n < 0 {
		n = 8
	}
	buf := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		buf[i] = digits[b&15]
		b >>= 4
	}
	return t.ReturnString(string(buf))
}
