package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// testTable has a few commands that between them show everything that the store
// has to get right: writing, reading, time, chance, and failing.
func testTable(t testing.TB) *command.Table {
	t.Helper()
	spec := func(name string, arity int, read func(*command.Read), write func(*command.Write)) *command.Spec {
		return &command.Spec{Name: name, Arity: arity, Read: read, Write: write, Summary: "s", Since: "1", Group: "g"}
	}
	table, err := command.NewTable(command.Lists(), command.Streams(), command.PubSubs(), []*command.Spec{
		spec("set", -3, nil, func(w *command.Write) {
			var at int64
			if len(w.Args) == 5 && string(w.Args[3]) == "PX" {
				ms, err := strconv.ParseInt(string(w.Args[4]), 10, 64)
				if err != nil {
					w.Reply.Error(command.ErrNotInteger)
					return
				}
				at = w.Now + ms
			}
			w.DB.Set(w.Args[1], w.Args[2], at)
			w.Reply.Status("OK")
		}),
		spec("incr", 2, nil, func(w *command.Write) {
			old, _, err := w.DB.Get(w.Args[1])
			if err != nil {
				w.Reply.Error(err.Error())
				return
			}
			n, err := strconv.ParseInt("0"+string(old), 10, 64)
			if err != nil {
				w.Reply.Error(command.ErrNotInteger)
				return
			}
			w.DB.Set(w.Args[1], strconv.AppendInt(nil, n+1, 10), keyspace.KeepTTL)
			w.Reply.Int(n + 1)
		}),
		spec("append", 3, nil, func(w *command.Write) {
			n, err := w.DB.Append(w.Args[1], w.Args[2])
			if err != nil {
				w.Reply.Error(err.Error())
				return
			}
			w.Reply.Int(int64(n))
		}),
		spec("del", -2, nil, func(w *command.Write) {
			n := int64(0)
			for _, key := range w.Args[1:] {
				if w.DB.Delete(key) {
					n++
				}
			}
			w.Reply.Int(n)
		}),
		spec("chance", 2, nil, func(w *command.Write) {
			n := w.Rand.Uint64()
			w.DB.Set(w.Args[1], strconv.AppendUint(nil, n, 10), 0)
			w.Reply.Int(int64(n >> 1))
		}),
		spec("flushall", 1, nil, func(w *command.Write) {
			for i := range keyspace.Databases {
				db := w.Space.DB(i)
				db.Flush()
			}
			w.Reply.Status("OK")
		}),
		spec("boom", 1, nil, func(*command.Write) { panic("invariant") }),
		spec("get", 2, func(r *command.Read) {
			v, ok, err := r.DB.Get(r.Args[1])
			switch {
			case err != nil:
				r.Reply.Error(err.Error())
			case !ok:
				r.Reply.Null()
			default:
				r.Reply.Bulk(v)
			}
		}, nil),
		spec("dbsize", 1, func(r *command.Read) { r.Reply.Int(int64(r.DB.Len())) }, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func args(line string) [][]byte {
	var argv [][]byte
	for _, word := range strings.Fields(line) {
		argv = append(argv, []byte(word))
	}
	return argv
}

// recorder is a Reply that writes down what it gets, in one line.
type recorder struct {
	mu  sync.Mutex
	out []string
}

var _ command.Reply = (*recorder)(nil)

func (r *recorder) put(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, fmt.Sprintf(format, a...))
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.out, " ")
}

func (r *recorder) Status(s string)             { r.put("%s", s) }
func (r *recorder) Error(s string)              { r.put("-%s", s) }
func (r *recorder) Int(n int64)                 { r.put("%d", n) }
func (r *recorder) Bulk(b []byte)               { r.put("%q", b) }
func (r *recorder) BulkString(s string)         { r.put("%q", s) }
func (r *recorder) Null()                       { r.put("nil") }
func (r *recorder) NullArray()                  { r.put("nilarray") }
func (r *recorder) Array(n int)                 { r.put("*%d", n) }
func (r *recorder) Map(n int)                   { r.put("%%%d", n) }
func (r *recorder) Set(n int)                   { r.put("~%d", n) }
func (r *recorder) Push(n int)                  { r.put(">%d", n) }
func (r *recorder) Double(f float64)            { r.put("%g", f) }
func (r *recorder) Bool(b bool)                 { r.put("%t", b) }
func (r *recorder) Decimal(s string)            { r.put("%s", s) }
func (r *recorder) BigNumber(s string)          { r.put("%s", s) }
func (r *recorder) Verbatim(_ string, s string) { r.put("%q", s) }
func (r *recorder) RESP3() bool                 { return true }

// fakeLog is a log without raft: members send requests, it seals them with the
// leader's store and hands the entries to every member. With a plan of faults it
// loses, doubles, delays and reorders requests on their way, as a network does.
type fakeLog struct {
	t testing.TB

	mu      sync.Mutex
	entries []commit.Entry
	members map[uint64]*fakeNode
	leader  uint64 // 0: nobody takes requests in
	term    uint64
	rnd     *rand.Rand
	faulty  bool
	losing  bool     // whatever is sent is lost
	late    [][]byte // requests that will turn up later
	kept    []*commit.Proposal
}

func newFakeLog(t testing.TB, seed uint64) *fakeLog {
	return &fakeLog{t: t, members: make(map[uint64]*fakeNode), term: 1, leader: 1, rnd: rand.New(rand.NewPCG(seed, 1))}
}

// fakeNode is one member's Consensus.
type fakeNode struct {
	log         *fakeLog
	id          uint64
	incarnation uint64
	incoming    atomic.Pointer[commit.Transfer]
	store       *Store
	proposeC    chan *commit.Proposal
	confChangeC chan *commit.ConfChange
	commitC     chan *commit.Batch
	snapshotC   chan commit.Snapshotter
	stopC       chan struct{}
	wg          sync.WaitGroup
	sent        int // entries handed to the store, guarded by log.mu
	held        bool
	wakeC       chan struct{}
	snapshot    atomic.Pointer[savedSnapshot]
	readIndexes atomic.Int64
	failReads   atomic.Bool
	diskFull    atomic.Bool
}

type savedSnapshot struct {
	index, term uint64
	body        []byte
}

// Load is commit.Snapshotter.
func (n *fakeNode) Load() (*commit.Snapshot, error) {
	s := n.snapshot.Load()
	if s == nil {
		return nil, nil
	}
	return &commit.Snapshot{Index: s.index, Term: s.term, Body: io.NopCloser(bytes.NewReader(s.body))}, nil
}

// start adds a member, whose log is replayed from its snapshot on.
func (l *fakeLog) start(id, incarnation uint64, cfg Config, from *savedSnapshot) *fakeNode {
	n := &fakeNode{
		log: l, id: id, incarnation: incarnation,
		proposeC:    make(chan *commit.Proposal, 64),
		confChangeC: make(chan *commit.ConfChange),
		commitC:     make(chan *commit.Batch),
		snapshotC:   make(chan commit.Snapshotter, 1),
		stopC:       make(chan struct{}),
		wakeC:       make(chan struct{}, 1),
	}
	cfg.Member = id
	if cfg.Table == nil {
		cfg.Table = testTable(l.t)
	}
	n.store = New(cfg, n.proposeC, n.confChangeC)
	if from != nil {
		n.snapshot.Store(from)
		n.sent = int(from.index)
	}
	l.mu.Lock()
	l.members[id] = n
	l.mu.Unlock()
	n.wg.Add(2)
	go n.takeIn()
	go n.deliver()
	n.store.Start(n, n.commitC, n.snapshotC)
	n.snapshotC <- n
	return n
}

func (n *fakeNode) stop() {
	n.store.Close()
	n.log.mu.Lock()
	if n.log.members[n.id] == n {
		delete(n.log.members, n.id)
	}
	n.log.mu.Unlock()
	close(n.stopC)
	n.wg.Wait()
}

// takeIn is the way of requests from a member to the log.
func (n *fakeNode) takeIn() {
	defer n.wg.Done()
	for {
		var waiting []*commit.Proposal
		select {
		case <-n.stopC:
			return
		case p := <-n.proposeC:
			waiting = append(waiting, p)
		}
		for more := true; more; {
			select {
			case p := <-n.proposeC:
				waiting = append(waiting, p)
			default:
				more = false
			}
		}
		n.log.propose(waiting)
	}
}

func (l *fakeLog) propose(waiting []*commit.Proposal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting = append(l.kept, waiting...)
	l.kept = nil
	if l.leader == 0 {
		l.kept = waiting
		return
	}
	var requests [][]byte
	for _, p := range waiting {
		if ok, _ := p.Take(); !ok || l.losing {
			continue
		}
		if !l.faulty {
			requests = append(requests, p.Data)
			continue
		}
		switch l.rnd.IntN(6) {
		case 0: // lost
		case 1: // doubled
			requests = append(requests, p.Data, p.Data)
		case 2: // late
			l.late = append(l.late, p.Data)
		case 3: // now, and once more much later
			l.late = append(l.late, p.Data)
			requests = append(requests, p.Data)
		default:
			requests = append(requests, p.Data)
		}
	}
	if l.faulty {
		for len(l.late) > 0 && l.rnd.IntN(3) == 0 {
			i := l.rnd.IntN(len(l.late))
			requests = append(requests, l.late[i])
			if l.rnd.IntN(2) == 0 {
				l.late = append(l.late[:i], l.late[i+1:]...)
			}
		}
		l.rnd.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	}
	if len(requests) > 0 {
		l.append(l.members[l.leader].store.Seal(nil, requests))
	}
}

// append adds an entry. mu is held.
func (l *fakeLog) append(data []byte) {
	l.entries = append(l.entries, commit.Entry{Index: uint64(len(l.entries)) + 1, Term: l.term, Data: data})
	for _, n := range l.members {
		signal(n.wakeC)
	}
}

// elect makes id the leader, 0: nobody, and appends the empty entry of its term.
func (l *fakeLog) elect(id uint64) {
	l.mu.Lock()
	l.leader = id
	if id != 0 {
		l.term++
		l.append(nil)
	}
	l.mu.Unlock()
	if id != 0 {
		l.propose(nil) // what was kept
	}
}

// hold stops or resumes handing entries to the member's store.
func (n *fakeNode) hold(held bool) {
	n.log.mu.Lock()
	n.held = held
	n.log.mu.Unlock()
	signal(n.wakeC)
}

// deliver is the way of entries from the log to the member's store.
func (n *fakeNode) deliver() {
	defer n.wg.Done()
	for {
		n.log.mu.Lock()
		var batch []commit.Entry
		if !n.held {
			batch = append(batch, n.log.entries[n.sent:]...)
			n.sent = len(n.log.entries)
		}
		n.log.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-n.wakeC:
			case <-n.stopC:
				return
			}
			continue
		}
		if !n.commit(&commit.Batch{Entries: batch}) {
			return
		}
	}
}

