package resp

import (
	"fmt"
	"sync"
	"time"

	"github.com/raftredis/raftredis/store/command"
)

// lookout is what a Sentinel on this node has seen so far: it compares one topology with
// the next, and says what has changed in Sentinel's words, for the subscribers of this
// node. Each node looks for itself, as each Sentinel does.
type lookout struct {
	mu     sync.Mutex
	epoch  uint64
	master place           // the last that could be named; id 0: none yet
	since  int64           // ms, when it became the master
	lost   absence         // of a master
	agreed bool            // a majority was there to say so: subscribers were told +odown
	seen   map[uint64]seen // the others, by id
}

// seen is a member that subscribers were told of.
type seen struct {
	host string
	port int
	away absence
}

// absence is for how long something has not been there.
type absence struct {
	since int64 // ms, 0: it is there
	told  bool  // subscribers know
}

// look takes in whether something is there now. down and up say that subscribers are to be
// told that it is gone, for longer than limit ms, or back.
func (a *absence) look(there bool, now, limit int64) (down, up bool) {
	switch {
	case there:
		up = a.told
		*a = absence{}
	case a.since == 0:
		a.since = now
	case !a.told && now-a.since >= limit:
		a.told, down = true, true
	}
	return down, up
}

// lasted is for how long it has lasted, in ms.
func (a absence) lasted(now int64) int64 {
	if a.since == 0 {
		return 0
	}
	return now - a.since
}

func newLookout() *lookout { return &lookout{seen: make(map[uint64]seen)} }

// event is a message on a channel of Sentinel's.
type event struct{ channel, payload string }

// watcher is one comparison.
type watcher struct {
	name   string // of the master
	quorum int
	now    int64
	limit  int64 // ms after which what is away is down
	events []event
}

func (w *watcher) tell(channel, format string, args ...any) {
	w.events = append(w.events, event{channel, fmt.Sprintf(format, args...)})
}

// instance writes a member as events do: in its role, and whose it is.
func (w *watcher) instance(role string, p, master *place) string {
	of := fmt.Sprintf(" @ %s %s %d", w.name, master.host, master.port)
	switch role {
	case "master":
		return fmt.Sprintf("master %s %s %d", w.name, p.host, p.port)
	case "sentinel":
		return fmt.Sprintf("sentinel %s %s %d", p.node, p.host, p.port) + of
	}
	return fmt.Sprintf("%s %s %s %d", role, p.addr(false), p.host, p.port) + of
}

// look compares the topology with what was seen before, and returns the events in the
// order of Sentinel's.
func (l *lookout) look(t *topology, w *watcher) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.epoch > l.epoch {
		if l.epoch != 0 {
			w.tell("+new-epoch", "%d", t.epoch)
		}
		l.epoch = t.epoch
	}
	l.lookAtMaster(t, w)
	if l.master.id != 0 {
		l.lookAtOthers(t, w)
	}
	return w.events
}

// lookAtMaster looks for a master, and whether it is another one.
func (l *lookout) lookAtMaster(t *topology, w *watcher) {
	m, old := t.master(), l.master
	if m == nil && old.id == 0 {
		return // there has been none yet
	}
	down, up := l.lost.look(m != nil, w.now, w.limit)
	if down {
		w.tell("+sdown", "%s", w.instance("master", &old, &old))
		if l.agreed = t.quorum; l.agreed {
			w.tell("+odown", "%s #quorum %d/%d", w.instance("master", &old, &old), t.needed, w.quorum)
		}
	}
	if m == nil {
		return
	}
	moved := m.host != old.host || m.port != old.port
	if old.id != m.id || moved {
		l.since = w.now
	}
	l.master = *m
	switch {
	case old.id == 0: // the first look
	case moved:
		w.tell("+switch-master", "%s %s %d %s %d", w.name, old.host, old.port, m.host, m.port)
		for _, r := range t.replicas() {
			w.tell("+slave", "%s", w.instance("slave", &r, m))
		}
	case up:
		w.tell("-sdown", "%s", w.instance("master", m, m))
		if l.agreed {
			w.tell("-odown", "%s", w.instance("master", m, m))
		}
	}
}

// lookAtOthers looks at every other member, which is a Sentinel as well and, unless it is
// the master, a replica.
func (l *lookout) lookAtOthers(t *topology, w *watcher) {
	first := len(l.seen) == 0
	there := make(map[uint64]bool)
	for _, p := range t.others() {
		there[p.id] = true
		was, known := l.seen[p.id]
		replica := !p.leads && p.id != l.master.id // a master that is lost is looked for above
		if !known || was.host != p.host || was.port != p.port {
			was = seen{host: p.host, port: p.port}
			if !first && replica {
				w.tell("+slave", "%s", w.instance("slave", &p, &l.master))
			}
			if !first {
				w.tell("+sentinel", "%s", w.instance("sentinel", &p, &l.master))
			}
		}
		down, up := was.away.look(p.up, w.now, w.limit)
		channel := "+sdown"
		if up {
			channel = "-sdown"
		}
		if (down || up) && replica {
			w.tell(channel, "%s", w.instance("slave", &p, &l.master))
		}
		if down || up {
			w.tell(channel, "%s", w.instance("sentinel", &p, &l.master))
		}
		l.seen[p.id] = was
	}
	for id := range l.seen {
		if !there[id] {
			delete(l.seen, id)
		}
	}
}

// past is what SENTINEL shows of it.
type past struct {
	master place // the last that could be named
	age    int64 // ms since it became the master
	lost   int64 // ms that there has been none
	away   map[uint64]int64
}

func (l *lookout) past(now int64) past {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := past{master: l.master, lost: l.lost.lasted(now), away: make(map[uint64]int64)}
	if l.since != 0 {
		m.age = now - l.since
	}
	for id, s := range l.seen {
		m.away[id] = s.away.lasted(now)
	}
	return m
}

// downAfter is after how many ms a node that is away counts as down.
func (s *Server) downAfter() int64 {
	if n, ok := command.ParseInt([]byte(s.settingOf("cluster-node-timeout"))); ok {
		return n
	}
	return (500 * time.Millisecond).Milliseconds() // there is no such part in some tests
}

// tellChanges tells the subscribers of this node what has changed. cron calls it.
func (s *Server) tellChanges(now int64) {
	t := s.topology()
	w := &watcher{name: s.config().SentinelMaster, quorum: t.needed, now: now, limit: s.downAfter()}
	for _, e := range s.lookout.look(t, w) {
		s.store.Tell(e.channel, e.payload)
	}
}
