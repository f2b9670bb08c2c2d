package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

// A handler that panics has broken an invariant: the node says so and ends, and
// whoever waits gets no reply that might be a lie.
func TestPanicStopsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		eventually(t, "ready", n.store.Ready)
		var reply recorder
		var b Batch
		add(&b, n.store, 0, "incr n")
		add(&b, n.store, 0, "boom")
		n.store.Submit(&b, &reply, func() { t.Error("was told that it is done") })
		err := <-n.store.ErrorC()
		if err == nil || !strings.Contains(err.Error(), "invariant") || !strings.Contains(err.Error(), "entry 2") || !strings.Contains(err.Error(), "harness_test.go") {
			t.Errorf("%v", err)
		}
		if n.store.AppliedIndex() != 1 {
			t.Errorf("the entry counts as applied")
		}
		c := client{t: t, s: n.store}
		if got := c.do("incr n"); got != "-"+string(ErrStopped) {
			t.Errorf("afterwards: %s", got)
		}
		n.stop()
	})
}

// The signals of a batch come in their order: applied, answered, captured, done.
func TestBatchIsSignalled(t *testing.T) {
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	defer n.stop()
	eventually(t, "ready", n.store.Ready)
	c := client{t: t, s: n.store}
	c.do("incr n")
	n.Hold(true)
	captureC := make(chan commit.Capture, 1)
	doneC := make(chan struct{})
	index := n.store.AppliedIndex()
	n.Commit(&commit.Batch{
		Entries:  []commit.Entry{{Index: index + 1, Term: 1, Data: machine.Seal(nil, 1, 1, [][]byte{request(head(5, 1, 1, 1), func(b *Batch) { b.Write(0, nil, args("incr n")) })})}},
		CaptureC: captureC, ApplyDoneC: doneC,
	})
	<-doneC
	if got := get(n.store, 0, "get n"); got != `"2"` {
		t.Errorf("done before it was applied: %s", got)
	}
	if capture := <-captureC; capture.Index != index+1 {
		t.Errorf("captured at %d, want %d", capture.Index, index+1)
	}
}

