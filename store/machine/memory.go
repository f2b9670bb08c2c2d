package machine

import (
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Whether there is room for a write is decided when it is applied, from the state, and
// so alike on all members. What is to go is in the log as well: the leader names the
// keys (opEvict) that its knowledge of who reads what makes the best ones, and keeps
// ahead of those who write. Where it has not, the state itself makes room in front of
// the op that needs it (makeRoom), by what is in it.

// lowWater is the least that an opEvict may leave, as a part of maxmemory: whatever a
// leader has asked for, no more than a sixteenth goes without need.
const lowWater = 16

// evict deletes those of the keys that c stands at which have to go.
func (m *Machine) evict(c *cursor, db int) error {
	target := int64(min(c.uvarint(), 1<<62))
	d := m.ks.DB(db)
	limits := m.ks.Limits()
	// The leader chose by what it saw. What counts is what is so now: a key may have lost
	// its deadline, others may have been deleted, the limit may be another one.
	target = max(target, limits.MaxMemory-limits.MaxMemory/lowWater)
	var names [keyspace.MaxAhead][]byte
	for left := c.count(); left > 0 && c.err == nil; {
		n := min(left, len(names))
		left -= n
		for i := range n {
			names[i] = c.bytes()
		}
		if c.err != nil || limits.MaxMemory == 0 {
			continue
		}
		d.RemoveAhead(names[:n])
		for _, key := range names[:n] {
			if m.ks.Used() > target {
				d.Evict(key, limits.Policy())
			}
		}
	}
	return c.err
}

// makeRoom evicts, in a unit of its own, until there is room or the keys that a write may
// have to wait for are gone, and reports whether there is nothing that could go. It is
// what Redis does in front of every command: transactions and scripts see it as well,
// as something that happened before them.
func (m *Machine) makeRoom() (oom bool) {
	limits := m.ks.Limits()
	if limits.MaxMemory == 0 || m.ks.Used() <= limits.MaxMemory {
		return false
	}
	if limits.Policy() == keyspace.NoEviction {
		return true
	}
	m.begin()
	for left := atOnce(limits.Tenacity); m.ks.Used() > limits.MaxMemory; left-- {
		if left == 0 {
			return false // the next one goes on
		}
		if !m.ks.EvictAny(&m.rand) {
			return true
		}
	}
	return false
}

// atOnce is how many keys go in front of a write at most: Redis's is a time, which is not
// the same everywhere.
func atOnce(tenacity int64) int64 {
	const perPoint, any = 25, 100
	if tenacity >= any {
		return -1
	}
	return 1 + perPoint*tenacity
}

// refuses reports whether a command may not run because there is no room for it.
func (m *Machine) refuses(spec *command.Spec) bool {
	return m.host.OOM && spec.Flags&command.DenyOOM != 0
}

// refusesAny is refuses for the n commands of a transaction that c stands at: one of them
// is enough.
func (m *Machine) refusesAny(c cursor, n int) bool {
	if !m.host.OOM {
		return false
	}
	var argv [][]byte
	for ; n > 0; n-- {
		c.db()
		argv = c.args(argv)
		if c.err != nil {
			return false // whoever reads it says so
		}
		if spec := m.table.Resolve(argv); spec != nil && m.refuses(spec) {
			return true
		}
	}
	return false
}

// reads tells the observer of the keys that c stands at.
func (m *Machine) reads(c *cursor, db int) error {
	view := m.ks.View(db, int64(m.now))
	for n := c.count(); n > 0; n-- {
		if key, times := c.bytes(), c.uvarint(); c.err == nil {
			m.obs.Read(m.head, &view, key, times)
		}
	}
	return c.err
}
