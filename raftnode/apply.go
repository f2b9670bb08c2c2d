package raftnode

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// applying is the line of batches between raft and the store: first those that
// commitC has not taken yet, behind those that the store is working on. It needs
// no goroutine: the raft goroutine's select offers the head to commitC and
// listens for the ApplyDoneC of the oldest batch. So a slow store costs raft
// nothing, and a committed entry reaches a waiting store in one hop.
//
// Its size is bounded by raft: MaxCommittedSizePerReady counts everything that
// is not acknowledged with a MsgStorageApplyResp.
//
// The order of the line is the order of the log. A snapshot of the leader has its place
// in it like everything else: the store loads it when it has applied what is in front.
type applying struct {
	unsent []applyBatch
	sent   []applyBatch
}

// applyBatch is one MsgStorageApply, or "load the snapshot".
type applyBatch struct {
	entries   []commit.Entry
	last      uint64            // index of the last entry, 0 if there is none
	responses []*raftpb.Message // to be stepped once the store has applied the entries
	snapshot  *raftpb.Snapshot  // set: a nil goes out on commitC

	capture *pendingSnapshot // not nil: ask the store for a Capture

	batch *commit.Batch // what goes out on commitC, made when first offered
	doneC chan struct{} // its ApplyDoneC
}

// push puts committed entries at the end of the line.
func (a *applying) push(b applyBatch) { a.unsent = append(a.unsent, b) }

// pushSnapshot puts "load the snapshot" there.
func (a *applying) pushSnapshot(s *raftpb.Snapshot) {
	a.unsent = append(a.unsent, applyBatch{snapshot: s})
}

// idle reports whether the store has applied all that was handed out.
func (a *applying) idle() bool { return len(a.unsent) == 0 && len(a.sent) == 0 }

// head returns the batch to offer to commitC. ok is false if there is none.
func (a *applying) head() (b *commit.Batch, ok bool) {
	if len(a.unsent) == 0 {
		return nil, false
	}
	h := &a.unsent[0]
	if h.snapshot != nil {
		return nil, true // which one, the store learns from the Snapshotter
	}
	// Once only: it may be offered many times before it is taken, and ApplyDoneC must be
	// the one that doneC listens to.
	if h.batch == nil {
		h.doneC = make(chan struct{})
		h.batch = &commit.Batch{Entries: h.entries, ApplyDoneC: h.doneC}
		if h.capture != nil {
			h.batch.CaptureC = h.capture.captureC
		}
	}
	return h.batch, true
}

// capture has the store asked for a Capture behind all that is in the line: with the
// last batch, if that was not made for commitC yet, or with one of its own. Never with a snapshot, of which there is a body already.
func (a *applying) capture(p *pendingSnapshot) {
	if n := len(a.unsent); n > 0 && a.unsent[n-1].batch == nil && a.unsent[n-1].snapshot == nil {
		a.unsent[n-1].capture = p
	} else {
		a.push(applyBatch{capture: p})
	}
}

// sentHead notes that commitC took what head returned. If that asks for a Capture, the
// snapshot is returned that is to be written from it.
func (a *applying) sentHead() *pendingSnapshot {
	h := a.unsent[0]
	a.unsent = shift(a.unsent, 1)
	if h.snapshot != nil {
		return nil // nothing to wait for: the store loads it before it receives again
	}
	h.entries, h.batch = nil, nil // the store has them
	a.sent = append(a.sent, h)
	return h.capture
}

// sentHead notes that commitC took what was at the head of the line.
func (c *core) sentHead() {
	if p := c.applying.sentHead(); p != nil {
		c.env.writeBody(*p)
	}
}

// doneC returns the channel that closes when the oldest batch is applied. The store
// applies in order, so no other can be done before.
func (a *applying) doneC() <-chan struct{} {
	if len(a.sent) == 0 {
		return nil
	}
	return a.sent[0].doneC
}

// applied notes that the store is done with the oldest batch, and returns it.
func (a *applying) applied() applyBatch {
	h := a.sent[0]
	a.sent = shift(a.sent, 1)
	return h
}

// applied tells raft that the store is done with the oldest batch. Not sooner: raft
// counts as applied what may be compacted away and what a snapshot may replace, and
// lets so many bytes more into the line.
func (c *core) applied() {
	done := c.applying.applied()
	for _, m := range done.responses {
		c.step(m)
	}
	if done.last > 0 {
		c.compact()
	}
}
