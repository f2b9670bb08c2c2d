package raftnode

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// The three outcomes: what never left the node can be withdrawn for certain, what
// did cannot.
func TestWithdrawWithoutALeader(t *testing.T) {
	s := newSim(Config{MaxPendingBytes: 100}, 3, nil) // nobody has campaigned
	s.settle()
	n := s.nodes[1]
	p, q := &commit.Proposal{Data: []byte("p")}, &commit.Proposal{Data: []byte("q")}
	n.do(func() {
		n.core.offer(p)
		n.core.offer(q)
		n.core.offer(p)
	})
	if !p.Withdraw() {
		t.Fatal("a proposal that went nowhere cannot be withdrawn")
	}
	n.do(n.core.tick)
	if got := len(n.core.proposals.own); got != 1 {
		t.Fatalf("%d proposals wait", got)
	}
	n.do(func() {
		if err := n.core.rn.Campaign(); err != nil {
			t.Error(err)
		}
	})
	s.settle()
	if q.Withdraw() {
		t.Fatal("an applied proposal was withdrawn")
	}
	for _, id := range s.ids() {
		if got := s.nodes[id].state.order; len(got) != 1 || got[0] != "q" {
			t.Errorf("%d has applied %q", id, got)
		}
	}
	if n.core.proposals.bytes != 0 {
		t.Errorf("%d bytes left over", n.core.proposals.bytes)
	}
}

func TestProposalsAreRefusedNotLostDuringATransfer(t *testing.T) {
	s := newSim(Config{}, 3, nil)
	s.settle()
	l := s.nodes[1]
	l.do(func() { _ = l.core.rn.Campaign() })
	s.settle()
	l.do(func() { l.core.transfer(2, func(error) {}) })
	p := &commit.Proposal{Data: []byte("p")}
	l.open["p"] = p
	l.do(func() { l.core.offer(p) })
	if p.Taken() {
		t.Error("raft refused it, and it is still taken")
	}
	s.settle() // 2 leads now, and gets it from 1
	if _, ok := s.acked["p"]; !ok || s.leader().id != 2 {
		t.Errorf("acked %v, leader %d", s.acked, s.leader().id)
	}
}

func TestPendingBytesAreBounded(t *testing.T) {
	s := newSim(Config{MaxPendingBytes: 10}, 3, nil)
	n := s.nodes[1]
	for range 3 {
		n.core.offer(&commit.Proposal{Data: make([]byte, 4)})
	}
	if !n.core.proposals.full() {
		t.Error("12 of 10 bytes and not full")
	}
}

func TestDamagedSnapshotIsRefusedOnArrival(t *testing.T) {
	m := newCluster(t, 1, nil)[0]
	m.propose("a")
	path := bodyPath(&m.cfg, 1000)
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	msg := &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(100)),
		Snapshot: &raftpb.Snapshot{
			Data: newMembership().describe(7, 12345),
			Metadata: &raftpb.SnapshotMetadata{
				Index: new(uint64(1000)), Term: new(uint64(100)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}},
			},
		},
	}
	if err := (receiver{m.node}).Process(context.Background(), msg); err == nil {
		t.Fatal("a damaged body was accepted")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the damaged body is still there: %v", err)
	}
	m.propose("b")
	if st := m.node.Status(); st.Term >= 100 {
		t.Errorf("raft saw the message: %+v", st)
	}
}

// Nobody but the storage goroutine may speak for the storage.
func TestLocalMessagesFromTheNetworkAreIgnored(t *testing.T) {
	m := newCluster(t, 1, nil)[0]
	m.propose("a")
	for _, from := range []uint64{0, 1, maxID, 1<<64 - 1, 1<<64 - 2} {
		for _, kind := range []raftpb.MessageType{raftpb.MsgStorageAppendResp, raftpb.MsgStorageApplyResp, raftpb.MsgHup, raftpb.MsgApp} {
			msg := &raftpb.Message{Type: kind.Enum(), From: new(from), To: new(uint64(1)), Term: new(uint64(9)), Index: new(uint64(99))}
			if from == maxID && kind == raftpb.MsgApp {
				continue // an unknown member, which raft deals with itself
			}
			if err := (receiver{m.node}).Process(context.Background(), msg); err != nil {
				t.Error(err)
			}
		}
	}
	m.propose("b")
	if st := m.node.Status(); st.Term >= 9 {
		t.Errorf("raft saw a message: %+v", st)
	}
}

