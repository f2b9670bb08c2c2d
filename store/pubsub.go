package store

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
	"github.com/raftredis/raftredis/store/machine"
)

// Topic is a kind of name that clients subscribe to.
type Topic = machine.Topic

// The topics.
const (
	Channels      = machine.Channels
	Patterns      = machine.Patterns
	ShardChannels = machine.ShardChannels
)

// Message is one that a client gets because it subscribes to Name. It is shared
// between all who do, and nobody changes it.
type Message struct {
	Topic   Topic
	Name    string
	Channel string // where it was sent: Name, unless that is a pattern
	Payload []byte
}

// Subscriber is a client of this node that may subscribe. The functions are set before
// it does, are called by the apply loop, or by who calls Tell, while hub.mu is held, and
// must be quick and not call the store.
type Subscriber struct {
	// Deliver gets each message once, in the order of the log.
	Deliver func(*Message)
	// Cut is called when messages that this client should have had are lost, since a
	// snapshot was loaded in place of the entries that have them. It must be told.
	Cut func()

	seats [machine.Topics]map[string]*seat // guarded by hub.mu, as is gone
	gone  bool
}

// seat is one client's subscription to one name.
type seat struct {
	sub   *Subscriber
	topic *topic
	at    int    // where in topic.seats
	since uint64 // in force once so many changes are announced
}

// topic is a name that clients of this node subscribe to, or did until a moment ago.
type topic struct {
	kind   Topic
	name   string
	seats  []*seat
	at     int    // of a pattern: where in hub.patterns
	told   uint64 // how many clients the log knows of, or unknown
	queued uint64 // its place among the changes, 0 if nothing is to be announced
}

// hub is the subscribers of this node. What PUBLISH answers on any node follows from
// what the hub announces in the log: how many clients each name has here, whenever
// that changes. A subscription is in force, and confirmed to its client, at the place
// in the log where its announcement stands. So a client gets what was published after
// that, and nothing from before.
//
// One request with announcements is on its way at a time. What changes meanwhile
// shares the next one, which makes 100,000 subscriptions a handful of requests.
type hub struct {
	n atomic.Int64 // seats, so that a message costs nothing while there are none

	mu       sync.Mutex
	topics   [machine.Topics]map[string]*topic
	patterns []*topic
	changed  []*topic // to be announced, in the order of topic.queued
	changes  uint64   // so many have been queued so far
	inForce  uint64   // and so many of them are announced
	flying   bool     // a request is on its way
	stopped  bool
	waits    []announceWait
}

// announceWait is a client that waits until so many changes are in force.
type announceWait struct {
	upTo uint64
	done func()
}

// maxAnnounced is how long a name may be to be announced. Clients get what is sent to
// longer ones, but PUBLISH does not count them. It bounds how long matching a pattern
// takes while the state is locked.
const maxAnnounced = 1 << 10

// unknown is what is told of a topic if nobody knows.
const unknown = ^uint64(0)

// maxAnnouncement is about how many bytes one request announces.
const maxAnnouncement = 4 << 20

// Subscribe subscribes a client, and reports whether it was not subscribed. It is in
// force when Announce says so.
func (s *Store) Subscribe(sub *Subscriber, kind Topic, name []byte) bool {
	h := &s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if sub.gone || sub.seats[kind][string(name)] != nil {
		return false
	}
	t := h.topic(kind, string(name))
	st := &seat{sub: sub, topic: t, at: len(t.seats)}
	t.seats = append(t.seats, st)
	if sub.seats[kind] == nil {
		sub.seats[kind] = make(map[string]*seat)
	}
	sub.seats[kind][t.name] = st
	h.n.Add(1)
	h.change(t)
	st.since = t.queued
	return true
}

// Unsubscribe is the opposite. It is in force at once, and known to other nodes when
// Announce says so.
func (s *Store) Unsubscribe(sub *Subscriber, kind Topic, name string) bool {
	h := &s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	st := sub.seats[kind][name]
	if st == nil {
		return false
	}
	delete(sub.seats[kind], name)
	h.leave(st)
	return true
}

