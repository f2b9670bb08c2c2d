package raftnode

import (
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

func TestCheckChange(t *testing.T) {
	// 1 leads 2 and 3; 4 is a learner, 5 was removed.
	ms := members(1, 2, 3, -4)
	for id, m := range ms.members {
		m.PeerURL = fmt.Sprintf("http://node:%d", id)
		ms.members[id] = m
	}
	ms.removed[5] = struct{}{}
	all := []follower{{id: 2, live: true, match: 50}, {id: 3, live: true, match: 50}, {id: 4, live: true, learner: true, match: 40}}
	without3 := []follower{all[0], {id: 3}, all[2]}
	for _, tt := range []struct {
		name      string
		op        commit.ConfChangeOp
		m         commit.Member
		followers []follower
		mark      uint64
		done      bool
		err       error
	}{
		{"add", commit.AddLearner, commit.Member{ID: 6, PeerURL: "http://node:6"}, all, 0, false, nil},
		{"add one that is there", commit.AddLearner, commit.Member{ID: 4, PeerURL: "http://node:4"}, all, 0, true, nil},
		{"add at another place", commit.AddLearner, commit.Member{ID: 4, PeerURL: "http://node:7"}, all, 0, false, ErrIDUsed},
		{"an id never comes back", commit.AddLearner, commit.Member{ID: 5, PeerURL: "http://node:5"}, all, 0, false, ErrIDUsed},
		{"promote too early", commit.Promote, commit.Member{ID: 4}, all, 0, false, ErrNotCaughtUp},
		{"promote one that had all a while ago", commit.Promote, commit.Member{ID: 4}, all, 40, false, nil},
		{"promote one that is silent", commit.Promote, commit.Member{ID: 4}, []follower{{id: 4, learner: true, match: 50}}, 40, false, ErrNotCaughtUp},
		{"promote a voter", commit.Promote, commit.Member{ID: 2}, all, 0, true, nil},
		{"promote a stranger", commit.Promote, commit.Member{ID: 9}, all, 0, false, ErrNotMember},
		{"remove", commit.Remove, commit.Member{ID: 3}, all, 0, false, nil},
		{"remove the one that is down", commit.Remove, commit.Member{ID: 3}, without3, 0, false, nil},
		{"remove one that is needed", commit.Remove, commit.Member{ID: 2}, without3, 0, false, ErrQuorumLoss},
		{"remove a learner", commit.Remove, commit.Member{ID: 4}, without3, 0, false, nil},
		{"remove it again", commit.Remove, commit.Member{ID: 5}, all, 0, true, nil},
		{"remove a stranger", commit.Remove, commit.Member{ID: 9}, all, 0, false, ErrNotMember},
		{"update", commit.Update, commit.Member{ID: 2, ClientAddr: "client:2"}, all, 0, false, nil},
		{"update nothing", commit.Update, commit.Member{ID: 2, PeerURL: "http://node:2"}, all, 0, true, nil},
		{"claim a voter", commit.Update, commit.Member{ID: 2, Instance: 8}, all, 0, false, ErrDataLost},
		{"claim a learner", commit.Update, commit.Member{ID: 4, Instance: 8}, all, 0, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cs := changes{commitMark: tt.mark}
			done, err := cs.check(change{Op: tt.op, Member: tt.m}, ms, leading(), tt.followers)
			if done != tt.done || !errors.Is(err, tt.err) || err != nil && tt.err == nil {
				t.Errorf("done %v, %v, want %v, %v", done, err, tt.done, tt.err)
			}
		})
	}
}

// Each who asked for a change is told once what became of it.
func TestChangesAreAnswered(t *testing.T) {
	mine, others := change{ID: 7, Op: commit.Promote, Member: commit.Member{ID: 4}}, change{ID: 9, Op: commit.Promote, Member: commit.Member{ID: 5}}
	entry := func(ch change, index uint64) *raftpb.Entry {
		data, err := proto.Marshal(ch.confChange())
		if err != nil {
			t.Fatal(err)
		}
		return &raftpb.Entry{Type: raftpb.EntryConfChange.Enum(), Index: new(index), Data: data}
	}
	for _, tt := range []struct {
		name  string
		in    *raftpb.Entry // what raft made of the proposal
		apply change        // what is applied at 60
		index uint64
		err   error
	}{
		{"applied", entry(mine, 60), mine, 60, nil},
		{"raft put nothing in its place", nil, change{}, 0, ErrChangePending},
		{"somebody else's is there", entry(others, 60), change{}, 0, ErrChangePending},
		{"another leader's took its place", entry(mine, 60), others, 0, ErrChangeDropped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			var index uint64
			var err error
			cs := changes{pending: &pendingChange{change: mine, answer: func(i uint64, e error) { calls, index, err = calls+1, i, e }}}
			if tt.in != nil {
				cs.appended(tt.in)
			}
			deliverChanges(cs.settle())
			deliverChanges(cs.done(60, tt.apply.ID))
			deliverChanges(cs.reached(59))
			deliverChanges(cs.reached(60))
			if calls != 1 || index != tt.index || !errors.Is(err, tt.err) {
				t.Errorf("%d answers, %d, %v", calls, index, err)
			}
			if cs.pending != nil {
				t.Error("it is still pending")
			}
		})
	}
}
