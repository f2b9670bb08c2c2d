package raftnode

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// history follows a log record by record, and knows afterwards what can be started
// from. It also knows what no log of raft's ever does: a checksum covers a record's
// contents but not its kind, so that one flipped bit makes a hard state of an entry.
type history struct {
	hard *raftpb.HardState

	// The entries base+1 to last are there, without a gap. known is false as long as
	// nothing has been said about entries at all.
	known      bool
	base, last uint64
	written    uint64     // index of the newest record of an entry
	runs       []position // the first entry of each term, in order

	snapshots []position // that the log vouches for
	pending   position   // a record that counts only if the next one confirms it
	newest    uint64     // index of the newest record, confirmed or not

	changes []placedChange
}

// placedChange is a membership change and its place in the log.
type placedChange struct {
	index uint64
	change
}

var errUnlikeRaft = errors.New("this is nothing that raft writes")

func newHistory() *history { return &history{hard: &raftpb.HardState{}} }

// termAt returns the term of an entry, or 0 if it is not there.
func (h *history) termAt(index uint64) uint64 {
	if index <= h.base || index > h.last {
		return 0
	}
	for i := len(h.runs) - 1; i >= 0; i-- {
		if h.runs[i].index <= index {
			return h.runs[i].term
		}
	}
	return 0
}

// restart has the log go on behind an index, whatever was there.
func (h *history) restart(at uint64) { h.known, h.base, h.last, h.runs = true, at, at, nil }

// entry takes the record of an entry. What raft never writes is refused, not cut off: in
// front of it are entries that were acknowledged, and so may be those behind it.
func (h *history) entry(e *raftpb.Entry) error {
	index, term := e.GetIndex(), e.GetTerm()
	h.pending = position{}
	switch {
	case index == 0 || term == 0 || len(e.ProtoReflect().GetUnknown()) > 0:
		return fmt.Errorf("%w: entry %d of term %d", errUnlikeRaft, index, term)
	case e.GetType() != raftpb.EntryNormal && (e.GetType() != raftpb.EntryConfChange || len(e.GetData()) == 0):
		return fmt.Errorf("%w: entry %d of type %d with %d bytes", errUnlikeRaft, index, e.GetType(), len(e.GetData()))
	case index <= h.hard.GetCommit():
		// raft never truncates what is committed. If it seems to, either the entry or the
		// commit index in front of it is not what was written.
		return fmt.Errorf("%w: entry %d is written after entries up to %d were committed", errUnlikeRaft, index, h.hard.GetCommit())
	case !h.known:
		h.restart(index - 1)
	case index > h.last+1:
		return fmt.Errorf("%w: entry %d follows entry %d", errUnlikeRaft, index, h.last)
	case index <= h.base: // overwrites what is in no segment that is left
		// Nothing is known of what is in front any more, so no older snapshot leads here.
		h.restart(index - 1)
	}
	// Terms never decrease along a log (thesis 3.5).
	if before := h.termAt(index - 1); term < before {
		return fmt.Errorf("%w: entry %d of term %d follows one of term %d", errUnlikeRaft, index, term, before)
	}
	for n := len(h.runs); n > 0 && h.runs[n-1].index >= index; n-- {
		h.runs = h.runs[:n-1] // overwritten by a new leader
	}
	// And with them the changes that were never committed: to count a majority with one
	// could be to tell a lone voter that others have its data.
	for n := len(h.changes); n > 0 && h.changes[n-1].index >= index; n-- {
		h.changes = h.changes[:n-1]
	}
	if n := len(h.runs); n == 0 || h.runs[n-1].term != term {
		h.runs = append(h.runs, position{index, term})
	}
	h.last, h.written = index, index
	if e.GetType() == raftpb.EntryConfChange {
		cc := &raftpb.ConfChange{}
		if err := unmarshalConfChange(e, cc); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		// What it means is checked when it is applied; here it only tells whether
		// there are others.
		if ch, err := decodeChange(cc.GetContext()); err == nil {
			h.changes = append(h.changes, placedChange{index, ch})
		}
	}
	return nil
}

