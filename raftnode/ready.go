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
	// Noted now and written with step 6, in front of the entries' acknowledgements: a
	// vote or a term that is told to anybody before it is on the disk may be given twice.
	before := c.hard.GetCommit()
	if !raft.IsEmptyHardState(rd.HardState) { // 2
		c.hardStateChanged(rd.HardState)
	}
	c.reads.answered(c, rd.ReadStates) // 3
	// They are not durable yet, and may be replaced by another leader's. What is noted
	// of them here is only where to look when they are committed.
	for _, e := range rd.Entries { // 4
		c.room.took(c.snapshots.appended(e))
		c.changes.logged(e)
		if c.isLeader() {
			// A leader must not answer reads before the first entry of its own term is
			// committed (leaderFrom): until then it cannot know how far its predecessors
			// had come. The others are what it waits for before it proposes more.
			c.reads.appended(e)
			c.proposals.appended(e)
			c.changes.appended(e)
		}
	}
	c.changes.settle()

	// 5: everything in Messages may leave at once, but for MsgVote: raft has put
	// what else must wait for the disk (votes given, acknowledgements) into the
	// Responses of MsgStorageAppend.
	var out, candidacy []*raftpb.Message
	var toStore, toApply *raftpb.Message
	for _, m := range rd.Messages {
		switch {
		case m.GetTo() == raft.LocalAppendThread:
			toStore = m
		case m.GetTo() == raft.LocalApplyThread:
			toApply = m
		case m.GetTo() == raft.None:
			// An answer to what commitUpTo has made up.
		case m.GetType() == raftpb.MsgVote:
			candidacy = append(candidacy, m)
		case !c.room.sending(c, m):
		case m.GetType() == raftpb.MsgSnap && !c.sendableSnapshot(m):
		default:
			out = append(out, m)
		}
	}
	if len(candidacy) > 0 {
		toStore = behindOwnVote(toStore, candidacy)
	}
	// The network first: followers write while this node writes (thesis 10.2.1). A
	// leader's own copy is one of the majority like any other, and counts when raft hears
	// of it from the storage goroutine; if followers are quicker, it is not needed.
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

// behindOwnVote puts requests for votes among what waits for the disk.
//
// A candidate that is elected before its own term and vote are durable, crashes,
// and comes back without them, is in the term before: it may stand in the same term
// once more, be elected by the same members (who have voted for it already), and
// lead a second time in one term, with other entries at the same indexes. With
// AsyncStorageWrites raft lets MsgVote leave at once, and counts the candidate's
// own vote, which does wait, only if it is needed for the majority. So the request
// waits: whatever a leader says in its term, it then says after its term and vote
// are durable. DESIGN.md goes through the other messages; TestScenarios has the
// story (one_term_two_logs.txt).
func behindOwnVote(toStore *raftpb.Message, candidacy []*raftpb.Message) *raftpb.Message {
	if toStore == nil {
		toStore = &raftpb.Message{} // waits for what was handed over before
	}
	toStore.Responses = append(candidacy, toStore.GetResponses()...)
	return toStore
}

func (c *core) softStateChanged(s raft.SoftState) {
	was := c.soft
	c.soft = s
	if was.RaftState == raft.StateLeader && s.RaftState != raft.StateLeader {
		// Whatever is in flight may still be committed by the next leader, or not:
		// that is for the origins to find out, by request id. Nobody is told "failed"
		// here: a client that tried again on our word might see its write twice.
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
		c.room.leaderChanged(c)
		c.lg.Info("leader changed", zap.Uint64("member", c.id), zap.Uint64("leader", s.Lead),
			zap.Uint64("was", was.Lead), zap.Stringer("role", s.RaftState))
	}
	c.transfers.settle(c)
	c.publish()
}

func (c *core) hardStateChanged(hs *raftpb.HardState) {
	if hs.GetTerm() != c.hard.GetTerm() {
		// Even if this member leads again: between two terms of its own there may have
		// been another leader, and the indexes of what is in flight are not what they were.
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
	c.tellTime(responses)
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
		if vouches(e) {
			c.membershipSettled()
		}
		switch e.GetType() {
		case raftpb.EntryNormal:
			// An empty one is raft's own, with which a leader begins its term. It is handed
			// on all the same: the store counts indexes and refuses a gap.
			if len(e.GetData()) > 0 {
				ce.Data = e.GetData()
			}
		case raftpb.EntryConfChange:
			// A change that this member cannot carry out would leave it with another idea
			// of what a majority is.
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

// applyConfChange makes a committed membership change take effect. A removed member
// does not go by itself, whatever it knows, and is not told to go yet: it stays and
// votes until the change is settled (see settle.go).
func (c *core) applyConfChange(e *raftpb.Entry) error {
	cc := &raftpb.ConfChange{}
	if err := unmarshalConfChange(e, cc); err != nil {
		return err
	}
	ch, err := decodeChange(cc.GetContext())
	if err != nil {
		return err
	}
	// The two go together: raft counts by confState, everybody else (transport, the
	// next snapshot, RAFT MEMBERS) by members.
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
	return nil
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
