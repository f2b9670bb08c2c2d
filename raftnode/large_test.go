package raftnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/machine"
)

// A large request goes through the leader and through a follower, between smaller ones,
// and never as one entry.
func TestLargeRequests(t *testing.T) {
	ms := newCluster(t, 3, func(cfg *Config) { cfg.MaxEntryBytes = 1 << 10 })
	for i, m := range ms {
		small, large := fmt.Sprint("small", i), fmt.Sprint(i, strings.Repeat("x", 100_000*(i+1)))
		m.propose(small)
		m.propose(large)
		for _, other := range ms {
			eventually(t, fmt.Sprintf("the large request of %d on %d", m.cfg.ID, other.cfg.ID), func() bool { return other.has(large) })
		}
	}
	for _, m := range ms {
		m.node.inbox.run(func(c *core) {
			first, _ := c.storage.FirstIndex()
			last, _ := c.storage.LastIndex()
			entries, err := c.storage.Entries(first, last+1, 1<<30)
			if err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				if len(e.GetData()) > 1<<10 {
					t.Errorf("entry %d of %d bytes", e.GetIndex(), len(e.GetData()))
				}
			}
			if l := c.proposals.large; len(l.queue) > 0 || l.at > 0 {
				t.Errorf("%d: %d large requests left over", m.cfg.ID, len(l.queue))
			}
		})
		if err := m.node.Snapshot(context.Background()); err != nil { // so it has been run
			t.Error(err)
		}
		if m.node.bulk.bytes != 0 {
			t.Errorf("%d has %d bytes reserved", m.cfg.ID, m.node.bulk.bytes)
		}
	}
}

// A follower does not get rid of a large request while the leader is gone, and can say
// for certain that one which was refused is not applied.
func TestLargeRequestWithoutALeader(t *testing.T) {
	s := newSim(Config{MaxEntryBytes: 16}, 3, nil)
	s.settle()
	n := s.nodes[1]
	p, q := &commit.Proposal{Data: bytes.Repeat([]byte("p"), 100)}, &commit.Proposal{Data: bytes.Repeat([]byte("q"), 100)}
	n.do(func() {
		for _, pr := range []*commit.Proposal{p, q, p} {
			n.core.offer(pr)
		}
	})
	if !p.Withdraw() {
		t.Fatal("a proposal that went nowhere cannot be withdrawn")
	}
	n.do(n.core.tick)
	if got := len(n.core.proposals.large.queue); got != 1 {
		t.Fatalf("%d proposals wait", got)
	}
	n.do(func() {
		n.core.largeForwarded(departure{p, false, 0}, refused)
		n.core.largeForwarded(departure{q, true, 0}, refused)
		_ = s.nodes[2].core.rn.Campaign()
	})
	s.nodes[2].do(func() {})
	s.settle()
	for range 3 {
		n.do(n.core.tick)
		s.settle()
	}
	if q.Withdraw() {
		t.Fatal("an applied proposal was withdrawn")
	}
	for _, id := range s.ids() {
		if got := s.nodes[id].state.order; len(got) != 1 || got[0] != string(q.Data) {
			t.Errorf("%d has applied %q", id, got)
		}
	}
}

// A refusal that arrives when the request has been handed to the next leader meanwhile
// does not make it one that is certainly not applied.
func TestLateRefusalOfALargeRequest(t *testing.T) {
	s := newSim(Config{MaxEntryBytes: 16}, 3, nil)
	s.settle()
	n := s.nodes[1]
	p := &commit.Proposal{Data: bytes.Repeat([]byte("p"), 100)}
	if ok, first := p.Take(); !ok || !first { // to the leader of term 1
		t.Fatal(ok, first)
	}
	p.Handed = 2 // and now to that of term 2
	n.do(func() { n.core.largeForwarded(departure{p, true, 1}, refused) })
	if p.Withdraw() {
		t.Fatal("withdrawn, and the leader of term 2 has it")
	}
	n.do(func() { n.core.largeForwarded(departure{p, true, 2}, refused) })
	if !p.Withdraw() {
		t.Fatal("nobody has it, and it cannot be withdrawn")
	}
}

