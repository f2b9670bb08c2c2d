package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// body returns a snapshot's body and the store that it is of.
func body(t testing.TB) (*Store, []byte) {
	s := offline(t, Config{Member: 9}, 1)
	for seq, line := range []string{"set k v PX 100", "incr n", "set k v PX 9000", "append k x"} {
		r := request(head(2, 1, uint64(seq+1), 1), func(b *Batch) { add(b, s, 3, line) })
		if err := applyData(s, machine.Seal(nil, 5000, 1, [][]byte{r})); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.capture().Write(&b); err != nil {
		t.Fatal(err)
	}
	return s, b.Bytes()
}

func loadBody(s *Store, index uint64, b []byte) error {
	from := committest.New(1).Join(s.cfg.Member, 1, &committest.Snapshot{Index: index, Term: 1, Body: b})
	return s.load(from)
}

func TestSnapshotRoundTrip(t *testing.T) {
	s, b := body(t)
	fresh := offline(t, Config{Member: 9}, 1)
	watchIn := func(key string) []Watched {
		r := fresh.BeginRead()
		defer r.End()
		return []Watched{r.Watch(3, []byte(key))}
	}
	made, absent := watchIn("k"), watchIn("nosuch")
	if err := loadBody(fresh, 4, b); err != nil {
		t.Fatal(err)
	}
	r := fresh.BeginRead()
	if r.Unchanged(made) || !r.Unchanged(absent) {
		t.Error("what is watched was not compared with the snapshot")
	}
	r.End()
	if fresh.AppliedIndex() != 4 || fresh.m.Now() != 5000 || fresh.expiry.next.Load() != s.expiry.next.Load() {
		t.Errorf("index %d, clock %d", fresh.AppliedIndex(), fresh.m.Now())
	}
	if fresh.capture().Digest() != s.capture().Digest() {
		t.Error("another digest")
	}
	if ks, last := fresh.m.Keyspace(), keyspace.Mark(2*s.m.Keyspace().Revision()+1); !ks.Unchanged(3, []byte("k"), last, int64(fresh.m.Now())) || ks.Unchanged(3, []byte("k"), 1, int64(fresh.m.Now())) {
		t.Error("WATCH would see another version")
	}
	if fresh.Now() < 5000 {
		t.Errorf("the clock is at %d", fresh.Now())
	}
	// The same snapshot again, or an older one, changes nothing.
	if err := applyData(fresh, machine.Seal(nil, 6000, 1, [][]byte{request(head(4, 1, 1, 1), func(b *Batch) { b.Write(3, nil, args("del k")) })})); err != nil {
		t.Fatal(err)
	}
	if err := loadBody(fresh, 4, b); err != nil || fresh.AppliedIndex() != 5 {
		t.Errorf("went back to %d: %v", fresh.AppliedIndex(), err)
	}
}

// A damaged body is an error, and the state stays as it was.
func TestDamagedSnapshot(t *testing.T) {
	_, b := body(t)
	s := offline(t, Config{Member: 9}, 1)
	if err := applyData(s, machine.Seal(nil, 1, 1, [][]byte{request(head(1, 1, 1, 1), func(b *Batch) { add(b, s, 0, "incr n") })})); err != nil {
		t.Fatal(err)
	}
	before := s.capture().Digest()
	for what, x := range map[string]struct {
		index uint64
		body  []byte
	}{
		"cut":                                  {4, b[:len(b)-1]},
		"the body of another index":            {5, b},
		"something that is no body":            {4, []byte("whatever")},
		"a body with something behind its end": {4, append(bytes.Clone(b), 0)},
	} {
		if err := loadBody(s, x.index, x.body); !errors.Is(err, machine.ErrSnapshot) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s.capture().Digest() != before || s.AppliedIndex() != 1 {
		t.Error("the state changed")
	}
}

func TestSnapshotFailures(t *testing.T) {
	s, b := body(t)
	// The disk is full after n bytes.
	for _, n := range []int{0, 8, 30, len(b) - 1} {
		err := s.writer(s.capture())(&limited{n: n})
		if !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if s.LastSnapshot() != 0 {
		t.Error("a snapshot that failed counts")
	}
	if err := s.writer(s.capture())(io.Discard); err != nil || s.LastSnapshot() == 0 {
		t.Error("one that succeeded does not")
	}
	// The log knows a later run of this member: its data directory is older.
	old := offline(t, Config{Member: 2}, 0)
	if err := loadBody(old, 4, b); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Error(err)
	}
}

type limited struct{ n int }

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.n {
		return l.n, io.ErrShortWrite
	}
	l.n -= len(b)
	return len(b), nil
}

// A member that falls behind gets a snapshot in place of entries. Its own
// requests among those were applied, but nobody can tell with what reply.
func TestSnapshotInsteadOfEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		m := log.start(2, 1, Config{}, nil)
		defer n.stop()
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		c := client{t: t, s: m.store}
		c.do("incr n")

		m.Hold(true)
		appliedC, openC := make(chan string), make(chan string)
		go func() { c := client{t: t, s: m.store}; appliedC <- c.do("incr n", "ping") }()
		synctest.Wait()
		log.Elect(0) // what follows is not in the log before the snapshot is taken
		go func() { c := client{t: t, s: m.store}; openC <- c.do("incr n", "get n") }()
		synctest.Wait()
		snapshot := n.take(t)
		if !m.Install(snapshot) {
			t.Fatal("stopped")
		}
		synctest.Wait()
		if got := get(m.store, 0, "get n"); got != `"2"` {
			t.Errorf("after loading: %s", got)
		}
		m.Hold(false)
		log.Elect(1)
		if got := <-appliedC; got != "-"+string(ErrUnknown)+" ping" {
			t.Errorf("applied with a reply that is lost: %s", got)
		}
		if got := <-openC; got != `3 "3"` {
			t.Errorf("not applied when the snapshot was taken: %s", got)
		}
		log.settle()
	})
}

