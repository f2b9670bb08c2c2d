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
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// single is a cluster of one over a log in memory.
type single struct {
	*committest.Log
	*committest.Member
	store *store.Store
	table *command.Table
}

// hold keeps proposals from getting into the log until it is called with false.
func (l *single) hold(held bool) {
	if held {
		l.Allow(0)
	} else {
		l.Allow(math.MaxInt)
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

// newSingle returns a running store, at a level.
func newSingle(t testing.TB, level command.Level) *single {
	t.Helper()
	l := &single{Log: committest.New(1), table: testTable(t)}
	l.Member = l.Join(1, 1, nil)
	l.Level.Store(uint64(level))
	l.store = store.New(store.Config{Table: l.table, Member: 1, ProposalTimeout: 2 * time.Second}, l.ProposeC)
	l.Run(l.store.Seal)
	l.store.Start(l, l.CommitC, l.SnapshotterReady)
	t.Cleanup(func() {
		l.store.Close()
		l.Stop()
	})
	eventually(t, "the store is ready", l.store.Ready)
	eventually(t, "its level", func() bool { return l.store.Level() == level })
	return l
}

// newServer returns a server on a free port of the loopback interface.
func newServer(t testing.TB, change func(*Options)) (*Server, *single) {
	t.Helper()
	return newServerAt(t, command.Latest, change)
}

// newServerAt is newServer in a cluster that is at a level.
func newServerAt(t testing.TB, level command.Level, change func(*Options)) (*Server, *single) {
	t.Helper()
	l := newSingle(t, level)
	opts := Options{Config: DefaultConfig(), Store: l.store, Cluster: l, Table: l.table, Version: "test", RunID: "0123456789012345678901234567890123456789"}
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
