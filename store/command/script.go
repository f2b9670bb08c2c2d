package command

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
	"github.com/raftredis/raftredis/store/script"
)

const shaLen = 2 * sha1.Size

// scriptRead runs a script for as long as it does not write. At its first write the
// call is deferred, to be made again as part of the log, and so it is if there is no
// such script here: only the log can tell that there is none.
func scriptRead(by Naming, ro bool) func(*Read) {
	return func(r *Read) {
		s := scriptRun{call: &r.Call, by: by, ro: ro, db: r.Selected}
		if !s.prepare() {
			return
		}
		if !s.found {
			r.Defer()
			return
		}
		s.run()
		if r.Deferred() && by == BySHA && r.Host.Library.Script(s.entry.SHA) == nil {
			// It was only ever evaluated on this node, so that the log needs its source.
			r.Args = BySourceArgs(ro, s.entry.Source, r.Args[2:])
		}
	}
}

// BySourceArgs returns the arguments of the call that runs a script by its source,
// instead of by its SHA-1: rest is what stands behind that.
func BySourceArgs(ro bool, source []byte, rest [][]byte) [][]byte {
	name := "eval"
	if ro {
		name = "eval_ro"
	}
	return append([][]byte{[]byte(name), source}, rest...)
}

// scriptWrite runs a script as part of the log.
func scriptWrite(by Naming, ro bool) func(*Write) {
	return func(w *Write) {
		s := scriptRun{call: &w.Call, by: by, ro: ro, db: w.Selected}
		switch {
		case !s.prepare():
		case s.found:
			s.run()
		default:
			s.unknown()
		}
	}
}

// scriptRun is one run of a script or a function.
type scriptRun struct {
	call *Call
	by   Naming
	ro   bool // it may not write: EVAL_RO and its like, and the flag no-writes
	db   int  // that its commands go to

	found bool
	entry *library.Entry   // what is run: a script
	fn    library.Function // or a function
	flags script.Flags
	wrote bool // it has called a command that may write
	keys  int
	reply failing // of the command that is being run
}

// failing is a Reply that keeps the code of an error.
type failing struct {
	script.Reply
	code string
}

// Error notes the code.
func (f *failing) Error(line string) {
	f.code = ErrorCode(line)
	f.Reply.Error(line)
}

// prepare looks at the arguments and finds the script, if there is one. If it answers
// false it has replied.
func (s *scriptRun) prepare() bool {
	c := s.call
	if s.by == ByName {
		if s.fn, s.found = c.Host.Library.Function(string(c.Args[1])); !s.found {
			return true
		}
		s.flags = s.fn.Flags
		return s.parseKeys("ERR Bad number of keys provided") && s.allowed()
	}
	if s.by == BySHA && len(c.Args[1]) != shaLen {
		s.unknown()
		return false
	}
	if !s.parseKeys(ErrNotInteger) {
		return false
	}
	var sha string
	if s.by == BySHA {
		sha = string(appendLower(make([]byte, 0, shaLen), c.Args[1]))
	} else {
		sha = SHA(c.Args[1])
	}
	if s.entry = c.Host.script(sha); s.entry == nil {
		if s.by == BySHA {
			return true
		}
		source := bytes.Clone(c.Args[1])
		compiled, err := script.Compile(source)
		if err != nil {
			c.Reply.Error(err.Error())
			return false
		}
		s.entry = &library.Entry{Script: compiled, Source: source}
	}
	c.Host.keep(s.entry)
	s.found, s.flags = true, s.entry.Flags
	return s.allowed()
}

// SHA returns the SHA-1 of a script's source, as EVALSHA wants it.
func SHA(source []byte) string {
	sum := sha1.Sum(source) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

func (h *Host) script(sha string) *library.Entry {
	e := h.Library.Script(sha)
	if e == nil && h.Compiled != nil {
		e = h.Compiled(sha)
	}
	return e
}

// keep keeps a script that is evaluated, for EVALSHA.
func (h *Host) keep(e *library.Entry) {
	switch {
	case h.Library.Script(e.SHA) != nil:
	case h.Keep != nil:
		h.Keep(e)
	default:
		h.Library.Remember(e)
	}
}

func (s *scriptRun) unknown() {
	if s.by == ByName {
		s.call.Reply.Error("ERR Function not found")
	} else {
		s.call.Reply.Error("NOSCRIPT No matching script. Please use EVAL.")
	}
}

func (s *scriptRun) parseKeys(notInteger string) bool {
	c := s.call
	n, ok := c.IntOr(2, notInteger)
	switch {
	case !ok:
	case n > int64(len(c.Args)-3):
		c.Reply.Error("ERR Number of keys can't be greater than number of args")
	case n < 0:
		c.Reply.Error("ERR Number of keys can't be negative")
	default:
		s.keys = int(n)
		return true
	}
	return false
}

// allowed looks at what the flags of the script say.
func (s *scriptRun) allowed() bool {
	switch {
	case s.flags.Compat:
	case s.flags.NoWrites:
		s.ro = true
	case s.ro:
		s.call.Reply.Error("ERR Can not execute a script with write flag using *_ro command.")
		return false
	case !s.call.Host.OOM || s.flags.AllowOOM:
	case s.call.Host.Reads:
		s.call.Defer() // there is room to be made first, and only the log can
		return false
	case s.call.Host.InExec:
		s.call.Reply.Error(errScriptOOM)
		return false
	default:
		s.call.Reply.Error(ErrOOM)
		return false
	}
	return true
}

// run runs the script.
func (s *scriptRun) run() {
	c := s.call
	h := c.Host
	env := script.Env{
		Keys: c.Args[3 : 3+s.keys], Args: c.Args[3+s.keys:], Seed: int32(c.Rand.Uint64()),
		Call: s.exec, ACLCheck: s.aclCheck, Log: h.Log, Stop: h.Stop,
		Passed: func(line string) { h.Called(Called{Err: ErrorCode(line)}, -1) },
	}
	var err error
	if s.entry != nil {
		err = h.Engine.Run(s.entry.Script, &env, h.Limits, c.Reply)
	} else {
		err = h.Engine.RunFunction(s.fn.Library, s.fn.Name, &env, h.Limits, c.Reply)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrWrites):
		c.Defer()
	case h.Quick && errors.Is(err, script.ErrInstructions):
		c.long = true
	case s.entry != nil:
		c.Reply.Error(err.Error() + " script: " + s.entry.SHA + ", on @user_script:1.")
	default:
		c.Reply.Error(err.Error() + " script: " + s.fn.Name + ", on @user_function:1.")
	}
}

