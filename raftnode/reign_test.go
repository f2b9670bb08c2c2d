package raftnode

import (
	"testing"

	"go.etcd.io/raft/v3"
)

func TestReigning(t *testing.T) {
	voters := []uint64{1, 2, 3, 4, 5}
	now := leading().now
	all := map[uint64]ticks{2: now, 3: now - 5, 4: now, 5: now}
	two := map[uint64]ticks{2: now, 3: now - 5, 4: now - 6, 5: now - 60}
	one := map[uint64]ticks{2: now - 5, 3: now - 6, 4: now - 6}
	candidate := following(0)
	candidate.role = raft.StatePreCandidate
	for _, tt := range []struct {
		name              string
		at                situation
		voters            []uint64
		heard             map[uint64]ticks
		handing, stranded bool
		want              uint64
	}{
		{name: "all answer", at: leading(), voters: voters, heard: all, want: 1},
		{name: "a majority has answered lately", at: leading(), voters: voters, heard: two, want: 1},
		{name: "a minority has", at: leading(), voters: voters, heard: one},
		{name: "alone in a cluster of one", at: leading(), voters: voters[:1], want: 1},
		{name: "alone of two", at: leading(), voters: voters[:2]},
		{name: "a leader that hands over", at: leading(), voters: voters, heard: all, handing: true},
		{name: "a removed leader is not counted", at: leading(), voters: voters[1:], heard: one},
		{name: "a follower", at: following(2), voters: voters, want: 2},
		{name: "a follower that hears of nobody", at: following(2), voters: voters, stranded: true},
		{name: "nobody leads", at: following(0), voters: voters},
		{name: "a candidate", at: candidate, voters: voters, stranded: true},
	} {
		if got := reigning(tt.at, tt.voters, tt.heard, tt.handing, tt.stranded); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestOneReign watches what three members say of who leads: while leadership is handed
// around, never two of them say at one time that they lead, and when only one is left it
// names nobody.
func TestOneReign(t *testing.T) {
	ms := newCluster(t, 3, func(cfg *Config) { cfg.ClientTLSPort, cfg.Hostname = 7000, "a.example" })
	named := func() (leader uint64) {
		for i, m := range ms {
			s := m.node.Standing()
			if i > 0 && s.Leader != leader || s.Leader == 0 {
				return 0
			}
			leader = s.Leader
		}
		return leader
	}
	eventually(t, "a leader that all name", func() bool { return named() != 0 })
	stopC, doneC := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(doneC)
		for {
			select {
			case <-stopC:
				return
			default:
			}
			// Who says it before and after the others were asked has said it meanwhile.
			before := make([]bool, len(ms))
			for i, m := range ms {
				s := m.node.Standing()
				before[i] = s.Leads()
			}
			var leading []uint64
			for i := len(ms) - 1; i >= 0; i-- {
				if s := ms[i].node.Standing(); s.Leads() && before[i] {
					leading = append(leading, s.Self)
				}
			}
			if len(leading) > 1 {
				t.Errorf("%d say that they lead", leading)
				return
			}
		}
	}()
	for range 10 {
		to := named()%3 + 1
		if err := ms[0].node.Transfer(t.Context(), to); err != nil {
			t.Log(err) // a busy machine; what matters is what is said meanwhile
		}
		eventually(t, "a leader that all name", func() bool { return named() != 0 })
	}
	close(stopC)
	<-doneC

	eventually(t, "all to have announced themselves", func() bool {
		s := ms[0].node.Standing()
		for _, m := range s.Members {
			if m.ClientAddr == "" || m.ClientTLSPort != 7000 || m.Hostname != "a.example" {
				return false
			}
		}
		return len(s.Away) == 0 && s.Majority()
	})
	last := ms[named()%3]
	for _, m := range ms {
		if m != last {
			m.stop()
		}
	}
	eventually(t, "the last one to name nobody", func() bool {
		s := last.node.Standing()
		return s.Leader == 0 && len(s.Away) == 2 && !s.Majority()
	})
}