// state takes the record of a hard state. Term and commit index never go back, and a
// vote stands for its whole term: a log in which they do has lost something in between,
// and whoever starts with it may vote twice.
func (h *history) state(hs *raftpb.HardState) error {
	was := h.hard
	switch {
	case len(hs.ProtoReflect().GetUnknown()) > 0,
		hs.GetTerm() < was.GetTerm(), hs.GetCommit() < was.GetCommit(),
		hs.GetTerm() == was.GetTerm() && was.GetVote() != 0 && hs.GetVote() != was.GetVote():
		return fmt.Errorf("%w: term %d, vote %d and commit index %d after %d, %d and %d", errUnlikeRaft,
			hs.GetTerm(), hs.GetVote(), hs.GetCommit(), was.GetTerm(), was.GetVote(), was.GetCommit())
	case hs.GetTerm() == was.GetTerm() && hs.GetVote() == was.GetVote() && hs.GetCommit() == was.GetCommit():
		// Each segment begins with it, also one that begins between a leader's snapshot and
		// what confirms that.
		return nil
	}
	h.hard = hs
	if p := h.pending; p.index > 0 && hs.GetCommit() >= p.index {
		// A snapshot of the leader: the log goes on behind it, whatever was there.
		h.snapshots = append(h.snapshots, p)
		// If the log has the snapshot's last entry, it leads up to it and goes on: an older
		// snapshot is as good to start from.
		if h.termAt(p.index) != p.term {
			h.restart(p.index)
		}
	}
	h.pending = position{}
	return nil
}

// snapshot takes the record of a snapshot. That of an own one stands behind a commit
// index that covers it. That of a leader's stands right before it: if it does not
// follow, the crash came in between, and the log is what it was.
func (h *history) snapshot(p position) error {
	h.pending = position{}
	h.newest = max(h.newest, p.index)
	switch term := h.termAt(p.index); {
	case p.index == 0: // a new log begins
		if h.known {
			return fmt.Errorf("%w: a second beginning after entry %d", errUnlikeRaft, h.last)
		}
		h.restart(0)
	case p.index > h.hard.GetCommit():
		h.pending = p // until state confirms it
	case term != 0 && term != p.term:
		return fmt.Errorf("%w: a snapshot at entry %d of term %d, which is of term %d", errUnlikeRaft, p.index, p.term, term)
	default:
		h.snapshots = append(h.snapshots, p)
	}
	return nil
}

// leads says why this log does not lead from a snapshot, or from an empty state if p
// is zero, to all that it has committed and to every newer snapshot. No answer means
// that starting there ends in exactly the state that starting at the newest one would
// have: two logs with an entry of the same index and term are the same up to it.
func (h *history) leads(p position) error {
	commit := h.hard.GetCommit()
	recorded := p.index == 0
	for _, s := range h.snapshots {
		recorded = recorded || s == p
	}
	switch {
	case !recorded:
		return errors.New("the log does not know it")
	case !h.known && (p.index == 0 || commit > p.index):
		return fmt.Errorf("the log does not have the entries from %d on", p.index+1)
	case h.known && p.index < h.base:
		return fmt.Errorf("the log lacks entries %d to %d", p.index+1, h.base)
	case h.known && commit > max(h.last, p.index):
		return fmt.Errorf("entries up to %d were committed, but the log ends at %d", commit, h.last)
	}
	for _, s := range h.snapshots {
		if s.index > p.index && h.termAt(s.index) != s.term {
			return fmt.Errorf("the log does not lead from there to the snapshot at %d", s.index)
		}
	}
	return nil
}

// membership is what the log makes of a membership that was recorded at index.
func (h *history) membership(from *membership, index uint64) *membership {
	for _, ch := range h.changes {
		if ch.index > index && ch.index <= h.hard.GetCommit() {
			from = from.apply(ch.change)
		}
	}
	return from
}

// tail are the entries of a log behind an index, as raft has them when all of the log
// is told.
type tail struct {
	from    uint64
	entries []*raftpb.Entry
}

// add takes the next entry in the log.
func (t *tail) add(e *raftpb.Entry) {
	switch index := e.GetIndex(); {
	case index <= t.from: // what was behind it is overwritten
		t.entries = nil
	case index > t.from+uint64(len(t.entries))+1: // behind a snapshot of the leader
		t.from, t.entries = index-1, []*raftpb.Entry{e}
	default:
		t.entries = append(t.entries[:index-t.from-1], e)
	}
}

// upTo returns the entries behind an index, up to where the log ends: a snapshot of the
// leader may have cut it short. It reports whether they are all there.
func (t *tail) upTo(index uint64, h *history) ([]*raftpb.Entry, bool) {
	n := max(index, h.last) - index
	if t.from != index || uint64(len(t.entries)) < n {
		return nil, false
	}
	return t.entries[:n], true
}
