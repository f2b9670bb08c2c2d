package commit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TaskKind says what a task does.
type TaskKind string

// What may take long.
const (
	ReadLog         TaskKind = "read-log"         // the log is read and examined, at a start
	ReplayLog       TaskKind = "replay-log"       // what was committed is applied again, at a start
	LoadSnapshot    TaskKind = "load-snapshot"    // a snapshot becomes the state
	WriteSnapshot   TaskKind = "write-snapshot"   // the state becomes a snapshot
	SendSnapshot    TaskKind = "send-snapshot"    // to another member
	ReceiveSnapshot TaskKind = "receive-snapshot" // from the leader
	CatchUp         TaskKind = "catch-up"         // this member applies what the leader has long committed
	Join            TaskKind = "join"             // the same, while it has no vote yet
)

// words are for people. A kind that has none is shown as it is.
func (k TaskKind) words() string {
	switch k {
	case ReadLog:
		return "reading the log"
	case ReplayLog:
		return "replaying the log"
	case LoadSnapshot:
		return "loading a snapshot"
	case WriteSnapshot:
		return "writing a snapshot"
	case SendSnapshot:
		return "sending a snapshot"
	case ReceiveSnapshot:
		return "receiving a snapshot"
	case CatchUp:
		return "catching up with the leader"
	case Join:
		return "joining: learning what the others know"
	}
	return string(k)
}

// TaskPatience is how long a task may take before anybody is told of it: most are over
// sooner.
const TaskPatience = 2 * time.Second

// Task is a picture of work that is going on.
type Task struct {
	ID          uint64 // no other task of this process has it
	Kind        TaskKind
	Member      uint64 // with whom, 0: nobody
	Done, Total int64  // of Unit; a Total of 0 is not known
	Unit        string // "bytes" or "entries"
	Age         time.Duration
}

// Part is how much of it is done, from 0 to 1; 0 if the total is not known.
func (t Task) Part() float64 {
	if t.Total <= 0 {
		return 0
	}
	return min(1, float64(t.Done)/float64(t.Total))
}

// Left is how long the rest takes if it goes on as so far, -1 if that is not known.
func (t Task) Left() time.Duration {
	if t.Total <= 0 || t.Done <= 0 {
		return -1
	}
	return time.Duration(float64(t.Age) * float64(max(0, t.Total-t.Done)) / float64(t.Done))
}

// Words say what it is: "sending a snapshot to member 3".
func (t Task) Words() string {
	s := t.Kind.words()
	switch {
	case t.Member != 0 && t.Kind == SendSnapshot:
		s += fmt.Sprintf(" to member %d", t.Member)
	case t.Member != 0:
		s += fmt.Sprintf(" from member %d", t.Member)
	}
	return s
}

// String says how far it is: "sending a snapshot to member 3: 62 %, 20 s to go".
func (t Task) String() string {
	s := t.Words()
	if t.Total <= 0 {
		return s + fmt.Sprintf(": %d %s so far", t.Done, t.Unit)
	}
	return s + ": " + HowFar(t.Part(), t.Left())
}

// HowFar says in words how much of something is done, and how long the rest takes: less
// than 0 is not known.
func HowFar(part float64, left time.Duration) string {
	s := fmt.Sprintf("%.0f %%", 100*part)
	if left >= 0 {
		s += ", " + Span(left) + " to go"
	}
	return s
}

// Span writes a duration for people: "20 s", "3 m 20 s", "2 h 5 m".
func Span(d time.Duration) string {
	d = d.Round(time.Second)
	switch s := int64(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d m", s/60)
	case s < 3600:
		return fmt.Sprintf("%d m %d s", s/60, s%60)
	default:
		return fmt.Sprintf("%d h %d m", s/3600, s%3600/60)
	}
}

// Tasks are the tasks of one node. All parts of it enter theirs, and whoever shows them
// reads them here. On a nil *Tasks nothing is kept. Any goroutine may use it.
type Tasks struct {
	now func() time.Time

	mu   sync.Mutex
	last uint64
	open []*Running
}

// NewTasks makes an empty list. now is the time, for nothing but the age of tasks.
func NewTasks(now func() time.Time) *Tasks { return &Tasks{now: now} }

// Running is a task for the one who does it. On a nil *Running nothing happens.
type Running struct {
	tasks       *Tasks
	is          Task
	began       time.Time
	done, total atomic.Int64
}

// Begin enters a task. Whoever begins one ends it.
func (t *Tasks) Begin(kind TaskKind, member uint64, total int64, unit string) *Running {
	if t == nil {
		return nil
	}
	r := &Running{tasks: t, is: Task{Kind: kind, Member: member, Unit: unit}, began: t.now()}
	r.total.Store(total)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	r.is.ID = t.last
	t.open = append(t.open, r)
	return r
}

// Add says that n more units are done.
func (r *Running) Add(n int64) {
	if r != nil {
		r.done.Add(n)
	}
}

// Set says how many units are done, and of how many.
func (r *Running) Set(done, total int64) {
	if r != nil {
		r.done.Store(done)
		r.total.Store(total)
	}
}

// End takes the task off the list. It may be called more than once.
func (r *Running) End() {
	if r == nil {
		return
	}
	r.tasks.mu.Lock()
	defer r.tasks.mu.Unlock()
	r.tasks.open = slices.DeleteFunc(r.tasks.open, func(o *Running) bool { return o == r })
}

// Reader counts what is read as done, in bytes.
func (r *Running) Reader(from io.Reader) io.Reader {
	if r == nil {
		return from
	}
	return taskReader{from, r}
}

type taskReader struct {
	io.Reader
	r *Running
}

// Read implements io.Reader.
func (t taskReader) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	t.r.Add(int64(n))
	return n, err
}

// List returns the tasks that have gone on for so long, in the order in which they began.
func (t *Tasks) List(atLeast time.Duration) []Task {
	if t == nil {
		return nil
	}
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Task
	for _, r := range t.open {
		is := r.is
		is.Done, is.Total, is.Age = r.done.Load(), r.total.Load(), now.Sub(r.began)
		if is.Age >= atLeast {
			all = append(all, is)
		}
	}
	slices.SortFunc(all, func(a, b Task) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
