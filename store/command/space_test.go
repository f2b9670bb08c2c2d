package command

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
	"github.com/raftredis/raftredis/store/script"
)

// space runs commands as the store will: each write is a log entry of its own,
// applied to two keyspaces. The twin is now and then restored from a snapshot of
// itself; the two must not be told apart by anything.
type space struct {
	t     testing.TB
	table *Table
	ks    *keyspace.Keyspace
	twin  *keyspace.Keyspace
	index uint64
	now   int64
	seed  uint64
	resp3 bool

	host, twinHost Host
}

// epoch is the time at which the state clock of every test starts.
var epoch = time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)

func testTable(t testing.TB) *Table {
	t.Helper()
	table, err := NewTable(Data())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{t: t, table: testTable(t), ks: keyspace.New(), twin: keyspace.New(), index: 1, now: epoch.UnixMilli()}
	s.host, s.twinHost = testHost(s.table), testHost(s.table)
	s.begin()
	return s
}

// testHost returns a host whose scripts run no commands: what they do is tested where
// the real hosts are.
func testHost(table *Table) Host {
	return Host{
		Table: table, Library: &library.Library{}, Engine: script.NewEngine(), Limits: ScriptLimits(),
		Exec: func(*Spec, int, [][]byte, Reply) error { return ErrWrites },
	}
}

func (s *space) begin() {
	s.ks.Begin(s.index, s.now)
	s.twin.Begin(s.index, s.now)
}

// advance lets time pass.
func (s *space) advance(d time.Duration) { s.now += d.Milliseconds() }

// do runs one line, as typed into redis-cli, against database 0.
func (s *space) do(line string) string {
	s.t.Helper()
	argv, err := splitArgs(line)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.call(0, argv...).String()
}

// find makes the checks that a front makes before it calls a command. If one
// fails it returns the error to reply.
func (s *space) find(argv [][]byte) (*Spec, string) {
	spec := s.table.Resolve(argv)
	switch {
	case spec == nil || spec.Internal:
		given := bytes.Join(argv[1:], []byte("' '"))
		if len(argv) > 1 {
			given = fmt.Appendf(nil, "'%s' ", given)
		}
		return nil, fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", argv[0], given)
	case len(spec.Subcommands) > 0 && len(argv) > 1 && !spec.Local:
		return nil, fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", argv[1], bytes.ToUpper(argv[0]))
	case !spec.ArityOK(len(argv)):
		return nil, ErrArity(spec.FullName())
	}
	return spec, ""
}

// call runs one command and returns its reply.
func (s *space) call(db int, argv ...[]byte) *node {
	s.t.Helper()
	spec, text := s.find(argv)
	if spec == nil {
		return &node{kind: '-', text: oneLine.Replace(text)}
	}
	if spec.Answer != nil {
		rec := &recorder{resp3: s.resp3}
		spec.Answer(rec)
		return rec.root.elems[0]
	}
	s.seed++
	if spec.Write != nil {
		s.index++
	}
	a, b := s.run(s.ks, db, spec, argv), s.run(s.twin, db, spec, argv)
	// How long a key has lain idle is each node's own to know.
	if a.String() != b.String() && spec.Name != "idletime" {
		s.t.Fatalf("%q: the twin answers differently:\n%s%s", argv, a, b)
	}
	return a
}

func (s *space) run(ks *keyspace.Keyspace, db int, spec *Spec, argv [][]byte) *node {
	s.t.Helper()
	rec, rnd := &recorder{resp3: s.resp3}, keyspace.NewRand(s.seed)
	// A handler must not keep its arguments, nor depend on who else has them.
	own := make([][]byte, len(argv))
	for i, a := range argv {
		own[i] = bytes.Clone(a)
	}
	call := Call{Args: own, Now: s.now, Rand: &rnd, Reply: rec, Selected: db, Host: &s.host}
	if ks == s.twin {
		call.Host = &s.twinHost
	}
	write := spec.Read == nil
	if !write {
		view := ks.View(db, s.now)
		r := &Read{Call: call, DB: &view}
		spec.Read(r)
		write = r.Deferred()
	}
	if write {
		ks.Begin(s.index, s.now)
		d := ks.DB(db)
		spec.Write(&Write{Call: call, DB: &d, Space: ks, Publish: func(bool, []byte, []byte) int64 { return 0 }})
	}
	for _, a := range own {
		for i := range a {
			a[i] = '!'
		}
	}
	n, err := rec.reply()
	if err != nil {
		s.t.Fatalf("%q: %v", argv, err)
	}
	return n
}

func encoding(ks *keyspace.Keyspace) []byte {
	var e keyspace.Encoder
	ks.Capture().Encode(&e)
	return e.Take()
}

// restoreTwin replaces the twin by what a snapshot of it restores.
func (s *space) restoreTwin() {
	s.t.Helper()
	d := keyspace.NewDecoder(encoding(s.twin))
	twin, err := keyspace.Decode(d)
	if err != nil {
		s.t.Fatalf("cannot restore a snapshot: %v", err)
	}
	twin.Begin(s.index, s.now)
	s.twin = twin
}

// checkTwin compares everything that a snapshot holds.
func (s *space) checkTwin() {
	s.t.Helper()
	if a, b := encoding(s.ks), encoding(s.twin); !bytes.Equal(a, b) {
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		from := max(0, at-60)
		s.t.Fatalf("the states differ from byte %d on:\n%q\n%q", at, a[from:min(len(a), at+60)], b[from:min(len(b), at+60)])
	}
	if a, b := s.ks.Used(), s.twin.Used(); a != b {
		s.t.Fatalf("%d bytes used, by equal contents %d", a, b)
	}
	for db := range keyspace.Databases {
		sum, view := int64(0), s.ks.View(db, 0)
		view.Scan(0, 1<<30, func(key []byte, _ keyspace.Kind) {
			in, _ := view.Info(key)
			sum += int64(in.Bytes)
		})
		if s.ks.UsedBy(db) != sum {
			s.t.Fatalf("database %d: %d bytes used, its keys need %d", db, s.ks.UsedBy(db), sum)
		}
	}
}

func args(words ...any) [][]byte {
	out := make([][]byte, len(words))
	for i, w := range words {
		out[i] = fmt.Append(nil, w)
	}
	return out
}
