package raftnode

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// formation is how the members of a list become a cluster: they agree on one
// random cluster id before any of them votes. It is a state machine without disk,
// network or clock. What goes in are answers of the others and what this member
// has made durable; what comes out is a verdict.
//
// Every member of the list is in one of three states, and tells it to whoever
// asks:
//
//	empty     it has no log, and has agreed to nothing
//	prepared  it has agreed on a cluster id, durably, and has not started
//	member    it has started: it may have voted and acknowledged
//
// Empty to prepared: every other member has said, since this one came up, that it
// is empty or prepared. The lowest id picks the cluster id; the others, and a
// lowest id that has lost its disk meanwhile, take the one that somebody has
// prepared.
//
// Prepared to member: every other one has said, since this one was prepared, that it
// has prepared the same id; or somebody has started with it, who knew that.
//
// Why no member that lost its disk gets through: DESIGN.md, "Forming a cluster".
type formation struct {
	id     uint64
	peers  []Peer // all, in the order of their ids
	list   string // digest of peers
	force  bool   // go on without members that do not answer
	random func() uint64

	prepared uint64            // the cluster id that is durable here; 0: none
	epoch    uint64            // grows whenever earlier answers no longer count
	answers  map[uint64]stance // the newest of each member in this epoch
	misses   map[uint64]miss   // members that gave none the last time
}

// stance is what a member says about itself.
type stance struct {
	Member  uint64  `json:"member"`
	State   posture `json:"state"`
	Cluster uint64  `json:"cluster,omitempty"` // not if it is empty
	List    string  `json:"list,omitempty"`    // digest of its list of initial members; not of a member
	// Asker says what a member knows about whoever asks.
	Asker acquaintance `json:"asker,omitempty"`
}

type posture string

const (
	isEmpty    posture = "empty"
	isPrepared posture = "prepared"
	isMember   posture = "member"
)

type acquaintance string

const (
	isStranger   acquaintance = "stranger"   // never was a member, as far as it knows
	isExpected   acquaintance = "expected"   // was added and has not joined yet
	isKnown      acquaintance = "known"      // has taken part
	isTombstoned acquaintance = "tombstoned" // was removed
)

// miss says that a member does not answer.
type miss struct {
	rounds int // in a row
	err    error
}

// patienceWithAbsent is for how many rounds a forced formation waits for a member
// that does not answer: it may be a little slower in starting.
const patienceWithAbsent = 50

// verdict is what a formation asks for. At most one of prepare, start and err is
// set; if none is, the formation waits.
type verdict struct {
	prepare uint64 // make this cluster id durable, then call agreed
	start   uint64 // start as a member of this cluster
	err     error  // do not start
	waits   string // for whom and why, for people
}

func newFormation(id uint64, peers []Peer, prepared uint64, force bool, random func() uint64) *formation {
	return &formation{
		id: id, peers: peers, list: digestPeers(peers), force: force, random: random, prepared: prepared,
		answers: map[uint64]stance{}, misses: map[uint64]miss{},
	}
}

