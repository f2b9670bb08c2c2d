package machine

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/raftredis/raftredis/store/keyspace"
)

// modelSession is what a session is meant to be, without spans.
type modelSession struct {
	incarnation, floor uint64
	applied            map[uint64]bool
}

func (m *modelSession) admit(h Head) bool {
	if m.incarnation > h.Incarnation {
		return false
	}
	if m.incarnation < h.Incarnation || m.applied == nil {
		*m = modelSession{incarnation: h.Incarnation, applied: make(map[uint64]bool)}
	}
	m.floor = max(m.floor, h.Floor)
	if h.Seq < m.floor || m.applied[h.Seq] {
		return false
	}
	m.applied[h.Seq] = true
	return true
}

func TestSessionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ss := make(sessions)
		models := map[uint64]*modelSession{}
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			h := Head{
				Origin:      rapid.Uint64Range(1, 2).Draw(t, "origin"),
				Incarnation: rapid.SampledFrom([]uint64{1, 1, 1, 1, 1, 1, 1, 2}).Draw(t, "incarnation"),
				Seq:         rapid.Uint64Range(1, 40).Draw(t, "seq"),
			}
			h.Floor = rapid.Uint64Range(0, h.Seq).Draw(t, "floor")
			if rapid.IntRange(0, 3).Draw(t, "moves floor") > 0 {
				h.Floor = 0
			}
			m := models[h.Origin]
			if m == nil {
				m = &modelSession{}
				models[h.Origin] = m
			}
			if got, want := ss.admit(h), m.admit(h); got != want {
				t.Fatalf("admit(%+v) = %v, want %v", h, got, want)
			}
			// What a snapshot holds goes on the same way.
			var e keyspace.Encoder
			ss.encode(&e)
			d := keyspace.NewDecoder(e.Take())
			copied := ss.clone()
			ss = decodeSessions(d)
			if d.Err() != nil {
				t.Fatal(d.Err())
			}
			for seq := uint64(1); seq <= 40; seq++ {
				got, inClone := ss.has(h.Origin, h.Incarnation, seq), copied.has(h.Origin, h.Incarnation, seq)
				want := m.incarnation == h.Incarnation && seq >= m.floor && m.applied[seq]
				if got != want || inClone != want {
					t.Fatalf("has(%d) = %v, in the clone %v, want %v", seq, got, inClone, want)
				}
			}
			for _, s := range ss {
				for i, sp := range s.applied {
					if sp.lo < s.floor || sp.lo >= sp.hi || i > 0 && s.applied[i-1].hi >= sp.lo {
						t.Fatalf("spans %v above %d", s.applied, s.floor)
					}
				}
			}
		}
	})
}

func TestSessionStaysSmall(t *testing.T) {
	ss := make(sessions)
	for seq := uint64(1); seq <= 100_000; seq++ {
		floor := uint64(1)
		if seq > 64 {
			floor = seq - 64
		}
		ss.admit(Head{1, 1, seq ^ 1, min(floor, seq^1)}) // neighbours change places
	}
	if n := len(ss[1].applied); n > 2 {
		t.Errorf("%d spans", n)
	}
}