// exec runs a command of the script.
func (s *scriptRun) exec(argv [][]byte, reply script.Reply) error {
	h := s.call.Host
	spec := h.lookup(argv)
	s.reply = failing{Reply: reply}
	rejected := s.rejected(spec, argv, &s.reply)
	if !rejected && !h.refuses(spec, argv, PermitRun, &s.reply) {
		var err error
		if spec.Local {
			rejected = !s.local(spec, argv, &s.reply)
		} else {
			err = h.Exec(spec, s.db, argv, &s.reply)
		}
		if err != nil {
			return err
		}
	}
	h.Called(Called{spec, rejected, s.reply.code}, 1)
	return nil
}

// rejected replies why a command is not to be run, if it is not. The checks are in
// Redis's order.
func (s *scriptRun) rejected(spec *Spec, argv [][]byte, reply Reply) bool {
	h := s.call.Host
	switch {
	case spec == nil:
		reply.Error("ERR Unknown Redis command called from script")
	case !spec.ArityOK(len(argv)):
		reply.Error("ERR Wrong number of args calling Redis command from script")
	case spec.Flags&NoScript != 0:
		reply.Error(errNotFromScript)
	case h.refuses(spec, argv, PermitCall, reply):
	case s.ro && spec.AllFlags()&(WriteFlag|MayReplicate) != 0:
		reply.Error("ERR Write commands are not allowed from read-only scripts.")
	case h.OOM && !h.Reads && !s.wrote && spec.Flags&DenyOOM != 0 && (s.flags.Compat || !s.flags.AllowOOM):
		// Only what comes first is refused: it must not stop in the middle.
		reply.Error(ErrOOM)
	default:
		s.wrote = s.wrote || spec.AllFlags()&WriteFlag != 0
		return false
	}
	return true
}

const errNotFromScript = "ERR This Redis command is not allowed from script"

// local runs those of the front's commands that have a meaning in a script and say the
// same on every node. It answers false if it has refused to.
func (s *scriptRun) local(spec *Spec, argv [][]byte, reply Reply) (ran bool) {
	switch name := spec.FullName(); {
	case spec.Answer != nil:
		spec.Answer(reply)
	case name == "ping" && len(argv) == 1:
		reply.Status("PONG")
	case name == "ping" && len(argv) > 2:
		reply.Error(ErrArity(name))
	case name == "ping", name == "echo":
		reply.Bulk(argv[1])
	case name == "time":
		reply.Array(2)
		reply.Bulk(strconv.AppendInt(nil, s.call.Now/1000, 10))
		reply.Bulk(strconv.AppendInt(nil, s.call.Now%1000*1000, 10))
	case name == "select":
		call := Call{Args: argv, Reply: reply}
		n, ok := call.Int(1)
		switch {
		case !ok:
		case n < 0 || n >= keyspace.Databases:
			reply.Error(ErrDBIndex)
		default:
			s.db = int(n)
			reply.Status("OK")
		}
	default:
		reply.Error(errNotFromScript)
		return false
	}
	return true
}

// aclCheck answers redis.acl_check_cmd.
func (s *scriptRun) aclCheck(argv [][]byte) (allowed, exists bool) {
	h := s.call.Host
	spec := h.lookup(argv)
	if spec == nil {
		return false, false
	}
	return h.Permits == nil || h.Permits(spec, argv, PermitAsk) == "", true
}

// lookup finds the command, or the subcommand, that a script calls.
func (h *Host) lookup(argv [][]byte) *Spec {
	spec := h.Table.Lookup(argv[0])
	if spec != nil && len(spec.Subcommands) > 0 && len(argv) > 1 {
		spec = spec.Sub(argv[1])
	}
	return spec
}

// refuses answers a call that the script's user may not make, and reports whether it is
// one.
func (h *Host) refuses(spec *Spec, argv [][]byte, step PermitStep, reply Reply) bool {
	if h.Permits == nil {
		return false
	}
	line := h.Permits(spec, argv, step)
	if line != "" {
		reply.Error(line)
	}
	return line != ""
}
