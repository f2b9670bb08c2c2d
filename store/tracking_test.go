package store

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/machine"
)

// cacher is a client that tracks. What it has read and what it was told are in one
// list, in the order in which its connection would write them.
type cacher struct {
	Tracker
	s *Store

	mu     sync.Mutex
	events []string
}

func newCacher(s *Store, id int64, m TrackingMode) *cacher {
	c := &cacher{s: s}
	c.Tracker = Tracker{ID: id, Tell: func(keys []string, _ command.Reply) {
		if keys == nil {
			c.add("all")
			return
		}
		c.add(strings.Join(keys, " "))
	}}
	s.Track(&c.Tracker, m)
	return c
}

func (c *cacher) add(event string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, event)
}

// take returns what has happened since it was last called.
func (c *cacher) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.events, ", ")
	c.events = nil
	return all
}

func (c *cacher) read(line string) {
	var reply recorder
	r := c.s.BeginRead()
	defer r.End()
	argv := args(line)
	spec := c.s.cfg.Table.Resolve(argv)
	r.By(By{Tracker: &c.Tracker, Remember: true})
	r.Do(0, spec, argv, &reply)
	c.add("read " + reply.String())
}

// apply applies one request of another member.
func apply(t *testing.T, s *Store, lines ...string) {
	t.Helper()
	seq := s.AppliedIndex() + 1
	r := request(head(7, 1, seq, 1), func(b *Batch) {
		for _, line := range lines {
			add(b, s, 0, line)
		}
	})
	if err := applyData(s, machine.Seal(nil, 1000, 1, [][]byte{r})); err != nil {
		t.Fatal(err)
	}
}