// Subscriptions returns what a client subscribes to, in order.
func (s *Store) Subscriptions(sub *Subscriber, kind Topic) []string {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	names := make([]string, 0, len(sub.seats[kind]))
	for name := range sub.seats[kind] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Unlisten ends all subscriptions of a client. If it has gone it can make no more.
func (s *Store) Unlisten(sub *Subscriber, gone bool) {
	h := &s.hub
	h.mu.Lock()
	sub.gone = sub.gone || gone
	for kind := range sub.seats {
		for _, st := range sub.seats[kind] {
			h.leave(st)
		}
		sub.seats[kind] = nil
	}
	h.mu.Unlock()
	h.flush(s)
}

// Announce has what has changed so far announced, and calls done when that is in
// force: from any goroutine, perhaps before Announce returns.
func (s *Store) Announce(done func()) {
	h := &s.hub
	h.mu.Lock()
	wait := h.inForce < h.changes && !h.stopped
	if wait {
		h.waits = append(h.waits, announceWait{h.changes, done})
	}
	h.mu.Unlock()
	if !wait {
		done()
	}
	h.flush(s)
}

// topic returns the topic of a name, a new one if there is none. mu is held.
func (h *hub) topic(kind Topic, name string) *topic {
	t := h.topics[kind][name]
	if t != nil {
		return t
	}
	t = &topic{kind: kind, name: name}
	if h.topics[kind] == nil {
		h.topics[kind] = make(map[string]*topic)
	}
	h.topics[kind][name] = t
	if kind == Patterns {
		t.at = len(h.patterns)
		h.patterns = append(h.patterns, t)
	}
	return t
}

// leave ends a subscription. mu is held.
func (h *hub) leave(st *seat) {
	t, last := st.topic, len(st.topic.seats)-1
	t.seats[st.at] = t.seats[last]
	t.seats[st.at].at = st.at
	t.seats[last] = nil
	t.seats = t.seats[:last]
	h.n.Add(-1)
	h.change(t)
}

// change queues a topic to be announced. mu is held.
func (h *hub) change(t *topic) {
	if t.queued == 0 {
		h.changes++
		t.queued = h.changes
		h.changed = append(h.changed, t)
	}
}

// forget drops a topic that nobody subscribes to and that has been announced. mu is
// held.
func (h *hub) forget(t *topic) {
	delete(h.topics[t.kind], t.name)
	if t.kind == Patterns {
		last := len(h.patterns) - 1
		h.patterns[t.at] = h.patterns[last]
		h.patterns[t.at].at = t.at
		h.patterns[last] = nil
		h.patterns = h.patterns[:last]
	}
}

// take takes what is to be announced next. mu is held.
func (h *hub) take() (upTo uint64, all []machine.Announcement, taken []*topic) {
	size := 0
	for len(h.changed) > 0 && size < maxAnnouncement {
		t := h.changed[0]
		h.changed[0] = nil
		h.changed = h.changed[1:]
		upTo = t.queued
		t.queued = 0
		clients := uint64(len(t.seats))
		if clients != t.told && len(t.name) <= maxAnnounced {
			all = append(all, machine.Announcement{Topic: t.kind, Name: t.name, Clients: clients})
			size += len(t.name) + 8
		}
		t.told = clients
		taken = append(taken, t)
		if clients == 0 {
			h.forget(t)
		}
	}
	return upTo, all, taken
}

// flush announces what has changed, unless a request is on its way.
func (h *hub) flush(s *Store) {
	h.mu.Lock()
	if h.flying || h.stopped || len(h.changed) == 0 {
		h.mu.Unlock()
		return
	}
	h.flying = true
	upTo, all, taken := h.take()
	h.mu.Unlock()
	b := &Batch{}
	b.announce(upTo, all)
	reply := &command.Recorded{}
	s.Submit(b, reply, func() { h.landed(s, upTo, taken, reply.Err()) })
}

// landed goes on when an announcement is in the log, or is not.
func (h *hub) landed(s *Store, upTo uint64, taken []*topic, failed string) {
	h.mu.Lock()
	h.flying = false
	if failed == "" {
		h.mu.Unlock()
		h.flush(s)
		return
	}
	for _, t := range taken {
		t.told = unknown
		if now := h.topic(t.kind, t.name); now != t {
			now.told = t.told // it was forgotten, and perhaps made again
			t = now
		}
		h.change(t)
	}
	// Who subscribes while there is no leader is not left waiting: it will be counted
	// later, and gets what is published. But not before this node has caught up with
	// what was published before.
	var over []announceWait
	if s.hearing.Load() {
		over = h.advance(upTo)
	}
	h.mu.Unlock()
	for _, w := range over {
		w.done()
	}
	s.logger.Debug("cannot announce subscriptions yet", zap.Int("names", len(taken)), zap.String("error", failed))
	time.AfterFunc(retryEvery, func() { h.flush(s) })
}

// advance notes that so many changes are in force, and returns who waited for that.
// mu is held.
func (h *hub) advance(upTo uint64) (over []announceWait) {
	h.inForce = max(h.inForce, upTo)
	left := 0
	for left < len(h.waits) && h.waits[left].upTo <= h.inForce {
		left++
	}
	over = h.waits[:left:left]
	h.waits = h.waits[left:]
	return over
}

// announced is advance at the place in the log where the announcement stands. The
// apply loop calls it, without Store.mu.
func (h *hub) announced(upTo uint64) {
	h.mu.Lock()
	over := h.advance(upTo)
	h.mu.Unlock()
	for _, w := range over {
		w.done()
	}
}

// again has everything announced again: the others have forgotten it.
func (h *hub) again(s *Store) {
	h.mu.Lock()
	for kind := range h.topics {
		for _, t := range h.topics[kind] {
			t.told = 0
			h.change(t)
		}
	}
	h.mu.Unlock()
	h.flush(s)
}

// cut tells everybody that messages were lost.
func (h *hub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for kind := range h.topics {
		for _, t := range h.topics[kind] {
			for _, st := range t.seats {
				st.sub.Cut()
			}
		}
	}
}

// stop ends all waits.
func (h *hub) stop() {
	h.mu.Lock()
	h.stopped = true
	over := h.waits
	h.waits = nil
	h.mu.Unlock()
	for _, w := range over {
		w.done()
	}
}

// deliver hands a message to whoever it is for. The apply loop and Tell call it, without
// Store.mu: readers go on, however many subscribers there are.
func (h *hub) deliver(shard bool, channel string, payload []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kind := Channels
	if shard {
		kind = ShardChannels
	}
	if t := h.topics[kind][channel]; t != nil {
		h.send(t, channel, payload)
	}
	if shard {
		return
	}
	for _, t := range h.patterns {
		if glob.MatchString([]byte(t.name), channel) {
			h.send(t, channel, payload)
		}
	}
}

// Tell hands a message to the subscribers of this node alone, past the log: it is about
// what this node sees.
func (s *Store) Tell(channel, payload string) {
	if s.hub.n.Load() > 0 {
		s.hub.deliver(false, channel, []byte(payload))
	}
}

func (h *hub) send(t *topic, channel string, payload []byte) {
	m := &Message{Topic: t.kind, Name: t.name, Channel: channel, Payload: payload}
	for _, st := range t.seats {
		if st.since <= h.inForce {
			st.sub.Deliver(m)
		}
	}
}

// Subscribers returns how many clients of all nodes subscribe to a name, as far as
// this node knows.
func (s *Store) Subscribers(kind Topic, name []byte) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m.Subscribers(kind, string(name))
}

