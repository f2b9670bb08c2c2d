package store

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

const (
	// giveUpEvery is how often the leader looks whether members with clients that
	// wait are still there, and giveUpAfter how long it has to find them away.
	giveUpEvery = time.Second
	giveUpAfter = 5
)

// runGiveUp has the clients of members that are away ended, while this node leads:
// what comes would be taken for them and reach nobody.
func (s *Store) runGiveUp() {
	ticker := time.NewTicker(giveUpEvery)
	defer ticker.Stop()
	away := make(map[uint64]int) // how often a member was found away
	for {
		select {
		case <-s.stopC:
			return
		case <-ticker.C:
			s.lookAfter(away)
		}
	}
}

func (s *Store) lookAfter(away map[uint64]int) {
	n := s.node.Load()
	if !n.IsLeader() {
		clear(away)
		return
	}
	// Not this member's own: it is here.
	s.mu.RLock()
	clients := slices.DeleteFunc(append(s.m.Clients(), s.m.Listening()...), func(c machine.Clients) bool { return c.Origin == s.cfg.Member })
	s.mu.RUnlock()
	if len(clients) == 0 {
		clear(away)
		return
	}
	st := n.Status()
	member := make(map[uint64]bool)
	for _, m := range st.Members {
		member[m.ID] = true
	}
	var b Batch
	seen := make(map[uint64]bool)
	for _, c := range clients {
		if seen[c.Origin] { // one that has clients that wait and clients that listen
			continue
		}
		seen[c.Origin] = true
		switch {
		case st.Progress[c.Origin].RecentActive:
			delete(away, c.Origin)
			continue
		case member[c.Origin]:
			// Several looks, not one: giving up costs every client there its place in
			// the line, and a pause of a second is no death. A member that was removed
			// gets no such grace, since it cannot come back.
			if away[c.Origin]++; away[c.Origin] < giveUpAfter {
				continue
			}
		}
		delete(away, c.Origin)
		s.logger.Info("giving up the clients of a member that is away", zap.Uint64("member", c.Origin), zap.Int("clients", c.N))
		b.giveUp(c.Origin, c.Incarnation)
	}
	if b.HasWrites() {
		doneC := make(chan struct{})
		s.Submit(&b, command.Discard{}, func() { close(doneC) })
		<-doneC // if it failed, the next look sees the clients again
	}
}
