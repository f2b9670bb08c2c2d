package machine

import (
	"maps"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// sessions remembers, for each member, which of its requests have been applied,
// so that none is applied twice however often it is sent. It is state: every
// node arrives at the same, and it is part of the snapshot.
type sessions map[uint64]*session

// session is what one member has asked for in its latest run.
//
// A member numbers its requests, and says with each one its floor: the lowest
// number that has no outcome yet. The session thereby has to remember no more
// than the numbers between floor and the highest, which is what the member has
// in flight, and a request below the floor (one that was given up, and turns up
// late) is refused for good. An older run's requests are refused likewise: its
// clients are gone, and their requests with unknown outcome must not come true
// in the middle of later ones.
//
// Invariant: spans are sorted, do not touch one another, and are at or above
// floor.
type session struct {
	incarnation uint64
	floor       uint64
	applied     []span
}

// span is the numbers from lo up to and without hi.
type span struct{ lo, hi uint64 }

// admit decides whether the request is to be applied, and notes that it was.
func (ss sessions) admit(h Head) bool {
	s := ss[h.Origin]
	switch {
	case s == nil || s.incarnation < h.Incarnation:
		// A new run numbers from 1 again, so what the last one had applied is dropped: it
		// can never be asked for again, see below.
		s = &session{incarnation: h.Incarnation}
		ss[h.Origin] = s
	case s.incarnation > h.Incarnation:
		return false
	}
	// First raise, then look: a request below its own member's floor was given up, and
	// its client told that the outcome is unknown. Applied now, it would come true behind
	// what the client has done since.
	s.raise(h.Floor)
	return h.Seq >= s.floor && s.add(h.Seq)
}

// raise forgets what is below floor.
func (s *session) raise(floor uint64) {
	if floor <= s.floor {
		return
	}
	s.floor = floor
	gone := 0
	for gone < len(s.applied) && s.applied[gone].hi <= floor {
		gone++
	}
	s.applied = slices.Delete(s.applied, 0, gone)
	if len(s.applied) > 0 {
		s.applied[0].lo = max(s.applied[0].lo, floor)
	}
}

// search returns the first span that ends above seq.
func (s *session) search(seq uint64) int {
	// Requests come nearly in order, so it is nearly always at the end.
	i := len(s.applied)
	for i > 0 && s.applied[i-1].hi > seq {
		i--
	}
	return i
}

// add notes seq and reports whether it is new.
func (s *session) add(seq uint64) bool {
	i := s.search(seq)
	if i < len(s.applied) && s.applied[i].lo <= seq {
		return false
	}
	joinsLeft := i > 0 && s.applied[i-1].hi == seq
	joinsRight := i < len(s.applied) && s.applied[i].lo == seq+1
	switch {
	case joinsLeft && joinsRight:
		s.applied[i-1].hi = s.applied[i].hi
		s.applied = slices.Delete(s.applied, i, i+1)
	case joinsLeft:
		s.applied[i-1].hi++
	case joinsRight:
		s.applied[i].lo--
	default:
		s.applied = slices.Insert(s.applied, i, span{seq, seq + 1})
	}
	return true
}

// has reports whether seq of that run was applied, as far as the session
// remembers.
func (ss sessions) has(origin, incarnation, seq uint64) bool {
	s := ss[origin]
	if s == nil || s.incarnation != incarnation {
		return false
	}
	i := s.search(seq)
	return i < len(s.applied) && s.applied[i].lo <= seq
}

func (ss sessions) clone() sessions {
	c := make(sessions, len(ss))
	for origin, s := range ss {
		c[origin] = &session{s.incarnation, s.floor, slices.Clone(s.applied)}
	}
	return c
}

func (ss sessions) encode(e *keyspace.Encoder) {
	e.Uvarint(uint64(len(ss)))
	for _, origin := range slices.Sorted(maps.Keys(ss)) {
		s := ss[origin]
		e.Uvarint(origin)
		e.Uvarint(s.incarnation)
		e.Uvarint(s.floor)
		e.Uvarint(uint64(len(s.applied)))
		for _, sp := range s.applied {
			e.Uvarint(sp.lo)
			e.Uvarint(sp.hi)
		}
	}
}

func decodeSessions(d *keyspace.Decoder) sessions {
	ss := make(sessions)
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		origin := d.Uvarint()
		s := &session{incarnation: d.Uvarint(), floor: d.Uvarint()}
		for end, k := s.floor, d.Uvarint(); k > 0 && d.Err() == nil; k-- {
			sp := span{d.Uvarint(), d.Uvarint()}
			if sp.lo < end || sp.lo >= sp.hi || sp.hi > maxSeq+1 {
				d.Fail("numbers of applied requests out of order")
				break
			}
			end = sp.hi + 1 // spans that touch would be one
			s.applied = append(s.applied, sp)
		}
		if ss[origin] != nil {
			d.Fail("member listed twice")
		}
		ss[origin] = s
	}
	return ss
}
