package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	// gatherFor is how long a client that will most likely wait is held back before it
	// is entered, so that others of this node share its log entry.
	gatherFor = 50 * time.Millisecond
	// gatherFrom is how long a client must be willing to wait to be held back.
	gatherFrom = micros(time.Second / time.Microsecond)
)

// gate holds back clients on their way to be entered. A thousand workers that ask
// empty queues every other second would cost an entry, and so a round of messages and
// a sync, nearly each; in no hurry at all, since there is nothing for them yet.
//
// None is held back for whom there is something, as far as this node knows, and what
// comes for one of them opens the gate: then it is entered, and finds it. Nor is one
// overtaken by a later write of this node, which opens the gate before it goes. What is
// given up is the order among clients of different nodes that asked within gatherFor.
//
// mu is a leaf. Store.mu is held in hold, so that nothing comes between a look at the
// state and hold, and in touched.
type gate struct {
	held atomic.Int64 // how many, so that a write looks at nothing else while there are none

	mu    sync.Mutex
	waits []*Wait
	keys  map[dbKey]bool // that they want to wait for
	timer *time.Timer
}

func (g *gate) hold(w *Wait, keys []dbKey, open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.keys == nil {
		g.keys = make(map[dbKey]bool)
	}
	for _, k := range keys {
		g.keys[k] = true
	}
	g.waits = append(g.waits, w)
	g.held.Store(int64(len(g.waits)))
	switch {
	case len(g.waits) > 1: // the timer runs
	case g.timer == nil:
		g.timer = time.AfterFunc(gatherFor, open)
	default:
		g.timer.Reset(gatherFor)
	}
}

// take returns the clients that were held, in the order in which they came.
func (g *gate) take() []*Wait {
	g.mu.Lock()
	defer g.mu.Unlock()
	waits := g.waits
	g.waits = nil
	clear(g.keys)
	g.held.Store(0)
	if g.timer != nil {
		g.timer.Stop()
	}
	return waits
}

// touched reports whether a change may be what one of the clients wants to wait for.
func (g *gate) touched(t keyspace.Touch) bool {
	if g.held.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.Change == keyspace.Swept || g.keys[dbKey{t.DB, string(t.Key)}]
}

// openGate proposes what is held back. Nobody may hold a lock of the store's.
func (s *Store) openGate() {
	for _, w := range s.gate.take() {
		s.proposeWait(w)
	}
}

// holdBack reports whether it has held a client back: it is in no hurry, and none of
// the keys is there that it wants to wait for.
func (s *Store) holdBack(w *Wait) bool {
	if _, ok, bad := w.spec.Block.Timeout(w.argv); !ok || bad != "" || w.until != 0 && w.until-s.clock.mono() < gatherFrom {
		return false
	}
	refs, err := command.Keys(w.spec, w.argv)
	if err != nil || len(refs) == 0 {
		return false // the handler says what is wrong with it
	}
	keys := make([]dbKey, len(refs))
	s.mu.RLock()
	defer s.mu.RUnlock()
	view := s.m.Keyspace().View(w.db, s.Now())
	for i, ref := range refs {
		key := w.argv[ref.Pos]
		if view.Exists(key) {
			return false
		}
		keys[i] = dbKey{w.db, string(key)}
	}
	s.gate.hold(w, keys, s.openGate)
	return true
}
