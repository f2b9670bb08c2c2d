package raftnode

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// entriesOf makes a log from 1 on: c a change, r requests, - an empty entry.
func entriesOf(kinds string) (out []*raftpb.Entry) {
	for i, k := range kinds {
		e := &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Index: new(uint64(i + 1)), Term: new(uint64(1))}
		switch k {
		case 'c':
			e.Type = raftpb.EntryConfChange.Enum()
		case 'r':
			e.Data = []byte("x")
		}
		out = append(out, e)
	}
	return out
}

// Only what could not be there otherwise says that a change is committed.
func TestSettledIndex(t *testing.T) {
	for _, tt := range []struct {
		log  string
		want uint64
	}{
		{"", 0}, {"rr", 0}, {"c", 0}, {"c-", 0}, {"c--", 0},
		{"cr", 1}, {"c-r", 1}, {"cc", 1}, {"rcrc", 2}, {"rcrcr", 4}, {"rcr--", 2},
	} {
		if got := settledIndex(entriesOf(tt.log)); got != tt.want {
			t.Errorf("%q: %d, want %d", tt.log, got, tt.want)
		}
	}
}

func TestSettling(t *testing.T) {
	var s settlement
	for _, e := range entriesOf("rrc") {
		s.logged(e)
	}
	if !s.settling(2) || s.settling(3) {
		t.Errorf("a change at 3: settling %v at commit index 2, %v at 3", s.settling(2), s.settling(3))
	}
	s.logged(entriesOf("rrr")[2]) // a new leader has put something else there
	if s.settling(2) {
		t.Error("a change that was overwritten is waited for")
	}
}

// A leader vouches for a removal until somebody else's entry has done so.
func TestRemovalIsOwed(t *testing.T) {
	three := members(1, 2, 3)
	two := three.apply(change{Op: commit.Remove, Member: three.members[3]})
	for _, tt := range []struct {
		name              string
		at                situation
		settled           *membership
		last              uint64 // change in the log
		proposed, applied uint64
		want              bool
	}{
		{"a removal that nothing follows", leading(), three, 50, 50, 50, true},
		{"it is settled", leading(), two, 50, 50, 50, false},
		{"an entry is on its way", leading(), three, 50, 51, 50, false},
		{"another change is on its way", leading(), three, 51, 50, 50, false},
		{"not on a follower", following(2), three, 50, 0, 50, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := settlement{members: tt.settled, last: tt.last}
			if got := s.owes(tt.at, two, tt.proposed, tt.applied); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
	s := settlement{members: three}
	if !s.settled(two) || s.settled(two) {
		t.Error("what is settled is not news once")
	}
}
