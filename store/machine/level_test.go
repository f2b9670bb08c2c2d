package machine

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// leveledTable has two commands that came with level 2.
func leveledTable(t testing.TB) *command.Table {
	t.Helper()
	spec := func(name string) *command.Spec {
		return &command.Spec{Name: name, Arity: 2, Level: command.Level2, Summary: "s", Since: "1", Group: "g"}
	}
	write, read := spec("lateset"), spec("lateget")
	write.Write = func(w *command.Write) { w.DB.Set(w.Args[1], []byte("late"), 0); w.Reply.Status("OK") }
	read.Read = func(r *command.Read) { r.Reply.Status("read") }
	table, err := command.NewTable(command.Data(), []*command.Spec{write, read})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func raise(to command.Level) func(*Request) { return func(r *Request) { r.Raise(to) } }

func write(lines ...string) func(*Request) {
	return func(r *Request) {
		for _, line := range lines {
			r.Write(0, args(line))
		}
	}
}

func eval(source string) func(*Request) {
	return func(r *Request) { r.Write(0, [][]byte{[]byte("eval"), []byte(source), []byte("0")}) }
}

// leveled applies requests of one member, each in an entry of its own.
type leveled struct {
	*Machine
	w   *watcher
	seq uint64
}

func newLeveled(t testing.TB) *leveled {
	w := &watcher{member: 1}
	return &leveled{New(leveledTable(t), w), w, 0}
}

func (l *leveled) do(build func(*Request)) (replies string, err error) {
	l.seq++
	err = l.Apply(l.Index()+1, 1, Seal(nil, 1000, 1, [][]byte{request(Head{1, 1, l.seq, l.seq}, build)}))
	return l.w.replies(), err
}

// What came with a level ends a machine at which that is not in force, as it ends older
// programs: it can only be there by a mistake, and going on would hide it.
func TestAheadOfTheLevel(t *testing.T) {
	for name, build := range map[string]func(*Request){
		"write": write("lateset a"),
		"exec":  func(r *Request) { r.Exec(nil, 1); r.ExecWrite(0, args("lateset a")) },
		"once": func(r *Request) {
			r.Once(0, args("lateset a"), args("lateset a"), Attempt{ID: []byte("id"), Keep: 1000})
		},
	} {
		l := newLeveled(t)
		if _, err := l.do(build); !errors.Is(err, ErrEntry) || !strings.Contains(err.Error(), "level 2") {
			t.Errorf("%s under level 1: %v", name, err)
		}
		l = newLeveled(t)
		if _, err := l.do(raise(command.Level2)); err != nil || l.Level() != command.Level2 {
			t.Fatalf("level %d, %v", l.Level(), err)
		}
		if _, err := l.do(build); err != nil {
			t.Errorf("%s under level 2: %v", name, err)
		}
	}
}

// A script that calls what came with a higher level gets the answer that it gets from an
// older program, on all members.
func TestScriptsDoNotFindWhatIsAhead(t *testing.T) {
	l := newLeveled(t)
	for _, call := range []string{"lateset", "lateget"} {
		source := `return redis.pcall('` + call + `', 'a')`
		unknown, _ := l.do(eval(`return redis.pcall('nosuch', 'a')`))
		if got, err := l.do(eval(source)); err != nil || got != unknown || !strings.Contains(got, "Unknown Redis command") {
			t.Errorf("%s under level 1: %s, %v; an unknown one: %s", call, got, err, unknown)
		}
	}
	if _, err := l.do(raise(command.Level2)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Machine{l.Machine, restored(t, l.Machine, l.w)} {
		l.Machine = m
		got, err := l.do(eval(`return {redis.call('lateset', 'a'), redis.call('lateget', 'a'), redis.call('get', 'a')}`))
		if want := `*3 OK read "late"`; err != nil || got != want {
			t.Errorf("under level 2: %s, %v", got, err)
		}
	}
}

func TestLevelNeverSinks(t *testing.T) {
	l := newLeveled(t)
	for _, to := range []command.Level{command.Level2, command.Level1, command.Level2} {
		if _, err := l.do(raise(to)); err != nil || l.Level() != command.Level2 {
			t.Errorf("after %d: level %d, %v", to, l.Level(), err)
		}
	}
	if _, err := l.do(raise(command.Latest + 1)); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "install the version") {
		t.Errorf("a level that nobody knows: %v", err)
	}
}

func TestRequestLevel(t *testing.T) {
	var r Request
	r.Write(0, args("set a b"))
	r.As(1)
	if r.Raise(command.Level2); r.Level() != command.Level1 {
		t.Errorf("level %d", r.Level())
	}
	if opLevel(opOnce) != command.Level1 || opLevel(opRaise) != command.Level2 || opLevel(opKinds-1) > command.Latest {
		t.Error("the kinds of ops came with other levels")
	}
}

// A snapshot of level 1 has nothing that a program of that level does not know; one of a
// higher level says so first.
func TestSnapshotOfALevel(t *testing.T) {
	l := newLeveled(t)
	names := func(b []byte) (all []string) {
		br := &bodyReader{r: bytes.NewReader(b[len(snapshotMagic):])}
		for {
			name, _, err := br.next()
			if err != nil {
				t.Fatal(err)
			}
			if name == "" {
				return all
			}
			all = append(all, name)
			if _, err := io.Copy(io.Discard, br); err != nil {
				t.Fatal(err)
			}
		}
	}
	snapshot := func() []byte {
		var b bytes.Buffer
		if err := l.Capture().Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if got := names(snapshot()); got[0] != "position" || len(got) != 11 {
		t.Errorf("level 1 has %v", got)
	}
	if _, err := l.do(raise(command.Level2)); err != nil {
		t.Fatal(err)
	}
	if got := names(snapshot()); got[0] != "level" || got[1] != "position" {
		t.Errorf("level 2 has %v", got)
	}
	fresh := restored(t, l.Machine, &watcher{})
	if fresh.Level() != command.Level2 || fresh.Capture().Digest() != l.Capture().Digest() {
		t.Errorf("restored at level %d", fresh.Level())
	}
	for level, want := range map[command.Level]error{command.Latest + 1: ErrNewer, command.Level1: ErrSnapshot} {
		var b bytes.Buffer
		bw := bodyWriter{w: &b}
		bw.write([]byte(snapshotMagic))
		bw.section(levelSection, 1)
		var e keyspace.Encoder
		e.Uvarint(uint64(level))
		bw.blocks(e.Take())
		bw.end()
		bw.section("", 0)
		if _, err := Load(l.table, &watcher{}, &b); !errors.Is(err, ErrSnapshot) || !errors.Is(err, want) {
			t.Errorf("a snapshot that says level %d: %v", level, err)
		}
	}
}

func TestSectionsOfALevel(t *testing.T) {
	all := []section{{name: "a", version: 1, since: 1}, {name: "b", version: 1, since: 1}, {name: "b", version: 2, since: 3}, {name: "c", version: 1, since: 2}}
	for level, want := range []string{"", "a1 b1", "a1 b1 c1", "a1 b2 c1"} {
		var got []string
		for _, s := range ofLevel(all, command.Level(level)) {
			got = append(got, s.name+string('0'+s.version))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("level %d has %v, want %s", level, got, want)
		}
	}
}

// As long as level 1 is in force this program is one with 0.1.0: the same log leads to the
// same states, index by index, and to the same snapshot, byte for byte. The file was written
// by 0.1.0: how many entries there are, each with the digest of the state behind it, and the
// snapshot behind the last. Never write it anew: a difference is what ends a cluster of both
// versions, and belongs behind a level.
func TestLevel1IsThatOf010(t *testing.T) {
	f, err := os.Open("testdata/level1.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	c := cursor{b: content}
	m := impatient(New(testTable(t), &watcher{}))
	n := c.uvarint()
	for index := uint64(1); index <= n; index++ {
		data := c.bytes()
		digest := make([]byte, 32)
		for i := range digest {
			digest[i] = c.byte()
		}
		if c.err != nil {
			t.Fatal(c.err)
		}
		if err := m.Apply(index, 1+(index-1)/50, data); err != nil {
			t.Fatal(err)
		}
		if got := m.Capture().Digest(); got != string(digest) {
			t.Fatalf("entry %d leads to another state than with 0.1.0: %x", index, data)
		}
	}
	var body bytes.Buffer
	if err := m.Capture().Write(&body); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body.Bytes(), c.b) {
		t.Errorf("a snapshot of %d bytes, 0.1.0 writes another one of %d", body.Len(), len(c.b))
	}
	fresh, err := Load(m.table, &watcher{}, bytes.NewReader(c.b))
	if err != nil || fresh.Capture().Digest() != m.Capture().Digest() {
		t.Errorf("the snapshot of 0.1.0: %v", err)
	}
}

// A limit that came with level 2 is, below it, what 0.1.0 takes it for, and neither in the
// digest nor in a snapshot.
func TestLimitsOfALevel(t *testing.T) {
	l := newLeveled(t)
	for _, limit := range command.AllLimits() {
		late := command.LimitLevel(limit) > command.Level1
		before := l.Capture().Digest()
		got, err := l.do(write(command.SetLimits + " " + limit.Name + " 1"))
		switch {
		case err != nil:
			t.Fatal(err)
		case late && got != "-ERR Unknown limit '"+limit.Name+"'", !late && got != "OK":
			t.Errorf("%s under level 1: %s", limit.Name, got)
		case late && limit.Get(l.Keyspace().Limits()) != limit.Default:
			t.Errorf("%s was set to %d", limit.Name, limit.Get(l.Keyspace().Limits()))
		}
		if !late && before == l.Capture().Digest() {
			t.Errorf("%s is not in the digest", limit.Name)
		}
	}
	if _, err := l.do(raise(command.Level2)); err != nil {
		t.Fatal(err)
	}
	got, err := l.do(write(command.SetLimits + " maxmemory 1000000 maxmemory-policy 4 hash-max-listpack-entries 7"))
	if err != nil || got != "OK" {
		t.Fatal(got, err)
	}
	fresh := restored(t, l.Machine, l.w)
	if limits := fresh.Keyspace().Limits(); *limits != *l.Keyspace().Limits() || limits.MaxMemory != 1_000_000 {
		t.Errorf("restored: %+v", limits)
	}

	// What says it is of level 1 and has more is from no release.
	var e keyspace.Encoder
	l.Capture().frozen.Encode(&e)
	if _, err := keyspace.DecodeFirst(keyspace.NewDecoder(e.Take())); err == nil || !strings.Contains(err.Error(), "more limits") {
		t.Errorf("read as level 1: %v", err)
	}
}

// What scripts are told of a key may be written down: below level 2 it is what 0.1.0 tells
// them, from then on what does not depend on the node.
func TestScriptsDescribeKeysByTheLevel(t *testing.T) {
	l := newLeveled(t)
	at := func(now Millis, build func(*Request)) string {
		t.Helper()
		l.seq++
		if err := l.Apply(l.Index()+1, 1, Seal(nil, now, 1, [][]byte{request(Head{1, 1, l.seq, l.seq}, build)})); err != nil {
			t.Fatal(err)
		}
		return l.w.replies()
	}
	ask := eval(`return {redis.call('memory', 'usage', 'k'), redis.call('memory', 'usage', 'l'), redis.call('object', 'idletime', 'k'), redis.call('object', 'encoding', 'l')}`)
	at(10_990, write("set k value", "rpush l a b c"))
	// 80 and what they hold; from second 10 to second 15.
	if got := at(15_010, ask); got != `*4 86 250 5 "quicklist"` {
		t.Errorf("under level 1: %s", got)
	}
	at(20_000, raise(command.Level2))
	view := l.Keyspace().View(0, 20_000)
	k, _ := view.Info([]byte("k"))
	list, _ := view.Info([]byte("l"))
	if got, want := at(25_000, ask), fmt.Sprintf(`*4 %d %d 0 "quicklist"`, k.Bytes, list.Bytes); got != want || k.Bytes == 86 {
		t.Errorf("under level 2: %s, want %s", got, want)
	}
}
