package store

import (
	"bytes"
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
	"github.com/raftredis/raftredis/store/script"
)

const (
	// quickInstructions is how far a script is run under the read lock, on the
	// goroutine of its connection: a millisecond or two. What takes longer is begun
	// anew beside everything else, on a picture of the state.
	quickInstructions = 50_000

	// sureWrites is how many calls of a script that has written are taken for writes
	// at once. Then one is tried as a read again.
	sureWrites = 100

	// lookEvery is how often one that waits for its turn looks whether it is worth it.
	lookEvery = 50 * time.Millisecond

	// A script that only reads, and for long, tells of about so many misses. It may
	// go on for ever, and until it has ended it may yet come to a write: then the
	// entry tells of them.
	maxMissed      = 100_000
	maxMissedBytes = 4 << 20

	maxSeen      = 1000
	maxSeenBytes = 8 << 20
)

// scripts is what this node knows about scripts beyond the state. Nothing depends on it
// but how long a call takes.
type scripts struct {
	log atomic.Pointer[func(level int, message string)]
	ran atomic.Pointer[func(command.Called, int64)]

	mu    sync.Mutex
	seen  map[string]*list.Element // of *seen, by SHA-1, or by the name of a function
	order list.List                // the one that was used last stands first
	bytes int

	turn     chan struct{} // has room for the one whose long script runs
	running  atomic.Pointer[LongScript]
	applying atomic.Bool   // one is being applied
	changes  atomic.Uint64 // library.Changes, as of the last one that was
}

// seen is a script that this node has come across.
type seen struct {
	name    string
	sure    int            // how many more calls are taken for writes,
	changes uint64         // if the libraries are as they were
	entry   *library.Entry // if it was evaluated here and is perhaps not in the state
	flushed uint64         // library.Flushed then
}

// at returns what is known of a script, and makes room for it if it is new. mu is held.
func (x *scripts) at(name string) *seen {
	if e := x.seen[name]; e != nil {
		x.order.MoveToFront(e)
		return e.Value.(*seen) //nolint:errcheck // nothing else is in the list
	}
	if x.seen == nil {
		x.seen = make(map[string]*list.Element)
	}
	s := &seen{name: name}
	x.seen[name] = x.order.PushFront(s)
	for x.order.Len() > maxSeen {
		x.drop(x.order.Back())
	}
	return s
}

func (x *scripts) drop(e *list.Element) {
	s := x.order.Remove(e).(*seen) //nolint:errcheck // nothing else is in the list
	delete(x.seen, s.name)
	if s.entry != nil {
		x.bytes -= len(s.entry.Source)
	}
}

// compiled is command.Host.Compiled. Store.mu is held, or lib is a copy.
func (x *scripts) compiled(lib *library.Library, sha string) *library.Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.seen[sha]
	if e == nil {
		return nil
	}
	s := e.Value.(*seen) //nolint:errcheck // nothing else is in the list
	if s.entry == nil || s.flushed != lib.Flushed() {
		return nil
	}
	x.order.MoveToFront(e)
	return s.entry
}

// keep is command.Host.Keep.
func (x *scripts) keep(lib *library.Library, entry *library.Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(entry.Source) > maxSeenBytes {
		return
	}
	s := x.at(entry.SHA)
	if s.entry == nil {
		x.bytes += len(entry.Source)
	}
	s.entry, s.flushed = entry, lib.Flushed()
	for x.bytes > maxSeenBytes {
		x.drop(x.order.Back())
	}
}

// sureWrite reports whether a call is to be taken for a write at once: the script wrote
// the last time.
func (x *scripts) sureWrite(name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.seen[name]
	if e == nil {
		return false
	}
	s := e.Value.(*seen) //nolint:errcheck // nothing else is in the list
	if s.sure == 0 || s.changes != x.changes.Load() {
		return false
	}
	s.sure--
	return true
}

// wrote notes that a script came to its first write.
func (x *scripts) wrote(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.at(name)
	s.sure, s.changes = sureWrites, x.changes.Load()
}

// scriptName is what a call runs, as scripts.seen knows it.
func scriptName(spec *command.Spec, argv [][]byte) string {
	if spec.Runs == command.BySource {
		return command.SHA(argv[1])
	}
	return string(bytes.ToLower(argv[1]))
}

// ScriptWrites reports whether a call of a script is best taken for a write without a
// try: it would only find out that it has to be one. It may be wrong.
func (s *Store) ScriptWrites(spec *command.Spec, argv [][]byte) bool {
	return spec.Flags&command.Readonly == 0 && s.scripts.sureWrite(scriptName(spec, argv))
}

