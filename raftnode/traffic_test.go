package raftnode

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// msgApp is a MsgApp to a member behind index, with a commit index and some entries.
func msgApp(to, index, commit uint64, entries int) *raftpb.Message {
	m := &raftpb.Message{Type: raftpb.MsgApp.Enum(), To: new(to), Term: new(uint64(1)), Index: new(index), Commit: new(commit)}
	for range entries {
		m.Entries = append(m.Entries, &raftpb.Entry{Data: []byte("x")})
	}
	return m
}

func msgTo(t raftpb.MessageType, to uint64) *raftpb.Message {
	return &raftpb.Message{Type: t.Enum(), To: new(to), Term: new(uint64(1))}
}

// brief names messages by what counts here: type, receiver, commit index, entries.
func brief(msgs []*raftpb.Message) string {
	var out []string
	for _, m := range msgs {
		out = append(out, fmt.Sprintf("%s>%d@%d+%d", strings.TrimPrefix(m.GetType().String(), "Msg"), m.GetTo(), m.GetCommit(), len(m.GetEntries())))
	}
	return strings.Join(out, " ")
}

func TestSupersededMessages(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []*raftpb.Message
		want string
	}{
		{"the next entry tells it as well", []*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(2, 5, 5, 1)}, "App>2@5+1"},
		{"another member's does not", []*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(3, 5, 5, 1)}, "App>2@5+0 App>3@5+1"},
		{"one from elsewhere in the log may be refused", []*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(2, 4, 5, 1)}, "App>2@5+0 App>2@5+1"},
		{"one that knows less", []*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(2, 5, 4, 1)}, "App>2@5+0 App>2@4+1"},
		{"one with entries stays", []*raftpb.Message{msgApp(2, 5, 5, 1), msgApp(2, 5, 5, 1)}, "App>2@5+1 App>2@5+1"},
		{"what comes before does not count", []*raftpb.Message{msgApp(2, 5, 5, 1), msgApp(2, 5, 5, 0)}, "App>2@5+1 App>2@5+0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := brief((&traffic{}).superseded(tt.in)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestHeldCommits(t *testing.T) {
	both := []follower{{id: 2, replicating: true}, {id: 3, replicating: true}}
	for _, tt := range []struct {
		name      string
		off       bool
		followers []follower
		asked     map[uint64]ticks
		held, out []*raftpb.Message
		now, then string // sent, and still held
	}{
		{"nobody waits", false, both, nil, nil, []*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(3, 5, 5, 0)}, "", "App>2@5+0 App>3@5+0"},
		{"nothing is held back at all", true, both, nil, nil, []*raftpb.Message{msgApp(2, 5, 5, 0)}, "App>2@5+0", ""},
		{"the leader looks for the end of a log", false, []follower{{id: 2}, both[1]}, nil, nil,
			[]*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(3, 5, 5, 0)}, "App>2@5+0", "App>3@5+0"},
		{"clients of a member wait", false, both, map[uint64]ticks{2: 99, 3: 50}, nil,
			[]*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(3, 5, 5, 0)}, "App>2@5+0", "App>3@5+0"},
		{"an entry says it as well", false, both, nil, []*raftpb.Message{msgApp(2, 5, 5, 0)},
			[]*raftpb.Message{msgApp(2, 5, 5, 1)}, "App>2@5+1", ""},
		{"a newer one replaces it", false, both, nil, []*raftpb.Message{msgApp(2, 5, 5, 0)},
			[]*raftpb.Message{msgApp(2, 6, 6, 0)}, "", "App>2@6+0"},
		{"a reader is told first", false, both, nil, []*raftpb.Message{msgApp(2, 5, 5, 0), msgApp(3, 5, 5, 0)},
			[]*raftpb.Message{msgTo(raftpb.MsgReadIndexResp, 2)}, "App>2@5+0 ReadIndexResp>2@0+0", "App>3@5+0"},
		{"a heartbeat is no reason", false, both, nil, []*raftpb.Message{msgApp(2, 5, 5, 0)},
			[]*raftpb.Message{msgTo(raftpb.MsgHeartbeat, 2)}, "Heartbeat>2@0+0", "App>2@5+0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := traffic{holds: !tt.off, asked: tt.asked, held: tt.held}
			if got := brief(tr.hold(100, tt.followers, tt.out)); got != tt.now {
				t.Errorf("sent %q, want %q", got, tt.now)
			}
			if got := brief(tr.release()); got != tt.then {
				t.Errorf("held %q, want %q", got, tt.then)
			}
			if got := tr.release(); len(got) > 0 {
				t.Errorf("%q released twice", brief(got))
			}
		})
	}
}

// What a follower leaves out is only what it has said in the same term, and never the
// answer to a question.
func TestAcknowledgementsAreNotRepeated(t *testing.T) {
	ack := func(term, index uint64) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), To: new(uint64(1)), Term: new(term), Index: new(index)}
	}
	reject := ack(1, 3)
	reject.Reject = new(true)
	var tr traffic
	for i, step := range []struct {
		m    *raftpb.Message
		told bool // nothing but the commit index has moved
		sent bool
	}{
		{ack(1, 5), false, true},
		{ack(1, 5), true, false},
		{ack(1, 4), true, false},
		{ack(1, 5), false, true}, // asked for: the first may have got lost
		{ack(1, 6), true, true},
		{ack(2, 6), true, true}, // to a leader who knows nothing of it
		{ack(2, 6), true, false},
		{reject, true, true},
	} {
		if got := tr.news([]*raftpb.Message{step.m}, step.told); slices.Contains(got, step.m) != step.sent {
			t.Errorf("step %d: sent %v, want %v", i, len(got) > 0, step.sent)
		}
	}
}