// Subscribed returns what clients of any node subscribe to, in order, as far as this
// node knows.
func (s *Store) Subscribed(kind Topic) (names []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.m.Subscribed(kind, func(name string) { names = append(names, name) })
	return names
}

// CountSubscribed returns how many names those are.
func (s *Store) CountSubscribed(kind Topic) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m.CountSubscribed(kind)
}

// heard is what the apply loop has to pass on, in the order of the log, once it has
// released the lock: a message, or that an announcement is in force.
type heard struct {
	shard   bool
	channel string
	payload []byte
	upTo    uint64 // not 0: an announcement
}

// Published keeps a message for those on this node whom it is for.
func (a *applier) Published(m machine.Message) {
	if a.s.hub.n.Load() == 0 || !a.s.hearing.Load() {
		return
	}
	// It comes out of the entry, or out of a script's memory.
	a.heard = append(a.heard, heard{shard: m.Shard, channel: string(m.Channel), payload: slices.Clone(m.Payload)})
}

// Announced notes that subscriptions of this node are in force.
func (a *applier) Announced(h machine.Head, upTo uint64) {
	if h.Origin == a.s.cfg.Member && h.Incarnation == a.s.node.Load().incarnation {
		a.heard = append(a.heard, heard{upTo: upTo})
	}
}

// Silenced has this node's subscriptions announced again.
func (a *applier) Silenced(origin, incarnation uint64) {
	if origin == a.s.cfg.Member && incarnation == a.s.node.Load().incarnation {
		a.silenced = true
	}
}

// tellSubscribers passes on what was heard. It runs without Store.mu.
func (a *applier) tellSubscribers() {
	for i := range a.heard {
		if h := &a.heard[i]; h.upTo != 0 {
			a.s.hub.announced(h.upTo)
		} else {
			a.s.hub.deliver(h.shard, h.channel, h.payload)
		}
	}
	clear(a.heard)
	if cap(a.heard) > keepHeard {
		a.heard = nil
	}
	a.heard = a.heard[:0]
	if a.silenced {
		a.silenced = false
		a.s.hub.again(a.s)
	}
}

const keepHeard = 1 << 10
