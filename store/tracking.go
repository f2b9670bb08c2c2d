package store

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Tracker is a client of this node that caches what it reads, and has to be told
// when that is no longer so (CLIENT TRACKING). It is told when a write is applied on
// this node, so that its cache is as good as its reads are, whichever node it is at.
type Tracker struct {
	// ID is the client's. No two trackers of a Store have had the same.
	ID int64

	// Tell says that the keys are not what they were; nil: none is, in any database. It
	// is called under Store.mu and tracking.mu, must be quick, and must not call the
	// store. behind is nil or the reply of the client's own batch, which is its caller's at
	// this moment: then the message is about the commands answered so far and belongs
	// behind their replies.
	Tell func(keys []string, behind command.Reply)

	// Guarded by tracking.mu.
	mode TrackingMode
}

// TrackingMode is how a client is tracked.
type TrackingMode struct {
	// Broadcast tells the client of all keys with one of the prefixes, instead of those
	// that it has read.
	Broadcast bool
	Prefixes  []string

	// NoLoop spares it what its own commands change.
	NoLoop bool
}

// By is who runs a command. The zero value is a client that is not tracked, and whose
// scripts may do everything.
type By struct {
	Tracker  *Tracker
	Remember bool // the keys that are read become the tracker's
	NoTouch  bool // that they are read is no use of them, see keyspace.View.NoTouch

	// Policy is what the client's user may do, if that is not everything: what its
	// scripts do is checked against it. The user must be one of Store.Users.
	Policy *acl.Policy

	// Inside, if not nil, is told of every command that a script of the client has run,
	// in front of what is told of the script. If the script is run once more, because it
	// writes or takes long, it is told of all of them again. argv is valid during the call.
	Inside func(db int, spec *command.Spec, argv [][]byte)
}

// tracking is which clients of this node may have which keys in their caches. As in
// Redis a key is a name, whatever its database.
//
// What makes it right is where it is called from. A reader enters its keys under the
// hold of Store.mu that it reads under, and a write looks for them under its own. So
// whoever reads the old value is in the table before the write comes by, and has its
// reply written before it is told.
type tracking struct {
	on atomic.Int64 // trackers, so that a touch costs nothing while there are none

	mu       sync.Mutex
	limit    int // of keys, 0: none
	trackers map[int64]*Tracker
	keys     map[string]*holders
	items    int               // of all keys' holders
	prefixes []*trackingPrefix // in the order of their names
	changed  bool              // some prefix has keys to be told of
}

// trackingPrefix is a prefix of clients in broadcast mode.
type trackingPrefix struct {
	name     string
	trackers []*Tracker
	changed  map[string]*Tracker // keys of this hold of the lock, and who changed them last
}

// holders are the IDs of the clients that may have a key: one as a rule. Those that
// have left stay until the key is changed, or until there are many.
type holders struct {
	few   []int64
	many  map[int64]struct{}
	sweep int // at which size those that have left are looked for
}

const fewHolders = 8

func (h *holders) size() int { return len(h.few) + len(h.many) }

func (h *holders) add(id int64, trackers map[int64]*Tracker) {
	switch {
	case h.many != nil:
		if len(h.many) >= h.sweep {
			for other := range h.many {
				if trackers[other] == nil {
					delete(h.many, other)
				}
			}
			h.sweep = 2 * max(len(h.many), fewHolders)
		}
		h.many[id] = struct{}{}
	case slices.Contains(h.few, id):
	case len(h.few) < fewHolders:
		h.few = append(h.few, id)
	default:
		h.many = make(map[int64]struct{}, 2*fewHolders)
		for _, other := range h.few {
			h.many[other] = struct{}{}
		}
		h.few, h.sweep = nil, 2*fewHolders
		h.many[id] = struct{}{}
	}
}

func (h *holders) each(visit func(id int64)) {
	for _, id := range h.few {
		visit(id)
	}
	for id := range h.many {
		visit(id)
	}
}

