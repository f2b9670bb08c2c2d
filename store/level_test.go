package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

func TestNextLevel(t *testing.T) {
	for _, c := range []struct {
		name  string
		said  []uint64 // by member; 0: nothing
		level command.Level
		waits string
	}{
		{"all know it", []uint64{2, 2, 2}, 2, ""},
		{"alone", []uint64{2}, 2, ""},
		{"one is older", []uint64{2, 1, 2}, 1, "member 2 is at level 1 (its program is raftredis 0.1.0, or its cluster-level says so)"},
		{"one is away", []uint64{2, 2, 0}, 0, "member 3 is not heard of"},
		{"one is older and one away", []uint64{0, 2, 1}, 0, "member 1 is not heard of; member 3 is at level 1 (its program is raftredis 0.1.0, or its cluster-level says so)"},
		{"newer ones than this", []uint64{9, 9, 2}, 2, ""},
		{"who is there is not known yet", nil, 0, ""},
	} {
		st := commit.Status{Progress: map[uint64]commit.Progress{}}
		for i, said := range c.said {
			id := uint64(i + 1)
			st.Members = append(st.Members, commit.Member{ID: id})
			if said != 0 || i == 0 {
				st.Progress[id] = commit.Progress{Level: said}
			}
		}
		if level, waits := nextLevel(st); level != c.level || waits != c.waits {
			t.Errorf("%s: %d, %q", c.name, level, waits)
		}
	}
}

// The leader raises the level when the last member has told that it knows it, and not
// before; nothing that needs it is proposed until then.
func TestLevelRises(t *testing.T) {
	late := &command.Spec{Name: "late", Arity: 2, Level: command.Level2, Summary: "s", Since: "1", Group: "g",
		Write: func(w *command.Write) { w.DB.Set(w.Args[1], []byte("v"), 0); w.Reply.Status("OK") }}
	table, err := command.NewTable(command.Data(), []*command.Spec{late})
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 1)
	var members []*member
	for id := uint64(1); id <= 3; id++ {
		m := c.start(id, 1, Config{Table: table}, nil)
		defer m.stop()
		members = append(members, m)
	}
	c.Elect(1)
	members[0].Level.Store(2)
	members[1].Level.Store(2)
	members[2].Level.Store(1)
	eventually(t, "the leader to see the third", func() bool { return strings.Contains(members[0].store.LevelWaits(), "member 3 is at level 1") })
	for _, m := range members {
		eventually(t, "ready", m.store.Ready) // what it greets the others with is in the log
	}
	for _, m := range members {
		cl := client{t: t, s: m.store}
		before := c.Last()
		if got := cl.do("late a", "get a"); !strings.HasPrefix(got, "-ERR this needs all members of the cluster to be at level 2 (raftredis 0.2.0 or later)") || !strings.HasSuffix(got, " nil") {
			t.Errorf("member %d: %s", m.ID(), got)
		}
		got := cl.run(func(b *Batch) { b.Exec(nil, []Queued{{Spec: late, Argv: args("late a")}}) })
		if !strings.HasPrefix(got, "-ERR this needs") {
			t.Errorf("member %d: EXEC: %s", m.ID(), got)
		}
		if c.Last() != before {
			t.Error("it went into the log")
		}
	}
	members[2].Level.Store(2)
	for _, m := range members {
		eventually(t, "the level to rise", func() bool { return m.store.Level() == command.Level2 })
		cl := client{t: t, s: m.store}
		if got := cl.do("late a", "get a"); got != `OK "v"` {
			t.Errorf("member %d: %s", m.ID(), got)
		}
		if told, inForce := m.store.TellLevel(); told != 2 || inForce != 2 {
			t.Errorf("member %d tells %d, %d", m.ID(), told, inForce)
		}
	}
	c.settle()

	// It is in the snapshot.
	fourth := c.start(4, 1, Config{Table: table}, members[0].take(t))
	defer fourth.stop()
	eventually(t, "the snapshot", func() bool { return fourth.store.Level() == command.Level2 })
}

func TestKeepLevel(t *testing.T) {
	s := New(Config{Table: testTable(t), KeepLevel: command.Level1}, nil)
	tells := func(want uint64, kept command.Level) {
		t.Helper()
		if told, _ := s.TellLevel(); told != want || s.KeptLevel() != kept {
			t.Errorf("it tells %d and keeps %d, want %d and %d", told, s.KeptLevel(), want, kept)
		}
	}
	tells(1, 1)
	if err := s.KeepLevel(command.Latest + 1); err == nil {
		t.Error("a level that nobody knows")
	}
	if err := s.KeepLevel(0); err != nil {
		t.Error(err)
	}
	tells(2, 0)
	s.levels.inForce.Store(2)
	if err := s.KeepLevel(1); !errors.Is(err, ErrLevelInForce) {
		t.Error(err)
	}
	tells(2, 0)
}
