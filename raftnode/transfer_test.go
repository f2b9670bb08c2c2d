package raftnode

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// members is a membership of voters, and of learners by negative numbers.
func members(ids ...int) *membership {
	ms := newMembership()
	for _, id := range ids {
		m := commit.Member{ID: uint64(max(id, -id)), Learner: id < 0}
		ms.members[m.ID] = m
	}
	return ms
}

// leading and following are the situation of member 1 under a leader.
func leading() situation {
	return situation{pace: pace{10, 1}, self: 1, now: 100, leader: 1, role: raft.StateLeader, term: 3, commit: 50}
}

func following(leader uint64) situation {
	s := leading()
	s.leader, s.role = leader, raft.StateFollower
	return s
}

func TestSuccessor(t *testing.T) {
	f := func(id, match uint64, disk shortage) follower {
		return follower{id: id, match: match, live: true, disk: disk}
	}
	silent := follower{id: 3, match: 50}
	learner := follower{id: 4, match: 50, live: true, learner: true}
	for _, tt := range []struct {
		name      string
		at        situation
		followers []follower
		to, want  uint64
		err       error
	}{
		{"the longest log", leading(), []follower{f(2, 40, enough), f(3, 45, enough)}, 0, 3, nil},
		{"the first of two", leading(), []follower{f(2, 45, enough), f(3, 45, enough)}, 0, 2, nil},
		{"space counts more", leading(), []follower{f(2, 40, enough), f(3, 45, lowSpace)}, 0, 2, nil},
		{"space counts more, whoever comes first", leading(), []follower{f(2, 45, lowSpace), f(3, 40, enough)}, 0, 3, nil},
		{"without space if there is no other", leading(), []follower{f(2, 40, lowSpace), f(3, 45, noSpace)}, 0, 3, nil},
		{"who does not answer is none", leading(), []follower{f(2, 40, enough), silent}, 0, 2, nil},
		{"a learner is none", leading(), []follower{learner}, 0, 0, ErrNoSuccessor},
		{"nobody", leading(), nil, 0, 0, ErrNoSuccessor},
		{"a follower asks for itself", following(2), nil, 0, 1, nil},
		{"nobody leads", following(0), nil, 2, 0, commit.ErrNoLeader},
		{"no member", leading(), nil, 9, 0, ErrNotMember},
		{"a learner by name", leading(), nil, 4, 0, ErrNoSuccessor},
		{"whoever is asked for", leading(), nil, 3, 3, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to, err := successor(tt.at, members(1, 2, 3, -4), tt.followers, tt.to)
			if to != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%d, %v, want %d, %v", to, err, tt.want, tt.err)
			}
		})
	}
}

// A hand-over is tried twice, and each who waits is answered once.
func TestTransfersEnd(t *testing.T) {
	var tr transfers
	var got []error
	note := func(err error) { got = append(got, err) }
	at := leading()
	tr.begin(at, 2, note)
	tr.begin(at, 3, note)
	var again []uint64
	for at.now++; at.now <= 111; at.now++ {
		more, done := tr.tick(at)
		again = append(again, more...)
		deliverTransfers(done)
	}
	if len(again) != 2 || len(got) != 0 {
		t.Fatalf("tried again for %v, answered %v", again, got)
	}
	deliverTransfers(tr.settled(2))
	if len(got) != 1 || got[0] != nil {
		t.Fatalf("answered %v", got)
	}
	for ; at.now <= 121; at.now++ {
		_, done := tr.tick(at)
		deliverTransfers(done)
	}
	if len(got) != 2 || !errors.Is(got[1], ErrNoSuccessor) || len(tr.waiting) > 0 {
		t.Errorf("answered %v, %d wait", got, len(tr.waiting))
	}
}
