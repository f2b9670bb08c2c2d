package machine

import (
	"maps"
	"slices"
	"strconv"

	"github.com/tidwall/btree"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Topic is a kind of name that clients subscribe to.
type Topic byte

// The topics.
const (
	Channels Topic = iota
	Patterns
	ShardChannels
	Topics // how many there are
)

// Message is one that the log has a place for.
type Message struct {
	Shard            bool   // its channel is a shard channel
	Channel, Payload []byte // valid during the call that gets it
}

// audience is how many clients subscribe to what, by member: what PUBLISH answers.
// It is state, because a script may go by that answer. Each member says how many
// clients of its own a name has, when that changes (Announcement); who they are only
// it knows.
type audience struct {
	members map[uint64]*crowd
	all     listeners // of all members together: follows from members
}

func newAudience() audience { return audience{members: make(map[uint64]*crowd)} }

// crowd is one member's run.
type crowd struct {
	listeners
	upTo uint64 // of its last announcement: one that comes late must not undo a later one
}

// listeners are how many clients subscribe to a name.
type listeners [Topics]btree.Map[string, uint64]

// Announcement is how many clients of a member subscribe to a name now.
type Announcement struct {
	Topic   Topic
	Name    string
	Clients uint64
}

// set notes how many clients of a member subscribe to a name now.
func (a *audience) set(origin uint64, t Topic, name string, clients uint64) {
	c := a.of(origin)
	before, _ := c.listeners[t].Get(name)
	all, _ := a.all[t].Get(name)
	c.listeners.set(t, name, clients)
	a.all.set(t, name, all-before+clients)
}

func (a *audience) of(origin uint64) *crowd {
	c := a.members[origin]
	if c == nil {
		c = &crowd{}
		a.members[origin] = c
	}
	return c
}

// drop forgets all clients of a member, and reports whether there were any.
func (a *audience) drop(origin uint64) bool {
	c := a.members[origin]
	if c == nil || c.empty() {
		return false
	}
	for t := range c.listeners {
		c.listeners[t].Scan(func(name string, clients uint64) bool {
			all, _ := a.all[t].Get(name)
			a.all.set(Topic(t), name, all-clients)
			return true
		})
	}
	c.listeners = listeners{}
	return true
}

func (l *listeners) set(t Topic, name string, clients uint64) {
	if clients == 0 {
		l[t].Delete(name)
	} else {
		l[t].Set(name, clients)
	}
}

func (l *listeners) empty() bool {
	return l[Channels].Len()+l[Patterns].Len()+l[ShardChannels].Len() == 0
}

// count returns how many clients a name has.
func (a *audience) count(t Topic, name string) int64 {
	clients, _ := a.all[t].Get(name)
	return int64(clients)
}

// hearing returns how many clients a message to channel is for. As in Redis, one that
// has subscribed to the channel and to a pattern counts twice.
func (a *audience) hearing(channel string) int64 {
	n := a.count(Channels, channel)
	a.all[Patterns].Scan(func(pattern string, clients uint64) bool {
		if glob.MatchString([]byte(pattern), channel) {
			n += int64(clients)
		}
		return true
	})
	return n
}

// clone freezes the audience. It costs little: what is in it is copied when it is
// first changed.
func (a *audience) clone() audience {
	c := newAudience()
	for origin, from := range a.members {
		own := &crowd{upTo: from.upTo}
		for t := range from.listeners {
			own.listeners[t] = *from.listeners[t].Copy()
		}
		c.members[origin] = own
	}
	return c
}

func (a *audience) encode(e *keyspace.Encoder) {
	e.Uvarint(uint64(len(a.members)))
	for _, origin := range slices.Sorted(maps.Keys(a.members)) {
		e.Uvarint(origin)
		c := a.members[origin]
		e.Uvarint(c.upTo)
		for t := range c.listeners {
			names := &c.listeners[t]
			e.Uvarint(uint64(names.Len()))
			names.Scan(func(name string, clients uint64) bool {
				e.String(name)
				e.Uvarint(clients)
				return true
			})
		}
	}
}

// decodeAudience needs the sessions.
func (m *Machine) decodeAudience(d *keyspace.Decoder) error {
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		origin := d.Uvarint()
		if m.sessions[origin] == nil || m.audience.members[origin] != nil {
			d.Fail("subscribers of a member that cannot be")
			break
		}
		m.audience.of(origin).upTo = d.Uvarint()
		for t := range Topics {
			last := ""
			names := d.Uvarint()
			for i := uint64(0); i < names && d.Err() == nil; i++ {
				name, clients := d.String(), d.Uvarint()
				if clients == 0 || i > 0 && name <= last {
					d.Fail("subscribers are out of order")
				}
				m.audience.set(origin, t, name, clients)
				last = name
			}
		}
	}
	return nil
}

