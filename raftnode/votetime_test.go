package raftnode

import (
	"slices"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// A member that is elected right after its start has heard the time before it seals: from
// its voters, and if it is told to stand, from the leader.
func TestVotesTellTheTime(t *testing.T) {
	for _, how := range []string{"campaign", "transfer"} {
		var events []string
		cfg := Config{
			TellTime: func() []byte { return []byte("time") },
			HearTime: func(told []byte, leads bool) {
				if leads {
					told = append(told, " of the leader"...)
				}
				events = append(events, string(told))
			},
		}
		s := newSim(cfg, 3, nil)
		s.cfg.Seal = func(dst []byte, requests [][]byte) []byte {
			events = append(events, "seal")
			return testSeal(dst, requests)
		}
		s.nodes[2].cfg.Seal = s.cfg.Seal
		s.settle()
		campaign := func(id uint64) {
			s.nodes[id].do(func() {
				if err := s.nodes[id].core.rn.Campaign(); err != nil {
					t.Fatal(err)
				}
			})
			s.settle()
		}
		campaign(1)
		s.crash(2)
		s.start(2)
		s.nodes[1].tick() // it answers the heartbeat, and the leader knows that it is back
		s.settle()
		events = nil
		if how == "campaign" {
			s.crash(1) // which would be in its leader's lease otherwise
			s.start(1)
			campaign(2)
		} else {
			s.nodes[1].do(func() { s.nodes[1].core.rn.TransferLeader(2) })
			s.settle()
		}
		if l := s.leader(); l == nil || l.id != 2 {
			t.Fatalf("%s: 2 does not lead", how)
		}
		l := s.nodes[2]
		l.do(func() { l.core.offer(&commit.Proposal{Data: []byte("x")}) })
		s.settle()
		want := "time"
		if how == "transfer" {
			want = "time of the leader" // before any vote
		}
		if i := slices.Index(events, "seal"); i < 1 || events[0] != want {
			t.Errorf("%s: %q", how, events)
		}
	}
}
