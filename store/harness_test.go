package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

// testTable has all commands, and two that show what the store has to get right when
// it runs one and that no real one shows as well: chance, and a broken invariant.
func testTable(t testing.TB) *command.Table {
	t.Helper()
	spec := func(name string, arity int, write func(*command.Write)) *command.Spec {
		return &command.Spec{Name: name, Arity: arity, Write: write, Summary: "s", Since: "1", Group: "g"}
	}
	table, err := command.NewTable(command.Data(), []*command.Spec{
		spec("chance", 2, func(w *command.Write) {
			n := w.Rand.Uint64()
			w.DB.Set(w.Args[1], strconv.AppendUint(nil, n, 10), 0)
			w.Reply.Int(int64(n >> 1))
		}),
		spec("boom", 1, func(*command.Write) { panic("invariant") }),
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

// cluster is stores over one log in memory.
type cluster struct {
	*committest.Log
	t       testing.TB
	members []*member
}

func newCluster(t testing.TB, seed uint64) *cluster { return &cluster{Log: committest.New(seed), t: t} }

// member is one node of it.
type member struct {
	*committest.Member
	store *Store
}

// start adds a member, whose log is replayed from its snapshot on.
func (c *cluster) start(id, incarnation uint64, cfg Config, from *committest.Snapshot) *member {
	m := &member{Member: c.Join(id, incarnation, from)}
	cfg.Member = id
	if cfg.Table == nil {
		cfg.Table = testTable(c.t)
	}
	m.store = New(cfg, m.ProposeC)
	m.Run(m.store.Seal)
	m.store.Start(m, m.CommitC, m.SnapshotterReady)
	c.members = append(slices.DeleteFunc(c.members, func(o *member) bool { return o.ID() == id }), m)
	return m
}

func (m *member) stop() {
	m.store.Close()
	m.Stop()
}

// take takes a snapshot of the member's state as it is.
func (m *member) take(t testing.TB) *committest.Snapshot {
	t.Helper()
	s, err := m.Save()
	if err != nil {
		t.Fatal(err)
	}
	return s
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
func (c *cluster) settle() {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		last := c.Last()
		digests := make(map[string]uint64)
		for _, m := range c.all() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if err := m.store.WaitApplied(ctx, last); err != nil {
				c.t.Fatalf("member %d: %v", m.ID(), err)
			}
			index, digest, err := m.store.Digest(ctx)
			cancel()
			if err != nil {
				c.t.Fatal(err)
			}
			if index == last {
				digests[digest] = m.ID()
			}
		}
		if c.Last() != last {
			continue // it went on meanwhile
		}
		if len(digests) != 1 {
			c.t.Fatalf("members differ: %v", digests)
		}
		return
	}
	c.t.Fatal("the log does not come to rest")
}

// all returns the members that run.
func (c *cluster) all() (all []*member) {
	for _, in := range c.Members() {
		for _, m := range c.members {
			if m.Member == in {
				all = append(all, m)
			}
		}
	}
	return all
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
	s := New(cfg, nil)
	s.node.Store(&node{committest.New(1).Join(cfg.Member, incarnation, nil), incarnation})
	return s
}

func applyData(s *Store, data []byte) error {
	return s.apply(&commit.Batch{Entries: []commit.Entry{{Index: s.AppliedIndex() + 1, Term: 1, Data: data}}})
}