// decodeEvents reads which keyspace events are told.
func (m *Machine) decodeEvents(d *keyspace.Decoder) error {
	if events := d.Uvarint(); !m.ks.SetEvents(keyspace.Events(events)) || events > uint64(m.ks.Events()) {
		d.Fail("classes of events that there are not")
	}
	return nil
}

// announce applies an opAnnounce.
func (m *Machine) announce(c *cursor) error {
	upTo := c.uvarint()
	origin := m.head.Origin
	from := m.audience.of(origin)
	late := upTo <= from.upTo
	for n := c.count(); n > 0; n-- {
		t, name, clients := Topic(c.byte()), c.bytes(), c.uvarint()
		if t >= Topics {
			c.fail("no such topic")
		}
		if c.err != nil {
			return c.err
		}
		if !late {
			m.audience.set(origin, t, string(name), clients)
		}
	}
	if c.err == nil && !late {
		from.upTo = upTo
		m.obs.Announced(m.head, upTo)
	}
	return c.err
}

// silence drops the listeners of a member: its run has ended, or it is given up.
func (m *Machine) silence(origin uint64) {
	if m.audience.drop(origin) {
		m.obs.Silenced(origin, m.RunOf(origin))
	}
}

// Publish sends a message at this place of the log, and returns how many clients it
// is for. It is how all messages go: of PUBLISH, of a transaction, of a script.
func (m *Machine) Publish(shard bool, channel, payload []byte) int64 {
	m.touches++
	m.obs.Published(Message{shard, channel, payload})
	if shard {
		return m.audience.count(ShardChannels, string(channel))
	}
	return m.audience.hearing(string(channel))
}

// keyEvent is what has happened to a key.
type keyEvent struct {
	db        int
	name, key string
}

// writeMissing runs a command whose lookups count, and tells of what it has not found
// before it tells of what it has done: which lookups count is known only at its end.
func (m *Machine) writeMissing(f *frame, spec *command.Spec) {
	outer := m.held
	m.held = &[]keyEvent{}
	spec.Write(&f.call)
	held := *m.held
	m.held = outer
	tellMissed(f)
	for _, e := range held {
		m.event(e.db, e.name, []byte(e.key))
	}
}

// tellMissed tells of what a command has not found.
func tellMissed(f *frame) {
	for _, key := range f.db.Lookups.Missed {
		f.db.Event(keyspace.EventMiss, "keymiss", []byte(key))
	}
}

// event is the keyspace's OnEvent. Nobody asks how many hear of it.
func (m *Machine) event(db int, name string, key []byte) {
	if m.held != nil {
		*m.held = append(*m.held, keyEvent{db, name, string(key)})
		return
	}
	events := m.ks.Events()
	send := func(channel, payload string) {
		m.obs.Published(Message{Channel: []byte(channel), Payload: []byte(payload)})
	}
	in := "@" + strconv.Itoa(db) + "__:"
	if events&keyspace.EventKeyspace != 0 {
		send("__keyspace"+in+string(key), name)
	}
	if events&keyspace.EventKeyevent != 0 {
		send("__keyevent"+in+name, string(key))
	}
}

// Subscribers returns how many clients of all members subscribe to a name.
func (m *Machine) Subscribers(t Topic, name string) int64 { return m.audience.count(t, name) }

// Subscribed visits the names of a topic that any client of any member subscribes to,
// each once and in order.
func (m *Machine) Subscribed(t Topic, visit func(name string)) {
	m.audience.all[t].Scan(func(name string, _ uint64) bool {
		visit(name)
		return true
	})
}

// CountSubscribed returns how many names those are.
func (m *Machine) CountSubscribed(t Topic) int { return m.audience.all[t].Len() }

// Listening lists the runs of members that have subscribers, in no particular order.
func (m *Machine) Listening() []Clients {
	all := make([]Clients, 0, len(m.audience.members))
	for origin, c := range m.audience.members {
		if !c.empty() {
			all = append(all, Clients{origin, m.RunOf(origin), c.listeners[Channels].Len() + c.listeners[Patterns].Len() + c.listeners[ShardChannels].Len()})
		}
	}
	return all
}
