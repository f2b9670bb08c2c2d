package script

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/raftredis/raftredis/store/script/lua"
)

// Function is one function of a library.
type Function struct {
	Name        string
	Description string
	Described   bool // a description was given
	Flags       Flags

	callback lua.Value // while the library is loaded
}

// Library is a compiled FUNCTION LOAD. It is immutable, as Script.
type Library struct {
	Name      string
	Engine    string      // "LUA"
	Source    []byte      // the shebang included
	Functions []*Function // in order of name
	chunk     *lua.Chunk
}

// Function finds a function by its name.
func (l *Library) Function(name string) *Function {
	for _, f := range l.Functions {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Metadata reads the first line of a library: what FUNCTION LOAD may say no to
// before anything is compiled. The error is the reply.
func Metadata(source []byte) (name string, err error) {
	name, _, err = metadata(source)
	return name, err
}

const badName = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

func metadata(source []byte) (name string, body []byte, err error) {
	if !bytes.HasPrefix(source, []byte("#!")) {
		return "", nil, errors.New("ERR Missing library metadata")
	}
	end := bytes.IndexByte(source, '\n')
	if end < 0 {
		return "", nil, errors.New("ERR Invalid library metadata")
	}
	parts, ok := splitArgs(string(source[:end]))
	if !ok || len(parts) == 0 {
		return "", nil, errors.New("ERR Invalid library metadata")
	}
	given := false
	for _, p := range parts[1:] {
		if len(p) < 5 || !strings.EqualFold(p[:5], "name=") {
			return "", nil, errors.New("ERR Invalid metadata value given: " + p)
		}
		if given {
			return "", nil, errors.New("ERR Invalid metadata value, name argument was given multiple times")
		}
		name, given = p[5:], true
	}
	if !given {
		return "", nil, errors.New("ERR Library name was not given")
	}
	if !validName(name) {
		return "", nil, errors.New(badName)
	}
	if engine := parts[0][2:]; !strings.EqualFold(engine, "lua") {
		return "", nil, errors.New("ERR Engine '" + engine + "' not found")
	}
	return name, source[end:], nil
}

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return s != ""
}

// LoadLibrary compiles a library and runs it for its registrations. The error is
// the reply of FUNCTION LOAD. Whether the names are taken is for the host to say.
func (e *Engine) LoadLibrary(source []byte, limits Limits) (*Library, error) {
	name, body, err := metadata(source)
	if err != nil {
		return nil, err
	}
	l := &Library{Name: name, Engine: "LUA", Source: bytes.Clone(source)}
	if l.chunk, err = lua.Compile(string(body), "@user_function"); err != nil {
		return nil, errors.New("ERR Error compiling function: " + err.Error())
	}
	w := e.functionWorld()
	w.begin(&Env{}, limits)
	defer w.end()
	if err := w.load(l); err != nil {
		return nil, err
	}
	if len(l.Functions) == 0 {
		return nil, errors.New("ERR No functions registered")
	}
	for _, f := range l.Functions {
		f.callback = lua.Value{}
	}
	slices.SortFunc(l.Functions, func(a, b *Function) int { return strings.Compare(a.Name, b.Name) })
	return l, nil
}

// load runs the body of a library, which registers its functions in l.
func (w *world) load(l *Library) error {
	w.m.SetString(w.switchT, "__index", lua.TableValue(w.loading))
	w.library = l
	defer func() {
		w.m.SetString(w.switchT, "__index", lua.TableValue(w.globals))
		w.library = nil
	}()
	var fn lua.Value
	err := w.m.Protected(func() { fn = w.m.Load(l.chunk) })
	if err == nil {
		_, err = w.m.Run(fn)
	}
	var raised *lua.Error
	if !errors.As(err, &raised) {
		return ended(err)
	}
	msg := "ERR " + w.m.Text(raised.Value)
	if t, ok := raised.Value.AsTable(); ok {
		msg, _ = t.GetString("err").ToString()
	}
	return errors.New("ERR Error registering functions: " + cstring(msg))
}

// RunFunction runs a function of a library, as Run does a script. The library's body
// runs first, each time: what it keeps in local variables begins anew with every
// call, so that no node has a past of its own.
func (e *Engine) RunFunction(l *Library, name string, env *Env, limits Limits, out Reply) error {
	w := e.functionWorld()
	w.begin(env, limits)
	defer w.end()
	fresh := &Library{Name: l.Name, chunk: l.chunk}
	if err := w.load(fresh); err != nil {
		return err
	}
	f := fresh.Function(name)
	if f == nil {
		return errors.New("ERR Function not found")
	}
	var keys, args lua.Value
	if err := w.m.Protected(func() { keys, args = w.array(env.Keys), w.array(env.Args) }); err != nil {
		return ended(err)
	}
	return w.run(out, name, f.callback, keys, args)
}

func (e *Engine) functionWorld() *world {
	if e.functions == nil {
		e.functions = newFunctionWorld()
	}
	return e.functions
}

// newFunctionWorld makes the machine of functions. Their globals are an empty table
// that reads through to one of two: a library's body sees little.
func newFunctionWorld() *world {
	w := newWorld()
	m := w.m
	m.SetString(m.Globals, "redis", lua.TableValue(w.redisTable()))
	m.Globals.SetMeta(w.errorMetatable())
	m.Protect(m.Globals)
	w.globals = m.Globals

	redis := m.NewTable()
	m.SetString(redis, "register_function", m.NewFunction(w.register))
	w.logEntries(redis)
	redis.SetMeta(w.errorMetatable())
	w.loading = m.NewTable()
	m.SetString(w.loading, "redis", lua.TableValue(redis))
	w.loading.SetMeta(w.errorMetatable())
	m.Protect(w.loading)

	w.switchT = m.NewTable()
	m.SetString(w.switchT, "__index", lua.TableValue(w.globals))
	front := m.NewTable()
	front.SetMeta(w.switchT)
	m.Protect(front)
	m.Globals = front
	w.mark = m.Mark()
	return w
}

// register is redis.register_function.
func (w *world) register(t *lua.Thread, args []lua.Value) []lua.Value {
	if w.library == nil {
		w.raise(t, "redis.register_function can only be called on FUNCTION LOAD command")
	}
	f := &Function{}
	switch len(args) {
	case 1:
		w.named(t, f, args[0])
	case 2:
		name, ok := args[0].ToString()
		if !ok {
			w.raise(t, "first argument to redis.register_function must be a string")
		}
		if _, ok := args[1].AsFunction(); !ok {
			w.raise(t, "second argument to redis.register_function must be a function")
		}
		f.Name, f.callback = name, args[1]
	default:
		w.raise(t, "wrong number of arguments to redis.register_function")
	}
	if !validName(f.Name) {
		w.raise(t, strings.TrimPrefix(badName, "ERR "))
	}
	if w.library.Function(f.Name) != nil {
		w.raise(t, "Function already exists in the library")
	}
	t.Alloc(256)
	t.Step(len(w.library.Functions) + 10)
	w.library.Functions = append(w.library.Functions, f)
	return nil
}

// named reads the arguments of redis.register_function{...}.
func (w *world) named(t *lua.Thread, f *Function, arg lua.Value) {
	tb, ok := arg.AsTable()
	if !ok {
		w.raise(t, "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
	}
	hasName := false
	var k, v lua.Value
	for {
		if k, v, _ = tb.Next(k); k.IsNil() {
			break
		}
		key, ok := k.ToString()
		if !ok {
			w.raise(t, "named argument key given to redis.register_function is not a string")
		}
		switch strings.ToLower(key) {
		case "function_name":
			if f.Name, hasName = v.ToString(); !hasName {
				w.raise(t, "function_name argument given to redis.register_function must be a string")
			}
		case "description":
			if f.Description, f.Described = v.ToString(); !f.Described {
				w.raise(t, "description argument given to redis.register_function must be a string")
			}
		case "callback":
			if _, ok := v.AsFunction(); !ok {
				w.raise(t, "callback argument given to redis.register_function must be a function")
			}
			f.callback = v
		case "flags":
			_, ok := v.AsTable()
			if !ok {
				w.raise(t, "flags argument to redis.register_function must be a table representing function flags")
			}
			for i := 1; ; i++ {
				fl := t.Index(v, lua.Int(i))
				if fl.IsNil() {
					break
				}
				name, ok := fl.ToString()
				if !ok || !f.Flags.set(strings.ToLower(name)) {
					w.raise(t, "unknown flag given")
				}
			}

		default:
			w.raise(t, "unknown argument given to redis.register_function")
		}
	}
	if !hasName {
		w.raise(t, "redis.register_function must get a function name argument")
	}
	if f.callback.IsNil() {
		w.raise(t, "redis.register_function must get a callback argument")
	}
}
