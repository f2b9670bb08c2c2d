package machine

import (
	"bytes"
	"strings"
	"testing"
)

// onceRun is requests of one client, each in an entry of its own, that two machines
// apply: one waits for the replies, and one does not.
type onceRun struct {
	t     *testing.T
	here  *run
	there *run
	seq   uint64
	now   Millis
}

func newOnceRun(t *testing.T) *onceRun {
	return &onceRun{t: t, here: newRun(t, 1), there: newRun(t, 99), now: 1_000_000}
}

func (o *onceRun) once(id string, keep Millis, line string) string {
	return o.apply(func(q *Request) { q.Once(0, args(line), args(line), Attempt{ID: []byte(id), Keep: keep}) })
}

func (o *onceRun) write(line string) string {
	return o.apply(func(q *Request) { q.Write(0, args(line)) })
}

func (o *onceRun) apply(build func(*Request)) string {
	o.t.Helper()
	o.seq++
	data := Seal(nil, o.now, o.seq, [][]byte{request(Head{1, 1, o.seq, 1}, build)})
	for _, r := range []*run{o.here, o.there} {
		if err := r.apply(data); err != nil {
			o.t.Fatal(err)
		}
	}
	if a, b := o.here.digest(), o.there.digest(); a != b {
		o.t.Fatalf("the members differ after request %d", o.seq)
	}
	return o.here.w.replies()
}

// restart has the second machine go on from a snapshot.
func (o *onceRun) restart() {
	o.t.Helper()
	var b bytes.Buffer
	if err := o.there.Capture().Write(&b); err != nil {
		o.t.Fatal(err)
	}
	m, err := Load(o.there.table, o.there.w, &b)
	if err != nil {
		o.t.Fatal(err)
	}
	o.there.Machine = m
}

func (o *onceRun) want(what, got, want string) {
	o.t.Helper()
	if got != want {
		o.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestOnce(t *testing.T) {
	o := newOnceRun(t)
	o.want("the first attempt", o.once("a", 1000, "incr x"), "1")
	o.want("another request", o.write("incr x"), "2")
	o.want("the second attempt", o.once("a", 1000, "incr x"), "1")
	o.restart()
	o.want("after a snapshot", o.once("a", 1000, "incr x"), "1")
	o.want("another command", o.once("a", 1000, "incr y"), "-"+errOtherRequest)
	o.want("another id", o.once("b", 1000, "incr x"), "3")
	o.now += 999
	o.want("still kept", o.once("a", 1000, "incr x"), "1")
	o.now++
	o.want("forgotten", o.once("a", 1000, "incr x"), "4")
	o.restart()
	o.want("kept anew", o.once("a", 1000, "incr x"), "4")
}

func TestOnceErrors(t *testing.T) {
	o := newOnceRun(t)
	const script = "redis.call('incr','n')error('after_a_write')"
	o.write("lpush l 1")
	o.want("nothing was done", o.once("a", 1000, "incr l"), "-WRONGTYPE Operation against a key holding the wrong kind of value")
	o.write("del l")
	o.want("so it may be tried again", o.once("a", 1000, "incr l"), "1")
	o.want("nothing found", o.once("b", 1000, "lpop q"), "nil")
	o.write("rpush q v")
	o.want("is an outcome", o.once("b", 1000, "lpop q"), "nil")
	failed := o.once("c", 1000, "eval "+script+" 0")
	o.want("what has failed in the middle", o.once("c", 1000, "eval "+script+" 0"), failed)
	if !strings.Contains(failed, "after_a_write") {
		t.Error(failed)
	}
	o.want("was done once", o.write("incr n"), "2")
}

// A reply that is too long is not kept, but that it was given.
func TestOnceBounded(t *testing.T) {
	o := newOnceRun(t)
	long := strings.Repeat("x", maxOutcome+1)
	o.write("set k " + long)
	if got := o.once("a", 1000, "getset k 2"); len(got) < maxOutcome {
		t.Errorf("%.100s", got)
	}
	o.want("not again", o.once("a", 1000, "getset k 2"), "-"+errBigOutcome)
	for _, r := range []*run{o.here, o.there} { // as after many others
		r.outcomes.size += maxOutcomes
	}
	o.want("no room", o.once("b", 1000, "incr n"), "-"+errOnceFull)
	o.want("nothing was done", o.write("incr n"), "1")
	o.now += 1000
	for _, r := range []*run{o.here, o.there} {
		r.outcomes.size -= maxOutcomes
	}
	o.want("room", o.once("b", 1000, "incr n"), "2")
	if n := o.here.outcomes; n.byID.Len() != 1 || n.deadline.Len() != 1 || n.size != len("b")+len(n.first().reply.Bytes())+outcomeSize {
		t.Errorf("%d outcomes, %d deadlines, %d bytes", n.byID.Len(), n.deadline.Len(), n.size)
	}
}

func (os *outcomes) first() *outcome {
	o, _ := os.deadline.Min()
	return o
}
