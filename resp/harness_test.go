package resp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// loopback is a cluster of one without raft: what is proposed is sealed and
// committed at once, unless held.
type loopback struct {
	table    *command.Table
	store    *store.Store
	proposeC chan *commit.Proposal
	commitC  chan *commit.Batch
	index    uint64
	leader   atomic.Uint64
	failRead atomic.Bool
	diskFull atomic.Bool
	reads    atomic.Int64

	mu      sync.Mutex
	cond    *sync.Cond
	allowed int
	done    chan struct{}
}

func (l *loopback) Load() (*commit.Snapshot, error) { return nil, nil }

func (l *loopback) ReadIndex(context.Context) (uint64, error) {
	l.reads.Add(1)
	if l.failRead.Load() || l.leader.Load() == 0 {
		return 0, commit.ErrNoLeader
	}
	return l.store.AppliedIndex(), nil
}

func (l *loopback) Status() commit.Status {
	return commit.Status{
		ID: 1, ClusterID: 0xabc, Term: 1, Leader: l.leader.Load(), Role: "leader", Commit: l.index,
		FirstIndex: 1, LastIndex: l.index,
		Members:  []commit.Member{{ID: 1, PeerURL: "http://127.0.0.1:9021", ClientAddr: "127.0.0.1:6379"}},
		Progress: map[uint64]commit.Progress{1: {Match: l.index, Next: l.index + 1, State: "replicate", RecentActive: true}},
	}
}
func (l *loopback) Leader() (uint64, string) { return l.leader.Load(), "127.0.0.1:6379" }
func (l *loopback) IsLeader() bool           { return l.leader.Load() == 1 }
func (l *loopback) Transfer(context.Context, uint64) error {
	return errors.New("there is nobody to take over")
}
func (l *loopback) Snapshot(context.Context) error { return nil }
func (l *loopback) Incarnation() uint64            { return 1 }
func (l *loopback) Waiting() string                { return "" }
func (l *loopback) Incoming() commit.Transfer      { return commit.Transfer{} }
func (l *loopback) RefusesWrites() bool            { return l.diskFull.Load() }

// hold keeps proposals from being committed until it is called with false.
func (l *loopback) hold(held bool) {
	if held {
		l.allow(0)
	} else {
		l.allow(math.MaxInt)
	}
}

// allow lets so many more proposals be committed.
func (l *loopback) allow(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allowed = n
	l.cond.Broadcast()
}

func (l *loopback) run() {
	defer close(l.done)
	for p := range l.proposeC {
		l.mu.Lock()
		for l.allowed == 0 {
			l.cond.Wait()
		}
		l.allowed--
		l.mu.Unlock()
		if l.leader.Load() == 0 {
			continue // the store sends it again
		}
		if ok, _ := p.Take(); !ok {
			continue
		}
		l.index++
		entry := commit.Entry{Index: l.index, Term: 1, Data: l.store.Seal(nil, [][]byte{p.Data})}
		l.commitC <- &commit.Batch{Entries: []commit.Entry{entry}, ApplyDoneC: make(chan struct{})}
	}
}

func testTable(t testing.TB) *command.Table {
	t.Helper()
	data := command.Data()
	if !slices.ContainsFunc(data, func(s *command.Spec) bool { return s.Name == "bzpopmin" }) {
		data = append(data, command.SortedSets()...)
	}
	table, err := command.NewTable(data, Commands())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// newLoopback returns a running store.
func newLoopback(t testing.TB) *loopback {
	t.Helper()
	l := &loopback{proposeC: make(chan *commit.Proposal, 64), commitC: make(chan *commit.Batch), done: make(chan struct{}), allowed: math.MaxInt}
	l.cond = sync.NewCond(&l.mu)
	l.leader.Store(1)
	l.table = testTable(t)
	l.store = store.New(store.Config{Table: l.table, Member: 1, ProposalTimeout: 2 * time.Second}, l.proposeC, nil)
	snapshotterReady := make(chan commit.Snapshotter, 1)
	snapshotterReady <- l
	go l.run()
	l.store.Start(l, l.commitC, snapshotterReady)
	t.Cleanup(func() {
		l.hold(false)
		l.store.Close()
		close(l.proposeC)
		for {
			select {
			case <-l.done:
				return
			case <-l.commitC:
			}
		}
	})
	eventually(t, "the store is ready", l.store.Ready)
	return l
}

// newServer returns a server on a free port of the loopback interface.
func newServer(t testing.TB, change func(*Options)) (*Server, *loopback) {
	t.Helper()
	l := newLoopback(t)
	opts := Options{Config: DefaultConfig(), Store: l.store, Table: l.table, Version: "test", RunID: "0123456789012345678901234567890123456789"}
	if tt, ok := t.(*testing.T); ok {
		opts.Logger = zaptest.NewLogger(tt)
	}
	opts.Config.Bind, opts.Config.Port = []string{"127.0.0.1"}, freePort(t)
	opts.Config.DebugCommand = "yes"
	if change != nil {
		change(&opts)
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s, l
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// client is a bare socket.
type client struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &client{t: t, Conn: nc}
}

func (c *client) send(s string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(60 * time.Second))
	if _, err := c.Write([]byte(s)); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads exactly want.
func (c *client) expect(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		c.t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

// expectEOF reads to the end, which has to come.
func (c *client) expectEOF() []byte {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	var all bytes.Buffer
	if _, err := io.Copy(&all, c); err != nil {
		var nerr net.Error
		if errors.As(err, &nerr) && nerr.Timeout() {
			c.t.Fatalf("still open after %q", all.Bytes())
		}
	}
	return all.Bytes()
}

// line reads one line.
func (c *client) line() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, b[0]) {
		if _, err := c.Read(b); err != nil {
			c.t.Fatalf("%v after %q", err, line)
		}
	}
	return strings.TrimSuffix(string(line), "\r\n")
}

// id asks for the connection's id.
func (c *client) id() int64 {
	c.t.Helper()
	c.send("CLIENT ID\r\n")
	n, err := strconv.ParseInt(strings.TrimPrefix(c.line(), ":"), 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *client) ask(send, want string) {
	c.t.Helper()
	c.send(send)
	c.expect(want)
}