// Track begins to track a client, or changes how. A client in broadcast mode keeps
// its prefixes: m.Prefixes are all of them.
func (s *Store) Track(t *Tracker, m TrackingMode) {
	tr := &s.tracking
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.drop(t)
	if tr.trackers == nil {
		tr.trackers = make(map[int64]*Tracker)
		tr.keys = make(map[string]*holders)
	}
	t.mode = m
	tr.trackers[t.ID] = t
	tr.on.Add(1)
	for _, name := range m.Prefixes {
		at, there := slices.BinarySearchFunc(tr.prefixes, name, func(p *trackingPrefix, name string) int { return strings.Compare(p.name, name) })
		if !there {
			tr.prefixes = slices.Insert(tr.prefixes, at, &trackingPrefix{name: name})
		}
		tr.prefixes[at].trackers = append(tr.prefixes[at].trackers, t)
	}
}

// Untrack ends that. Tell is not called any more when it returns.
func (s *Store) Untrack(t *Tracker) {
	s.tracking.mu.Lock()
	defer s.tracking.mu.Unlock()
	tr := &s.tracking
	tr.drop(t)
	if len(tr.trackers) == 0 { // from here on writes do not look at the table
		clear(tr.keys)
		tr.items = 0
	}
}

func (tr *tracking) drop(t *Tracker) {
	if tr.trackers[t.ID] != t {
		return
	}
	delete(tr.trackers, t.ID)
	tr.on.Add(-1)
	if len(t.mode.Prefixes) == 0 {
		return
	}
	for _, p := range tr.prefixes {
		p.trackers = slices.DeleteFunc(p.trackers, func(o *Tracker) bool { return o == t })
	}
	tr.prefixes = slices.DeleteFunc(tr.prefixes, func(p *trackingPrefix) bool { return len(p.trackers) == 0 })
}

// LimitTracking bounds the keys that are remembered for all clients
// (tracking-table-max-keys); 0 is no bound. Clients are told of those that are
// forgotten, as if they had changed.
func (s *Store) LimitTracking(keys int) {
	tr := &s.tracking
	for over := true; over; { // not all under one hold: writes wait for it
		tr.mu.Lock()
		tr.limit = keys
		tr.evict(1000)
		over = tr.limit > 0 && len(tr.keys) > tr.limit
		tr.mu.Unlock()
	}
}

// TrackingStats are INFO's figures.
type TrackingStats struct {
	Clients, Keys, Items, Prefixes int
}

// TrackingStats counts.
func (s *Store) TrackingStats() TrackingStats {
	tr := &s.tracking
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return TrackingStats{Clients: len(tr.trackers), Keys: len(tr.keys), Items: tr.items, Prefixes: len(tr.prefixes)}
}

