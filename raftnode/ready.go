package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// ready takes one Ready from raft and does the steps that doc.go numbers. There is no
// Advance: with AsyncStorageWrites raft learns what became of each part of a Ready from
// the Responses in it, so two Readies may be on their way to the disk at a time (raft's
// doc.go, "Usage with Asynchronous Storage Writes").
func (c *core) ready() {
	rd := c.rn.Ready()
	// First of all: what the rest means depends on who leads.
	if rd.SoftState != nil { // 1
		c.softStateChanged(*rd.SoftState)
	}
	before := c.hard.GetCommit()
	if !raft.IsEmptyHardState(rd.HardState) { // 2
		c.hardStateChanged(rd.HardState)
	}
	c.reads.answered(rd.ReadStates) // 3
	c.nextRead()
	for _, e := range rd.Entries { // 4
		c.room.took(c.snapshots.appended(e))
		c.settlement.logged(e)
		// The role is as of this Ready, so entries that a leader before it has sent
		// are not taken for this node's own.
		if c.isLeader() {
			c.reads.appended(e)
			c.proposals.appended(e)
			c.rounds.appended(e.GetIndex(), c.clock)
			c.changes.appended(e)
		}
	}
	deliverChanges(c.changes.settle())

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
			// An answer to what commitUpTo has made up. There is nobody to send it to.
		case m.GetType() == raftpb.MsgVote:
			candidacy = append(candidacy, m)
		// From here on messages may be dropped: raft expects a network to lose some, and
		// the own storage to lose none.
		case !c.room.sending(m):
			if m.GetType() == raftpb.MsgSnap { // or raft would wait for its end for ever
				c.rn.ReportSnapshot(m.GetTo(), raft.SnapshotFailure)
			}
		case m.GetType() == raftpb.MsgSnap && !c.sendableSnapshot(m):
		default:
			c.sayLevel(m)
			c.tellTime(m)
			out = append(out, m)
		}
	}
	if len(candidacy) > 0 {
		toStore = behindOwnVote(toStore, candidacy)
	}
	// The network first: followers write while this node writes (thesis 10.2.1).
	// What goes out here claims nothing that this node could forget: DESIGN.md, "What
	// may be said before it is on the disk".
	if out = c.unheld(out); len(out) > 0 {
		c.env.send(out)
	}
	if toStore != nil { // 6
		// When the response to this comes back, raft counts this node for the majority
		// that has the entries; so does the leader, if the response goes to one.
		c.storeAppend(toStore, c.hard.GetCommit() > before)
	}
	if toApply != nil { // 7
		// Beside step 6, not behind it: raft hands out for applying only what is
		// durable here. It may be that the entries of step 6 are not, and it
		// does not matter.
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

// softStateChanged takes over who leads.
func (c *core) softStateChanged(s raft.SoftState) {
	was := c.soft
	c.soft = s
	if was.RaftState == raft.StateLeader && s.RaftState != raft.StateLeader {
		// Whatever is in flight may still be committed by the next leader, or not:
		// that is for the origins to find out, by request id.
		c.proposals.deposed()
		c.traffic.deposed()
		c.rounds.deposed()
	}
	if s.RaftState == raft.StateLeader && was.RaftState != raft.StateLeader {
		// What was heard in an earlier term says nothing about who is there now.
		clear(c.lastHeard)
		clear(c.levels)
		c.reads.elected()
		for _, id := range c.members.voters() {
			c.lastHeard[id] = c.now // innocent until an election timeout has passed
		}
		c.changes.elected()
	}
	if was.Lead != s.Lead {
		// What was asked of the last leader, or said by it, does not hold any more.
		c.suspicion.leaderChanged(c.now)
		c.reads.again()
		c.nextRead()
		c.room.leaderChanged(c.situation())
		c.noteElection(was, s)
	}
	deliverTransfers(c.transfers.settled(s.Lead))
	c.publish()
}

// hardStateChanged takes over term, vote and commit index. They get to the
// disk in step 6 or, the commit index alone, with the next thing to write.
func (c *core) hardStateChanged(hs *raftpb.HardState) {
	if hs.GetTerm() != c.hard.GetTerm() {
		// A leader may have lost and won its role between two Readies: SoftState does
		// not tell. What is in flight is of the term before.
		c.proposals.deposed()
	}
	c.hard = hs
	c.hardDirty = true
	// There is room for the next entry, and reads that had to wait may go.
	c.proposals.committed(hs.GetCommit())
	c.rounds.committed(hs.GetCommit(), c.clock)
	for _, m := range c.reads.committed(c.situation()) {
		c.step(m)
	}
	c.nextRead()
}

// storageWork is one piece of work for the storage goroutine: a MsgStorageAppend
// or the last step of an own snapshot.
//
// Nobody hears of any part of a piece before all of it is durable: a crash in between
// takes back nothing that was said.
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
//
// Never held back are a term, a vote and entries: a member that forgets a vote may
// vote twice in a term, and one that forgets an entry it has acknowledged may elect a
// leader that lacks it (thesis 3.8).
func (c *core) storeAppend(m *raftpb.Message, committed bool) {
	nothing := len(m.GetEntries()) == 0 && m.GetSnapshot() == nil &&
		c.hard.GetTerm() == c.storedTerm && c.hard.GetVote() == c.storedVote
	responses := c.traffic.news(m.GetResponses(), nothing && committed)
	c.tellTime(responses...)
	if nothing && len(responses) == 0 {
		return
	}
	if nothing && c.env.storeIdle() {
		// The responses only had to wait for what was written before them, and all
		// of that is durable: they need not pass through the storage goroutine.
		// (Idle means that the responses to others have been sent as well, so these do
		// not overtake any.)
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

// attachHardState has a piece of work bring the hard state to the disk, if that has
// moved. It is called for every piece, so that a term never gets behind the entries
// that were appended in it: an entry of a newer term than the hard state is cut off as
// torn at the next start (cutTorn).
func (c *core) attachHardState(w *storageWork) {
	if c.hardDirty {
		w.hard = c.hard
		c.hardDirty = false
		c.storedTerm, c.storedVote = c.hard.GetTerm(), c.hard.GetVote()
	}
}

// wakeStorage has the storage goroutine write nothing, before which it opens a log again
// that could not make its next segment.
func (c *core) wakeStorage() { c.env.store(storageWork{}) }

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
		// Before the entry itself counts: it vouches for what is in front of it.
		if vouches(e) && c.settlement.settled(c.members) {
			c.publish()
		}
		switch e.GetType() {
		case raftpb.EntryNormal:
			// The empty entry of a new term goes along without data: the store counts
			// it, because its applied index is an index into the same log.
			if len(e.GetData()) > 0 {
				ce.Data = e.GetData()
			}
		case raftpb.EntryConfChange:
			if err := c.applyConfChange(e); err != nil {
				// Without it this node would count majorities that others do not.
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
	deliverChanges(c.changes.reached(last.Index))
	c.applying.push(b)
	c.requestSnapshot() // behind this batch: its descriptor has the membership as of here
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
	// Both at the same place in the log, on every member: a snapshot that is taken here
	// has the one and the other.
	before := c.members
	c.members = before.apply(ch)
	c.confState = c.rn.ApplyConfChange(cc)
	c.linkChanged(before, c.members)
	c.lg.Info("membership changed", zap.Uint64("member", c.id), zap.Uint64("index", e.GetIndex()),
		zap.Stringer("op", ch.Op), zap.Uint64("of", ch.Member.ID), zap.String("peer-url", ch.Member.PeerURL))
	deliverChanges(c.changes.done(e.GetIndex(), ch.ID))
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

// linkChanged brings the network in line with a new membership. A link to a member that
// is gone is given up, but that member's own to this one is not: that is how it is told.
func (c *core) linkChanged(before, after *membership) {
	// Removed ones first: one that moves to an address another one had must not be linked
	// while that is.
	for id := range before.members {
		if _, ok := after.members[id]; !ok && id != c.id {
			c.env.unlink(id)
			delete(c.lastHeard, id)
			delete(c.levels, id)
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
