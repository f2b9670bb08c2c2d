package store

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// reading is what running a read command needs and a handler must get by
// pointer. It is kept and used again, so that a read allocates nothing.
type reading struct {
	s    *Store
	call command.Read
	view keyspace.View
	rand keyspace.Rand
	argv [][]byte

	by By // who runs the next command

	// Of the node, not of the state: see Stats.
	watch stopwatch
	found lookups
	reads keyspace.Reads

	nowhere *nowhere // see nothingThere

	refusals  []acl.Refusal
	host      command.Host // of scripts
	inner     command.Read // what one of them runs
	innerView keyspace.View
	wrote     bool // it came to a write
	called    map[command.Called]int64
}

// lookups are what commands have looked up, and not found.
type lookups struct {
	hits, misses uint64
	missed       []dbKey
	bytes        int // of the keys in missed
}

// stopwatch measures how long commands take.
type stopwatch struct {
	base time.Time
	last time.Duration // since base
}

func newStopwatch() stopwatch {
	return stopwatch{base: time.Now()} //nolint:forbidigo // durations only
}

// lap returns the time since the last lap or start.
func (w *stopwatch) lap() time.Duration {
	was := w.last
	w.start()
	return w.last - was
}

func (w *stopwatch) start() { w.last = w.elapsed() }

func (w *stopwatch) elapsed() time.Duration { return time.Since(w.base) }

func newReading(s *Store) *reading {
	// Chance that nothing replicated depends on: any will do.
	r := &reading{s: s, rand: keyspace.NewRand(rand.Uint64()), watch: newStopwatch()}
	r.call.DB = &r.view
	return r
}

// do runs a command. Store.mu is held.
func (r *reading) do(ks *keyspace.Keyspace, now int64, db int, spec *command.Spec, argv [][]byte, reply command.Reply) {
	r.call.Call = command.Call{Args: argv, Now: now, Reply: reply, Rand: &r.rand, Selected: db}
	if spec.Script {
		r.call.Host = r.scripting(r.s, r.s.m.Library(), ks, now)
	}
	r.run(ks, db, spec)
	r.call.Host = nil
	if r.by.Remember && !spec.Script && !r.call.Deferred() {
		r.s.tracking.remember(r.by.Tracker, spec, argv)
	}
	r.by = By{}
}

// run runs the command that call holds.
func (r *reading) run(ks *keyspace.Keyspace, db int, spec *command.Spec) {
	r.view = ks.View(db, r.call.Now)
	r.watchReads(&r.view, &r.by)
	spec.Read(&r.call)
	if !r.call.Deferred() { // else the write counts
		r.countRead(&r.view, db)
	}
	r.call.Args, r.call.Reply = nil, nil // do not keep a connection's memory
}

// watchReads has what is read by view counted, for whoever evicts.
func (r *reading) watchReads(view *keyspace.View, by *By) {
	view.Chance, view.NoTouch = &r.rand, by.NoTouch
	if r.reads.Every = r.s.told.every.Load(); r.reads.Every > 0 {
		view.Reads = &r.reads
	}
}

// count adds what a command has looked up.
func (r *reading) count(v *keyspace.View) {
	r.found.hits += uint64(v.Lookups.Hits)
	r.found.misses += uint64(v.Lookups.Misses)
}

// countRead is count for what only this node has run: what it has not found is still
// to be told. See Store.tellMissed.
func (r *reading) countRead(v *keyspace.View, db int) {
	r.count(v)
	for _, key := range v.Lookups.Missed {
		r.found.missed = append(r.found.missed, dbKey{db, key})
		r.found.bytes += len(key)
	}
}

// countLookups adds what has been looked up to the node's counters, which all
// readers share.
func (s *Store) countLookups(r *reading) {
	found := r.found
	r.found = lookups{}
	if len(r.reads.Keys) > 0 {
		s.told.add(r.reads.Keys)
		clear(r.reads.Keys)
		r.reads.Keys = r.reads.Keys[:0]
	}
	if found.hits > 0 {
		s.stats.hits.Add(found.hits)
	}
	if found.misses > 0 {
		s.stats.misses.Add(found.misses)
	}
	if len(found.missed) > 0 {
		s.tellMissed(found.missed)
	}
}

// tellMissed has keymiss told of, at all nodes: it proposes that and does not wait.
// If it comes to nothing the events are lost, as they are if the node dies.
func (s *Store) tellMissed(keys []dbKey) {
	b := &Batch{}
	for len(keys) > 0 {
		db, argv := keys[0].db, [][]byte{[]byte(command.Missed)}
		for len(keys) > 0 && keys[0].db == db {
			argv = append(argv, []byte(keys[0].key))
			keys = keys[1:]
		}
		b.Write(db, nil, argv)
	}
	s.Submit(b, command.Discard{}, func() {})
}

