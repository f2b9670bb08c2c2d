package store

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/store/machine"
)

// skewed is a machine whose clock is wrong.
func skewed(by time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(by) }
}

// TestNoExpiryOnFullDisks: while writes are refused, the leader does not fill the
// log with the deletion of keys that nobody sees.
func TestNoExpiryOnFullDisks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		defer n.stop()
		eventually(t, "ready", n.store.Ready)
		c := client{t: t, s: n.store}
		c.do("set k v PX 100")
		log.settle()
		before := log.Last()
		n.DiskFull.Store(true)
		time.Sleep(time.Second)
		if got := get(n.store, 0, "get k"); got != "nil" || log.Last() != before {
			t.Errorf("the key is %s and the log went from %d to %d", got, before, log.Last())
		}
		n.DiskFull.Store(false)
		time.Sleep(time.Second)
		if got := get(n.store, 0, "dbsize"); got != "0" {
			t.Errorf("%s keys are left", got)
		}
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		log.Elect(0)
		var members []*member
		for id, skew := range []time.Duration{0, time.Hour, -time.Hour} {
			members = append(members, log.start(uint64(id+1), 1, Config{Now: skewed(skew)}, nil))
		}
		time.Sleep(1500 * time.Millisecond) // the first election takes its time
		log.Elect(1)
		for _, n := range members {
			eventually(t, "ready", n.store.Ready)
		}
		c := client{t: t, s: members[1].store}
		for i := range 2500 {
			c.do(fmt.Sprintf("set k%d v PX 10000", i))
		}
		c.do("set later v PX 60000", "set never v")
		log.settle()
		before := log.Last()

		time.Sleep(9980 * time.Millisecond)
		for _, n := range members {
			if got := get(n.store, 0, "get k0"); got != `"v"` {
				t.Errorf("member %d lost a key early: %s", n.ID(), got)
			}
		}
		if log.Last() != before {
			t.Error("the log moved with nothing to do")
		}
		time.Sleep(30 * time.Millisecond)
		for _, n := range members {
			if got := get(n.store, 0, "get k0"); got != "nil" {
				t.Errorf("member %d shows a key past its deadline: %s", n.ID(), got)
			}
		}
		time.Sleep(time.Second)
		for _, n := range members {
			if got := get(n.store, 0, "dbsize"); got != "2" {
				t.Errorf("member %d has %s keys", n.ID(), got)
			}
			if st := n.store.Stats(); st.Expired != 2500 {
				t.Errorf("member %d counts %d expired", n.ID(), st.Expired)
			}
		}
		if moved := log.Last() - before; moved > 6 {
			t.Errorf("%d entries for 2500 keys", moved)
		}
		log.settle()

		// Idle from here on, but for the one key that is left.
		before = log.Last()
		time.Sleep(24 * time.Hour)
		if moved := log.Last() - before; moved != 1 {
			t.Errorf("%d entries in a day, for one key", moved)
		}
		for _, n := range members {
			if got := get(n.store, 0, "dbsize"); got != "1" {
				t.Errorf("member %d has %s keys", n.ID(), got)
			}
		}
		log.settle()
		for _, n := range members {
			n.stop()
		}
	})
}

// The clocks of three machines are an hour apart, and leadership wanders: no key
// goes early, none stays.
func TestExpiryAcrossLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		log.Elect(0)
		var members []*member
		for id, skew := range []time.Duration{0, time.Hour, -time.Hour} {
			members = append(members, log.start(uint64(id+1), 1, Config{Now: skewed(skew)}, nil))
		}
		time.Sleep(1500 * time.Millisecond) // the first election takes its time
		log.Elect(1)
		for _, n := range members {
			eventually(t, "ready", n.store.Ready)
		}
		c := client{t: t, s: members[2].store}
		for i := range 30 {
			log.Elect(uint64(1 + i%3))
			if got := c.do("set k v PX 20000", "get k"); got != `OK "v"` {
				t.Fatal(got)
			}
			time.Sleep(10 * time.Second)
			log.Elect(uint64(1 + (i+1)%3))
			c.do("incr n") // a stamp of the new leader
			log.settle()
			time.Sleep(9900 * time.Millisecond)
			for _, n := range members {
				if got := get(n.store, 0, "get k"); got != `"v"` {
					t.Fatalf("round %d: member %d lost a key early: %s", i, n.ID(), got)
				}
			}
			time.Sleep(110 * time.Millisecond) // hidden
			for _, n := range members {
				if got := get(n.store, 0, "get k"); got != "nil" {
					t.Fatalf("round %d: member %d shows a key past its deadline: %s", i, n.ID(), got)
				}
			}
			time.Sleep(time.Second) // and deleted
			for _, n := range members {
				if got := get(n.store, 0, "dbsize"); got != "1" {
					t.Fatalf("round %d: member %d has not deleted the key: %s", i, n.ID(), got)
				}
			}
			if i%10 == 0 { // a restart with the machine's wrong clock
				n := members[i/10]
				snapshot := n.take(t)
				n.stop()
				members[i/10] = log.start(n.ID(), n.Incarnation()+1, Config{Now: n.store.cfg.Now}, snapshot)
				eventually(t, "ready again", members[i/10].store.Ready)
				c.s = members[2].store
			}
		}
		log.settle()
		for _, n := range members {
			n.stop()
		}
	})
}

// What a deposed leader proposes, or what arrives late, deletes nothing that is
// not due.
func TestExpiryIsDecidedWhenApplied(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	seq := uint64(0)
	apply := func(now int64, build func(*Batch)) {
		seq++
		if err := applyData(s, machine.Seal(nil, machine.Millis(now), 1, [][]byte{request(head(1, 1, seq, seq), build)})); err != nil {
			t.Fatal(err)
		}
	}
	apply(1000, func(b *Batch) {
		b.Write(0, nil, args("set due v PX 100"))
		b.Write(0, nil, args("set renewed v PX 100"))
		b.Write(0, nil, args("set plain v"))
	})
	apply(1050, func(b *Batch) { b.Write(0, nil, args("set renewed v PX 1000")) })
	expire := func(b *Batch) { b.expire(0, []string{"due", "renewed", "plain", "nosuch"}) }
	apply(1099, expire)
	if s.m.Keyspace().Stats().Expired != 0 {
		t.Error("deleted before its time")
	}
	apply(1100, expire)
	view := s.m.Keyspace().View(0, 0)
	if view.Len() != 2 || view.Exists([]byte("due")) || s.stats.expiredByLeader.Load() != 1 {
		t.Errorf("%d keys left, %d deleted", view.Len(), s.stats.expiredByLeader.Load())
	}
	// The state clock never goes back, whatever a leader's clock says.
	apply(500, func(b *Batch) { b.Write(0, nil, args("set k v PX 100")) })
	if s.m.Now() != 1100 || s.expiry.next.Load() != 1200 {
		t.Errorf("state clock %d, next deadline %d", s.m.Now(), s.expiry.next.Load())
	}
}
