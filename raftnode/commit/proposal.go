package commit

import "sync/atomic"

// Proposal is what travels on proposeC: one opaque request that the proposer
// wants in the log. The same Proposal may be sent on proposeC again while its
// outcome is open (the state machine drops duplicates by request id), so its
// Data must never change once it has been sent.
//
// A Proposal remembers whether it may have left this node. That is the whole
// difference between the two failures a client can be told: "not applied"
// (Withdraw succeeded) and "unknown" (it did not).
type Proposal struct {
	// Data is the request. The raft node never looks inside; it hands the Data
	// of every proposal that waits at the same time to Config.Seal, which makes
	// one log entry of them.
	Data []byte

	// Handed is the raft node's own: the term in which it has last brought a large
	// request on its way. Sending that again in the same term would be in vain.
	Handed uint64

	state  atomic.Uint32 // waiting, taken or withdrawn
	shared atomic.Bool
}

// MaxRequestBytes bounds the Data of one Proposal: what every member holds in memory
// several times over while it is replicated and applied. It is as much as Redis lets a
// client send in one command by default (client-query-buffer-limit), with a little more
// for the encoding. A larger proposal is never taken: Withdraw tells its proposer that
// it is not applied.
const MaxRequestBytes = 1<<30 + 1<<20

const (
	waiting uint32 = iota
	taken
	withdrawn
)

// Take is called by the raft node before it hands the proposal to raft or to
// the leader. ok is false if the proposer has withdrawn the proposal; the raft
// node must then forget it. first says that nobody had taken it before: only
// then may a failed hand-over be undone with Release.
func (p *Proposal) Take() (ok, first bool) {
	if p.state.CompareAndSwap(waiting, taken) {
		return true, true
	}
	return p.state.Load() == taken, false
}

// Release undoes a first Take when raft refused the proposal before anything
// of it could leave the node (raft.ErrProposalDropped).
func (p *Proposal) Release() {
	p.state.CompareAndSwap(taken, waiting)
}

// Share notes that Data may be looked at even after its outcome is known: the raft node
// calls it before it sends the Data itself to somebody, and the proposer before it sends
// the proposal once more. Of what the node has sealed into an entry it has a copy.
func (p *Proposal) Share() { p.shared.Store(true) }

// Shared reports whether Share was called. If not, then once the request is applied its
// proposer may use the memory of Data again.
func (p *Proposal) Shared() bool { return p.shared.Load() }

// Taken reports whether the proposal may already be in somebody's log.
func (p *Proposal) Taken() bool { return p.state.Load() == taken }

// Withdrawn reports whether the proposer has given up. Nobody waits for such a
// proposal any more.
func (p *Proposal) Withdrawn() bool { return p.state.Load() == withdrawn }

// Withdraw is called by the proposer when it gives up. True means that the
// proposal never left this node and never will: it is definitely not applied.
// False means that the outcome is unknown.
func (p *Proposal) Withdraw() bool {
	return p.state.CompareAndSwap(waiting, withdrawn)
}
