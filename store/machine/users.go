package machine

import (
	"errors"
	"fmt"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Users returns the users as of the last applied op. What it returns never changes
// and may be kept.
func (m *Machine) Users() *acl.Users { return m.users }

// changeUsers applies the change that c stands at. The reply is how many users it
// has changed, or an array of the number of the rule that could not be applied and
// of why: only where the rules were written is it known how their author wrote
// them.
func (m *Machine) changeUsers(c *cursor, reply command.Reply) error {
	argv := c.args(nil)
	if c.err != nil {
		return c.err
	}
	change, err := acl.ParseChange(argv)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	users, changed, err := m.users.Apply(change)
	if failed := (*acl.Failure)(nil); errors.As(err, &failed) {
		reply.Array(2)
		reply.Int(int64(failed.Rule))
		reply.BulkString(failed.Why.Error())
		return nil
	}
	if users != m.users {
		m.users = users
		m.obs.UsersChanged(users)
	}
	reply.Int(int64(changed))
	return nil
}

// as has the scripts that follow in the request run on behalf of a user.
func (m *Machine) as(c *cursor) error {
	m.scriptsAs(c.uvarint())
	return c.err
}

func (m *Machine) scriptsAs(user uint64) {
	m.user, m.host.Permits = user, nil
	if user != 0 {
		m.host.Permits = m.permits
	}
}

// permits is command.Host.Permits. What a user may do is looked up when it counts: the
// log may have changed it since the request was sent. Who is gone may do nothing.
func (m *Machine) permits(spec *command.Spec, argv [][]byte, step command.PermitStep) (refusal string) {
	if u := m.users.ByID(m.user); m.policy == nil || m.policy.User != u {
		m.policy = m.commands.Policy(u)
	}
	return m.policy.Permits(m.commands, spec, argv, step, m.asker.Refused)
}

func (m *Machine) decodeUsers(d *keyspace.Decoder) error {
	m.users = acl.Decode(d)
	return nil
}
