package store

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/store/command"
)

// TestVain: what a command with nothing to work on is answered without the log is what
// it is answered by the log, errors of its arguments and all, and the log changes nothing
// by it.
func TestVain(t *testing.T) {
	lines := []string{
		"DEL none", "DEL none nil", "UNLINK none nil", "GETDEL none",
		"HDEL none f", "SREM none m", "ZREM none m", "LREM none 0 x", "LREM none zero x",
		"LPOP none", "LPOP none 0", "LPOP none 3", "LPOP none -1", "LPOP none three", "LPOP none 1 2",
		"RPOP none", "RPOP none 3", "RPOP none 1 2", "LMPOP 2 none nil LEFT", "LMPOP 2 none nil LEFT COUNT 3", "LMPOP 2 none nil UP",
		"SPOP none", "SPOP none 0", "SPOP none 3", "SPOP none -1", "SPOP none 1 2",
		"ZPOPMIN none", "ZPOPMIN none 3", "ZPOPMIN none -1", "ZPOPMAX none", "ZPOPMAX none x", "ZPOPMIN none 1 2",
		"ZMPOP 2 none nil MIN", "ZMPOP 1 none MAX COUNT 2", "ZMPOP 1 none MOST",
		"RPOPLPUSH none nil", "LMOVE none nil LEFT RIGHT", "LMOVE none nil UP RIGHT",
	}
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	cl := &client{t: t, s: m.store}
	cl.do("SET other 1", "RPUSH others a b")
	tested := map[*command.Spec]bool{}
	for _, line := range lines {
		spec := m.store.cfg.Table.Resolve(args(line))
		tested[spec] = true
		got := get(m.store, 0, line)
		before := m.store.m.Keyspace().Stats()
		if want := cl.do(line); got != want || want == "" {
			t.Errorf("%s: %q without the log, %q with it", line, got, want)
		}
		if after := m.store.m.Keyspace().Stats(); after != before || cl.do("DBSIZE") != "2" {
			t.Errorf("%s has changed something", line)
		}
	}
	for _, spec := range m.store.cfg.Table.All() {
		if spec.Vain && !tested[spec] {
			t.Errorf("%s is not tried", spec.Name)
		}
	}
}

// TestNotVain: what may have something to do goes through the log.
func TestNotVain(t *testing.T) {
	c := newCluster(t, 1)
	m := c.start(1, 1, Config{}, nil)
	defer m.stop()
	cl := &client{t: t, s: m.store}
	cl.do("RPUSH list a", "SET string 1")
	for _, line := range []string{
		"LPOP list", "LPOP string", "DEL none list", "LMPOP 2 none list LEFT", "LMPOP x none LEFT", "RPOPLPUSH none list",
		"LPUSH none x", "SET none 1",
	} {
		if got := get(m.store, 0, line); got != "" {
			t.Errorf("%s was answered %q without the log", line, got)
		}
	}
	if got, want := cl.do("RPUSH queue a b", "LPOP queue", "LPOP queue", "LPOP queue"), `2 "a" "b" nil`; got != want {
		t.Errorf("a pipeline was answered %s, want %s", got, want)
	}
	if m.store.m.Keyspace().Events() != 0 {
		t.Fatal("events are told by default")
	}
	cl.run(func(b *Batch) {
		b.Write(0, m.store.cfg.Table.Internal(command.SetEvents), [][]byte{[]byte(command.SetEvents), []byte("KEm")})
	})
	if got := get(m.store, 0, "GETDEL none"); got != "" {
		t.Errorf("with keymiss told of, GETDEL was answered %q without the log", got)
	}
	if got := strings.TrimSpace(get(m.store, 0, "DEL none")); got != "0" {
		t.Errorf("DEL, which misses nothing, was answered %q", got)
	}
}

// TestVainDue: the end of a key whose deadline has passed is for the log to say.
func TestVainDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.start(1, 1, Config{}, nil)
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		cl := &client{t: t, s: m.store}
		cl.do("SET due 1 PX 100")
		c.Allow(0) // nobody deletes it
		eventually(t, "the key's time is over", func() bool { return get(m.store, 0, "EXISTS due") == "0" })
		for _, line := range []string{"DEL due", "GETDEL due", "LPOP due"} {
			if got := get(m.store, 0, line); got != "" {
				t.Errorf("%s was answered %q without the log", line, got)
			}
		}
		c.Allow(math.MaxInt)
	})
}

// TestVainUnsettled: while a write whose client was told that its outcome is unknown may
// yet come true, what would come to nothing goes through the log, which ends that.
func TestVainUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.start(1, 1, Config{ProposalTimeout: time.Second}, nil)
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		cl := &client{t: t, s: m.store}
		cl.do("SET other 1")
		c.Lose(true) // on its way, nobody knows where
		if got := cl.do("SET k v"); got != "-"+string(ErrUnknown) {
			t.Fatalf("a lost write was answered %q", got)
		}
		c.Lose(false)
		if got := get(m.store, 0, "DEL k"); got != "" {
			t.Errorf("DEL was answered %q without the log", got)
		}
		cl.do("DEL k")
		if got := get(m.store, 0, "DEL k"); got != "0" {
			t.Errorf("afterwards, DEL was answered %q without the log", got)
		}
	})
}

// TestVainBy: who runs a command that comes to nothing runs only that: what the reader is asked next
// is not read for its cache.
func TestVainBy(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	c := newCacher(s, 1, TrackingMode{})
	var reply recorder
	r := s.BeginRead()
	r.By(By{Tracker: &c.Tracker, Remember: true})
	for _, line := range []string{"DEL none", "GET k"} {
		if !r.Do(0, s.cfg.Table.Resolve(args(line)), args(line), &reply) {
			t.Errorf("%s is not answered", line)
		}
	}
	r.End()
	apply(t, s, "SET k 1")
	if got := c.take(); got != "" || reply.String() != "0 nil" {
		t.Errorf("a client that has read nothing is told %q, and the replies were %s", got, reply.String())
	}
}
