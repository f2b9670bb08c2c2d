package machine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// testTable is the commands of the real table, and one that breaks an invariant.
func testTable(t testing.TB) *command.Table {
	t.Helper()
	boom := &command.Spec{Name: "boom", Arity: 1, Write: func(*command.Write) { panic("invariant") }, Summary: "s", Since: "1", Group: "g"}
	table, err := command.NewTable(command.Data(), []*command.Spec{boom})
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

// request encodes one as a node would.
func request(h Head, build func(*Request)) []byte {
	var r Request
	build(&r)
	return slices.Clone(r.Seal(h))
}

// watcher is a node that waits for all replies of the requests of one member, and
// writes down what it is told.
type watcher struct {
	Nobody
	member     uint64
	paused     int
	duplicates int
	commands   int
	inside     int
	reply      recorder
	events     []string // about clients that wait
	heard      []string // messages, and what concerns them

	users                         int // how often they changed
	refused                       []acl.Refusal
	waits, served, claimed, ended int
}

var _ Observer = (*watcher)(nil)

func (w *watcher) Entry(Millis)                                               {}
func (w *watcher) Read(_ Head, view *keyspace.View, key []byte, times uint64) { view.Use(key, times) }

func (w *watcher) Request(h Head, fresh bool) (Asker, error) {
	if !fresh {
		w.duplicates++
	}
	if h.Origin == w.member {
		return w, nil
	}
	return Nobody{}, nil
}

func (w *watcher) Touched(keyspace.Touch)            {}
func (w *watcher) Swapping(int, int)                 {}
func (w *watcher) Executed()                         { w.commands++ }
func (w *watcher) Expired(uint64)                    {}
func (w *watcher) Runs(int, *command.Spec, [][]byte) {}
func (w *watcher) Aside(f func())                    { f() }

func (w *watcher) Announced(h Head, n uint64) {
	w.heard = append(w.heard, fmt.Sprintf("%d announced %d", h.Origin, n))
}

func (w *watcher) Silenced(origin, _ uint64) {
	w.heard = append(w.heard, fmt.Sprintf("%d silenced", origin))
}

func (w *watcher) Published(m Message) {
	shard := map[bool]string{true: "s"}[m.Shard]
	w.heard = append(w.heard, fmt.Sprintf("%s%s=%s", shard, m.Channel, m.Payload))
}
func (w *watcher) UsersChanged(*acl.Users)                                          { w.users++ }
func (w *watcher) Script(bool)                                                      {}
func (w *watcher) Pause(int)                                                        { w.paused++ }
func (w *watcher) Command() command.Reply                                           { return &w.reply }
func (w *watcher) RanInside([][]byte, int, *command.Spec, [][]byte, *keyspace.View) { w.inside++ }
func (w *watcher) Refused(why acl.Refusal)                                          { w.refused = append(w.refused, why) }
func (w *watcher) Called(command.Called, int64)                                     {}
func (w *watcher) Blocked()                                                         { w.reply.put("waits"); w.waits++ }
func (w *watcher) Exec(run bool)                                                    { w.reply.put("exec=%v", run) }
func (w *watcher) RefuseExec(line string)                                           { w.reply.put("-%s", line) }
func (w *watcher) EndExec()                                                         { w.reply.put("executed") }

func (w *watcher) Serving(WaitID, bool) {}

func (w *watcher) Served(id WaitID) {
	w.served++
	w.events = append(w.events, fmt.Sprintf("%d.%d served", id.Origin, id.Seq))
}

func (w *watcher) Claimed(id WaitID, reply *command.Recorded) {
	w.claimed++
	var r recorder
	reply.Replay(&r)
	w.events = append(w.events, fmt.Sprintf("%d.%d gets %s", id.Origin, id.Seq, strings.Join(r.out, " ")))
}

func (w *watcher) Ended(id WaitID, why Ended) {
	w.ended++
	w.events = append(w.events, fmt.Sprintf("%d.%d %s", id.Origin, id.Seq, [...]string{"times out", "is cancelled", "is given up"}[why]))
}

// replies returns what has been replied since the last call.
func (w *watcher) replies() string {
	s := strings.Join(w.reply.out, " ")
	w.reply.out = nil
	return s
}

// recorder is a Reply that writes down what it gets.
type recorder struct{ out []string }

var _ command.Reply = (*recorder)(nil)

func (r *recorder) put(format string, a ...any) { r.out = append(r.out, fmt.Sprintf(format, a...)) }

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

// run is a machine, its watcher, and the log that it has applied.
type run struct {
	t *testing.T
	*Machine
	w *watcher
}

func newRun(t *testing.T, member uint64) *run {
	w := &watcher{member: member}
	return &run{t, New(testTable(t), w), w}
}

// apply applies an entry behind the last one.
func (r *run) apply(data []byte) error { return r.Apply(r.Index()+1, 1, data) }

func (r *run) digest() string { return r.Capture().Digest() }