// The promise has the number, too. Without both, nobody knows what was handed out.
func TestIncarnationMustBeReadable(t *testing.T) {
	m := newCluster(t, 1, nil)[0]
	m.stop()
	spoil := func() {
		t.Helper()
		if err := os.WriteFile(filepath.Join(m.cfg.Dir, "incarnation"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil()
	m.start()
	if n := m.node.Incarnation(); n != 2 {
		t.Errorf("run %d", n)
	}
	m.stop()
	spoil()
	if err := os.Remove(promisePath(&m.cfg)); err != nil {
		t.Fatal(err)
	}
	if err := m.tryStart(); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
}

// The buffer of an entry is used again for the next one.
func TestProposeCopies(t *testing.T) {
	s := newSim(Config{MaxInflightEntries: 2}, 1, nil)
	n := s.nodes[1]
	for !n.core.isLeader() {
		n.tick()
		n.persist(len(n.queue))
		n.apply()
	}
	data := []byte("what is proposed")
	n.do(func() {
		if err := n.core.rn.Propose(data); err != nil {
			t.Fatal(err)
		}
	})
	copy(data, "and overwritten")
	n.persist(len(n.queue))
	last, err := n.core.storage.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := n.core.storage.Entries(last, last+1, 1<<20)
	if err != nil || string(entries[0].GetData()) != "what is proposed" {
		t.Errorf("the log has %q (%v)", entries, err)
	}
}

func proposal(data string) *commit.Proposal { return &commit.Proposal{Data: []byte(data)} }

// One entry takes as many requests as fit, in order, and only those it takes are taken.
func TestGroups(t *testing.T) {
	withdrawn := proposal("gone")
	withdrawn.Withdraw()
	for _, tt := range []struct {
		name  string
		other []string
		own   []*commit.Proposal
		left  byteCount
		want  []string // one after another
	}{
		{"all", []string{"a"}, []*commit.Proposal{proposal("b"), proposal("c")}, 100, []string{"a b c"}},
		{"what does not fit goes into the next", []string{"aaaa"}, []*commit.Proposal{proposal("bbbb"), proposal("cccc")}, 100, []string{"aaaa bbbb", "cccc"}},
		{"one that is larger than an entry goes alone", []string{"aaaaaaaaaaaa", "b"}, nil, 100, []string{"aaaaaaaaaaaa", "b"}},
		{"withdrawn", nil, []*commit.Proposal{withdrawn, proposal("b")}, 100, []string{"b"}},
		{"no room", []string{"aaaa"}, []*commit.Proposal{proposal("bbbb"), proposal("c")}, 3, []string{"c"}},
		{"nothing is left", nil, []*commit.Proposal{withdrawn}, 100, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProposals(&Config{MaxEntryBytes: 10, MaxPendingBytes: 1000})
			for _, data := range tt.other {
				p.forwarded(&raftpb.Message{Entries: []*raftpb.Entry{{Data: []byte(data)}}})
			}
			p.own = tt.own
			for _, pr := range tt.own {
				p.bytes += bytesOf(pr.Data)
			}
			var got []string
			for !p.empty() {
				g := p.group(tt.left)
				if len(g.requests) > 0 {
					got = append(got, string(bytes.Join(g.requests, []byte(" "))))
				}
				p.done(g)
			}
			if !slices.Equal(got, tt.want) || p.bytes != 0 {
				t.Errorf("%q, want %q; %d bytes are left over", got, tt.want, p.bytes)
			}
		})
	}
}

// What is sealed into an entry is copied, so that its memory may be used again. What
// travels by itself may arrive at any time.
func TestShares(t *testing.T) {
	p := newProposals(&Config{MaxEntryBytes: 10, MaxPendingBytes: 1000})
	sealed, forwarded, large := proposal("sealed"), proposal("forwarded"), proposal("larger than an entry")
	p.add(sealed, 1)
	p.done(p.group(100))
	p.add(forwarded, 1)
	if out := p.messages(1, 2); len(out) != 1 {
		t.Fatal(out)
	}
	p.add(large, 1)
	if sealed.Shared() || !forwarded.Shared() || !large.Shared() {
		t.Errorf("shared: sealed %v, forwarded %v, large %v", sealed.Shared(), forwarded.Shared(), large.Shared())
	}
}

// What raft has refused may be withdrawn, but for what had left before.
func TestRefusedGroupIsReleased(t *testing.T) {
	p := newProposals(&Config{MaxEntryBytes: 10, MaxPendingBytes: 1000})
	fresh, sent := proposal("a"), proposal("b")
	sent.Take()
	p.add(fresh, 1)
	p.add(sent, 1)
	p.group(100).release()
	if !fresh.Withdraw() {
		t.Error("what has not left is taken")
	}
	if sent.Withdraw() {
		t.Error("what may be in a log was withdrawn")
	}
	if len(p.own) != 2 {
		t.Errorf("%d wait", len(p.own))
	}
}