func (n *fakeNode) commit(b *commit.Batch) bool {
	select {
	case n.commitC <- b:
		return true
	case <-n.stopC:
		return false
	}
}

// take takes a snapshot of the member's state as it is.
func (n *fakeNode) take(t testing.TB) *savedSnapshot {
	t.Helper()
	captureC := make(chan commit.Capture, 1)
	n.commit(&commit.Batch{CaptureC: captureC})
	c := <-captureC
	var body bytes.Buffer
	if err := c.Write(&body); err != nil {
		t.Fatal(err)
	}
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	var term uint64
	if c.Index > 0 {
		term = n.log.entries[c.Index-1].Term
	}
	return &savedSnapshot{c.Index, term, body.Bytes()}
}

func (n *fakeNode) ReadIndex(ctx context.Context) (uint64, error) {
	n.readIndexes.Add(1)
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	if n.log.leader == 0 || n.failReads.Load() {
		return 0, commit.ErrNoLeader
	}
	return uint64(len(n.log.entries)), nil
}

// Status says that all members are there, but for those that do not take entries.
func (n *fakeNode) Status() commit.Status {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	st := commit.Status{ID: n.id, Role: "follower", Progress: map[uint64]commit.Progress{}}
	for id, m := range n.log.members {
		st.Members = append(st.Members, commit.Member{ID: id})
		st.Progress[id] = commit.Progress{RecentActive: !m.held}
	}
	return st
}

