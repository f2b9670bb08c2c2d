package store

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

func queued(s *Store, lines ...string) []Queued {
	var qs []Queued
	for _, line := range lines {
		argv := args(line)
		q := Queued{Spec: s.cfg.Table.Resolve(argv), Argv: argv}
		if q.Spec == nil {
			q.Local = func(r command.Reply) { r.Status(line) }
		}
		qs = append(qs, q)
	}
	return qs
}

// watch is WATCH.
func watch(s *Store, keys ...string) []Watched {
	r := s.BeginRead()
	defer r.End()
	var ws []Watched
	for _, key := range keys {
		ws = append(ws, r.Watch(0, []byte(key)))
	}
	return ws
}

func TestPipeline(t *testing.T) {
	log := newCluster(t, 1)
	a := log.start(1, 1, Config{}, nil)
	b := log.start(2, 1, Config{}, nil)
	defer a.stop()
	defer b.stop()
	for _, n := range []*member{a, b} {
		c := client{t: t, s: n.store}
		got := c.do("ping", "get k", "set k 1", "get k", "incr k", "incr k", "get k", "ping", "del k", "get k", "incr k", "del k")
		want := `ping nil OK "1" 2 3 "3" ping 1 nil 1 1`
		if got != want {
			t.Errorf("member %d: got  %s\nwant %s", n.ID(), got, want)
		}
	}
	log.settle()
}

func TestTransaction(t *testing.T) {
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	m := log.start(2, 1, Config{}, nil)
	defer n.stop()
	defer m.stop()
	c := client{t: t, s: n.store}
	exec := func(ws []Watched, lines ...string) string {
		return c.run(func(b *Batch) { b.Exec(ws, queued(n.store, lines...)) })
	}
	for _, x := range []struct{ name, got, want string }{
		{"all kinds", exec(nil, "set k 1", "get k", "ping", "incr k", "get k", "incr l"), `*6 OK "1" ping 2 "2" 1`},
		{"an error inside does not stop the rest", exec(nil, "set e x", "incr e", "incr k"), "*3 OK -" + command.ErrNotInteger + " 3"},
		{"watched, unchanged", exec(watch(n.store, "k", "nosuch"), "incr k"), "*1 4"},
		{"only reads", exec(watch(n.store, "k"), "get k", "ping", "get nosuch"), `*3 "4" ping nil`},
		{"empty", exec(nil), "*0"},
		{"a blocking command does not wait inside", exec(nil, "blpop nosuch 0", "incr k"), "*2 nilarray 5"},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %s, want %s", x.name, x.got, x.want)
		}
	}
	for _, x := range []struct{ name, key, change string }{
		{"changed", "k", "incr k"},
		{"changed to the same", "l", "set l 1"},
		{"deleted", "e", "del e"},
		{"created", "new", "set new 1"},
		{"deleted and created", "l", "del l"},
		{"everything flushed", "k", "flushall"},
	} {
		ws := watch(n.store, "other", x.key)
		c.do(x.change)
		if x.name == "deleted and created" {
			c.do("set l 1")
		}
		if got := exec(ws, "get k", "incr hit"); got != "nilarray" {
			t.Errorf("%s: %s", x.name, got)
		}
		if got := exec(ws, "get k", "ping"); got != "nilarray" {
			t.Errorf("%s, only reads: %s", x.name, got)
		}
	}
	if got := get(n.store, 0, "get hit"); got != "nil" {
		t.Errorf("a transaction ran though a watched key had changed: %s", got)
	}

	// In the middle of a pipeline, and refused in the middle of one.
	ws := watch(n.store, "k")
	got := c.run(func(b *Batch) {
		add(b, n.store, 0, "set k 7")
		b.Exec(ws, queued(n.store, "get k", "incr hit"))
		add(b, n.store, 0, "get k")
		b.Exec(nil, queued(n.store, "get k", "incr k"))
		b.Exec(nil, queued(n.store, "get k", "ping"))
		add(b, n.store, 0, "incr k")
		add(b, n.store, 0, "get hit")
	})
	if want := `OK nilarray "7" *2 "7" 8 *2 "8" ping 9 nil`; got != want {
		t.Errorf("in a pipeline: got %s, want %s", got, want)
	}
	log.settle()
}

