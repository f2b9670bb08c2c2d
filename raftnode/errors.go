package raftnode

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrRemoved arrives on errorC when this member was removed from the cluster.
	// Its data directory is of no use any more: it can come back only under a new
	// id and with an empty directory.
	ErrRemoved = errors.New("raftnode: this member was removed from the cluster")

	// ErrCorrupt means that the data directory is damaged in a way that cannot
	// have come from a crash. Repairing it could lose acknowledged writes.
	ErrCorrupt = errors.New("raftnode: corrupt data directory")

	// ErrShortLog arrives on errorC when the leader knows that this member has
	// acknowledged entries that its log does not have any more.
	ErrShortLog = errors.New("raftnode: the log is shorter than what this member has acknowledged")

	// ErrWrongDir means that the data directory belongs to another member or to
	// another cluster.
	ErrWrongDir = errors.New("raftnode: data directory of another member")

	// ErrDataLost means that this member id has taken part in the cluster, but its
	// data directory is empty: starting it would let it vote twice in one term
	// and forget entries that it has acknowledged.
	ErrDataLost = errors.New("raftnode: this member has lost its data")

	// ErrUnfinished means that restoring a backup into the data directory was interrupted.
	// Nothing in it is anybody's data.
	ErrUnfinished = errors.New("raftnode: half a backup")

	// ErrClusterExists means that a node was told to form a cluster with members that
	// are in one already.
	ErrClusterExists = errors.New("raftnode: the cluster exists already")

	// ErrTooOld means that the program knows less than what the data directory, or the
	// cluster that it wants to join, may hold: a newer version has to be installed.
	ErrTooOld = errors.New("raftnode: this program is too old")

	// ErrChangePending refuses a membership change while another one is on its
	// way. Nothing was changed; it can be tried again.
	ErrChangePending = errors.New("another membership change is in progress")

	// ErrChangeDropped means that a membership change lost against a new leader's
	// log. Nothing was changed.
	ErrChangeDropped = errors.New("leadership changed, the membership change was dropped")

	// ErrQuorumLoss refuses a removal that would leave the cluster without a
	// majority of live voters.
	ErrQuorumLoss = errors.New("removal would lose the quorum")

	// ErrNotCaughtUp refuses to promote a learner that lags behind.
	ErrNotCaughtUp = errors.New("learner has not caught up")

	// ErrNotMember means that there is no member with that id.
	ErrNotMember = errors.New("no such member")

	// ErrIDUsed refuses an id or an address that a member has, or an id that one
	// had.
	ErrIDUsed = errors.New("id or address is already taken")

	// ErrNoSuccessor means that leadership could not be handed over.
	ErrNoSuccessor = errors.New("no member can take over leadership")

	// errNotLeader sends a membership change on to the leader.
	errNotLeader = errors.New("not the leader")
)

// brokenInvariant says in an operator's words why raft panicked. raft tells its
// reasons apart by their text only.
func brokenInvariant(id uint64, text string) error {
	if strings.HasPrefix(text, "tocommit(") {
		return fmt.Errorf("%w: an older copy of its data directory was put back, or its disk has lost writes (%s); way out: the other members have everything that was acknowledged: %s", ErrShortLog, text, newIDWayOut(id))
	}
	return fmt.Errorf("%w: the log contradicts what the other members say, or itself (%s); nothing was changed; "+
		"way out: if there are other members and they are well, %s; otherwise restore a backup", ErrCorrupt, text, newIDWayOut(id))
}
