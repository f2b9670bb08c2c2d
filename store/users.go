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
	var o usersOutcome
	doneC := make(chan struct{})
	s.Submit(&b, &o, func() { close(doneC) })
	<-doneC // at the latest when the proposal times out
	if o.failed {
		return 0, &acl.Failure{Rule: o.n, Why: errors.New(o.why)}
	}
	if o.err != "" {
		return 0, o.err
	}
	return o.n, nil
}

// usersOutcome takes the reply of a change of the users.
type usersOutcome struct {
	command.Discard
	n      int
	failed bool
	why    string
	err    Error
}

// Int takes how many users have changed, or which rule could not be applied.
func (o *usersOutcome) Int(n int64) { o.n = int(n) }

// Array says that a rule could not be applied.
func (o *usersOutcome) Array(int) { o.failed = true }

// BulkString takes why.
func (o *usersOutcome) BulkString(s string) { o.why = s }

// Error takes why there is no outcome.
func (o *usersOutcome) Error(line string) { o.err = Error(line) }