// encoded runs a read of a batch's plan, whose arguments stand encoded there.
func (s *Store) encoded(r *reading, now int64, st *step, b *Batch) {
	r.argv = machine.Args(b.args[st.args:], r.argv)
	r.by = By{b.tracker, st.remember, st.noTouch, st.policy, b.inside}
	b.endRun(&r.watch)
	r.do(s.m.Keyspace(), now, st.db, st.spec, r.argv, b.reply)
	for _, why := range r.takeRefusals() {
		b.refused(why)
	}
	b.observe(&r.watch, st.db, st.spec, r.argv)
	r.argv = machine.ReleaseArgs(r.argv)
}

// reading returns one that nobody uses.
func (s *Store) reading() *reading {
	if r, ok := s.readings.Get().(*reading); ok {
		return r
	}
	return newReading(s)
}

// Reader reads the state of this node, all of it at one applied index.
type Reader struct {
	s   *Store
	r   *reading
	now int64
}

// BeginRead takes the read lock. It must be given back with End, soon: the
// apply loop waits for it, and behind that everybody else. A Reader is for one
// goroutine.
func (s *Store) BeginRead() Reader {
	r := s.reading()
	s.mu.RLock()
	return Reader{s: s, r: r, now: s.Now()}
}

// Do runs a command that reads, or one that comes to nothing (see Vain). argv is used
// until Do returns. If it answers false there is no reply, and the command is to be run
// as a write.
func (r *Reader) Do(db int, spec *command.Spec, argv [][]byte, reply command.Reply) bool {
	if spec.Read == nil {
		by := r.r.by
		r.r.by = By{} // nothing is read on its behalf
		return r.answerVain(db, spec, argv, by, reply)
	}
	r.r.do(r.s.m.Keyspace(), r.now, db, spec, argv, reply)
	return !r.r.call.Deferred()
}

// Refusals returns what scripts were not let do since it was called last.
func (r *Reader) Refusals() []acl.Refusal { return r.r.takeRefusals() }

func (r *reading) takeRefusals() []acl.Refusal {
	all := r.refusals
	r.refusals = nil
	return all
}

// By says who runs the next command, and only that: which keys it reads is noted for a
// client that caches them.
func (r *Reader) By(by By) { r.r.by = by }

// try runs a command that may find nothing to read and wants to wait then. If it
// returns arguments there is no reply, and the next call is to be made with these:
// what must not change while the client waits (XREAD's $) is fixed in them. They may
// alias argv. ready is the key that something has come for, nil at first. Store.mu is
// held.
func (r *reading) try(ks *keyspace.Keyspace, now int64, w *Wait, reply command.Reply, ready []byte) (next [][]byte) {
	call := &r.call
	call.Call = command.Call{Args: w.argv, Now: now, Reply: reply, Rand: &r.rand, MayBlock: true, Ready: ready}
	r.view = ks.View(w.db, now)
	r.watchReads(&r.view, &w.by)
	w.spec.Read(call)
	if call.Blocked() {
		next = call.Args
	}
	if ready == nil {
		r.countRead(&r.view, w.db)
	}
	call.Call = command.Call{}
	return next
}

// MaxAhead is how many keys LookAhead takes at once.
const MaxAhead = keyspace.MaxAhead

// LookAhead prepares for reads of these keys, at most MaxAhead of them, by commands with
// these first and last arguments behind each: see keyspace.View.CallsAhead.
func (r *Reader) LookAhead(db int, keys [][]byte, args [][2][]byte) {
	r.r.view = r.s.m.Keyspace().View(db, r.now)
	r.r.view.CallsAhead(keys, args)
}

// Now is the time in ms that the reader reads as of.
func (r *Reader) Now() int64 { return r.now }

// End releases the lock.
func (r *Reader) End() {
	r.s.mu.RUnlock()
	r.s.countLookups(r.r)
	r.s.readings.Put(r.r)
	r.r = nil
}

// answerWithout answers a batch that is in no entry. Store.mu is held for
// reading.
func (s *Store) answerWithout(b *Batch) {
	r := s.reading()
	defer func() {
		s.countLookups(r)
		s.readings.Put(r)
	}()
	r.watch.start()
	now := s.Now()
	for i := 0; i < len(b.plan); i++ {
		switch st := &b.plan[i]; st.kind {
		case stepWrites:
			for range st.n {
				b.answerFailed()
			}
		case stepExec:
			b.answerFailed()
			i += st.n
		case stepBlock, stepGreeting:
			b.answerFailed()
		default:
			i += s.answerStep(b, i, r, now)
		}
	}
}

// answerStep answers a step that needs no entry and returns how many more it
// consumed. Store.mu is held.
func (s *Store) answerStep(b *Batch, i int, r *reading, now int64) int {
	switch st := &b.plan[i]; st.kind {
	case stepRead:
		s.encoded(r, now, st, b)
	case stepLocal:
		st.local(b.reply)
	case stepExecRead:
		defer b.observeExec(&r.watch, r.watch.last)
		if !s.m.Unchanged(st.watch, now) {
			b.reply.NullArray()
			return st.n
		}
		b.reply.Array(st.n)
		for j := range st.n {
			s.answerStep(b, i+1+j, r, now)
		}
		return st.n
	default:
		panic(fmt.Sprintf("store: step %d of a plan needs an entry", st.kind))
	}
	return 0
}
