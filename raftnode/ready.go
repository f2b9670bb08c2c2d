package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// ready takes one Ready from raft and does the steps that doc.go numbers.
func (c *core) ready() {
	rd := c.rn.Ready()
	if rd.SoftState != nil { // 1
		c.softStateChanged(*rd.SoftState)
	}
	before := c.hard.GetCommit()
	if !raft.IsEmptyHardState(rd.HardState) { // 2
		c.hardStateChanged(rd.HardState)
	}
	c.reads.answered(c, rd.ReadStates) // 3
	for _, e := range rd.Entries {     // 4
		c.snapshots.appended(e)
		c.changes.logged(e)
		if c.isLeader() {
			c.reads.appended(e)
			c.proposals.appended(e)
			c.changes.appended(e)
		}
	}
	c.changes.settle()

	// 5: everything in Messages may leave at once: raft has put what must wait for
	// the disk (votes, acknowledgements) into the Responses of MsgStorageAppend.
	var out []*raftpb.Message
	var toStore, toApply *raftpb.Message
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			toStore = m
		case raft.LocalApplyThread:
			toApply = m
		default:
			if m.GetType() == raftpb.MsgSnap && !c.sendableSnapshot(m) {
				continue
			}
			out = append(out, m)
		}
	}
	// The network first: followers write while this node writes (thesis 10.2.1).
	if out = c.traffic.hold(c, c.traffic.superseded(out)); len(out) > 0 {
		c.env.send(out)
	}
	if toStore != nil { // 6
		c.storeAppend(toStore, c.hard.GetCommit() > before)
	}
	if toApply != nil { // 7
		c.applyCommitted(toApply)
	}
}

func (c *core) softStateChanged(s raft.SoftState) {
	was := c.soft
	c.soft = s
	if was.RaftState == raft.StateLeader && s.RaftState != raft.StateLeader {
		// Whatever is in flight may still be committed by the next leader, or not:
		// that is for the origins to find out, by request id.
		c.proposals.deposed()
		c.traffic.deposed()
	}
	if s.RaftState == raft.StateLeader && was.RaftState != raft.StateLeader {
		clear(c.lastHeard)
		c.reads.elected()
		for _, id := range c.members.voters() {
			c.lastHeard[id] = c.now // innocent until an election timeout has passed
		}
		c.changes.elected()
	}
	if was.Lead != s.Lead {
		c.suspicion.heardAt = c.now
		c.reads.leaderChanged(c)
		c.lg.Info("leader changed", zap.Uint64("member", c.id), zap.Uint64("leader", s.Lead),
			zap.Uint64("was", was.Lead), zap.Stringer("role", s.RaftState))
	}
	c.transfers.settle(c)
	c.publish()
}

func (c *core) hardStateChanged(hs *raftpb.HardState) {
	if hs.GetTerm() != c.hard.GetTerm() {
		c.proposals.deposed()
	}
	c.hard = hs
	c.hardDirty = true
	c.proposals.committed(hs.GetCommit())
	c.reads.committed(c)
}

// storageWork is one piece of work for the storage goroutine: a MsgStorageAppend
// or the last step of an own snapshot.
type storageWork struct {
	hard      *raftpb.HardState // nil if it has not changed
	entries   []*raftpb.Entry
	snapshot  *raftpb.Snapshot  // from the leader: replaces the log
	responses []*raftpb.Message // to be delivered once all of this is durable
	sync      bool              // make the commit index durable, too
	members   *membership       // to be reported to membershipDurable after that

	// ownSnapshot is the descriptor of a snapshot that this node has taken; the
	// body is already in place. release is the index up to which the log before
	// it is not needed any more.
	ownSnapshot *raftpb.Snapshot
	release     uint64
}

// storeAppend hands a MsgStorageAppend to the storage goroutine.
//
// A message that only moves the commit index and that nobody waits for (raft
// asks for no durability if there are no responses) is held back until there is
// something to write anyway: at one entry per round that halves the number of
// writes and of wake-ups. After a crash the node learns the commit index again
// from the leader. committed says that the commit index has moved.
func (c *core) storeAppend(m *raftpb.Message, committed bool) {
	nothing := len(m.GetEntries()) == 0 && m.GetSnapshot() == nil &&
		c.hard.GetTerm() == c.storedTerm && c.hard.GetVote() == c.storedVote
	responses := c.traffic.news(m.GetResponses(), nothing && committed)
	if nothing && len(responses) == 0 {
		return
	}
	if nothing && c.env.storeIdle() {
		// The responses only had to wait for what was written before them, and all
		// of that is durable: they need not pass through the storage goroutine.
		for _, r := range responses {
			if r.GetTo() == c.id {
				c.step(r)
			} else {
				c.env.send([]*raftpb.Message{r})
			}
		}
		return
	}
	w := storageWork{
		entries:   m.GetEntries(),
		snapshot:  m.GetSnapshot(),
		responses: responses,
	}
	c.attachHardState(&w)
	c.env.store(w)
}

