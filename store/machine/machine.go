package machine

import (
	"fmt"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
	"github.com/raftredis/raftredis/store/script"
)

// Machine is the state that a log determines, and the interpreter of that log.
// It has no lock: its owner lets one goroutine call Apply, and nobody else look
// at it meanwhile but in Observer.Pause.
type Machine struct {
	table *command.Table
	obs   Observer

	// The state. All of it is in the snapshot and in the digest.
	ks       *keyspace.Keyspace
	sessions sessions
	index    uint64 // of the last applied entry
	term     uint64 // of that entry
	now      Millis // the state clock: the highest stamp applied
	revision uint64 // counts the units applied: the versions of keys
	waiting  waiting
	parts    commit.Assembly // the large request that has come in part
	audience audience
	users    *acl.Users
	library  library.Library // scripts and functions
	outcomes outcomes
	level    command.Level // in force

	// The interpreter's own. Nothing of it outlives an entry.
	seed   uint64 // the entry's
	head   Head   // the request's
	keep   int    // command.Call.KeepFrom
	rand   keyspace.Rand
	frames []*frame // of the commands that are being run, one inside the other
	depth  int
	ahead  lookahead

	touches uint64 // counts what commands have changed and said

	held *[]keyEvent // events that wait for the end of a command, nil: none wait

	publish func(shard bool, channel, payload []byte) int64 // Publish, without an allocation for each command
	host    command.Host                                    // of scripts
	asker   Asker                                           // of the request

	commands *acl.Commands // of table
	user     uint64        // whose scripts the request's are, 0: of one who may do everything
	policy   *acl.Policy   // of the user who was asked about last, nil: nobody was
}

// New returns a machine that has applied nothing. Entries name commands, so every
// member's table must have every write that any member lets in.
func New(table *command.Table, obs Observer) *Machine {
	m := &Machine{table: table, obs: obs, ks: keyspace.New(), sessions: make(sessions), waiting: newWaiting(), audience: newAudience(), outcomes: newOutcomes(), users: acl.New(), commands: acl.NewCommands(table), level: command.Level1}
	m.publish = m.Publish
	m.host = command.Host{Table: table, Library: &m.library, Engine: script.NewEngine(), Limits: command.ScriptLimits(), Level: m.level, Exec: m.execFor,
		Called: func(c command.Called, n int64) { m.asker.Called(c, n) }}
	m.ks.First = true
	m.attach()
	return m
}

// attach has the keyspace call the machine.
func (m *Machine) attach() {
	m.ks.OnTouch, m.ks.OnSwap, m.ks.OnEvent = m.touched, m.swapping, m.event
}

// Index returns the index of the last applied entry.
func (m *Machine) Index() uint64 { return m.index }

// Revision returns how many units were applied: what others may see of the state
// changes only with it.
func (m *Machine) Revision() uint64 { return m.revision }

// Millis is a time of the state clock: milliseconds since 1970 by the clock of
// whoever led when an entry was sealed. It is what deadlines of keys and of clients
// that wait are compared with, and has a type of its own because a node has other
// clocks, which the state must not depend on and which count in other units.
type Millis int64

// Now returns the state clock: the highest stamp applied.
func (m *Machine) Now() Millis { return m.now }

// Keyspace returns the data, for reading.
func (m *Machine) Keyspace() *keyspace.Keyspace { return m.ks }

// Library returns the scripts and functions, for reading.
func (m *Machine) Library() *library.Library { return &m.library }

// Applied reports whether a request was applied, as far as the machine remembers:
// it forgets what is below the run's floor.
func (m *Machine) Applied(origin, incarnation, seq uint64) bool {
	return m.sessions.has(origin, incarnation, seq)
}

// RunOf returns the latest run of a member whose requests were applied, 0 if none
// was.
func (m *Machine) RunOf(origin uint64) uint64 {
	if s := m.sessions[origin]; s != nil {
		return s.incarnation
	}
	return 0
}

// Took reports whether a request of a member was ever applied.
func (m *Machine) Took(origin uint64) bool { return m.sessions[origin] != nil }

// Apply applies one entry of the log. Data is nil for entries that are raft's
// own. An entry that was applied already is skipped. After an error, or a panic
// of a handler, the state is not what the log says, and the node must stop.
func (m *Machine) Apply(index, term uint64, data []byte) error {
	if index <= m.index {
		return nil // it is in the snapshot that was loaded, or was sent twice
	}
	if index != m.index+1 { // going on would lose the writes in between
		return fmt.Errorf("apply entry %d: the state is at %d, there is a gap", index, m.index)
	}
	data, err := m.whole(term, data)
	if err == nil && len(data) > 0 {
		err = m.entry(data)
	}
	if err != nil {
		return fmt.Errorf("apply entry %d: %w", index, err)
	}
	m.index, m.term = index, term // last: an entry counts as a whole or not at all
	return nil
}

// whole returns what there is to apply when an entry has come: nothing, if it is a
// part of a large request, until its last one comes.
func (m *Machine) whole(term uint64, data []byte) ([]byte, error) {
	m.keep = 0
	if !commit.IsPart(data) {
		return m.parts.Add(term, data)
	}
	return m.part(term, data)
}

func (m *Machine) part(term uint64, data []byte) (whole []byte, err error) {
	m.obs.Aside(func() { whole, err = m.parts.Add(term, data) })
	if len(whole) > 0 {
		m.keep = len(whole) - len(whole)/8 // it is in memory of its own
	}
	return whole, err
}

func (m *Machine) entry(data []byte) error {
	c := cursor{b: data}
	stamp, seed := c.entryHead()
	if c.err != nil {
		return c.err
	}
	m.seed = seed
	// A new leader's clock may be behind the old one's. Were the state clock to follow,
	// keys that have expired would be there again.
	m.now = max(m.now, stamp)
	m.obs.Entry(stamp)
	m.expireWaiters()
	m.outcomes.expire(m.now)
	m.ahead.start(c)
	defer m.ahead.stop()
	for c.more() {
		request := c.bytes()
		if c.err != nil {
			return c.err
		}
		if err := m.request(request); err != nil {
			return err
		}
	}
	return nil
}

// swapping is the keyspace's OnSwap.
func (m *Machine) swapping(a, b int) {
	m.touches++
	m.obs.Swapping(a, b)
}

// touched is the keyspace's OnTouch.
func (m *Machine) touched(t keyspace.Touch) {
	m.touches++
	m.waiting.touched(t)
	m.obs.Touched(t)
}

func (m *Machine) request(request []byte) error {
	c := cursor{b: request}
	h := c.head()
	if c.err != nil {
		return c.err
	}
	m.head = h
	before := m.RunOf(h.Origin) // admit may begin a new one
	fresh := m.sessions.admit(h)
	asker, err := m.obs.Request(h, fresh)
	if err != nil || !fresh {
		return err
	}
	m.asker = asker
	m.scriptsAs(0)
	// The run before it has ended, and so have its clients: what was taken for them and
	// not claimed reached nobody. Before the request's own ops, because a push among
	// them must find only who is there. It is a unit of its own, as an op is.
	if before < h.Incarnation {
		m.begin()
		m.silence(h.Origin)
		delete(m.audience.members, h.Origin) // the new run counts its announcements from 1
		if err := m.endClients(h.Origin); err != nil {
			return err
		}
		m.serve()
	}
	for c.more() {
		if err := m.op(&c, asker); err != nil {
			return err
		}
	}
	if c.err == nil {
		asker.End()
	}
	return c.err
}

// Term returns the term of the last applied entry.
func (m *Machine) Term() uint64 { return m.term }
