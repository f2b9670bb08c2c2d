package script

import (
	"errors"

	"github.com/raftredis/raftredis/store/script/lua"
)

// Limits bound one run. They are counted, never timed, so that a script that
// goes over one ends at the same instruction on every node. Zero is no limit.
type Limits struct {
	Instructions int64 // steps of the interpreter, about one for each operation
	Memory       int64 // bytes allocated over the whole run, those since freed included
}

var (
	// ErrInstructions is what Run returns when Limits.Instructions is reached.
	ErrInstructions = errors.New("ERR script ended: it reached the limit of instructions")
	// ErrMemory is what Run returns when Limits.Memory is reached.
	ErrMemory = errors.New("ERR script ended: it reached the limit of memory")
)

// Levels of redis.log.
const (
	LogDebug = iota
	LogVerbose
	LogNotice
	LogWarning
)

// Env is what one run sees of its host.
type Env struct {
	Keys, Args [][]byte
	Seed       int32 // math.random begins here, as after Redis's srand48

	// Call runs a command through the host's checks (arity, noscript, read-only,
	// ACL, cross-slot) and writes its one reply into reply, whose RESP3 is what
	// redis.setresp has set; it may be nil until the command has been chosen. An error
	// ends the script at once, whatever pcall it is in, and is what Run returns. argv
	// is the host's to keep.
	Call func(argv [][]byte, reply Reply) error
	// Passed is told of each error in the script's reply that a command of its has
	// replied, before that is written. Nil does without.
	Passed func(line string)
	// ACLCheck answers redis.acl_check_cmd: whether the user may, and whether there is such a command.
	ACLCheck func(argv [][]byte) (allowed, exists bool)
	// Log takes redis.log. Nil discards.
	Log func(level int, message string)
	// Stop is asked now and then and ends the script as an error of Call does.
	// Only a run that nothing is applied by may set it.
	Stop func() error
}

// Engine runs scripts and functions, one at a time: it has no lock. It keeps
// nothing of one run for the next.
type Engine struct {
	eval, functions *world
}

// NewEngine makes an engine.
func NewEngine() *Engine { return &Engine{} }

// world is a Lua machine with Redis's libraries, and what the run under way needs.
type world struct {
	m     *lua.Machine
	mark  uint64 // the number of the last object that outlives runs
	env   *Env
	resp3 bool
	rand  rand48
	json  jsonConfig

	// Of the world of functions alone:
	globals *lua.Table // what functions see, and
	loading *lua.Table // what a library's body sees
	switchT *lua.Table // whose __index is one of them
	library *Library   // being loaded
}

// Run runs a script and writes its reply, be it an error of the script's own, to
// out. An error means that the script was ended from outside (ErrInstructions,
// ErrMemory, or what Call or Stop returned): nothing has been written then, and
// what its commands did stands.
func (e *Engine) Run(s *Script, env *Env, limits Limits, out Reply) error {
	if e.eval == nil {
		e.eval = newEvalWorld()
	}
	w := e.eval
	w.begin(env, limits)
	defer w.end()
	var fn lua.Value
	err := w.m.Protected(func() {
		w.m.SetString(w.m.Globals, "KEYS", w.array(env.Keys))
		w.m.SetString(w.m.Globals, "ARGV", w.array(env.Args))
		fn = w.m.Load(s.chunk)
	})
	if err != nil {
		return ended(err)
	}
	return w.run(out, s.SHA, fn)
}

func (w *world) begin(env *Env, limits Limits) {
	w.m.Limit(limits.Instructions, limits.Memory, env.Stop)
	w.env, w.resp3, w.json = env, false, defaultJSON()
	w.rand.seed(env.Seed)
}

func (w *world) end() {
	w.m.Reset(w.mark)
	w.m.Limit(0, 0, nil)
	if w.globals == nil {
		w.m.SetString(w.m.Globals, "KEYS", lua.Value{})
		w.m.SetString(w.m.Globals, "ARGV", lua.Value{})
	}
	w.env = nil
}

// array makes a table of arguments.
func (w *world) array(args [][]byte) lua.Value {
	t := w.m.NewTable()
	for i, a := range args {
		w.m.Set(t, lua.Int(i+1), w.m.NewString(string(a)))
	}
	return lua.TableValue(t)
}

// ended names what ended a run.
func ended(err error) error {
	switch {
	case errors.Is(err, lua.ErrSteps):
		return ErrInstructions
	case errors.Is(err, lua.ErrMemory):
		return ErrMemory
	}
	return err
}

// run calls a function and writes what it returns or raises. name is that of the
// script or function, for messages.
func (w *world) run(out Reply, name string, fn lua.Value, args ...lua.Value) error {
	rets, err := w.m.Run(fn, args...)
	var raised *lua.Error
	if errors.As(err, &raised) {
		msg := w.message(raised, name)
		if t, ok := raised.Value.AsTable(); ok {
			w.passed(t, msg)
		}
		out.Error(msg)
		return nil
	}
	if err != nil {
		return ended(err)
	}
	v := lua.Value{}
	if len(rets) > 0 {
		v = rets[0]
	}
	f := &fromLua{m: w.m, out: nobody{}, resp3: w.resp3, passed: w.passed}
	if _, ok := v.AsTable(); ok { // it may be more than there is room for, of which no half may be written
		if err := w.m.Protected(func() { f.write(v, 0) }); err != nil {
			return ended(err)
		}
	}
	f.out, f.free = out, true
	f.write(v, 0)
	return nil
}

// passed tells Env.Passed of an error that goes into the reply.
func (w *world) passed(t *lua.Table, line string) {
	if w.env.Passed != nil && t.GetString(alreadyCounted).Truthy() {
		w.env.Passed(line)
	}
}

// message is the reply that an error ends in: Redis's error handler and what luaCallFunction makes of it.
func (w *world) message(e *lua.Error, name string) string {
	source, line := e.Source, lua.FormatNumber(float64(e.Line))
	t, ok := e.Value.AsTable()
	if !ok {
		msg := "ERR " + cstring(w.m.Text(e.Value))
		return msg + " script: " + name + ", on " + source + ":" + line + "."
	}
	msg, ok := t.GetString("err").ToString()
	if !ok {
		msg = "ERR unknown error"
	}
	return cstring(msg) + " script: " + name + ", on " + source + ":" + line + "."
}