func (n *fakeNode) Leader() (uint64, string) {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return n.log.leader, ""
}

func (n *fakeNode) IsLeader() bool {
	id, _ := n.Leader()
	return id == n.id
}

func (n *fakeNode) Transfer(context.Context, uint64) error { return nil }
func (n *fakeNode) Snapshot(context.Context) error         { return nil }
func (n *fakeNode) Incarnation() uint64                    { return n.incarnation }
func (n *fakeNode) RefusesWrites() bool                    { return n.diskFull.Load() }

func (n *fakeNode) Waiting() string { return "" }

func (n *fakeNode) Incoming() commit.Transfer {
	if t := n.incoming.Load(); t != nil {
		return *t
	}
	return commit.Transfer{}
}

// client is one connection's worth of Submit.
type client struct {
	t testing.TB
	s *Store
	b Batch
}

// run submits what build put together and returns the replies.
func (c *client) run(build func(*Batch)) string {
	c.t.Helper()
	c.b.Reset()
	build(&c.b)
	var reply recorder
	doneC := make(chan struct{})
	c.s.Submit(&c.b, &reply, func() { close(doneC) })
	select {
	case <-doneC:
	case <-time.After(time.Minute):
		c.t.Fatal("no outcome")
	}
	return reply.String()
}

// do runs a pipeline of commands of database 0.
func (c *client) do(lines ...string) string {
	c.t.Helper()
	return c.run(func(b *Batch) {
		for _, line := range lines {
			add(b, c.s, 0, line)
		}
	})
}