// A restart: the snapshot, then the log behind it, some of which may be in the
// snapshot already.
func TestRestart(t *testing.T) {
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	c := client{t: t, s: n.store}
	for range 10 {
		c.do("incr n")
	}
	snapshot := n.take(t)
	for range 10 {
		c.do("incr n")
	}
	n.stop()
	n = log.start(1, 2, Config{}, snapshot)
	defer n.stop()
	c.s = n.store
	if got := c.do("incr n"); got != "21" {
		t.Errorf("after a restart: %s", got)
	}
	log.settle() // the node's greeting may be in the log and not yet applied
	if got := n.store.AppliedIndex(); got != log.Last() || !n.store.readiness.loaded.Load() {
		t.Errorf("applied %d, the log ends at %d", got, log.Last())
	}
}

// Taking a picture keeps writers out for a moment only, however many keys there
// are. The time is reported, not judged: the machine may be busy.
func TestCaptureIsQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a big keyspace")
	}
	s := offline(t, Config{Member: 9}, 1)
	const keys = 200_000
	for i := 0; i < keys; {
		r := request(head(1, 1, uint64(i+1), uint64(i+1)), func(b *Batch) {
			for range 1000 {
				b.Write(0, nil, args(fmt.Sprintf("set key:%d v", i)))
				i++
			}
		})
		if err := applyData(s, machine.Seal(nil, 1, 1, [][]byte{r})); err != nil {
			t.Fatal(err)
		}
	}
	started := time.Now()
	c := s.capture()
	t.Logf("capture of %d keys took %v", keys, time.Since(started))
	allocs := testing.AllocsPerRun(1, func() { c = s.capture() })
	if allocs > 100 {
		t.Errorf("%v allocations: it grows with the data", allocs)
	}
	started = time.Now()
	digest := c.Digest()
	t.Logf("digest %s took %v", digest, time.Since(started))
}
