package commit

import (
	"context"
	"fmt"
	"io"
)

// View is what a node knows of its cluster. The raft node implements it.
type View interface {
	// Status returns a picture of the node. It asks the raft goroutine, and so is not
	// for every command.
	Status() Status
	// Leader returns the leader's id, 0 if none is known, and the address at which
	// clients reach it, "" if it has not announced itself. It and IsLeader are called
	// often and must be cheap.
	Leader() (id uint64, clientAddr string)
	// IsLeader reports whether this node leads, as far as it knows.
	IsLeader() bool
	// Standing is what clients may be told of who leads and who the members are. It must
	// be cheap.
	Standing() Standing
	// RefusesWrites reports whether clients' writes are to be refused because the disks
	// of too many members are nearly full. It must be cheap. What the store proposes by
	// itself, or must propose to keep a promise, goes on: it is little.
	RefusesWrites() bool
}

// Cluster is what the front shows of the cluster and has it do for clients.
type Cluster interface {
	View

	// ChangeMembership asks for a change, whoever leads, and waits until it is applied
	// on this node. An error that wraps ErrUnknown leaves open whether it will be; any
	// other means that nothing was changed.
	ChangeMembership(ctx context.Context, op ConfChangeOp, m Member) error
	// Transfer hands leadership to a member, 0: to whoever suits.
	Transfer(ctx context.Context, id uint64) error
	// Snapshot takes a snapshot on this node now.
	Snapshot(ctx context.Context) error
	// Backup takes a snapshot on this node, of all that was given to the store by then, and opens it in
	// the form of a backup. The caller closes it.
	Backup(ctx context.Context) (io.ReadCloser, error)
}

// Changes is the sending end of confChangeC, and the ChangeMembership of a Cluster.
// The channel is not closed: who sends last is not known, and the raft node does not
// wait for that.
type Changes chan<- *ConfChange

// ChangeMembership sends a change and waits for its answer.
func (c Changes) ChangeMembership(ctx context.Context, op ConfChangeOp, m Member) error {
	resultC := make(chan error, 1)
	select {
	case c <- &ConfChange{Op: op, Member: m, ResultC: resultC}:
	case <-ctx.Done():
		return fmt.Errorf("change membership: %w: %w", ErrNotTaken, ctx.Err())
	}
	select {
	case err := <-resultC:
		return err
	case <-ctx.Done():
		return fmt.Errorf("change membership: %w", ErrUnknown)
	}
}