// What is proposed again in the same term, because it takes long, is not sent again.
func TestLargeRequestIsSentOnce(t *testing.T) {
	s := newSim(Config{MaxEntryBytes: 16}, 3, nil)
	s.settle()
	s.nodes[1].do(func() { _ = s.nodes[1].core.rn.Campaign() })
	s.settle()
	for _, id := range []uint64{1, 2} {
		n := s.nodes[id]
		p := &commit.Proposal{Data: bytes.Repeat([]byte{byte('a' + id)}, 1000)}
		n.open[string(p.Data)] = p
		for range 5 {
			n.do(func() { n.core.offer(p) })
		}
		s.settle()
		for range 5 {
			n.do(func() { n.core.offer(p) })
		}
		s.settle()
		if _, ok := s.acked[string(p.Data)]; !ok {
			t.Errorf("%d's is not applied", id)
		}
	}
	if got := s.nodes[1].core.status().LastIndex; got > 2*1000/15+20 {
		t.Errorf("%d entries", got)
	}
}

func TestBulkIsBounded(t *testing.T) {
	b := newBulk()
	releaseLarge, ok := b.reserve(maxForwarded + 1)
	if !ok {
		t.Fatal("one of any size passes")
	}
	if _, ok := b.reserve(1); ok {
		t.Error("another one beside it")
	}
	releaseLarge()
	first, ok1 := b.reserve(maxForwarded - 1)
	second, ok2 := b.reserve(1)
	if _, ok3 := b.reserve(1); !ok1 || !ok2 || ok3 {
		t.Error(ok1, ok2, ok3)
	}
	first()
	second()
	if b.bytes != 0 {
		t.Errorf("%d left", b.bytes)
	}
}

// The endpoint takes nothing that it should not, and says so before the bytes are sent.
func TestServeRequest(t *testing.T) {
	ms := newCluster(t, 2, nil)
	ms[0].propose("x")
	leader, follower := ms[0], ms[1]
	if !leader.node.IsLeader() {
		leader, follower = follower, leader
	}
	var r machine.Request
	r.Write(0, [][]byte{[]byte("rpush"), []byte(simList), []byte("y")})
	request := r.Seal(machine.Head{Origin: 99, Incarnation: 1, Seq: 1})
	post := func(m *member, cluster uint64, from string, body []byte) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, m.node.cfg.PeerURL+requestPath, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(headerCluster, strconv.FormatUint(cluster, 16))
		req.Header.Set(headerFrom, from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	id, cluster := fmt.Sprint(follower.cfg.ID), leader.node.cluster
	for _, c := range []struct {
		m       *member
		cluster uint64
		from    string
		body    []byte
		want    int
	}{
		{leader, cluster, id, request, http.StatusNoContent},
		{leader, cluster + 1, id, request, http.StatusPreconditionFailed},
		{leader, cluster, "", request, http.StatusForbidden},
		{leader, cluster, "77", request, http.StatusForbidden},
		{leader, cluster, fmt.Sprint(leader.cfg.ID), request, http.StatusForbidden},
		{leader, cluster, id, nil, http.StatusRequestEntityTooLarge},
		{follower, cluster, fmt.Sprint(leader.cfg.ID), request, http.StatusConflict},
	} {
		if got := post(c.m, c.cluster, c.from, c.body); got != c.want {
			t.Errorf("%d bytes from %s to %d: %d, want %d", len(c.body), c.from, c.m.cfg.ID, got, c.want)
		}
	}
	var release func()
	// The first one has its reservation until it is in the log.
	eventually(t, "room for all that there may be", func() (ok bool) {
		release, ok = leader.node.bulk.reserve(maxForwarded)
		return ok
	})
	if got := post(leader, cluster, id, request); got != http.StatusServiceUnavailable {
		t.Errorf("with too many: %d", got)
	}
	release()
}

// A transfer may take long, but not stand still.
func TestStalledTransfer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			defer nc.Close() // and read nothing
		}
	}()
	m := newCluster(t, 1, nil)[0]
	m.propose("x")
	var outcome handOver
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		v := *m.node.view.Load()
		v.members = v.members.apply(change{Op: commit.AddLearner, Member: commit.Member{ID: 2, PeerURL: "http://" + ln.Addr().String()}})
		m.node.view.Store(&v)
		outcome, err = m.node.postRequest(2, make([]byte, 64<<20), 200*time.Millisecond)
		if !errors.Is(err, ErrNotMember) {
			break // else the raft goroutine has published in between
		}
	}
	if outcome != handOverCut || !errors.Is(err, errStalled) {
		t.Errorf("%d, %v", outcome, err)
	}
	if outcome, err := m.node.postRequest(3, nil, time.Second); outcome != refused || err == nil {
		t.Errorf("to nobody: %d, %v", outcome, err)
	}
}

