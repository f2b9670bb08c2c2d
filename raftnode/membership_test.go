package raftnode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

func TestMemberWithWrongAddressDoesNoHarm(t *testing.T) {
	ms := newCluster(t, 1, nil)
	wrong := commit.Member{ID: 2, PeerURL: "http://127.0.0.1:1"}
	if err := ms[0].change(commit.AddLearner, wrong); err != nil {
		t.Fatal(err)
	}
	ms[0].propose("still writable")
	if err := ms[0].change(commit.Promote, wrong); !errors.Is(err, ErrNotCaughtUp) {
		t.Fatalf("promote: %v", err)
	}
	if err := ms[0].change(commit.Remove, wrong); err != nil {
		t.Fatal(err)
	}
	if err := ms[0].change(commit.AddLearner, wrong); !errors.Is(err, ErrIDUsed) {
		t.Fatalf("a removed id came back: %v", err)
	}
	ms[0].propose("and now")
	if n := len(ms[0].node.Members()); n != 1 {
		t.Fatalf("%d members", n)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	follower := remove(ms, l)[0] // refusals keep their identity on the way from the leader
	for _, test := range []struct {
		op   commit.ConfChangeOp
		who  commit.Member
		want error
	}{
		{commit.AddLearner, commit.Member{ID: 1, PeerURL: "http://127.0.0.1:1"}, ErrIDUsed},
		{commit.AddLearner, commit.Member{ID: 9, PeerURL: ms[0].cfg.Peers[0].URL}, ErrIDUsed},
		{commit.Remove, commit.Member{ID: 9}, ErrNotMember},
		{commit.Promote, commit.Member{ID: 9}, ErrNotMember},
		{commit.Update, commit.Member{ID: 9, ClientAddr: "x"}, ErrNotMember},
	} {
		if err := follower.change(test.op, test.who); !errors.Is(err, test.want) {
			t.Errorf("%d %+v: %v instead of %v", test.op, test.who, err, test.want)
		}
	}
	for _, url := range []string{"", "127.0.0.1:1", "http://x", "http://a:1/b", "ftp://a:1"} {
		if err := follower.change(commit.AddLearner, commit.Member{ID: 9, PeerURL: url}); err == nil {
			t.Errorf("peer URL %q was accepted", url)
		}
	}
}

func TestRemovalThatWouldLoseTheQuorumIsRefused(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	rest := remove(ms, l)
	rest[0].stop()
	eventually(t, "the refusal", func() bool {
		// The dead one counts as alive for one election timeout. No removal of the
		// live one is tried before that.
		p, ok := l.node.Status().Progress[rest[0].cfg.ID]
		return ok && !p.RecentActive
	})
	if err := l.change(commit.Remove, commit.Member{ID: rest[1].cfg.ID}); !errors.Is(err, ErrQuorumLoss) {
		t.Fatalf("removing one of two live members: %v", err)
	}
	l.remove(rest[0].cfg.ID)
	l.propose("two left")
}

func TestRemovedMemberStopsAndStaysOut(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	gone := remove(ms, l)[0]
	l.remove(gone.cfg.ID)
	if err := <-gone.errC; !errors.Is(err, ErrRemoved) {
		t.Fatalf("errorC brought %v", err)
	}
	gone.ended()
	// Its old directory does not help.
	if err := gone.refused(); !errors.Is(err, ErrRemoved) {
		t.Fatalf("after a restart: %v", err)
	}
	// Nor does an empty one.
	gone.cfg.Dir = t.TempDir()
	if err := gone.refused(); !errors.Is(err, ErrRemoved) {
		t.Fatalf("with an empty directory: %v", err)
	}
	l.propose("two left")
}

func TestRemovingTheLeader(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	follower := remove(ms, l)[0]
	follower.remove(l.cfg.ID)
	if err := <-l.errC; !errors.Is(err, ErrRemoved) {
		t.Fatalf("errorC brought %v", err)
	}
	leader(t, remove(ms, l)).propose("go on")
	follower.remove(l.cfg.ID) // once more is harmless
}

func TestTheLastMemberCannotBeRemoved(t *testing.T) {
	ms := newCluster(t, 1, nil)
	leader(t, ms)
	if err := ms[0].change(commit.Remove, commit.Member{ID: 1}); !errors.Is(err, ErrQuorumLoss) {
		t.Fatal(err)
	}
}

func TestMemberThatLostItsDataIsRefused(t *testing.T) {
	ms := newCluster(t, 3, nil)
	leader(t, ms)
	ms[2].stop()
	ms[2].cfg.Dir = t.TempDir()
	if err := ms[2].refused(); !errors.Is(err, ErrDataLost) || !strings.Contains(err.Error(), "RAFT REMOVE 3") {
		t.Fatal(err)
	}
	ms[2].cfg.Dir = t.TempDir()
	ms[2].cfg.Join = true
	if err := ms[2].refused(); !errors.Is(err, ErrDataLost) {
		t.Fatal(err)
	}
}

func TestMoveToAnotherAddress(t *testing.T) {
	ms := newCluster(t, 3, nil)
	leader(t, ms)
	moved := ms[2]
	moved.stop()
	moved.onlyDir()
	to := freeURLs(t, 1)[0]
	if err := ms[0].change(commit.Update, commit.Member{ID: 3, PeerURL: to + "/"}); err != nil {
		t.Fatal(err)
	}
	moved.cfg.ListenURL = to // its own data does not have it yet
	moved.start()
	moved.propose("from the new address")
	sameRequests(t, ms)
	moved.stop()
	moved.cfg.ListenURL = ""
	moved.cfg.Peers = ms[0].cfg.Peers // as in an old unit file
	moved.start()
	moved.propose("from there, once more")
	for _, m := range ms[0].node.Members() {
		if m.ID == 3 && m.PeerURL != to {
			t.Fatalf("the old list is back: %+v", m)
		}
	}
}

func TestTransfer(t *testing.T) {
	ms := newCluster(t, 3, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l := leader(t, ms)
	if err := l.node.Transfer(ctx, l.cfg.ID); err != nil {
		t.Fatalf("to itself: %v", err)
	}
	to := remove(ms, l)[1]
	if err := l.node.Transfer(ctx, to.cfg.ID); err != nil {
		t.Fatal(err)
	}
	if got := leader(t, ms); got != to {
		t.Fatalf("%d leads instead of %d", got.cfg.ID, to.cfg.ID)
	}
	if err := l.node.Transfer(ctx, 0); err != nil { // a follower asks for itself
		t.Fatal(err)
	}
	if got := leader(t, ms); got != l {
		t.Fatalf("%d leads instead of %d", got.cfg.ID, l.cfg.ID)
	}
	if err := l.node.Transfer(ctx, 0); err != nil { // the leader picks
		t.Fatal(err)
	}
	if got := leader(t, ms); got == l {
		t.Fatal("still the same leader")
	}
	if err := l.node.Transfer(ctx, 77); !errors.Is(err, ErrNotMember) {
		t.Fatalf("to nobody: %v", err)
	}
	for i := range 10 { // nothing gets lost on the way
		leader(t, ms).node.Transfer(ctx, uint64(i%3+1))
		ms[i%3].propose(fmt.Sprint("r", i))
	}
	sameRequests(t, ms)
}

func TestReadIndexWithoutALeader(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	ms[0].propose("a")
	for _, m := range remove(ms, l) {
		m.stop()
	}
	eventually(t, "the leader to step down", func() bool { return !l.node.IsLeader() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.node.ReadIndex(ctx); !errors.Is(err, commit.ErrNoLeader) {
		t.Fatal(err)
	}
	l.stop()
	if _, err := l.node.ReadIndex(context.Background()); !errors.Is(err, commit.ErrStopped) {
		t.Fatal(err)
	}
	if err := l.node.Snapshot(context.Background()); !errors.Is(err, commit.ErrStopped) {
		t.Fatal(err)
	}
	if st := l.node.Status(); st.ID != l.cfg.ID || len(st.Members) != 3 {
		t.Fatalf("%+v", st)
	}
}

func TestConfigReportsEverything(t *testing.T) {
	c := Config{Peers: []Peer{{1, "nonsense"}, {1, "http://a:1"}}, TickInterval: -1}
	c.EnsureDefaults()
	err := c.Validate()
	for _, want := range []string{"id 0", "data directory", "Seal", "nonsense", "twice", "tick interval"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q in: %v", want, err)
		}
	}
}

func TestDirectoryOfSomebodyElse(t *testing.T) {
	ms := newCluster(t, 1, nil)
	m := ms[0]
	m.propose("a")
	if err := (&member{t: t, cfg: m.cfg}).tryStart(); err == nil {
		t.Fatal("two processes use the same directory")
	} else {
		t.Log(err)
	}
	m.stop()
	other := &member{t: t, cfg: m.cfg}
	other.cfg.ID = 7
	other.cfg.Peers = []Peer{{7, m.cfg.Peers[0].URL}}
	if err := other.tryStart(); !errors.Is(err, ErrWrongDir) {
		t.Errorf("another member: %v", err)
	}
	other.cfg = m.cfg
	other.cfg.Peers = append([]Peer{{2, "http://127.0.0.1:1"}}, m.cfg.Peers...)
	if err := other.tryStart(); err != nil {
		t.Errorf("with a list that has changed since: %v", err)
	}
	other.stop()
	m.start()
	eventually(t, "a", func() bool { return m.has("a") })
}