// digestPeers tells lists of initial members apart.
func digestPeers(sorted []Peer) string {
	var b strings.Builder
	for _, p := range sorted {
		fmt.Fprintf(&b, "%d=%s\n", p.ID, p.URL)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// others are those to ask.
func (f *formation) others() []Peer {
	return slices.DeleteFunc(slices.Clone(f.peers), func(p Peer) bool { return p.ID == f.id })
}

// stance is what this member answers. It speaks only of what is durable.
func (f *formation) stance() stance {
	s := stance{Member: f.id, State: isEmpty, List: f.list}
	if f.prepared != 0 {
		s.State, s.Cluster = isPrepared, f.prepared
	}
	return s
}

// heard takes in the answer of a member to a question of this epoch.
func (f *formation) heard(from, epoch uint64, s stance) {
	if epoch == f.epoch {
		f.answers[from] = s
		delete(f.misses, from)
	}
}

// missed notes that a member gave no answer. What it said earlier no longer counts:
// it may be another one when it is back.
func (f *formation) missed(from, epoch uint64, err error) {
	if epoch == f.epoch {
		delete(f.answers, from)
		f.misses[from] = miss{f.misses[from].rounds + 1, err}
	}
}

// agreed notes that a cluster id is durable. What others said before that does not
// count for starting: they may have lost it since.
func (f *formation) agreed(cluster uint64) {
	f.prepared = cluster
	f.epoch++
	clear(f.answers)
	clear(f.misses)
}

// decide says what to do next.
func (f *formation) decide() verdict {
	var missing, odd, hesitant []string // why this member has to wait
	clusters := map[uint64]uint64{}     // prepared elsewhere -> by whom
	lowest, here := f.id, 1
	for _, p := range f.others() {
		s, ok := f.answers[p.ID]
		switch {
		case !ok && f.absent(p.ID):
			continue // as if it were not on the list, but for the majority
		case !ok:
			missing = append(missing, f.describe(p))
			continue
		case s.Member != p.ID:
			odd = append(odd, fmt.Sprintf("at %s, where member %d should be, is member %d", p.URL, p.ID, s.Member))
			continue
		case s.State == isMember && f.prepared == 0 || s.State == isMember && s.Cluster != f.prepared:
			return verdict{err: f.refusal(p, s)}
		case s.State == isMember:
			return verdict{start: f.prepared}
		case s.List != f.list:
			odd = append(odd, fmt.Sprintf("member %d at %s was started with another --cluster list", p.ID, p.URL))
			continue
		case s.State == isPrepared:
			clusters[s.Cluster] = p.ID
		case f.prepared != 0:
			hesitant = append(hesitant, fmt.Sprintf("member %d at %s, which has not agreed yet", p.ID, p.URL))
		}
		here++
		lowest = min(lowest, p.ID)
	}
	if f.prepared != 0 {
		clusters[f.prepared] = f.id
	}
	if len(clusters) > 1 {
		// Only the loss of a disk in the middle of all this leads here.
		return verdict{waits: "the members have agreed on different cluster ids, because one has lost its data in between; " +
			"none of them has started: stop them all, empty their data directories, and start again"}
	}
	if reasons := slices.Concat(odd, missing, hesitant); len(reasons) > 0 {
		return verdict{waits: "the cluster is not formed yet, waiting for " + strings.Join(reasons, "; ")}
	}
	if here <= len(f.peers)/2 { // forced, but nobody could be elected
		return verdict{waits: fmt.Sprintf("the cluster is not formed yet: only %d of %d members answer, and that is no majority", here, len(f.peers))}
	}
	switch {
	case f.prepared != 0:
		return verdict{start: f.prepared}
	case len(clusters) == 1:
		for c := range clusters {
			return verdict{prepare: c}
		}
	case lowest == f.id:
		return verdict{prepare: f.random() | 1} // never 0
	}
	return verdict{waits: fmt.Sprintf("the cluster is not formed yet, waiting for member %d to choose its id", lowest)}
}

// absent says that a formation that is forced goes on without a member.
func (f *formation) absent(id uint64) bool {
	return f.force && f.misses[id].rounds >= patienceWithAbsent
}

func (f *formation) describe(p Peer) string {
	s := fmt.Sprintf("member %d at %s", p.ID, p.URL)
	if m, ok := f.misses[p.ID]; ok {
		s += fmt.Sprintf(" (%v)", m.err)
	}
	return s
}

// refusal is the error for a member that finds others started without it.
func (f *formation) refusal(p Peer, s stance) error {
	who := fmt.Sprintf("member %d at %s belongs to cluster %x already", p.ID, p.URL, s.Cluster)
	if f.prepared != 0 {
		return fmt.Errorf("%w: %s, and this directory was prepared for cluster %x, which never came to be; %s",
			ErrWrongDir, who, f.prepared, newIDWayOut(f.id))
	}
	switch s.Asker {
	case isTombstoned:
		return fmt.Errorf("%w: %s, and member %d was removed from it; its id cannot come back: start with an empty data directory, --join and a new --id", ErrRemoved, who, f.id)
	case isExpected:
		return fmt.Errorf("%w: %s, and expects member %d: start it with --join", ErrClusterExists, who, f.id)
	case isStranger:
		return fmt.Errorf("%w: %s, and %d is no member of it: start it with --join to become one", ErrClusterExists, who, f.id)
	}
	return fmt.Errorf("%w: %s, and this data directory is empty: member %d would not know what it has acknowledged and voted for; %s",
		ErrDataLost, who, f.id, newIDWayOut(f.id))
}

// newIDWayOut is what somebody does about a member without its data.
func newIDWayOut(id uint64) string {
	return fmt.Sprintf("the way back: RAFT REMOVE %d on another member, then start this one with an empty data directory, --join and a new --id", id)
}
