package machine

import (
	"errors"
	"fmt"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// The level in force (command.Level) says which formats the log and the snapshots have from
// a place of the log on, and what there is to apply. The leader raises it once all members
// have said, outside of the log, that they know it; until then nothing of it is in any log,
// so that an older program can run any member. It never sinks: what has been written with
// it may be on any disk.
//
// A snapshot is written in the form of the level in force, without a section for what only
// higher ones have. So under Level1 it is, to the byte, what the program of that time writes.

// ErrNewer says that the log or a snapshot has a level that this program does not know. The
// node must stop, and a newer program go on.
var ErrNewer = errors.New("this program is too old for its data")

// Level returns the level in force.
func (m *Machine) Level() command.Level { return m.level }

// raise applies the op that c stands at.
func (m *Machine) raise(c *cursor) error {
	to := command.Level(c.uvarint())
	if c.err != nil {
		return c.err
	}
	return m.setLevel(max(m.level, to)) // two leaders may have asked for it, one after the other
}

func (m *Machine) setLevel(to command.Level) error {
	if to > command.Latest {
		return fmt.Errorf("%w: the cluster is at level %d and this program knows levels up to %d (raftredis %s): install the version that the other members run",
			ErrNewer, to, command.Latest, command.Latest.Release())
	}
	m.level, m.host.Level, m.ks.First = to, to, to < command.Level2
	return nil
}

func (m *Machine) decodeLevel(d *keyspace.Decoder) error {
	level := command.Level(d.Uvarint())
	if d.Err() == nil && level < command.Level2 {
		d.Fail("a level that has no section")
	}
	if err := d.Err(); err != nil {
		return err
	}
	return m.setLevel(level)
}
