package raftnode

import (
	"slices"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// reign is what clients may be told of who leads: see commit.Standing. Requests go to
// whoever raft takes for the leader, at once, and find out if that is wrong. A client
// that was told a wrong leader would find two of them.
type reign struct {
	term   uint64
	leader uint64   // 0: nobody
	silent []uint64 // on a leader: who has not answered for an election timeout, in order
}

func (r reign) equal(o reign) bool {
	return r.term == o.term && r.leader == o.leader && slices.Equal(r.silent, o.silent)
}

// lease is for how long the answers of a majority let a leader say that it leads. Who
// hears from a leader does not vote for another one for an election timeout; half of it
// leaves time for answers that were long on their way. (Voters that find nobody
// listening where the leader was are faster, see suspicion; but that leader is dead, or
// reaches nobody.)
func (s situation) lease() ticks { return s.pace.election / 2 }

// reigning says whom clients may be told of. heard is when each voter last answered this
// node, if it leads; handing says that it hands leadership over, and stranded that it
// has not heard from a leader for an election timeout.
func reigning(at situation, voters []uint64, heard map[uint64]ticks, handing, stranded bool) uint64 {
	switch {
	case !at.leads() && stranded, at.leads() && handing:
		return 0
	case !at.leads():
		return at.leader
	}
	fresh := 0
	for _, id := range voters {
		if when, ok := heard[id]; id == at.self || ok && at.now-when <= at.lease() {
			fresh++
		}
	}
	if fresh <= len(voters)/2 {
		return 0
	}
	return at.self
}

// reign is the present one.
func (c *core) reign() reign {
	at := c.situation()
	handing := at.leads() && c.rn.BasicStatus().LeadTransferee != 0
	r := reign{term: at.term, leader: reigning(at, c.members.voters(), c.lastHeard, handing, c.suspicion.stranded(at))}
	if at.leads() {
		for _, m := range c.members.list() {
			if !c.heardFrom(m.ID) {
				r.silent = append(r.silent, m.ID)
			}
		}
	}
	return r
}

// tellReign publishes the reign if it is another one.
func (c *core) tellReign() {
	if !c.reign().equal(c.told) {
		c.publish()
	}
}

// Standing is what clients may be told of who leads and who the members are. It costs
// an atomic load, a copy of the membership and, on a follower, a look at the links.
func (n *Node) Standing() commit.Standing {
	if !n.in() {
		return commit.Standing{Self: n.cfg.ID}
	}
	v := n.view.Load()
	s := commit.Standing{
		Self: n.cfg.ID, Cluster: n.cluster, Term: v.reign.term, Leader: v.reign.leader, Members: v.members.list(), Away: v.reign.silent,
	}
	if !v.isLeader && n.network != nil { // else it has asked them itself
		for _, m := range s.Members {
			if m.ID != s.Self && !n.network.reachable(m.ID) {
				s.Away = append(s.Away, m.ID)
			}
		}
	}
	return s
}