func (c *core) attachHardState(w *storageWork) {
	if c.hardDirty {
		w.hard = c.hard
		c.hardDirty = false
		c.storedTerm, c.storedVote = c.hard.GetTerm(), c.hard.GetVote()
	}
}

// flush hands over what storeAppend held back. Called when the node stops, so
// that the next start replays everything without asking the leader.
func (c *core) flush() {
	if c.hardDirty {
		var w storageWork
		c.attachHardState(&w)
		c.env.store(w)
	}
}

// applyCommitted takes committed entries that are durable on this node.
// Membership changes take effect here, on the raft goroutine, at their place in
// the log; then the entries queue for commitC.
func (c *core) applyCommitted(m *raftpb.Message) {
	b := applyBatch{responses: m.GetResponses()}
	b.entries = make([]commit.Entry, 0, len(m.GetEntries()))
	for _, e := range m.GetEntries() {
		ce := commit.Entry{Index: e.GetIndex(), Term: e.GetTerm()}
		switch e.GetType() {
		case raftpb.EntryNormal:
			if len(e.GetData()) > 0 {
				ce.Data = e.GetData()
			}
		case raftpb.EntryConfChange:
			if err := c.applyConfChange(e); err != nil {
				c.env.stop(fmt.Errorf("apply entry %d: %w", e.GetIndex(), err))
				return
			}
		default:
			// Skipping it would let this node drift away from the others.
			c.env.stop(fmt.Errorf("apply entry %d: unknown entry type %v", e.GetIndex(), e.GetType()))
			return
		}
		b.entries = append(b.entries, ce)
	}
	last := b.entries[len(b.entries)-1]
	b.last = last.Index
	c.handedOut.index, c.handedOut.term = last.Index, last.Term
	c.changes.reached(last.Index)
	c.applying.push(b)
	c.requestSnapshot()
}

// applyConfChange makes a committed membership change take effect.
//
// From here on this node counts on the new majority, and must not fall back to the
// old one in a crash: it may need the vote of a member that has been removed and
// is gone. So the commit index becomes durable at once, and only then is a removed
// member told to go (membershipDurable). It does not go by itself, whatever it
// knows: until then it stays and votes. (Without this, a cluster of two that
// becomes one can wedge, as raft's README warns.)
func (c *core) applyConfChange(e *raftpb.Entry) error {
	cc := &raftpb.ConfChange{}
	if err := unmarshalConfChange(e, cc); err != nil {
		return err
	}
	ch, err := decodeChange(cc.GetContext())
	if err != nil {
		return err
	}
	before := c.members
	c.members = before.apply(ch)
	c.confState = c.rn.ApplyConfChange(cc)
	c.linkChanged(before, c.members)
	c.lg.Info("membership changed", zap.Uint64("member", c.id), zap.Uint64("index", e.GetIndex()),
		zap.Stringer("op", ch.Op), zap.Uint64("of", ch.Member.ID), zap.String("peer-url", ch.Member.PeerURL))
	c.changes.done(e.GetIndex(), ch.ID)
	c.publish()
	if c.members.isRemoved(c.id) {
		c.lg.Warn("removed from the cluster, waiting to be told so by another member", zap.Uint64("member", c.id))
	}
	w := storageWork{sync: true, members: c.members}
	c.attachHardState(&w)
	c.env.store(w)
	return nil
}

// membershipDurable notes that this node cannot fall back behind a membership any
// more, not even by a crash.
func (c *core) membershipDurable(ms *membership) {
	c.durable = ms
	c.publish()
}

func unmarshalConfChange(e *raftpb.Entry, cc *raftpb.ConfChange) error {
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		return fmt.Errorf("decode ConfChange: %w", err)
	}
	return nil
}

// linkChanged brings the network in line with a new membership.
func (c *core) linkChanged(before, after *membership) {
	for id := range before.members {
		if _, ok := after.members[id]; !ok && id != c.id {
			c.env.unlink(id)
			delete(c.lastHeard, id)
		}
	}
	for _, m := range after.list() {
		old, had := before.members[m.ID]
		switch {
		case m.ID == c.id:
		case !had:
			c.env.link(m)
		case old.PeerURL != m.PeerURL:
			c.env.relink(m)
		}
	}
}