// A long batch lets readers in between two commands, and never between two
// commands of one transaction.
func TestReadersAreLetIn(t *testing.T) {
	slow := make(chan struct{})
	spec := func(name string, read func(*command.Read), write func(*command.Write)) *command.Spec {
		return &command.Spec{Name: name, Arity: 1, Read: read, Write: write, Summary: "s", Since: "1", Group: "g"}
	}
	count := 0
	table, err := command.NewTable([]*command.Spec{
		spec("step", nil, func(w *command.Write) {
			count++
			<-slow // as long as a long command takes
		}),
		spec("count", func(r *command.Read) { r.Reply.Int(int64(count)) }, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	feed := func(stop chan struct{}) {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				select {
				case slow <- struct{}{}:
				case <-stop:
					return
				}
			case <-stop:
				return
			}
		}
	}
	run := func(build func(*Batch)) map[string]bool {
		s := offline(t, Config{Table: table, Member: 9}, 1)
		count = 0
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { feed(stop) })
		seen := make(map[string]bool)
		done := make(chan struct{})
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					seen[get(s, 0, "count")] = true
				}
			}
		})
		if err := applyData(s, machine.Seal(nil, 1, 1, [][]byte{request(head(1, 1, 1, 1), build)})); err != nil {
			t.Error(err)
		}
		close(done)
		close(stop)
		wg.Wait()
		return seen
	}
	const n = 8 * holdWork
	step := table.Lookup([]byte("step"))
	seen := run(func(b *Batch) {
		for range n {
			b.Write(0, step, args("step"))
		}
	})
	delete(seen, "0")
	delete(seen, fmt.Sprint(n))
	if len(seen) == 0 {
		t.Error("no reader was let in")
	}
	seen = run(func(b *Batch) {
		var qs []Queued
		for range n {
			qs = append(qs, Queued{Spec: step, Argv: args("step")})
		}
		b.Exec(nil, qs)
	})
	for got := range seen {
		if got != "0" && got != fmt.Sprint(n) {
			t.Errorf("a reader saw the middle of a transaction: %s", got)
		}
	}
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{ErrBusy, string(ErrBusy)},
		{fmt.Errorf("it: %w", ErrUnknown), string(ErrUnknown)},
		{fmt.Errorf("change membership: %w", commit.ErrUnknown), "UNKNOWN change membership: outcome unknown"},
		{fmt.Errorf("change membership: %w: %w", commit.ErrNotTaken, context.DeadlineExceeded), string(ErrNotTaken)},
		{fmt.Errorf("it: %w", commit.ErrNoLeader), string(ErrNoLeader)},
		{commit.ErrStopped, string(ErrStopped)},
		{context.DeadlineExceeded, "ERR it took too long"},
		{errors.New("it would lose quorum"), "ERR it would lose quorum"},
	} {
		if got := Line(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestKeyspaces(t *testing.T) {
	s := offline(t, Config{Member: 9, Now: func() time.Time { return time.UnixMilli(1000) }}, 1)
	r := request(head(1, 1, 1, 1), func(b *Batch) {
		for _, line := range []string{"set a v PX 1000", "set b v PX 3000", "set c v"} {
			b.Write(2, nil, args(line))
		}
		b.Write(5, nil, args("set a v"))
	})
	if err := applyData(s, machine.Seal(nil, 1000, 1, [][]byte{r})); err != nil {
		t.Fatal(err)
	}
	got := s.Keyspaces()
	if len(got) != 2 || got[0] != (DBInfo{2, 3, 2, 2000, 3*32 + 2*24, 2 * 24}) || got[1] != (DBInfo{5, 1, 0, 0, 32, 0}) {
		t.Errorf("%+v", got)
	}
}

// nobody is a Reply for measuring.
type nobody struct{ command.Discard }

// What a write and a read cost in allocations, beside what they store.
func TestAllocations(t *testing.T) {
	proposeC := make(chan *commit.Proposal, 1)
	s := New(Config{Table: testTable(t), Member: 1}, proposeC)
	s.outbox.node = &node{committest.New(1).Join(1, 1, nil), 1}
	s.node.Store(s.outbox.node)
	s.outbox.retrying = true // no retry loop here
	incr, getSpec := s.cfg.Table.Lookup([]byte("lpop")), s.cfg.Table.Lookup([]byte("get"))
	argv, getArgv := args("lpop nosuch"), args("get nosuch")
	var b Batch
	reply := &nobody{}
	finished := 0
	done := func() { finished++ }
	requests := make([][]byte, 1)
	entries := make([]commit.Entry, 1)
	batch := &commit.Batch{Entries: entries}
	write := func() {
		b.Reset()
		b.Write(0, incr, argv)
		b.Read(0, getSpec, getArgv)
		s.Submit(&b, reply, done)
		p := <-proposeC
		p.Take()
		requests[0] = p.Data
		entries[0] = commit.Entry{Index: s.AppliedIndex() + 1, Term: 1, Data: s.Seal(nil, requests)}
		if err := s.apply(batch); err != nil {
			t.Fatal(err)
		}
	}
	write()
	// The entry itself is one; the proposals and their data are allocated many at
	// a time.
	if got := testing.AllocsPerRun(1000, write); got > 1 {
		t.Errorf("a write and a read behind it allocate %v times", got)
	}
	if finished != 1002 {
		t.Errorf("%d finished", finished)
	}
	if got := testing.AllocsPerRun(1000, func() {
		r := s.BeginRead()
		r.Do(0, getSpec, getArgv, reply)
		r.Do(0, getSpec, getArgv, reply)
		r.End()
	}); got != 0 {
		t.Errorf("a read allocates %v times", got)
	}
	if got := testing.AllocsPerRun(1000, func() { s.Now() }); got != 0 {
		t.Errorf("asking for the time allocates %v times", got)
	}
}

// The whole way of a write but for raft.
func BenchmarkWrite(b *testing.B) {
	for _, group := range []int{1, 50} {
		b.Run(map[int]string{1: "alone", 50: "grouped"}[group], func(b *testing.B) {
			proposeC := make(chan *commit.Proposal, group)
			s := New(Config{Table: testTable(b), Member: 1}, proposeC)
			s.outbox.node = &node{committest.New(1).Join(1, 1, nil), 1}
			s.node.Store(s.outbox.node)
			s.outbox.retrying = true
			set, argv := s.cfg.Table.Lookup([]byte("set")), args("set key:000000000001 "+strings.Repeat("x", 64))
			batches := make([]Batch, group)
			var requests [][]byte
			b.ReportAllocs()
			for n := 0; n < b.N; n += group {
				requests = requests[:0]
				for i := range batches {
					batches[i].Reset()
					batches[i].Write(0, set, argv)
					s.Submit(&batches[i], command.Discard{}, func() {})
					p := <-proposeC
					p.Take()
					requests = append(requests, p.Data)
				}
				err := s.apply(&commit.Batch{Entries: []commit.Entry{{Index: s.AppliedIndex() + 1, Term: 1, Data: s.Seal(nil, requests)}}})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	s := offline(b, Config{Member: 9}, 1)
	spec, argv := s.cfg.Table.Lookup([]byte("get")), args("get nosuch")
	reply := &nobody{}
	b.ReportAllocs()
	for b.Loop() {
		r := s.BeginRead()
		r.Do(0, spec, argv, reply)
		r.End()
	}
}

func TestGapInTheLogStopsTheNode(t *testing.T) {
	s := offline(t, Config{Member: 7}, 1)
	if err := s.apply(&commit.Batch{Entries: []commit.Entry{{Index: 2, Term: 1}}}); err == nil {
		t.Error("an entry was missing and nobody noticed")
	}
}

// A read behind a write of the same pipeline keeps nobody from reading, unless it is
// part of a transaction; and it sees what is between its neighbours.
func TestReadsBehindWritesLetReadersIn(t *testing.T) {
	inC, outC := make(chan struct{}), make(chan struct{})
	count := 0
	table, err := command.NewTable([]*command.Spec{
		{Name: "step", Arity: 1, Write: func(w *command.Write) { count++; w.Reply.Int(int64(count)) }, Summary: "s", Since: "1", Group: "g"},
		{Name: "count", Arity: 1, Flags: command.Fast, Read: func(r *command.Read) { r.Reply.Int(int64(count)) }, Summary: "s", Since: "1", Group: "g"},
		{Name: "scan", Arity: 1, Read: func(r *command.Read) {
			inC <- struct{}{}
			<-outC // as long as a walk over all keys takes
			r.Reply.Int(int64(count))
		}, Summary: "s", Since: "1", Group: "g"},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{Table: table}, nil)
	defer n.stop()
	eventually(t, "ready", n.store.Ready)
	var reply recorder
	var b Batch
	for _, cmd := range []string{"step", "scan", "step", "count", "step", "scan"} {
		add(&b, n.store, 0, cmd)
	}
	doneC := make(chan struct{})
	n.store.Submit(&b, &reply, func() { close(doneC) })
	for _, want := range []string{"1", "3"} {
		<-inC
		if got := get(n.store, 0, "count"); got != want {
			t.Errorf("while it reads, others find %s, want %s", got, want)
		}
		outC <- struct{}{}
	}
	<-doneC
	if got := reply.String(); got != "1 1 2 2 3 3" {
		t.Errorf("replies %s", got)
	}
}

// An entry of raft's own, with which every log begins, says nothing about the time.
func TestEntryWithoutRequestsIsNoClock(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	s := offline(t, Config{Member: 1, Now: func() time.Time { return wall }}, 1)
	if err := applyData(s, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.Now(); got != wall.UnixMilli() {
		t.Errorf("it is %d, want %d", got, wall.UnixMilli())
	}
}
