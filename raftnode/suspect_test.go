package raftnode

import (
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// A leader is doubted after three heartbeats, not after two, and whatever it sends puts
// that off.
func TestSuspicion(t *testing.T) {
	at := following(2)
	s := suspicion{heardAt: at.now}
	tick := func() doubt { at.now++; return s.tick(at) }
	for i, want := range []doubt{none, none, isSilent, isSilent} {
		if got := tick(); got != want {
			t.Fatalf("%d ticks without a word: %v, want %v", i+1, got, want)
		}
	}
	s.heard(at.now, &raftpb.Message{Type: raftpb.MsgAppResp.Enum()}) // anybody sends that
	if got := tick(); got != isSilent {
		t.Fatalf("after an answer of another follower: %v", got)
	}
	s.heard(at.now, &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum()})
	if got := tick(); got != none {
		t.Fatalf("after a heartbeat: %v", got)
	}
}

// Voters stand one after another once the leader is forgotten; others do not.
func TestStandingForElection(t *testing.T) {
	for _, tt := range []struct {
		name   string
		self   uint64
		ms     *membership
		after  ticks // until it stands; 0: never
		leader uint64
	}{
		{"the first", 1, members(1, 2, 3), 1, 3},
		{"the second", 2, members(1, 2, 3), 3, 3},
		{"the leader has no rank", 3, members(1, 2, 3), 3, 1},
		{"a learner", 4, members(1, 2, 3, -4), 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := following(tt.leader)
			at.self = tt.self
			var s suspicion
			s.forgotten(at, tt.ms.voters())
			at.leader = 0
			var stood ticks
			for range 30 {
				at.now++
				if s.tick(at) == isOver {
					if stood != 0 {
						t.Fatal("it stands twice")
					}
					stood = at.now - following(0).now
				}
			}
			if stood != tt.after {
				t.Errorf("it stands after %d ticks, want %d", stood, tt.after)
			}
		})
	}
	// Another leader has come up in between.
	at := following(3)
	var s suspicion
	s.forgotten(at, members(1, 2, 3).voters())
	at.leader, s.heardAt = 2, at.now
	if got := s.tick(at); got != none || s.standAt != 0 {
		t.Errorf("%v under a new leader, stands at %d", got, s.standAt)
	}
}

func TestStranded(t *testing.T) {
	for _, tt := range []struct {
		role  raft.StateType
		heard ticks
		want  bool
	}{
		{raft.StateFollower, 91, false},
		{raft.StateFollower, 90, true},
		{raft.StateCandidate, 90, true},
		{raft.StateLeader, 0, false},
	} {
		at := following(2)
		at.role = tt.role
		if got := (&suspicion{heardAt: tt.heard}).stranded(at); got != tt.want {
			t.Errorf("%v, last heard at %d of %d: %v", tt.role, tt.heard, at.now, got)
		}
	}
}
