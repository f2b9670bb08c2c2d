package raftnode

import (
	"errors"
	"strings"
	"testing"
)

// A leader knows the level of the program that a member runs now: not of the one before, and
// not of a member that it does not hear of.
func TestLeaderHearsLevels(t *testing.T) {
	s := newSim(Config{}, 3, nil)
	tells := func(id, level uint64) {
		s.nodes[id].cfg.TellLevel = func() (uint64, uint64) { return level, firstLevel }
	}
	leader := s.nodes[1]
	check := func(what string, want ...uint64) {
		t.Helper()
		for i, level := range want {
			if got := leader.core.status().Progress[uint64(i+1)].Level; got != level {
				t.Errorf("%s: member %d is at level %d, want %d", what, i+1, got, level)
			}
		}
	}
	beat := func(n int) {
		for range n {
			leader.tick()
			s.settle()
		}
	}
	tells(1, 2)
	tells(2, 2)
	s.nodes[3].cfg.TellLevel = func() (uint64, uint64) { return 0, 0 } // as one that sends none
	s.settle()
	leader.do(func() {
		if err := leader.core.rn.Campaign(); err != nil {
			t.Fatal(err)
		}
	})
	s.settle()
	check("before a heartbeat", 2, 0, 0)
	beat(1)
	check("after it", 2, 2, 1)
	s.crash(2)
	tells(2, 1)
	beat(leader.cfg.ElectionTicks + 1)
	check("one is away", 2, 0, 1)
	s.start(2)
	tells(3, 2)
	beat(1)
	check("it comes back as another program", 2, 1, 2)
	for _, f := range s.failures {
		t.Error(f)
	}
}

// A program does not start in a directory that needs a newer one, and a node with one does
// not get into a cluster.
func TestTooOld(t *testing.T) {
	cfg := Config{ID: 1, Dir: t.TempDir(), Level: 3}
	o := &origin{Version: 3, Member: 1, State: stageMember}
	if err := o.write(&cfg); err != nil {
		t.Fatal(err)
	}
	for level := uint64(1); level <= 4; level++ {
		cfg.Level = level
		_, err := readOrigin(&cfg)
		if old := level < 3; errors.Is(err, ErrTooOld) != old || !old && err != nil {
			t.Errorf("a program of level %d: %v", level, err)
		}
	}

	n := &Node{cfg: Config{TellLevel: func() (uint64, uint64) { return 3, 2 }}}
	for level, ok := range []bool{false, false, true, true} {
		err := n.checkLevel(7, uint64(level))
		if err == nil != ok {
			t.Errorf("joining with level %d: %v", level, err)
		}
		if !ok && !strings.Contains(err.Error(), "the cluster is at level 2, and the program of member 7 knows levels up to 1") {
			t.Error(err)
		}
		// It reaches the node that asks as what it is.
		if got := result(0, err).err(); errors.Is(got, ErrTooOld) == ok {
			t.Errorf("arrives as %v", got)
		}
	}
}

// The directory is at the level in force, from before the next start.
func TestDirectoryKeepsItsLevel(t *testing.T) {
	cfg := Config{ID: 1, Dir: t.TempDir(), Level: 2}
	cfg.EnsureDefaults()
	n := &Node{cfg: cfg, origin: &origin{Version: firstLevel, Member: 1, State: stageMember}, reserve: newReserve(&cfg)}
	for _, level := range []uint64{1, 2, 1} {
		if err := n.keepLevel(level); err != nil {
			t.Fatal(err)
		}
	}
	o, err := readOrigin(&cfg)
	if err != nil || o == nil || o.Version != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
