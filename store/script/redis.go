package script

import (
	"math"
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

// What redis.REDIS_VERSION says: the version whose behaviour this is.
const (
	redisVersion    = "7.0.15"
	redisVersionNum = 7<<16 | 15
)

// newEvalWorld makes the machine of EVAL.
func newEvalWorld() *world {
	w := newWorld()
	m := w.m
	redis := w.redisTable()
	m.SetString(redis, "breakpoint", m.NewFunction(func(t *lua.Thread, _ []lua.Value) []lua.Value {
		return t.Return1(lua.Bool(false))
	}))
	m.SetString(redis, "debug", m.NewFunction(func(*lua.Thread, []lua.Value) []lua.Value { return nil }))
	m.SetString(redis, "replicate_commands", m.NewFunction(func(t *lua.Thread, _ []lua.Value) []lua.Value {
		return t.Return1(lua.Bool(true))
	}))
	m.SetString(m.Globals, "redis", lua.TableValue(redis))
	m.SetString(m.Globals, "__redis__err__handler", m.NewFunction(errHandler))
	m.SetString(m.Globals, "KEYS", lua.Bool(false))
	m.SetString(m.Globals, "ARGV", lua.Bool(false))
	m.Globals.SetMeta(w.errorMetatable())
	m.Protect(m.Globals)
	w.mark = m.Mark()
	return w
}

// newWorld makes a machine with the libraries that EVAL and functions share.
func newWorld() *world {
	w := &world{m: lua.NewMachine(), json: defaultJSON()}
	m := w.m
	j := &cjson{null: lua.Light("(nil)").Value()}
	m.SetString(m.Globals, "cjson", lua.TableValue(j.open(m, &w.json)))
	openStruct(m)
	openCmsgpack(m)
	openBit(m)
	math, _ := m.Globals.GetString("math").AsTable()
	m.SetString(math, "random", m.NewFunction(w.mathRandom))
	m.SetString(math, "randomseed", m.NewFunction(w.mathRandomseed))
	m.SetString(m.Globals, "pcall", m.NewFunction(redisPcall))
	return w
}

// errHandler is the error handler that Redis has among its globals.
func errHandler(t *lua.Thread, args []lua.Value) []lua.Value {
	v := lua.Arg(args, 1)
	if _, ok := v.AsTable(); ok {
		return t.Return1(v)
	}
	tb := t.NewTable()
	t.SetString(tb, "err", t.NewString("ERR "+t.Text(v)))
	return t.Return1(lua.TableValue(tb))
}

// errorMetatable makes reading what is not there an error.
func (w *world) errorMetatable() *lua.Table {
	mt := w.m.NewTable()
	w.m.SetString(mt, "__index", w.m.NewFunction(func(t *lua.Thread, args []lua.Value) []lua.Value {
		if len(args) != 2 {
			t.Fail("Wrong number of arguments to luaProtectedTableError")
		}
		name, ok := args[1].ToString()
		if !ok {
			t.Fail("Second argument to luaProtectedTableError must be a string or number")
		}
		t.Fail("Script attempted to access nonexistent global variable '%s'", cstring(name))
		return nil
	}))
	return mt
}

func (w *world) logEntries(t *lua.Table) {
	m := w.m
	m.SetString(t, "log", m.NewFunction(w.log))
	m.SetString(t, "LOG_DEBUG", lua.Int(LogDebug))
	m.SetString(t, "LOG_VERBOSE", lua.Int(LogVerbose))
	m.SetString(t, "LOG_NOTICE", lua.Int(LogNotice))
	m.SetString(t, "LOG_WARNING", lua.Int(LogWarning))
	m.SetString(t, "REDIS_VERSION_NUM", lua.Int(redisVersionNum))
	m.SetString(t, "REDIS_VERSION", lua.String(redisVersion))
}

func (w *world) redisTable() *lua.Table {
	m := w.m
	t := m.NewTable()
	m.SetString(t, "call", m.NewFunction(func(t *lua.Thread, args []lua.Value) []lua.Value { return w.command(t, args, true) }))
	m.SetString(t, "pcall", m.NewFunction(func(t *lua.Thread, args []lua.Value) []lua.Value { return w.command(t, args, false) }))
	w.logEntries(t)
	m.SetString(t, "setresp", m.NewFunction(w.setresp))
	m.SetString(t, "sha1hex", m.NewFunction(sha1hex))
	m.SetString(t, "error_reply", m.NewFunction(errorReply))
	m.SetString(t, "status_reply", m.NewFunction(statusReply))
	m.SetString(t, "set_repl", m.NewFunction(w.setRepl))
	m.SetString(t, "REPL_NONE", lua.Int(0))
	m.SetString(t, "REPL_AOF", lua.Int(1))
	m.SetString(t, "REPL_SLAVE", lua.Int(2))
	m.SetString(t, "REPL_REPLICA", lua.Int(2))
	m.SetString(t, "REPL_ALL", lua.Int(3))
	m.SetString(t, "acl_check_cmd", m.NewFunction(w.aclCheck))
	return t
}

// redisPcall is pcall as Redis 7 has it: of an error that is a table with a text,
// scripts get the text, as before Redis 7.
func redisPcall(t *lua.Thread, args []lua.Value) []lua.Value {
	if len(args) == 0 {
		return t.Return1(lua.Value{})
	}
	rets, err := t.PCall(args[0], args[1:])
	if err == nil {
		return t.Prepend(lua.Bool(true), rets)
	}
	v := err.Value
	if tb, ok := v.AsTable(); ok {
		if e := t.Index(lua.TableValue(tb), lua.String("err")); isString(e) {
			v = e
		}
	}
	return t.Prepend(lua.Bool(false), []lua.Value{v})
}

func isString(v lua.Value) bool {
	_, ok := v.ToString()
	return ok
}

// errorTable is luaPushErrorBuff: "-CODE text" or a text without a code.
func errorTable(m *lua.Machine, msg string) *lua.Table {
	code := "ERR"
	if rest, ok := strings.CutPrefix(msg, "-"); ok {
		msg = rest
		if c, text, ok := strings.Cut(rest, " "); ok {
			code, msg = c, text
		}
	}
	t := m.NewTable()
	m.SetString(t, "err", m.NewString(code+" "+strings.Trim(msg, "\r\n")))
	return t
}

// raise raises an error of redis.*'s own.
func (w *world) raise(t *lua.Thread, msg string) { t.Throw(lua.TableValue(errorTable(t.Machine, msg))) }

// argv converts the arguments of redis.call; an error is the text.
func argv(t *lua.Thread, args []lua.Value) ([][]byte, string) {
	if len(args) == 0 {
		return nil, "Please specify at least one argument for this redis lib call"
	}
	out := make([][]byte, len(args))
	for i, a := range args {
		if f, ok := a.AsNumber(); ok {
			out[i] = []byte(lua.FormatG(f, 17))
			continue
		}
		s, ok := a.AsString()
		if !ok {
			return nil, "Lua redis lib command arguments must be strings or integers"
		}
		t.Alloc(len(s) + 24)
		t.Step(len(s) / 64)
		out[i] = []byte(s)
	}
	return out, ""
}

// command is redis.call and redis.pcall.
func (w *world) command(t *lua.Thread, args []lua.Value, raise bool) []lua.Value {
	if w.env == nil || w.library != nil {
		w.raise(t, "redis.call/pcall can only be called inside a script invocation")
	}
	argv, msg := argv(t, args)
	if argv == nil {
		v := lua.TableValue(errorTable(t.Machine, msg))
		if raise {
			t.Throw(v)
		}
		return t.Return1(v)
	}
	t.Step(20)
	r := &toLua{m: t.Machine, resp3: w.resp3}
	if err := w.env.Call(argv, r); err != nil {
		t.Abort(err)
	}
	if raise && r.isErr {
		t.Throw(r.value)
	}
	return t.Return1(r.value)
}

func (w *world) aclCheck(t *lua.Thread, args []lua.Value) []lua.Value {
	argv, msg := argv(t, args)
	if argv == nil {
		w.raise(t, msg)
	}
	if w.env.ACLCheck == nil {
		return t.Return1(lua.Bool(true))
	}
	allowed, exists := w.env.ACLCheck(argv)
	if !exists {
		w.raise(t, "Invalid command passed to redis.acl_check_cmd()")
	}
	return t.Return1(lua.Bool(allowed))
}

func (w *world) log(t *lua.Thread, args []lua.Value) []lua.Value {
	if len(args) < 2 {
		w.raise(t, "redis.log() requires two arguments or more.")
	}
	f, ok := args[0].ToNumber()
	if !ok {
		w.raise(t, "First argument must be a number (log level).")
	}
	level := int(int32(lua.ToInt(f)))
	if level < LogDebug || level > LogWarning {
		w.raise(t, "Invalid debug level.")
	}
	var b strings.Builder
	for i, a := range args[1:] {
		if s, ok := a.ToString(); ok {
			t.Alloc(len(s))
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(s)
		}
	}
	if w.env != nil && w.env.Log != nil {
		w.env.Log(level, b.String())
	}
	return nil
}

func (w *world) setresp(t *lua.Thread, args []lua.Value) []lua.Value {
	if len(args) != 1 {
		w.raise(t, "redis.setresp() requires one argument.")
	}
	f, _ := args[0].ToNumber()
	v := int32(lua.ToInt(f))
	if v != 2 && v != 3 {
		w.raise(t, "RESP version must be 2 or 3.")
	}
	w.resp3 = v == 3
	return nil
}

// setRepl takes what Redis takes and changes nothing: what a script writes is
// replicated by consensus or not written at all.
func (w *world) setRepl(t *lua.Thread, args []lua.Value) []lua.Value {
	if len(args) != 1 {
		w.raise(t, "redis.set_repl() requires two arguments.")
	}
	f, _ := args[0].ToNumber()
	if int32(lua.ToInt(f))&^3 != 0 {
		w.raise(t, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
	return nil
}

func sha1hex(t *lua.Thread, args []lua.Value) []lua.Value {
	if len(args) != 1 {
		t.Throw(lua.TableValue(errorTable(t.Machine, "wrong number of arguments")))
	}
	s, _ := args[0].ToString()
	t.Step(len(s) / 8)
	return t.ReturnString(SHA([]byte(s)))
}

func errorReply(t *lua.Thread, args []lua.Value) []lua.Value {
	s, ok := lua.Arg(args, 1).AsString()
	if !ok || len(args) != 1 {
		return t.Return1(lua.TableValue(errorTable(t.Machine, "wrong number or type of arguments")))
	}
	if s = cstring(s); !strings.HasPrefix(s, "-") {
		s = "-" + s
	}
	return t.Return1(lua.TableValue(errorTable(t.Machine, s)))
}

func statusReply(t *lua.Thread, args []lua.Value) []lua.Value {
	if _, ok := lua.Arg(args, 1).AsString(); !ok || len(args) != 1 {
		return t.Return1(lua.TableValue(errorTable(t.Machine, "wrong number or type of arguments")))
	}
	tb := t.NewTable()
	t.SetString(tb, "ok", args[0])
	return t.Return1(lua.TableValue(tb))
}

func (w *world) mathRandom(t *lua.Thread, args []lua.Value) []lua.Value {
	r := float64(w.rand.next()%randMax) / randMax
	switch len(args) {
	case 0:
		return t.Return1(lua.Number(r))
	case 1:
		u := t.CheckInt(args, 1)
		if u < 1 {
			t.ArgError(1, "interval is empty")
		}
		return t.Return1(lua.Number(math.Floor(r*float64(u)) + 1))
	case 2:
		l, u := t.CheckInt(args, 1), t.CheckInt(args, 2)
		if l > u {
			t.ArgError(2, "interval is empty")
		}
		// u-l+1 is C's, of 32 bits.
		return t.Return1(lua.Number(math.Floor(float64(r*float64(int32(u-l+1)))) + float64(l)))
	}
	t.Fail("wrong number of arguments")
	return nil
}

func (w *world) mathRandomseed(t *lua.Thread, args []lua.Value) []lua.Value {
	w.rand.seed(int32(t.CheckInt(args, 1)))
	return nil
}
