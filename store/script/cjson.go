package script

import (
	"fmt"
	"math"

	"github.com/raftredis/raftredis/store/script/lua"
)

// jsonConfig is what the cjson.encode_* and decode_* functions set. In Redis a setting
// outlives the script that made it; here every run begins with the defaults, as
// a node that was restarted would.
type jsonConfig struct {
	sparseConvert  bool
	sparseRatio    int
	sparseSafe     int
	encodeMaxDepth int
	decodeMaxDepth int
	precision      int
	keepBuffer     bool
	encodeInvalid  int // invalidOff, invalidOn, invalidNull
	decodeInvalid  bool
}

const (
	invalidOff = iota
	invalidOn
	invalidNull
)

func defaultJSON() jsonConfig {
	return jsonConfig{
		sparseRatio: 2, sparseSafe: 10, encodeMaxDepth: 1000, decodeMaxDepth: 1000,
		precision: 14, keepBuffer: true, decodeInvalid: true,
	}
}

// cjson is the library; null is its cjson.null.
type cjson struct {
	null lua.Value
}

// open makes a module table over a configuration.
func (j *cjson) open(m *lua.Machine, cfg *jsonConfig) *lua.Table {
	lib := m.NewLibrary([]lua.Entry{
		{Name: "encode", Func: func(t *lua.Thread, args []lua.Value) []lua.Value { return j.encode(t, cfg, args) }},
		{Name: "decode", Func: func(t *lua.Thread, args []lua.Value) []lua.Value { return j.decode(t, cfg, args) }},
		{Name: "encode_sparse_array", Func: cfg.setSparse},
		{Name: "encode_max_depth", Func: cfg.integer(&cfg.encodeMaxDepth, 1, math.MaxInt32)},
		{Name: "decode_max_depth", Func: cfg.integer(&cfg.decodeMaxDepth, 1, math.MaxInt32)},
		{Name: "encode_number_precision", Func: cfg.integer(&cfg.precision, 1, 14)},
		{Name: "encode_keep_buffer", Func: cfg.boolean(&cfg.keepBuffer)},
		{Name: "encode_invalid_numbers", Func: cfg.setEncodeInvalid},
		{Name: "decode_invalid_numbers", Func: cfg.boolean(&cfg.decodeInvalid)},
		{Name: "new", Func: func(t *lua.Thread, _ []lua.Value) []lua.Value {
			own := defaultJSON()
			return t.Return1(lua.TableValue(j.open(t.Machine, &own)))
		}},
	})
	m.SetString(lib, "null", j.null)
	m.SetString(lib, "_NAME", lua.String("cjson"))
	m.SetString(lib, "_VERSION", lua.String("2.1.0"))
	return lib
}

// atMost refuses more arguments than a configuration function has.
func atMost(t *lua.Thread, args []lua.Value, n int) {
	if len(args) > n {
		t.ArgError(n+1, "found too many arguments")
	}
}

func integerOption(t *lua.Thread, args []lua.Value, i int, setting *int, low, high int) lua.Value {
	if !lua.Arg(args, i).IsNil() {
		v := t.CheckInt(args, i)
		if v < low || v > high {
			t.ArgError(1, fmt.Sprintf("expected integer between %d and %d", low, high))
		}
		*setting = v
	}
	return lua.Int(*setting)
}

// enumOption reads a boolean, or the name of an option.
func enumOption(t *lua.Thread, args []lua.Value, i, now int, options ...string) int {
	v := lua.Arg(args, i)
	if v.IsNil() {
		return now
	}
	if b, ok := v.AsBool(); ok {
		if b {
			return 1
		}
		return 0
	}
	s := t.CheckString(args, i)
	for n, o := range options {
		if o == s {
			return n
		}
	}
	t.ArgError(i, "invalid option '"+s+"'")
	return now
}

func boolOption(t *lua.Thread, args []lua.Value, i int, setting *bool) lua.Value {
	now := 0
	if *setting {
		now = 1
	}
	*setting = enumOption(t, args, i, now, "off", "on") == 1
	return lua.Bool(*setting)
}

func (cfg *jsonConfig) integer(setting *int, low, high int) lua.GoFunc {
	return func(t *lua.Thread, args []lua.Value) []lua.Value {
		atMost(t, args, 1)
		return t.Return1(integerOption(t, args, 1, setting, low, high))
	}
}

func (cfg *jsonConfig) boolean(setting *bool) lua.GoFunc {
	return func(t *lua.Thread, args []lua.Value) []lua.Value {
		atMost(t, args, 1)
		return t.Return1(boolOption(t, args, 1, setting))
	}
}

func (cfg *jsonConfig) setSparse(t *lua.Thread, args []lua.Value) []lua.Value {
	atMost(t, args, 3)
	return []lua.Value{
		boolOption(t, args, 1, &cfg.sparseConvert),
		integerOption(t, args, 2, &cfg.sparseRatio, 0, math.MaxInt32),
		integerOption(t, args, 3, &cfg.sparseSafe, 0, math.MaxInt32),
	}
}

func (cfg *jsonConfig) setEncodeInvalid(t *lua.Thread, args []lua.Value) []lua.Value {
	atMost(t, args, 1)
	cfg.encodeInvalid = enumOption(t, args, 1, cfg.encodeInvalid, "off", "on", "null")
	if cfg.encodeInvalid == invalidNull {
		return t.Return1(lua.String("null"))
	}
	return t.Return1(lua.Bool(cfg.encodeInvalid == invalidOn))
}
