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

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/keyspace"
)

// body returns a snapshot's body with a bit of everything.
func body(t testing.TB) (*Store, []byte) {
	s := offline(t, Config{Member: 9}, 1)
	for _, data := range sampleEntries() {
		if err := applyData(s, data); err != nil {
			t.Fatal(err)
		}
	}
	big := request(requestHead{4, 1, 9, 2}, func(b *Batch) {
		b.Write(3, nil, args("set big "+strings.Repeat("x", 2*maxBlock+17)))
		b.Write(3, nil, [][]byte{[]byte("set"), {0, 0xff, '\r', '\n'}, {0xfe, 0, 0x80}, []byte("PX"), []byte("100000")})
	})
	if err := applyData(s, sealEntry(nil, 5000, 1, [][]byte{big})); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeSnapshot(&b, s.capture()); err != nil {
		t.Fatal(err)
	}
	return s, b.Bytes()
}

func loadBody(s *Store, index uint64, b []byte) error {
	from := &fakeNode{}
	from.snapshot.Store(&savedSnapshot{index, 1, b})
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
	made, absent := watchIn("big"), watchIn("nosuch")
	if err := loadBody(fresh, 4, b); err != nil {
		t.Fatal(err)
	}
	r := fresh.BeginRead()
	if r.Unchanged(made) || !r.Unchanged(absent) {
		t.Error("what is watched was not compared with the snapshot")
	}
	r.End()
	if fresh.AppliedIndex() != 4 || fresh.now != 5000 || fresh.revision != s.revision || fresh.nextDeadline.Load() != s.nextDeadline.Load() {
		t.Errorf("index %d, clock %d", fresh.AppliedIndex(), fresh.now)
	}
	if fresh.capture().digest() != s.capture().digest() {
		t.Error("another digest")
	}
	if last := keyspace.Mark(2*s.revision + 1); !fresh.ks.Unchanged(3, []byte("big"), last, fresh.now) || fresh.ks.Unchanged(3, []byte("big"), 1, fresh.now) {
		t.Error("WATCH would see another version")
	}
	if fresh.Now() < 5000 {
		t.Errorf("the clock is at %d", fresh.Now())
	}
	// The same snapshot again, or an older one, changes nothing.
	if err := applyData(fresh, sealEntry(nil, 6000, 1, [][]byte{request(requestHead{4, 1, 10, 2}, func(b *Batch) { b.Write(3, nil, args("del big")) })})); err != nil {
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
	if err := applyData(s, sampleEntries()[0]); err != nil {
		t.Fatal(err)
	}
	before := s.capture().digest()
	check := func(what string, b []byte) {
		t.Helper()
		if err := loadBody(s, 4, b); !errors.Is(err, errSnapshot) {
			t.Errorf("%s: %v", what, err)
		}
	}
	places := []int{0, 5, 7, 8, 9, 11, 12, 19, 20, 21, 60, len(b) / 2, len(b) - 13, len(b) - 12, len(b) - 1}
	for _, i := range places {
		flipped := bytes.Clone(b)
		flipped[i] ^= 0x10
		check(fmt.Sprintf("bit flipped at %d", i), flipped)
		check(fmt.Sprintf("cut at %d", i), b[:i])
	}
	check("something behind the end", append(bytes.Clone(b), 0))
	check("a body of another snapshot's index", b[:0])
	first, second := b[8:8+blockHead+maxBlock], b[8+blockHead+maxBlock:8+2*(blockHead+maxBlock)]
	if len(b) < 8+2*(blockHead+maxBlock) || len(first) != len(second) {
		t.Fatal("the test wants two full blocks")
	}
	swapped := append([]byte(snapshotMagic), second...)
	swapped = append(swapped, first...)
	check("blocks swapped", append(swapped, b[8+2*(blockHead+maxBlock):]...))
	check("a block missing", append([]byte(snapshotMagic), b[8+blockHead+maxBlock:]...))
	if err := loadBody(s, 5, b); !errors.Is(err, errSnapshot) {
		t.Errorf("raft says 5 and the body 4: %v", err)
	}
	if s.capture().digest() != before || s.AppliedIndex() != 1 {
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
		log := newFakeLog(t, 1)
		n := log.start(1, 1, Config{}, nil)
		m := log.start(2, 1, Config{}, nil)
		defer n.stop()
		defer m.stop()
		eventually(t, "ready", m.store.Ready)
		c := client{t: t, s: m.store}
		c.do("incr n")

		m.hold(true)
		appliedC, openC := make(chan string), make(chan string)
		go func() { c := client{t: t, s: m.store}; appliedC <- c.do("incr n", "ping") }()
		synctest.Wait()
		log.elect(0) // what follows is not in the log before the snapshot is taken
		go func() { c := client{t: t, s: m.store}; openC <- c.do("incr n", "get n") }()
		synctest.Wait()
		woken := 0
		defer m.store.Notify(0, [][]byte{[]byte("whatever")}, func() { woken++ })()
		m.snapshot.Store(n.take(t))
		log.mu.Lock()
		m.sent = len(log.entries)
		log.mu.Unlock()
		if !m.commit(nil) {
			t.Fatal("stopped")
		}
		synctest.Wait()
		if got := get(m.store, 0, "get n"); got != `"2"` {
			t.Errorf("after loading: %s", got)
		}
		if woken != 1 {
			t.Errorf("woken %d times by a state that is new as a whole", woken)
		}
		m.hold(false)
		log.elect(1)
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
	log := newFakeLog(t, 1)
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
	if st := n.store.Status(); st.Applied != uint64(log.last()) || !n.store.readiness.loaded.Load() {
		t.Errorf("%+v, the log ends at %d", st, log.last())
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
		r := request(requestHead{1, 1, uint64(i + 1), uint64(i + 1)}, func(b *Batch) {
			for range 1000 {
				b.Write(0, nil, args(fmt.Sprintf("set key:%d v", i)))
				i++
			}
		})
		if err := applyData(s, sealEntry(nil, 1, 1, [][]byte{r})); err != nil {
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
	digest := c.digest()
	t.Logf("digest %s took %v", digest, time.Since(started))
}

func FuzzSnapshot(f *testing.F) {
	_, b := body(f)
	f.Add(b[:100])
	small := offline(f, Config{Member: 9}, 1)
	for _, data := range sampleEntries() {
		if err := applyData(small, data); err != nil {
			f.Fatal(err)
		}
	}
	var whole bytes.Buffer
	if err := writeSnapshot(&whole, small.capture()); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[8+blockHead : whole.Len()-blockHead]) // the contents without blocks
	f.Fuzz(func(t *testing.T, b []byte) {
		// As a body: hardly anything gets past the checksums.
		if _, _, err := readSnapshot(bytes.NewReader(b)); err != nil && !errors.Is(err, errSnapshot) {
			t.Fatal(err)
		}
		// As contents that passed them.
		index, st, err := decodeState(bytes.NewReader(b), false)
		if err != nil {
			return
		}
		s := offline(t, Config{Member: 9, Table: small.cfg.Table}, 1)
		s.state = st
		s.applied.Store(index)
		c := s.capture()
		var again bytes.Buffer
		if err := writeSnapshot(&again, c); err != nil {
			t.Fatal(err)
		}
		_, st2, err := readSnapshot(&again)
		if err != nil {
			t.Fatalf("what was read and written again cannot be read: %v", err)
		}
		s.state = st2
		if s.capture().digest() != c.digest() {
			t.Fatal("what was read and written again differs")
		}
	})
}

var _ commit.Snapshotter = (*fakeNode)(nil)
