package raftnode

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// view is what other goroutines may know without asking the raft goroutine.
type view struct {
	leader   uint64
	isLeader bool
	members  *membership
	// settled is the membership that the members will not fall back behind: only
	// who is removed in there may be told so.
	settled *membership
	// refusing says that the leader wants writes to be refused.
	refusing bool
	// reign is what clients may be told of who leads.
	reign reign
}

// Leader returns the id of the leader and where clients reach it: 0 and "" if
// none is known, "" alone if it has not announced itself. It costs an atomic load
// and a map lookup.
func (n *Node) Leader() (id uint64, clientAddr string) {
	v := n.view.Load()
	return v.leader, v.members.members[v.leader].ClientAddr
}

// IsLeader reports whether this node believes to be the leader. It costs an
// atomic load.
func (n *Node) IsLeader() bool { return n.view.Load().isLeader }

// RefusesWrites reports whether clients' writes are to be refused because too many
// members have no room for them. It costs an atomic load.
func (n *Node) RefusesWrites() bool { return n.view.Load().refusing }

// Members returns the current membership as this node has applied it.
func (n *Node) Members() []commit.Member { return n.view.Load().members.list() }

// Waiting says for whom this node waits before it can take part in a cluster, or ""
// if it does. It costs an atomic load.
func (n *Node) Waiting() string {
	if w := n.waits.Load(); w != nil {
		return *w
	}
	return ""
}

// in reports whether this node is in a cluster.
func (n *Node) in() bool {
	select {
	case <-n.inC:
		return true
	default:
		return false
	}
}

// Incarnation returns how often this node was started with this data directory:
// a number that no earlier run had.
func (n *Node) Incarnation() uint64 { return n.incarnation }

// Status returns a consistent picture of the node. After the node has stopped
// only the ids and the members are filled in.
func (n *Node) Status() commit.Status {
	if !n.in() {
		return commit.Status{ID: n.cfg.ID, Role: "forming"}
	}
	statusC := make(chan commit.Status, 1)
	n.inbox.run(func(c *core) {
		s := c.status()
		s.ClusterID = n.cluster
		s.Incoming = n.Incoming()
		s.Links = n.links(s.Members)
		s.Syncs = n.syncs.Read()
		if usage := n.usage.Load(); usage != nil {
			s.Disk = *usage
		}
		statusC <- s
	})
	select {
	case s := <-statusC:
		return s
	case <-n.doneC:
		return commit.Status{ID: n.cfg.ID, ClusterID: n.cluster, Members: n.Members()}
	}
}

// links looks at the links to the other members.
func (n *Node) links(members []commit.Member) map[uint64]time.Time {
	links := map[uint64]time.Time{}
	for _, m := range members {
		if n.network == nil || m.ID == n.cfg.ID {
			continue
		}
		if since := n.network.since(m.ID); !since.IsZero() {
			links[m.ID] = since
		}
	}
	return links
}

func (c *core) status() commit.Status {
	rs := c.rn.BasicStatus()
	s := commit.Status{
		ID:            c.id,
		Term:          rs.GetTerm(),
		Leader:        rs.Lead,
		Commit:        rs.GetCommit(),
		Applied:       rs.Applied,
		SnapshotIndex: c.snapshots.last,
		SnapshotsSent: c.snapshots.sent,
		LogBytes:      uint64(c.snapshots.logBytes),
		Members:       c.members.list(),
		Role:          role(rs.RaftState),
		DiskLow:       c.room.own() != enough,
		RefusesWrites: c.room.refusing,
		Election:      c.elections.last,
		Elections:     c.elections.counts(),
		Rounds:        c.rounds.took.Read(),
	}
	if c.members.members[c.id].Learner {
		s.Role = "learner"
	}
	// MemoryStorage cannot fail here.
	s.FirstIndex, _ = c.storage.FirstIndex()
	s.LastIndex, _ = c.storage.LastIndex()
	if rs.RaftState == raft.StateLeader {
		s.Progress = map[uint64]commit.Progress{}
		now := c.clock()
		c.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			p := commit.Progress{
				Match: pr.Match, Next: pr.Next, RecentActive: c.heardFrom(id), DiskLow: c.room.others[id] != enough,
				Level: c.levelOf(id),
				State: strings.ToLower(strings.TrimPrefix(pr.State.String(), "State")), Left: -1,
			}
			if id != c.id {
				p.Silent = time.Duration(c.now-c.lastHeard[id]) * c.cfg.TickInterval
				c.lags.fill(&p, id, now, s.LastIndex)
			}
			s.Progress[id] = p
		})
	}
	return s
}

func role(s raft.StateType) string {
	switch s {
	case raft.StateLeader:
		return "leader"
	case raft.StateCandidate:
		return "candidate"
	case raft.StatePreCandidate:
		return "pre-candidate"
	default:
		return "follower"
	}
}

// removedIDs are the tombstones, in order.
func (ms *membership) removedIDs() []uint64 { return slices.Sorted(maps.Keys(ms.removed)) }