// remember notes which keys a command has read. Store.mu is held, since before it
// read them.
func (tr *tracking) remember(t *Tracker, spec *command.Spec, argv [][]byte) {
	at := spec.OnlyKey()
	var refs []command.KeyRef
	if at == 0 {
		var err error
		if refs, err = command.Keys(spec, argv); err != nil {
			return // it was answered with an error
		}
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.trackers[t.ID] != t {
		return // the client has left
	}
	if at != 0 {
		tr.add(t.ID, argv[at])
	}
	for _, ref := range refs {
		tr.add(t.ID, argv[ref.Pos])
	}
	tr.evict(100)
}

// rememberOld is remember for a command that has read from a picture. If anything has been
// applied since, its writes have come by without finding the keys here, and the client is
// told at once: behind the reply, because its connection waits for that.
func (tr *tracking) rememberOld(s *Store, t *Tracker, spec *command.Spec, argv [][]byte, revision uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.m.Revision() == revision {
		tr.remember(t, spec, argv)
		return
	}
	refs, err := command.Keys(spec, argv)
	if err != nil || len(refs) == 0 {
		return
	}
	keys := make([]string, len(refs))
	for i, ref := range refs {
		keys[i] = string(argv[ref.Pos])
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.trackers[t.ID] == t {
		t.Tell(keys, nil)
	}
}

func (tr *tracking) add(id int64, key []byte) {
	h := tr.keys[string(key)]
	if h == nil {
		h = &holders{}
		tr.keys[string(key)] = h
	}
	before := h.size()
	h.add(id, tr.trackers)
	tr.items += h.size() - before
}

// evict forgets keys, whichever they are, until the table is within its limit, but no
// more than most at a time.
func (tr *tracking) evict(most int) {
	if tr.limit == 0 || len(tr.keys) <= tr.limit {
		return
	}
	for key := range tr.keys {
		if len(tr.keys) <= tr.limit || most == 0 {
			return
		}
		most--
		tr.take(key, func(t *Tracker) { t.Tell([]string{key}, nil) })
	}
}

// take takes a key out of the table, and calls visit for those who may have it.
func (tr *tracking) take(key string, visit func(*Tracker)) {
	h := tr.keys[key]
	if h == nil {
		return
	}
	h.each(func(id int64) {
		if t := tr.trackers[id]; t != nil && !t.mode.Broadcast {
			visit(t)
		}
	})
	tr.items -= h.size()
	delete(tr.keys, key)
}

// caller is the client of this node whose request is being applied, and what its own
// commands make invalid in its cache: it is told behind its reply.
type caller struct {
	tracker *Tracker
	pending [][]string // nil among them: everything
	serving bool       // what is being applied is a command of one who waited,
	served  *Tracker   // whose this is, if it is a client of this node
	swept   bool       // the command that is being run has emptied or exchanged databases
}

// tell tells one tracker, or keeps it for when the reply is written.
func (c *caller) tell(t *Tracker, keys []string) {
	if t == c.tracker {
		c.pending = append(c.pending, keys)
		return
	}
	t.Tell(keys, nil)
}

// flush tells the client what is pending, behind reply.
func (c *caller) flush(reply command.Reply) {
	if len(c.pending) == 0 {
		return
	}
	for i, keys := range c.pending {
		c.pending[i] = nil
		c.tracker.Tell(keys, reply)
	}
	c.pending = c.pending[:0]
}

// invalidate tells who may have the key.
func (tr *tracking) invalidate(touch keyspace.Touch, c *caller) {
	if tr.on.Load() == 0 {
		return
	}
	switch touch.Change {
	case keyspace.Signalled:
		return // no change beyond the one that goes before it
	case keyspace.Swept:
		c.swept = true // and told of once, however many databases it is
		return
	}
	by := c.tracker
	if c.serving {
		by = c.served
	}
	if touch.Change == keyspace.Expired || touch.Change == keyspace.Evicted {
		by = nil // whoever came by: it was none of its doing
	}
	key := string(touch.Key)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, p := range tr.prefixes {
		if strings.HasPrefix(key, p.name) {
			if p.changed == nil {
				p.changed = make(map[string]*Tracker)
			}
			p.changed[key] = by
			tr.changed = true
		}
	}
	tr.take(key, func(t *Tracker) {
		if !t.mode.NoLoop || t != by {
			c.tell(t, []string{key})
		}
	})
}

// ran tells everybody if the command that has run was about all keys.
func (tr *tracking) ran(c *caller) {
	if c.swept {
		c.swept = false
		tr.invalidateAll(c)
	}
}

// invalidateAll tells all clients that nothing is what it was.
func (tr *tracking) invalidateAll(c *caller) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, t := range tr.trackers {
		c.tell(t, nil)
	}
	clear(tr.keys)
	tr.items = 0
}

// broadcast tells clients in broadcast mode what has changed since it was last
// called: one message for each prefix, as Redis for each turn of its event loop.
// The apply loop calls it before it lets go of Store.mu.
func (tr *tracking) broadcast() {
	if tr.on.Load() == 0 {
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !tr.changed {
		return
	}
	tr.changed = false
	for _, p := range tr.prefixes {
		if len(p.changed) == 0 {
			continue
		}
		all := make([]string, 0, len(p.changed))
		for key := range p.changed {
			all = append(all, key)
		}
		slices.Sort(all)
		for _, t := range p.trackers {
			keys := all
			if t.mode.NoLoop {
				keys = slices.DeleteFunc(slices.Clone(all), func(key string) bool { return p.changed[key] == t })
			}
			if len(keys) > 0 {
				t.Tell(keys, nil)
			}
		}
		p.changed = nil
	}
}
