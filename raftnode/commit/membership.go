package commit

import (
	"fmt"
	"time"
)

// ConfChangeOp says what a ConfChange does.
type ConfChangeOp uint8

const (
	// AddLearner adds a member that receives the log and does not vote. The
	// leader promotes it by itself once it has caught up.
	AddLearner ConfChangeOp = iota + 1
	// Promote makes a learner a voter, provided that it has caught up.
	Promote
	// Remove takes a member out. Its id never comes back.
	Remove
	// Update records a member's addresses (a node announces itself on starting).
	Update
)

func (op ConfChangeOp) String() string {
	switch op {
	case AddLearner:
		return "add learner"
	case Promote:
		return "promote"
	case Remove:
		return "remove"
	case Update:
		return "update"
	default:
		return "bootstrap"
	}
}

// ConfChange is what travels on confChangeC: a change of the membership that
// somebody asked of this node, whoever the leader is.
type ConfChange struct {
	Op     ConfChangeOp
	Member Member

	// ResultC receives exactly one answer, and has room for it: nil once the
	// change is applied on this node, or why it is refused or unknown. An error
	// that wraps ErrUnknown may still come true; any other means that nothing
	// was changed.
	ResultC chan<- error
}

// Member is one entry of the membership, which is replicated state and part of
// every snapshot.
type Member struct {
	ID         uint64 // never 0, never reused
	PeerURL    string // where rafthttp reaches it: http://host:port
	ClientAddr string // where clients reach it: host:port, empty until it has announced itself
	Learner    bool
	// ClientTLSPort and Hostname are announced together with ClientAddr: the port for
	// clients that speak TLS, 0 if there is none, and a name for the host of ClientAddr, ""
	// if it has none to be told.
	ClientTLSPort int    `json:",omitempty"`
	Hostname      string `json:",omitempty"`
	// Instance is a random number that a joining node keeps in its data directory, and
	// that nobody can take over: it tells the member from one of the same id that has
	// lost its data. 0 for those that founded the cluster or have not joined yet.
	Instance uint64 `json:",omitempty"`
}

// Status is a picture of the raft node, for INFO, RAFT STATUS, ROLE and WAIT.
type Status struct {
	ID        uint64
	ClusterID uint64
	Term      uint64
	Leader    uint64 // 0 if none is known
	Role      string // "leader", "follower", "candidate", "pre-candidate", "learner", "forming"
	Commit    uint64
	Applied   uint64 // what raft has seen applied; the store's own applied index is the authority
	FirstIndex,
	LastIndex uint64 // what is in the log
	SnapshotIndex uint64
	LogBytes      uint64 // bytes of log since the last snapshot
	DiskLow       bool   // this member takes in hardly any more
	RefusesWrites bool   // clients' writes are refused for want of space
	Members       []Member
	SnapshotsSent uint64              // to other members, since the start
	Incoming      Transfer            // the latest snapshot that was sent to this node
	Progress      map[uint64]Progress // only on the leader
	// Links has since when the links to other members work, without those to whom none does.
	Links map[uint64]time.Time

	Election  Election                  // the last that this node has seen end, the zero value if none
	Elections map[ElectionReason]uint64 // how many, by reason, since the start
	Disk      Disk
	// Syncs is how long it took to make entries durable on this node, a batch at a time,
	// and Rounds, on a leader, how long from when an entry went into the log until it was
	// committed, of one entry at a time.
	Syncs, Rounds Durations
}

// Disk is what a node takes up on its disk, in bytes.
type Disk struct {
	Log, Snapshots uint64 // the files of the log, of which the newest is made ahead, and of snapshots
	Free           uint64 // for this node: 0 if it cannot be told
}

// ElectionReason is why there had to be a leader, as far as a node can tell.
type ElectionReason string

// Why there is an election.
const (
	ElectionStart    ElectionReason = "start"     // this node has just come, and found it going on or over
	ElectionHandover ElectionReason = "handover"  // the leader has handed over (a stop, RAFT TRANSFER, CLUSTER FAILOVER)
	ElectionGone     ElectionReason = "gone"      // nobody listens any more where the leader was
	ElectionSilent   ElectionReason = "silent"    // the leader was not heard of for an election timeout
	ElectionNoQuorum ElectionReason = "no-quorum" // this node led, and a majority did not answer any more
	ElectionRemoved  ElectionReason = "removed"   // the leader was taken out of the cluster
)

// ElectionReasons are all of them.
func ElectionReasons() []ElectionReason {
	return []ElectionReason{ElectionStart, ElectionHandover, ElectionGone, ElectionSilent, ElectionNoQuorum, ElectionRemoved}
}

// Election is the end of one: a member leads.
type Election struct {
	Term        uint64
	Leader, Was uint64 // Was: who led before, 0 if nobody is known
	Reason      ElectionReason
	At          time.Time
}

// String says it in words.
func (e Election) String() string {
	if e.Leader == 0 {
		return "none since this node has started"
	}
	s := fmt.Sprintf("member %d leads since term %d", e.Leader, e.Term)
	switch e.Reason {
	case ElectionStart:
		return s + ": the first that this node has seen"
	case ElectionHandover:
		return s + fmt.Sprintf(": member %d has handed over", e.Was)
	case ElectionGone:
		return s + fmt.Sprintf(": the process of member %d was gone", e.Was)
	case ElectionSilent:
		return s + fmt.Sprintf(": member %d was not heard of for an election timeout", e.Was)
	case ElectionNoQuorum:
		return s + fmt.Sprintf(": member %d had lost contact with a majority", e.Was)
	case ElectionRemoved:
		return s + fmt.Sprintf(": member %d was removed", e.Was)
	}
	return s
}

// Progress is what the leader knows of one follower.
type Progress struct {
	Match        uint64 // highest index known to be durable there
	Next         uint64
	State        string // "probe", "replicate" or "snapshot"
	RecentActive bool
	DiskLow      bool // it has said so

	Silent time.Duration // since it last answered this leader, or since this one leads
	// Behind is how old the first thing is that it lacks, to a second or two: 0 if that is
	// no more than a moment, and never longer than this leader leads.
	Behind time.Duration
	// CatchUp is how much of what it lacked it has got, from 0 to 1, if it is behind and
	// gains; and Left how long the rest takes, -1 if that cannot be told.
	CatchUp float64
	Left    time.Duration
	// Level is what it has said of its program: 1 if that knows nothing of levels, 0 while
	// nothing is heard of it.
	Level uint64
}

// Transfer is a snapshot on its way to this node: the zero value if there is none.
type Transfer struct {
	Index    uint64
	Total    int64 // bytes of its body
	Received int64
	LastIO   time.Time // when the last of them came
}
