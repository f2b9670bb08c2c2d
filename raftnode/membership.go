package raftnode

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// membership is who is in the cluster, and who was: replicated state that
// belongs to this package. It changes only when a committed ConfChange is
// applied, and travels in the descriptor of every snapshot, so that a node
// finds its peers with nothing but its data directory, however often the log
// was compacted (defect R13 of raftexample).
//
// A membership is immutable: a change makes a new one. So every goroutine may
// hold on to the one it read.
type membership struct {
	members map[uint64]commit.Member
	// removed are the tombstones. An id never comes back: its old log may have
	// acknowledged entries or cast votes that a new node of that name would not
	// know of.
	removed map[uint64]struct{}
}

func newMembership() *membership {
	return &membership{members: map[uint64]commit.Member{}, removed: map[uint64]struct{}{}}
}

// list returns the members in the order of their ids.
func (ms *membership) list() []commit.Member {
	out := make([]commit.Member, 0, len(ms.members))
	for _, id := range slices.Sorted(maps.Keys(ms.members)) {
		out = append(out, ms.members[id])
	}
	return out
}

// voters returns the ids of the voting members in order.
func (ms *membership) voters() []uint64 {
	var ids []uint64
	for _, m := range ms.list() {
		if !m.Learner {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (ms *membership) isRemoved(id uint64) bool {
	_, ok := ms.removed[id]
	return ok
}

// apply returns the membership after ch.
func (ms *membership) apply(ch change) *membership {
	next := &membership{members: maps.Clone(ms.members), removed: ms.removed}
	m, known := ms.members[ch.Member.ID]
	switch ch.Op {
	case addVoter:
		m = ch.Member
		m.Learner = false
	case commit.AddLearner:
		m = ch.Member
		m.Learner = true
	case commit.Promote:
		m.ID = ch.Member.ID
		m.Learner = false
	case commit.Update:
		if !known {
			return ms
		}
		if ch.Member.PeerURL != "" {
			m.PeerURL = ch.Member.PeerURL
		}
		if ch.Member.ClientAddr != "" {
			m.ClientAddr, m.ClientTLSPort, m.Hostname = ch.Member.ClientAddr, ch.Member.ClientTLSPort, ch.Member.Hostname
		}
		if ch.Member.Instance != 0 {
			m.Instance = ch.Member.Instance
		}
	case commit.Remove:
		delete(next.members, ch.Member.ID)
		next.removed = maps.Clone(ms.removed)
		next.removed[ch.Member.ID] = struct{}{}
		return next
	}
	next.members[m.ID] = m
	return next
}

// addVoter is a change that only the founding of a cluster makes: from
// then on members come in as learners.
const addVoter commit.ConfChangeOp = 0

// change is what a ConfChange entry carries in its Context.
type change struct {
	// ID is random and tells the proposer which entry is its own.
	ID     uint64              `json:"id,omitempty"`
	Op     commit.ConfChangeOp `json:"op"`
	Member commit.Member       `json:"member"`
}

// confChange is the change in raft's words.
func (ch change) confChange() *raftpb.ConfChange {
	cc := &raftpb.ConfChange{NodeId: new(ch.Member.ID), Context: ch.encode()}
	switch ch.Op {
	case addVoter, commit.Promote:
		cc.Type = raftpb.ConfChangeAddNode.Enum()
	case commit.AddLearner:
		cc.Type = raftpb.ConfChangeAddLearnerNode.Enum()
	case commit.Remove:
		cc.Type = raftpb.ConfChangeRemoveNode.Enum()
	case commit.Update:
		cc.Type = raftpb.ConfChangeUpdateNode.Enum()
	}
	return cc
}

func (ch change) encode() []byte {
	b, err := json.Marshal(ch)
	if err != nil {
		panic(fmt.Sprintf("raftnode: encode %+v: %v", ch, err)) // plain fields only
	}
	return b
}

func decodeChange(b []byte) (change, error) {
	var ch change
	if err := json.Unmarshal(b, &ch); err != nil {
		return ch, fmt.Errorf("decode membership change: %w", err)
	}
	if ch.Op > commit.Update || ch.Member.ID == 0 {
		return ch, fmt.Errorf("membership change of an unknown kind: %s", b)
	}
	return ch, nil
}

// descriptor is what raft's Snapshot.Data holds: everything of a snapshot that
// is not the state machine's. The state itself is in the body file beside it.
type descriptor struct {
	Version int             `json:"version"`
	Members []commit.Member `json:"members"`
	Removed []uint64        `json:"removed,omitempty"`
	// BodySize and BodyCRC (CRC-32C) let the receiver refuse a body that was
	// damaged on the way before raft has thrown its own log away for it.
	BodySize int64  `json:"bodySize"`
	BodyCRC  uint32 `json:"bodyCRC"`
}

const descriptorVersion = 1

func (ms *membership) describe(bodySize int64, bodyCRC uint32) []byte {
	b, err := json.Marshal(descriptor{
		Version:  descriptorVersion,
		Members:  ms.list(),
		Removed:  ms.removedIDs(),
		BodySize: bodySize,
		BodyCRC:  bodyCRC,
	})
	if err != nil {
		panic(fmt.Sprintf("raftnode: encode descriptor: %v", err)) // plain fields only
	}
	return b
}

func decodeDescriptor(b []byte) (descriptor, error) {
	var d descriptor
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("decode snapshot descriptor: %w", err)
	}
	if d.Version != descriptorVersion {
		return d, fmt.Errorf("snapshot descriptor has version %d, this program knows %d", d.Version, descriptorVersion)
	}
	return d, nil
}

func (d descriptor) membership() *membership {
	ms := newMembership()
	for _, m := range d.Members {
		ms.members[m.ID] = m
	}
	for _, id := range d.Removed {
		ms.removed[id] = struct{}{}
	}
	return ms
}

// announces reports whether a node that announces itself as a says what is known of m
// already. One that says nothing does.
func announces(m, a commit.Member) bool {
	return a.ClientAddr == "" || m.ClientAddr == a.ClientAddr && m.ClientTLSPort == a.ClientTLSPort && m.Hostname == a.Hostname
}
