package store

import (
	"errors"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
)

// Users returns the users as of the last entry that was applied here. It takes no
// lock.
func (s *Store) Users() *acl.Users { return s.users.Load() }

// OnUsers has told called after the users have changed, before whoever changed
// them is answered. It is called by the apply loop and must be quick. There is one
// such function: the front's.
func (s *Store) OnUsers(told func()) { s.onUsers.Store(&told) }

// ChangeUsers proposes a change of the users and waits for its outcome: how many
// it has changed on all nodes. An error is an *acl.Failure, and nothing was
// changed, or one of this package. It must not be called on a goroutine that
// others wait for.
func (s *Store) ChangeUsers(change acl.Change) (changed int, err error) {
	var b Batch
	b.changeUsers(change)
	var reply command.Recorded
	doneC := make(chan struct{})
	s.Submit(&b, &reply, func() { close(doneC) })
	<-doneC // at the latest when the proposal times out
	if line := reply.Err(); line != "" {
		return 0, Error(line)
	}
	values := reply.Values() // how many; or which rule could not be applied, and why
	n, _ := command.ParseInt(values[0])
	if len(values) > 1 {
		return 0, &acl.Failure{Rule: int(n), Why: errors.New(string(values[1]))}
	}
	return int(n), nil
}