func TestTracking(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	c := newCacher(s, 1, TrackingMode{})
	all := newCacher(s, 2, TrackingMode{Broadcast: true, Prefixes: []string{""}})
	some := newCacher(s, 3, TrackingMode{Broadcast: true, Prefixes: []string{"a", "kk"}})
	expect := func(what, wantC, wantAll, wantSome string) {
		t.Helper()
		if gotC, gotAll, gotSome := c.take(), all.take(), some.take(); gotC != wantC || gotAll != wantAll || gotSome != wantSome {
			t.Errorf("%s: told %q, %q, %q, want %q, %q, %q", what, gotC, gotAll, gotSome, wantC, wantAll, wantSome)
		}
	}
	apply(t, s, "set k 1")
	expect("a key that nobody has read", "", "k", "")
	c.read("get k")
	c.read("get k")
	expect("reading", `read "1", read "1"`, "", "")
	apply(t, s, "set k 2", "set kk 1", "set k 3", "set b 1", "set ab 1")
	expect("writing", "k", "ab b k kk", "ab"+", kk")
	apply(t, s, "set k 4")
	expect("writing what was told already", "", "k", "")
	c.read("mget k j")
	apply(t, s, "flushall nonsense")
	expect("what was refused", `read *2 "4" nil`, "", "")
	apply(t, s, "flushall")
	expect("flushing", "all", "all", "all")
	apply(t, s, "flushdb")
	expect("flushing what is empty", "all", "all", "all")
	apply(t, s, "set k 1")
	expect("after flushing", "", "k", "")
	c.read("get k")
	apply(t, s, "swapdb 0 1")
	expect("exchanging databases", `read "1", all`, "all", "all")
	c.read("eval return(redis.call('get','inner')) 2 declared other")
	apply(t, s, "set declared 1", "eval redis.call('set','inner',1) 0", "set other 1")
	expect("what a script that reads was given", "read nil, declared, other", "declared inner other", "")
	c.read("eval return(1) 1 declared")
	apply(t, s, "set declared 1")
	expect("what a script that reads nothing was given", "read 1", "declared", "")
	if got, want := s.TrackingStats(), (TrackingStats{Clients: 3, Prefixes: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.Untrack(&some.Tracker)
	s.Untrack(&all.Tracker)
	s.Untrack(&all.Tracker)
	if got, want := s.TrackingStats(), (TrackingStats{Clients: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// A leader's snapshot: what happened in between, nobody knows.
	c.read("get k")
	_, b := body(t)
	if err := loadBody(s, s.AppliedIndex()+4, b); err == nil {
		t.Error("a snapshot of another index was loaded")
	}
	expect("a snapshot that cannot be loaded", "read nil", "", "")
	fresh := offline(t, Config{Member: 9}, 1)
	c = newCacher(fresh, 1, TrackingMode{})
	c.read("get k")
	if err := loadBody(fresh, 4, b); err != nil {
		t.Fatal(err)
	}
	expect("a snapshot", "read nil, all", "", "")
	if got := fresh.TrackingStats(); got.Keys+got.Items != 0 {
		t.Errorf("%+v", got)
	}
}

// The table is bounded: keys are forgotten, and told of; clients that have left do not
// stay with a key that nobody changes.
func TestTrackingTable(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	s.LimitTracking(100)
	c := newCacher(s, 1, TrackingMode{NoLoop: true})
	for i := range 300 {
		c.read(fmt.Sprintf("get k%d", i))
	}
	told := func() (n int) {
		for _, e := range strings.Split(c.take(), ", ") {
			if strings.HasPrefix(e, "k") {
				n++
			}
		}
		return n
	}
	if n, st := told(), s.TrackingStats(); n != 200 || st.Keys != 100 || st.Items != 100 {
		t.Errorf("told of %d keys, %+v", n, st)
	}
	s.LimitTracking(1)
	if n, st := told(), s.TrackingStats(); n != 99 || st.Keys != 1 {
		t.Errorf("told of %d keys, %+v", n, st)
	}
	s.LimitTracking(0)
	for i := range 10000 {
		other := newCacher(s, int64(i+10), TrackingMode{})
		other.read("get hot")
		if i%1000 != 0 {
			s.Untrack(&other.Tracker)
		}
	}
	if st := s.TrackingStats(); st.Items > 100 {
		t.Errorf("clients that have left are remembered: %+v", st)
	}
	apply(t, s, "set hot 1")
	if st := s.TrackingStats(); st.Keys != 1 || st.Items != 1 {
		t.Errorf("%+v", st)
	}
}

// TestTrackingEnds: what nobody looks at while no client tracks is not there when the
// next one does.
func TestTrackingEnds(t *testing.T) {
	s := offline(t, Config{Member: 9}, 1)
	c := newCacher(s, 1, TrackingMode{})
	c.read("get k")
	s.Track(&c.Tracker, TrackingMode{NoLoop: true}) // changes how: it has the key still
	if st := s.TrackingStats(); st.Keys != 1 || st.Items != 1 {
		t.Errorf("%+v of a client that goes on", st)
	}
	s.Untrack(&c.Tracker)
	apply(t, s, "flushall")
	if got, want := s.TrackingStats(), (TrackingStats{}); got != want {
		t.Errorf("%+v is left", got)
	}
}

// Whatever readers and writers do at the same time: what a client has read last is
// the value of the key, or it was told since that it is not.
func TestTrackingMissesNoWrite(t *testing.T) {
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	defer n.stop()
	eventually(t, "ready", n.store.Ready)
	const keys, writes = 3, 60
	cachers := make([]*cacher, 3)
	stopC := make(chan struct{})
	var wg sync.WaitGroup
	var reads atomic.Int64
	for i := range cachers {
		c := newCacher(n.store, int64(i+1), TrackingMode{})
		cachers[i] = c
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; ; j++ {
				select {
				case <-stopC:
					return
				default:
					c.read(fmt.Sprintf("mget k%d", j%keys))
					reads.Add(1)
				}
			}
		}()
	}
	w := client{t: t, s: n.store}
	for i := range writes {
		for before := reads.Load(); reads.Load() == before; {
			runtime.Gosched()
		}
		w.do(fmt.Sprintf("set k%d %d", i%keys, i))
	}
	close(stopC)
	wg.Wait()
	told := false
	for i, c := range cachers {
		cached := make(map[string]string)
		events := strings.Split(c.take(), ", ")
		reads := 0
		for _, e := range events {
			if value, ok := strings.CutPrefix(e, "read *1 "); ok {
				cached[fmt.Sprintf("k%d", reads%keys)] = value
				reads++
			} else {
				delete(cached, e)
			}
		}
		for key, value := range cached {
			if now := get(n.store, 0, "get "+key); now != value {
				t.Errorf("client %d has %s for %s, which is %s, and was not told", i, value, key, now)
			}
		}
		told = told || slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, "k") })
	}
	if !told {
		t.Error("nobody was told of anything")
	}
}