// Many clients add to one key with WATCH, from all members and with many
// requests in one entry: none may overwrite another.
func TestWatchAgainstTheSameEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 3)
		log.Faulty(true)
		var members []*member
		for id := uint64(1); id <= 3; id++ {
			members = append(members, log.start(id, 1, Config{ProposalTimeout: time.Hour}, nil))
		}
		var wg sync.WaitGroup
		const clients, each = 12, 10
		for i := range clients {
			wg.Go(func() {
				s := members[i%3].store
				c := client{t: t, s: s}
				for done := 0; done < each; {
					ws := watch(s, "n")
					n := 0
					fmt.Sscanf(get(s, 0, "get n"), `"%d"`, &n)
					switch got := c.run(func(b *Batch) { b.Exec(ws, queued(s, fmt.Sprintf("set n %d", n+1))) }); got {
					case "*1 OK":
						done++
					case "nilarray":
					default:
						t.Error(got)
						return
					}
				}
			})
		}
		wg.Wait()
		c := client{t: t, s: members[0].store}
		c.do("incr done")
		if got, want := get(c.s, 0, "get n"), fmt.Sprintf(`"%d"`, clients*each); got != want {
			t.Errorf("counted to %s, want %s", got, want)
		}
		for _, n := range members {
			n.stop()
		}
	})
}

// Readers are let in between two commands of one entry, so a version that is
// taken there has to tell what the rest of the entry changes.
func TestVersionWithinAnEntry(t *testing.T) {
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	defer n.stop()
	var marks []keyspace.Mark
	changes := 0
	look := func(command.Reply) {
		ks, now := n.store.m.Keyspace(), int64(n.store.m.Now())
		if last := len(marks) - 1; last >= 0 && !ks.Unchanged(0, []byte("k"), marks[last], now) {
			changes++
		}
		marks = append(marks, ks.Mark(0, []byte("k"), now))
	}
	c := client{t: t, s: n.store}
	c.run(func(b *Batch) {
		for _, line := range []string{"set k 1", "incr k", "del k", "set k 1", "set other 1"} {
			add(b, n.store, 0, line)
			b.Local(look)
		}
		b.Exec(nil, queued(n.store, "incr k", "incr k"))
		b.Local(look)
	})
	if changes != 4 { // the first look has nothing before it, and one is at another key's write
		t.Errorf("%d changes, marks %d", changes, marks)
	}
}

// A client may watch a key that is not there for as long as it likes: no number of
// other keys that come and go disturbs it, and nothing that happens to the key
// itself escapes it. What it is told must not depend on where the journal begins.
func TestWatchOfAnAbsentKeyLasts(t *testing.T) {
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	m := log.start(2, 1, Config{}, nil)
	defer n.stop()
	defer m.stop()
	c, other := client{t: t, s: n.store}, client{t: t, s: m.store}
	churn := func() {
		for range 100 {
			other.run(func(b *Batch) {
				for i := range 200 {
					add(b, m.store, 0, fmt.Sprint("set churn", i, " x"))
					add(b, m.store, 0, fmt.Sprint("del churn", i))
				}
			})
		}
		c.do("incr n") // this member has seen all of it
	}
	unchanged := func(ws []Watched) bool {
		r := n.store.BeginRead()
		defer r.End()
		return r.Unchanged(ws)
	}
	exec := func(ws []Watched) string {
		defer n.store.Unwatch(ws)
		if !unchanged(ws) {
			return "seen here"
		}
		return c.run(func(b *Batch) { b.Exec(ws, queued(n.store, "incr hit")) })
	}
	ws := watch(n.store, "lock")
	churn()
	if got := exec(ws); got != "*1 1" {
		t.Errorf("keys elsewhere: %s", got)
	}
	for name, change := range map[string][]string{"made": {"set lock 1"}, "made and deleted": {"set lock 1", "del lock"}} {
		c.do("del lock")
		ws = watch(n.store, "lock")
		other.do(change...)
		churn()
		if got := exec(ws); got != "seen here" {
			t.Errorf("%s: %s", name, got)
		}
		c.do("del lock")
		ws = watch(n.store, "lock")
		got := c.run(func(b *Batch) {
			for _, line := range change {
				add(b, n.store, 0, line)
			}
			b.Exec(ws, queued(n.store, "incr hit"))
		})
		if want := "nilarray"; got[len(got)-len(want):] != want {
			t.Errorf("%s on the way: %s", name, got)
		}
		n.store.Unwatch(ws)
	}
	if n.store.absences.watching.Load() != 0 || len(n.store.absences.keys) != 0 {
		t.Errorf("%d absent keys are still watched", len(n.store.absences.keys))
	}
	log.settle()
}