// The parts of a request follow each other; what there is no room for as a whole does
// not begin.
func TestNextPart(t *testing.T) {
	gone := 0
	foreign := func(n int) largeRequest {
		return largeRequest{data: make([]byte, n), from: 2, left: func() { gone++ }}
	}
	withdrawn := &commit.Proposal{Data: make([]byte, 10)}
	withdrawn.Withdraw()
	for _, tt := range []struct {
		name  string
		queue []largeRequest
		left  []byteCount // before each part
		want  string      // at-end of each part, or nothing
		gone  int
	}{
		{"one", []largeRequest{foreign(10)}, []byteCount{100, 100, 100, 100}, "0-4 4-8 8-10 -", 1},
		{"two", []largeRequest{foreign(4), foreign(5)}, []byteCount{100, 100, 100, 100}, "0-4 0-4 4-5 -", 2},
		{"no room for the whole", []largeRequest{foreign(10), foreign(5)}, []byteCount{9, 9, 9}, "0-4 4-5 -", 2},
		{"the space ends in the middle", []largeRequest{foreign(10)}, []byteCount{10, 3, 4, 2}, "0-4 - 4-8 8-10", 1},
		{"withdrawn", []largeRequest{{pr: withdrawn, data: withdrawn.Data}, foreign(4)}, []byteCount{100, 100}, "0-4 -", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gone = 0
			l := large{partBytes: 4, queue: tt.queue}
			var got []string
			for _, left := range tt.left {
				p, ok := l.next(left)
				if !ok {
					got = append(got, "-")
					continue
				}
				got = append(got, fmt.Sprintf("%d-%d", p.at, p.end))
				if from := l.proposed(p, 1); from != 2 {
					t.Errorf("it is from %d", from)
				}
			}
			if s := strings.Join(got, " "); s != tt.want || gone != tt.gone || len(l.queue) > 0 {
				t.Errorf("%s, want %s; %d of %d have left, %d wait", s, tt.want, gone, tt.gone, len(l.queue))
			}
		})
	}
}

// A leader that is one no more goes on with its own requests from the beginning.
func TestDeposedBetweenParts(t *testing.T) {
	own := &commit.Proposal{Data: make([]byte, 10)}
	gone := 0
	l := large{partBytes: 4}
	l.add(own, 1)
	l.offer(largeRequest{data: make([]byte, 5), from: 2, left: func() { gone++ }})
	p, _ := l.next(100)
	l.proposed(p, 1)
	l.deposed()
	if len(l.queue) != 0 || l.at != 0 || gone != 1 {
		t.Fatalf("%d wait, %d bytes are in the log, %d have left", len(l.queue), l.at, gone)
	}
	l.add(own, 1)
	if len(l.queue) != 0 {
		t.Error("it is sent again in the term in which it is on its way")
	}
	if l.add(own, 2); len(l.queue) != 1 {
		t.Error("it is not sent again in another term")
	}
}
