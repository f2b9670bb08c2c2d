package raftnode

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// TestLags follows a member that is away for forty seconds and then gets what it has
// missed, at five times the speed at which the log grows.
func TestLags(t *testing.T) {
	var l lags
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	look := func(s int, last, match uint64, live bool) commit.Progress {
		l.observe(at(s), last, []follower{{id: 2, match: last, live: true}, {id: 3, match: match, live: live}})
		for _, id := range []uint64{2, 3} {
			p := commit.Progress{Match: last}
			if l.fill(&p, id, at(s), last); id == 2 && (p.Behind != 0 || p.Left != -1) {
				t.Errorf("second %d: a member that has everything is said to be %v behind", s, p.Behind)
			}
		}
		p := commit.Progress{Match: match}
		l.fill(&p, 3, at(s), last)
		return p
	}
	const speed = 100
	for s := range 11 { // well
		if p := look(s, uint64(s*speed), uint64(s*speed), true); p.Behind != 0 || p.CatchUp != 0 {
			t.Fatalf("second %d: %+v", s, p)
		}
	}
	for s := 11; s <= 50; s++ { // away
		p := look(s, uint64(s*speed), 1000, false)
		if p.CatchUp != 0 || p.Left != -1 {
			t.Fatalf("second %d: %+v", s, p)
		}
		if want := time.Duration(s-10) * time.Second; want >= lagLimit && p.Behind != want {
			t.Fatalf("second %d: %v behind, want %v", s, p.Behind, want)
		}
	}
	for s := 51; s < 60; s++ { // 5 times as fast as the log
		match := uint64(1000 + (s-50)*5*speed)
		p := look(s, uint64(s*speed), match, true)
		left := (s*speed - int(match)) / (4 * speed)
		if p.CatchUp <= 0 || p.CatchUp >= 1 || p.Left < time.Duration(left-1)*time.Second || p.Left > time.Duration(left+1)*time.Second {
			t.Fatalf("second %d: %+v, want %d s to go", s, p, left)
		}
	}
	if p := look(60, 60*speed, 60*speed, true); p.Behind != 0 || p.CatchUp != 0 {
		t.Fatalf("it has caught up: %+v", p)
	}
}

// TestLagsForget: the memory is bounded, and still knows for how long a member that is
// away has been away, to a sixteenth.
func TestLagsForget(t *testing.T) {
	var l lags
	start := time.Unix(1000, 0)
	const seconds = 100_000
	for s := range seconds {
		l.observe(start.Add(time.Duration(s)*time.Second), uint64(s), []follower{{id: 3, match: 50_000}})
	}
	if len(l.marks) > 500 {
		t.Errorf("%d marks", len(l.marks))
	}
	p := commit.Progress{Match: 50_000}
	l.fill(&p, 3, start.Add(seconds*time.Second), seconds)
	if p.Behind < 50_000*time.Second || p.Behind > (50_000+50_000/lagGrain+1)*time.Second {
		t.Errorf("%v behind", p.Behind)
	}
}

func TestPursuit(t *testing.T) {
	tasks := commit.NewTasks(func() time.Time { return time.Unix(1000, 0) })
	p := pursuit{tasks: tasks}
	is := func(want ...string) {
		t.Helper()
		var got []string
		for _, x := range tasks.List(0) {
			got = append(got, string(x.Kind)+" "+x.String())
		}
		if len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
			t.Errorf("tasks %q, want %q", got, want)
		}
	}
	p.replay(100, 200)
	p.tick(150, false, true)
	is("replay-log replaying the log: 50 %, 0 s to go")
	p.tick(200, false, false)
	is()
	commitIndex := uint64(1000)
	p.heard(&raftpb.Message{Type: raftpb.MsgApp.Enum(), Commit: &commitIndex, From: &commitIndex})
	p.tick(200, true, false)
	is() // what was committed just now is on its way to anybody
	p.tick(200, true, true)
	is("join joining: learning what the others know from member 1000: 0 %")
	p.tick(600, true, false)
	is("join joining: learning what the others know from member 1000: 50 %, 0 s to go")
	p.tick(1000, true, true)
	is()
}

func TestElections(t *testing.T) {
	var e elections
	now := time.Unix(1000, 0)
	want := func(reason commit.ElectionReason, leader, was, term uint64) {
		t.Helper()
		if e.last != (commit.Election{Term: term, Leader: leader, Was: was, Reason: reason, At: now}) {
			t.Errorf("%+v, want %s", e.last, reason)
		}
	}
	e.because(commit.ElectionGone) // of somebody this run has never heard of
	e.elected(1, 2, true, now)
	want(commit.ElectionStart, 1, 0, 2)
	e.because(commit.ElectionGone)
	if e.elected(1, 2, true, now) {
		t.Error("a leader that was there all the time is news")
	}
	e.elected(2, 3, true, now)
	want(commit.ElectionSilent, 2, 1, 3)
	e.because(commit.ElectionGone)
	e.elected(1, 4, true, now)
	want(commit.ElectionGone, 1, 2, 4)
	e.heard(&raftpb.Message{Type: raftpb.MsgVote.Enum(), Context: []byte("CampaignTransfer")})
	e.elected(3, 5, true, now)
	want(commit.ElectionHandover, 3, 1, 5)
	e.deposed(true, false)
	e.elected(3, 6, true, now)
	want(commit.ElectionNoQuorum, 3, 3, 6)
	e.elected(1, 7, false, now)
	want(commit.ElectionRemoved, 1, 3, 7)
	if n := e.counts(); n[commit.ElectionStart] != 1 || len(n) != 6 {
		t.Errorf("%v", n)
	}
}
