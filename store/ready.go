package store

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Readiness says whether this node may answer clients.
type Readiness struct {
	// Serving: clients are answered. Otherwise every command that looks at data
	// gets -LOADING.
	Serving bool
	// Reason says why this node is not what it should be, in words for its
	// operator; empty if it is. A node that serves may have one: it has no leader.
	Reason string
}

// Ready reports whether the node is all that it should be: it has caught up, and
// it knows a leader. Load balancers ask for that (/readyz).
func (r Readiness) Ready() bool { return r.Serving && r.Reason == "" }

// readiness is what the rule in Store.Readiness looks at.
type readiness struct {
	started  micros        // when Start was called, by clock.mono
	loaded   atomic.Bool   // the snapshot that the node starts from is loaded
	loading  atomic.Uint64 // index of the snapshot being loaded, 0: none
	caughtUp atomic.Bool   // a request of this run has been applied
}

// patience is how long clients wait for a leader to be found when a node starts:
// a local read must not go back in time because of a restart if that can be
// helped. Without a majority it cannot, and then stale reads are better than none.
const patience = 3 * time.Second

// Readiness decides whether this node may answer clients. It is the only place
// that does; everybody who tells somebody asks here (LOADING, INFO, /readyz, the
// log).
//
// A node serves once a request of its own has been applied since it was started:
// by then it has applied everything that anybody was told is done before that. It
// stops serving while it knows that it lacks what a leader had committed long ago,
// since a snapshot of it is on its way. Only a node without a leader, who has the
// state of an earlier run, serves that state, after it has waited for a leader.
func (s *Store) Readiness() Readiness {
	no := func(format string, args ...any) Readiness { return Readiness{Reason: fmt.Sprintf(format, args...)} }
	r := &s.readiness
	n := s.node.Load()
	switch {
	case n == nil:
		return no("the node is starting")
	case n.Waiting() != "":
		return no("%s", n.Waiting())
	case r.loading.Load() != 0:
		return no("the snapshot at %d is being loaded", r.loading.Load())
	case !r.loaded.Load():
		return no("the node is loading its data")
	}
	if leader, _ := n.Leader(); leader != 0 {
		if in := n.Incoming(); in.Index > s.waits.index.Load() {
			return no("a snapshot of the leader is on its way: %d of %d bytes", in.Received, in.Total)
		}
		if !r.caughtUp.Load() {
			return no("the node is catching up with member %d, which leads", leader)
		}
		return Readiness{Serving: true}
	}
	switch {
	case r.caughtUp.Load():
	case !s.tookPart():
		return no("no leader is known, and the node has no data of its own yet")
	case s.clock.mono()-r.started < microsOf(patience):
		return no("the node is looking for a leader")
	}
	return Readiness{Serving: true, Reason: "no leader is known"}
}

// Ready is Readiness().Ready().
func (s *Store) Ready() bool { return s.Readiness().Ready() }

// Serving is Readiness().Serving, at the price of a few atomic loads while all is
// well. The front asks at every turn of a connection.
func (s *Store) Serving() bool {
	r, n := &s.readiness, s.node.Load()
	if n != nil && r.caughtUp.Load() && r.loading.Load() == 0 && n.Incoming().Index <= s.waits.index.Load() {
		return true
	}
	return s.Readiness().Serving
}

// tookPart reports whether the state is that of a member which had caught up in
// an earlier run: then it has applied a request of its own.
func (s *Store) tookPart() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m.Took(s.cfg.Member)
}