func add(b *Batch, s *Store, db int, line string) {
	argv := args(line)
	spec := s.cfg.Table.Resolve(argv)
	switch {
	case spec == nil:
		b.Local(func(r command.Reply) { r.Status(line) })
	case spec.IsWrite():
		b.Write(db, spec, argv)
	default:
		b.Read(db, spec, argv)
	}
}

// get reads locally.
func get(s *Store, db int, line string) string {
	argv := args(line)
	var reply recorder
	r := s.BeginRead()
	r.Do(db, s.cfg.Table.Resolve(argv), argv, &reply)
	r.End()
	return reply.String()
}

// eventually waits for a condition, with a deadline that only a broken program
// reaches.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// settle waits until all members have applied the whole log and checks that they
// agree.
func (l *fakeLog) settle() {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		last := uint64(l.last())
		digests := make(map[string]uint64)
		for _, n := range l.all() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if err := n.store.WaitApplied(ctx, last); err != nil {
				l.t.Fatalf("member %d: %v", n.id, err)
			}
			index, digest, err := n.store.Digest(ctx)
			cancel()
			if err != nil {
				l.t.Fatal(err)
			}
			if index == last {
				digests[digest] = n.id
			}
		}
		if uint64(l.last()) != last {
			continue // it went on meanwhile
		}
		if len(digests) != 1 {
			l.t.Fatalf("members differ: %v", digests)
		}
		return
	}
	l.t.Fatal("the log does not come to rest")
}

func (l *fakeLog) last() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *fakeLog) all() []*fakeNode {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ns []*fakeNode
	for _, n := range l.members {
		ns = append(ns, n)
	}
	return ns
}

func head(origin, incarnation, seq, floor uint64) machine.Head {
	return machine.Head{Origin: origin, Incarnation: incarnation, Seq: seq, Floor: floor}
}

// request encodes one as a node would.
func request(h machine.Head, build func(*Batch)) []byte {
	var b Batch
	build(&b)
	return bytes.Clone(b.request.Seal(h))
}

// offline returns a store whose apply loop is the test.
func offline(t testing.TB, cfg Config, incarnation uint64) *Store {
	if cfg.Table == nil {
		cfg.Table = testTable(t)
	}
	s := New(cfg, nil, nil)
	s.node.Store(&node{&fakeNode{log: &fakeLog{}}, incarnation})
	return s
}

func applyData(s *Store, data []byte) error {
	return s.apply(&commit.Batch{Entries: []commit.Entry{{Index: s.AppliedIndex() + 1, Term: 1, Data: data}}})
}