// ScriptReads reports whether a call runs a script, or a function, that says of itself
// that it does not write (the flag no-writes). Of one that this node does not know it
// does not.
func (s *Store) ScriptReads(spec *command.Spec, argv [][]byte) bool {
	if spec.Runs == command.BySource {
		flags, err := script.FlagsOf(argv[1])
		return err == nil && flags.NoWrites
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	lib := s.m.Library()
	if spec.Runs == command.ByName {
		fn, found := lib.Function(string(argv[1]))
		return found && fn.Flags.NoWrites
	}
	sha := scriptName(spec, argv)
	e := lib.Script(sha)
	if e == nil {
		e = s.scripts.compiled(lib, sha)
	}
	return e != nil && e.Flags.NoWrites
}

// ScriptArgs returns the arguments with which a call of a script has to go into the log:
// one that was only evaluated on this node is sent along.
func (s *Store) ScriptArgs(spec *command.Spec, argv [][]byte) [][]byte {
	if spec.Runs != command.BySHA {
		return argv
	}
	sha := scriptName(spec, argv)
	s.scripts.mu.Lock()
	e := s.scripts.seen[sha]
	known := e == nil || e.Value.(*seen).entry == nil //nolint:errcheck // nothing else is in the list
	s.scripts.mu.Unlock()
	if known {
		return argv
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	lib := s.m.Library()
	entry := s.scripts.compiled(lib, sha)
	if entry == nil || lib.Script(sha) != nil {
		return argv
	}
	return command.BySourceArgs(spec.Flags&command.Readonly != 0, entry.Source, argv[2:])
}

// Next is what a call of a script that was tried as a read comes to.
type Next uint8

// What a try comes to.
const (
	Answered Next = iota // it has its reply
	ToWrite              // it has to be a write, with the arguments that are returned
	TooLong              // it has to be tried with Store.RunLong
)

// Script tries to run a script as a read, for a short time.
func (r *Reader) Script(db int, spec *command.Spec, argv [][]byte, reply command.Reply) (Next, [][]byte) {
	h := r.r.scripting(r.s, r.s.m.Library(), r.s.m.Keyspace(), r.now)
	h.Quick, h.Limits, h.Stop = true, command.ScriptLimits(), nil
	h.Limits.Instructions = quickInstructions
	return r.r.script(r.s, r.s.m.Keyspace().View(db, r.now), r.now, db, spec, argv, reply)
}

// viewer is a keyspace, living or frozen.
type viewer interface {
	View(db int, now int64) keyspace.View
}

// scripting makes r the host of scripts that only read.
func (r *reading) scripting(s *Store, lib *library.Library, data viewer, now int64) *command.Host {
	h := &r.host
	if h.Engine == nil {
		h.Engine = script.NewEngine()
	}
	h.Table, h.Library = s.cfg.Table, lib
	h.Compiled = func(sha string) *library.Entry { return s.scripts.compiled(lib, sha) }
	h.Keep = func(e *library.Entry) { s.scripts.keep(lib, e) }
	h.Log = s.scriptLog
	h.Reads, h.OOM = true, s.pressure.full.Load()
	h.Permits = nil
	if policy := r.by.Policy; policy != nil {
		logged := func(why acl.Refusal) { r.refusals = addRefusal(r.refusals, why) }
		h.Permits = func(spec *command.Spec, argv [][]byte, step command.PermitStep) string {
			return policy.Permits(s.commands, spec, argv, step, logged)
		}
	}
	if r.called == nil {
		r.called = make(map[command.Called]int64)
	}
	h.Called = func(c command.Called, n int64) { r.called[c] += n }
	h.Exec = func(spec *command.Spec, db int, argv [][]byte, reply command.Reply) error {
		if spec.Read == nil {
			if s.node.Load().RefusesWrites() { // as for a command that is no script's
				reply.Error(string(ErrDiskFull))
				return nil
			}
			r.wrote = true
			return command.ErrWrites
		}
		r.innerView = data.View(db, now)
		r.watchReads(&r.innerView, &r.by)
		r.inner.Call = command.Call{Args: argv, Now: now, Reply: reply, Rand: &r.rand, Selected: db, Host: h, InScript: true}
		err := command.RunRead(spec, &r.inner, &r.innerView)
		r.inner.Call = command.Call{}
		if r.wrote = err != nil; !r.wrote {
			if len(r.found.missed) < maxMissed && r.found.bytes < maxMissedBytes {
				r.countRead(&r.innerView, db)
			} else {
				r.count(&r.innerView)
			}
			if r.by.Inside != nil {
				r.by.Inside(db, spec, argv)
			}
			if r.by.Remember && spec.AllFlags()&command.Readonly != 0 {
				s.tracking.remember(r.by.Tracker, s.cfg.Table.Resolve(r.call.Args), r.call.Args) // see asker.RanInside
			}
		}
		return err
	}
	return h
}

// script runs a script on the host that scripting has made.
func (r *reading) script(s *Store, view keyspace.View, now int64, db int, spec *command.Spec, argv [][]byte, reply command.Reply) (Next, [][]byte) {
	r.view = view
	r.call.Call = command.Call{Args: argv, Now: now, Reply: reply, Rand: &r.rand, Selected: db, Host: &r.host}
	r.wrote = false
	before, refused := r.found, len(r.refusals)
	spec.Read(&r.call)
	call := r.call.Call
	r.call.Call, r.by = command.Call{}, By{}
	h := &r.host
	h.Library, h.Compiled, h.Keep, h.Exec, h.Called, h.Stop, h.Log, h.Permits = nil, nil, nil, nil, nil, nil, nil, nil
	if call.Deferred() || call.Long() { // it is run once more, and looks up and calls the same
		r.found, r.refusals = before, r.refusals[:refused]
	} else {
		for c, n := range r.called { // counters: in any order
			s.called(c, n)
		}
	}
	clear(r.called)
	switch {
	case call.Deferred():
		if r.wrote { // else there is no such script, as far as this node knows
			s.scripts.wrote(scriptName(spec, argv))
		}
		return ToWrite, call.Args
	case call.Long():
		return TooLong, nil
	}
	return Answered, nil
}

// LongScript is a script that takes long. It runs on a picture of the state, so that
// nobody has to wait for it, until it ends, comes to its first write or is killed.
type LongScript struct {
	Function bool
	Name     string // of the function
	Args     [][]byte
	Started  time.Time

	killed atomic.Bool
}

// errKilled ends a script.
var errKilled = errors.New("ERR Script killed by user with SCRIPT KILL...")

// RunLong runs a script that takes long, and does not return before it has ended. gone
// is asked now and then whether the client has left, and busy, while another one has
// its turn, whether the client is to be told so instead of waiting. refused is given
// what the script was not let do.
func (s *Store) RunLong(by By, db int, spec *command.Spec, argv [][]byte, reply command.Reply, gone func() bool, busy func() string, refused func([]acl.Refusal)) (Next, [][]byte) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for waiting := true; waiting; {
		select {
		case s.scripts.turn <- struct{}{}:
			waiting = false
		case <-look.C:
			if line := busy(); line != "" || gone() {
				reply.Error(line)
				return Answered, nil
			}
		case <-s.stopC:
			reply.Error(string(ErrStopped))
			return Answered, nil
		}
	}
	defer func() { <-s.scripts.turn }()
	p, err := s.picture(s.ctx)
	if err != nil {
		reply.Error(Line(err))
		return Answered, nil
	}
	defer p.Release()
	run := &LongScript{Args: argv, Started: s.cfg.Now()}
	if spec.Runs == command.ByName {
		run.Function, run.Name = true, string(argv[1])
	}
	s.scripts.running.Store(run)
	defer s.scripts.running.Store(nil)
	r := newReading(s)
	r.by.Policy, r.by.Inside = by.Policy, by.Inside
	defer func() {
		s.countLookups(r)
		refused(r.refusals)
	}()
	still, now := p.Keyspace().Still(), max(s.Now(), int64(p.Now()))
	h := r.scripting(s, p.Library(), still, now)
	h.Quick, h.Limits = false, command.ScriptLimits()
	h.Limits.Instructions = 0 // it is stopped, or its client has patience
	h.Stop = func() error {
		switch {
		case run.killed.Load() || gone():
			return errKilled
		case s.ctx.Err() != nil:
			return ErrStopped
		}
		return nil
	}
	if by.Remember {
		reads := false
		defer func() {
			if reads {
				s.tracking.rememberOld(s, by.Tracker, spec, argv, p.Revision())
			}
		}()
		exec := h.Exec
		h.Exec = func(spec *command.Spec, db int, argv [][]byte, reply command.Reply) error {
			err := exec(spec, db, argv, reply)
			reads = reads || err == nil && spec.AllFlags()&command.Readonly != 0
			return err
		}
	}
	return r.script(s, still.View(db, now), now, db, spec, argv, reply)
}

// LongScript returns the script that takes long, nil if none is running.
func (s *Store) LongScript() *LongScript { return s.scripts.running.Load() }

// ApplyingScript reports whether a script is being applied at this moment: it has
// written, or may, on all members, and cannot be stopped.
func (s *Store) ApplyingScript() bool { return s.scripts.applying.Load() }

// Kill ends the script.
func (l *LongScript) Kill() { l.killed.Store(true) }

// OnScript says where scripts of this node's clients log to, and has what they call
// counted: see command.Host.Called.
func (s *Store) OnScript(log func(level int, message string), ran func(command.Called, int64)) {
	s.scripts.log.Store(&log)
	s.scripts.ran.Store(&ran)
}

func (s *Store) scriptLog(level int, message string) {
	if log := s.scripts.log.Load(); log != nil {
		(*log)(level, message)
		return
	}
	s.logger.Info("script", zap.String("message", message))
}

func (s *Store) called(c command.Called, n int64) {
	if ran := s.scripts.ran.Load(); ran != nil {
		(*ran)(c, n)
	}
}

// Scripts returns how many scripts are kept, the bytes of their sources, and how many
// libraries and functions there are.
func (s *Store) Scripts() (scripts, bytes, libraries, functions int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	lib := s.m.Library()
	scripts, bytes = lib.Scripts()
	libraries, functions = lib.Counts()
	return scripts, bytes, libraries, functions
}
