package resp

import (
	"fmt"

	"github.com/raftredis/raftredis/store/command"
)

// The rules that clients of Redis Cluster count on, which hold if cluster-enabled is
// set. They are this node's, and about what clients send: what a script calls is not
// held to them, since it runs alike on all nodes.

// mode is what INFO and HELLO call the server.
func (s *Server) mode() string {
	if s.config().ClusterEnabled {
		return "cluster"
	}
	return "standalone"
}

const errCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot"

// otherDatabase returns the error for a call that is about another database than 0, where
// the rules hold.
func (c *conn) otherDatabase(cm *cmd, argv [][]byte) string {
	if cm.spec.OtherDatabase == nil || !c.srv.config().ClusterEnabled {
		return ""
	}
	return cm.spec.OtherDatabase(argv)
}

// slotKeys are the keys of a call as far as slots are concerned: shard channels have
// slots as well.
func slotKeys(spec *command.Spec, argv [][]byte) [][]byte {
	var keys [][]byte
	if spec.Channels != command.NoChannels && len(spec.Keys) > 0 {
		from, to := spec.Channels.Among(len(argv))
		return argv[from:to]
	}
	refs, err := command.Keys(spec, argv)
	if err != nil {
		return nil // its own error is more to the point
	}
	for _, r := range refs {
		keys = append(keys, argv[r.Pos])
	}
	return keys
}

// slotted looks at one call after another, and remembers the slot of their keys.
type slotted struct {
	slot  int
	known bool
}

// crosses reports whether a call has keys of another slot than those before it.
func (s *slotted) crosses(spec *command.Spec, argv [][]byte) bool {
	for _, key := range slotKeys(spec, argv) {
		slot := slotOf(key)
		if s.known && slot != s.slot {
			return true
		}
		s.slot, s.known = slot, true
	}
	return false
}

// oneSlot reports whether calls must keep to one slot.
func (c *Config) oneSlot() bool { return c.ClusterEnabled && !c.CrossSlot }

// crossesSlots reports whether a call, or a transaction that it runs, has keys of several
// slots and is refused for that.
func (c *conn) crossesSlots(cm *cmd, argv [][]byte) bool {
	var s slotted
	if !cm.is(executes) {
		return s.crosses(cm.spec, argv)
	}
	for _, q := range c.multi.queue {
		if s.crosses(q.cmd.spec, q.argv) {
			return true
		}
	}
	return false
}

// What begins the errors that send a client to the leader: Redis Cluster's, and Valkey's
// for other clients.
const (
	moved    = "MOVED "
	redirect = "REDIRECT "
)

// elsewhere returns the error for a call that is about data, by a client that wants to be
// sent to the leader (CLIENT CAPA redirect). It is "" if this node leads or does not
// know who does, and for what only reads if the client has said READONLY.
func (c *conn) elsewhere(cm *cmd, argv [][]byte) string {
	data := cm.spec.Read != nil || cm.spec.Write != nil || cm.spec.Runs != 0 || cm.is(executes) && len(c.multi.queue) > 0
	reads := cm.flags&command.Readonly != 0 || cm.is(executes) && !c.multi.writes
	if !data || reads && c.modeSet && !c.linear {
		return ""
	}
	t := c.srv.topology()
	m := t.master()
	if m == nil || m.id == t.self {
		return ""
	}
	addr := m.addr(c.tls)
	if !c.srv.config().ClusterEnabled {
		return redirect + addr
	}
	keys := slotKeys(cm.spec, argv)
	for _, q := range c.multi.queue {
		if cm.is(executes) && len(keys) == 0 {
			keys = slotKeys(q.cmd.spec, q.argv)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf("%s%d %s", moved, slotOf(keys[0]), addr)
}
