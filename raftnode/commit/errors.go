package commit

import "errors"

var (
	// ErrNoLeader means that the cluster has no leader that this node knows of.
	// Nothing was changed.
	ErrNoLeader = errors.New("no leader")

	// ErrNotTaken means that the raft node did not take a change in time. Nothing was
	// changed.
	ErrNotTaken = errors.New("not taken in time")

	// ErrUnknown means that a request left this node and no answer came back in
	// time: it may or may not have taken effect.
	ErrUnknown = errors.New("outcome unknown")

	// ErrStopped means that the raft node has stopped. Nothing was changed.
	ErrStopped = errors.New("raft node stopped")
)
