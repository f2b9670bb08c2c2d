package raftnode

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Peer names one initial member and where rafthttp reaches it.
type Peer struct {
	ID  uint64
	URL string // http://host:port or https://host:port
}

// Durability says when the log is forced to disk. The names are those of
// Redis's appendfsync.
type Durability uint8

const (
	// Always syncs before anything is acknowledged: to the client, to the leader
	// or to a candidate. The only mode that keeps the promise of the README when
	// the machines lose power.
	Always Durability = iota
	// EverySec syncs votes and terms at once and entries once a second. A killed
	// process loses nothing (the kernel has the bytes). A machine that loses
	// power may come back with a shorter log than it acknowledged: it has to be
	// removed and to join again with a new id.
	EverySec
	// No leaves syncing to the kernel, votes included. A machine that loses
	// power must not come back with its old data directory.
	No
)

// TLS holds the files for mutual TLS between peers. All empty means plain HTTP.
type TLS struct {
	CertFile, KeyFile, CAFile string

	name string // what the certificates are for, if not for hosts
}

// Config is everything a node needs to know. The zero value of an optional
// field stands for its default: EnsureDefaults fills it in.
type Config struct {
	// ID is this member's id: never 0, never used before by another member.
	ID uint64
	// Dir is the data directory. It belongs to one member of one cluster.
	Dir string

	// Peers are the initial members, this node among them, and the same on all
	// of them. They count only as long as Dir has no log: membership is in the data.
	// When joining they are members to ask (their ids are ignored) and, under the own
	// ID, the own URL.
	Peers []Peer
	// Join makes a node with an empty Dir ask to be taken into a running cluster
	// instead of starting a new one.
	Join bool
	// ForceFormation forms a cluster without those of Peers that do not answer, if a
	// majority does. Without it all have to say that they are new. If one that does
	// not answer has data after all, what it and others have acknowledged is lost.
	ForceFormation bool
	// JoinTimeout bounds how long New tries to be taken in. Default 10 s.
	JoinTimeout time.Duration

	// PeerURL is where other members reach this node when it founds or joins a
	// cluster. Default: the own entry in Peers. Later it is in the data; commit.Update
	// changes it.
	PeerURL string
	// ListenURL is where the peer listener is bound. Default: where other members
	// reach this node.
	ListenURL string
	// ClientAddr is announced to the other members as the place where clients
	// reach this node.
	ClientAddr string
	// ClientTLSPort and Hostname are announced with it: see commit.Member.
	ClientTLSPort int
	Hostname      string
	// PeerTLS secures the links between members, whatever the scheme of their URLs.
	PeerTLS TLS
	// PeerSecret, if not "", does so without certificates: all members have the same, of at
	// least MinPeerSecret bytes.
	PeerSecret string

	// Seal makes one log entry of all the requests that wait at the same time, in
	// the memory of dst, which is empty, if there is room. It runs on the raft
	// goroutine of the leader: it must be quick and must not call the node, nor
	// keep dst. The entry must not be empty.
	//
	// An entry's first byte is never 0: that marks the parts of large requests.
	Seal func(dst []byte, requests [][]byte) []byte

	// SealLarge appends the beginning of an entry with one request of size bytes, at
	// most 1 KiB: followed by the request it is what Seal would have made. A request
	// of more than MaxEntryBytes goes into the log in parts (commit.Assembly). The same
	// conditions as for Seal.
	SealLarge func(dst []byte, size int) []byte

	// TellTime returns what this node knows of the clock that entries are stamped
	// with, or nothing: it goes along with votes and when a leader hands over, and HearTime
	// takes in what came from another member, so that a leader has it before its first Seal.
	// leads says that it is the leader who tells: then it is that clock, and not what
	// somebody knows of it. A time that is late is better than one that is early. Both run
	// on the raft goroutine, under the conditions of Seal. Default: nothing is told.
	TellTime func() []byte
	HearTime func(told []byte, leads bool)

	// Level is how much of what may be in a log this program knows (command.Level).
	// TellLevel returns the level that the cluster may count on this member for, which is at
	// most that, and the level in force, which a member has to know. It is called on any
	// goroutine, the raft goroutine among them. Default: the first level, as of a program that
	// knows of none.
	Level     uint64
	TellLevel func() (counts, inForce uint64)

	// Tasks is where the node enters what may take long. Nil: nobody is told.
	Tasks *commit.Tasks

	// Logger receives everything worth telling. Default: nothing is logged.
	Logger *zap.Logger

	// TickInterval is the unit of raft's clock. Default 50 ms.
	TickInterval time.Duration
	// ElectionTicks without a word from the leader start an election, at a random
	// moment between this and twice this. Default 10.
	ElectionTicks int
	// HeartbeatTicks between two heartbeats. Default 1.
	HeartbeatTicks int

	// SnapshotBytes of log since the last snapshot trigger the next one, unless
	// the last body was larger: then it takes as many bytes of log as that body
	// had, up to MaxLogBytes, so that snapshots never cost more than the log
	// itself. Default 64 MiB.
	SnapshotBytes uint64
	// MaxLogBytes triggers a snapshot whatever the size of the last body: it
	// bounds what a restart has to replay. Default 512 MiB.
	MaxLogBytes uint64
	// CatchUpBytes of log stay in memory for members that are a little behind. A
	// leader keeps up to SnapshotBytes while some member lacks more than that.
	// Default 8 MiB.
	CatchUpBytes uint64

	// ReserveBytes is the size of the ballast in Dir that keeps room for the log, and
	// how much must be free beside it: with less, writes are refused. Default: the
	// size of a segment of the log, 64 MiB, which is the least that is of use.
	ReserveBytes uint64
	// DiskFree returns how many bytes are free on the disk of a directory. Default:
	// what the system says.
	DiskFree func(dir string) (uint64, error)

	// LongWork, if not nil, is called before work beside the cluster's own that
	// keeps a thread busy, or waiting for a file, for long: a snapshot being
	// written, checked or removed. What it returns is called after it.
	LongWork func() (done func())

	// MaxEntryBytes bounds how many bytes of requests go into one entry. A single
	// larger request takes several. Default 1 MiB.
	MaxEntryBytes uint64
	// MaxPendingBytes bounds the requests that wait for a leader or for their
	// turn. Beyond it proposeC is not received from. Default 64 MiB.
	MaxPendingBytes uint64
	// MaxInflightEntries is how many entries with requests the leader has
	// uncommitted at a time. 1 makes groups grow under load. Default 1.
	MaxInflightEntries int

	// CommitDelay is for how long the leader may keep from followers that an entry
	// is committed, to tell them along with the next one. It delays what local reads
	// on followers see, and nothing that anybody waits for. Default 2 ms; negative:
	// not at all.
	CommitDelay time.Duration

	// GatherDelay is for how long at most a leader waits, where that pays, for those
	// that it has just answered, so that their next requests share an entry (see
	// gathering). A lone client's never waits. Default 1 ms; negative: not at all.
	GatherDelay time.Duration

	// ConfChangeTimeout bounds one membership change. Default 10 s.
	ConfChangeTimeout time.Duration

	// Durability says when the log is forced to disk. Default Always.
	Durability Durability

	// JournalLevel is the first level whose programs all know journals. A log that etcd's
	// WAL has written goes on like that below it, so that an older program can still read it,
	// and as a journal from the first start on at which that level is in force. Default: 0, a
	// journal in any case.
	JournalLevel uint64

	// Failpoint, if not nil, is called at every boundary of the persist path with
	// its name. An error makes that step fail. For tests only. The names, in the
	// order of a node's life:
	//
	//	walBeforeGoingOver (to a journal, once), originBeforeRename, incarnationBeforeRename
	//	promiseBeforeRename (at the start, with each segment and snapshot, at the end)
	//	walBeforeSave, walAfterSave
	//	snapBodyBeforeSync, snapBodyBeforeRename, snapBodyBeforeDirSync, snapBodyAfterDirSync
	//	snapBeforeDescriptor, snapBeforeDescriptorDirSync, snapBeforeWALRecord, snapAfterWALRecord
	//	walBeforeRelease, purge
	Failpoint func(point string) error
}

// EnsureDefaults fills in what was left out.
func (c *Config) EnsureDefaults() {
	own := ""
	c.Peers = slices.Clone(c.Peers)
	for i, p := range c.Peers {
		c.Peers[i].URL = NormalizePeerURL(p.URL)
		if p.ID == c.ID {
			own = c.Peers[i].URL
		}
	}
	setDefault(&c.PeerURL, own)
	c.PeerURL, c.ListenURL = NormalizePeerURL(c.PeerURL), NormalizePeerURL(c.ListenURL)
	setDefault(&c.TickInterval, 50*time.Millisecond)
	setDefault(&c.ElectionTicks, 10)
	setDefault(&c.HeartbeatTicks, 1)
	setDefault(&c.SnapshotBytes, 64<<20)
	setDefault(&c.MaxLogBytes, max(512<<20, c.SnapshotBytes))
	setDefault(&c.CatchUpBytes, 8<<20)
	setDefault(&c.ReserveBytes, uint64(wal.SegmentSizeBytes))
	if c.DiskFree == nil {
		c.DiskFree = diskFree
	}
	if c.TellTime == nil {
		c.TellTime = func() []byte { return nil }
	}
	setDefault(&c.Level, firstLevel)
	if c.TellLevel == nil {
		c.TellLevel = func() (uint64, uint64) { return firstLevel, firstLevel }
	}
	if c.HearTime == nil {
		c.HearTime = func([]byte, bool) {}
	}
	if c.LongWork == nil {
		c.LongWork = func() func() { return func() {} }
	}
	setDefault(&c.MaxEntryBytes, 1<<20)
	setDefault(&c.MaxPendingBytes, 64<<20)
	setDefault(&c.MaxInflightEntries, 1)
	setDefault(&c.CommitDelay, 2*time.Millisecond)
	setDefault(&c.GatherDelay, time.Millisecond)
	setDefault(&c.JoinTimeout, 10*time.Second)
	setDefault(&c.ConfChangeTimeout, 10*time.Second)
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Descriptors returns how many files and sockets a node may have open at a time in a
// cluster of so many members, so that whoever takes in clients leaves it those:
//
//   - the segments of the log since the second newest snapshot, and the next one;
//   - for each other member two streams each way, and requests beside them (rafthttp
//     opens up to four, but hardly at the same time as everything else);
//   - listeners, pollers, locks, the files of a snapshot, whatever the runtime has.
func (c *Config) Descriptors(members int) int {
	withDefaults := *c
	withDefaults.EnsureDefaults()
	const base, perMember = 24, 10
	segments := 2*int(withDefaults.MaxLogBytes/uint64(wal.SegmentSizeBytes)) + 2
	return base + perMember*max(members-1, 0) + segments
}

// Validate reports everything that is wrong, not only the first thing.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.ID == 0 || c.ID >= maxID {
		bad("id %d is not between 1 and %d", c.ID, uint64(maxID-1))
	}
	if c.Dir == "" {
		bad("no data directory given")
	}
	if c.Seal == nil {
		bad("no Seal function given")
	}
	if c.SealLarge == nil {
		bad("no SealLarge function given")
	}
	seenID, seenURL := map[uint64]bool{}, map[string]string{}
	for _, p := range c.Peers {
		if err := validatePeerURL(p.URL); err != nil {
			bad("peer %d: %w", p.ID, err)
		}
		if p.ID == 0 || p.ID >= maxID {
			bad("peer id %d is not between 1 and %d", p.ID, uint64(maxID-1))
		}
		if seenID[p.ID] {
			bad("peer id %d is given twice", p.ID)
		}
		place := peerPlace(p.URL)
		if other := seenURL[place]; other != "" {
			bad("peer URL %s is given twice (%s)", p.URL, other)
		}
		if scheme, _, _ := strings.Cut(p.URL, "://"); !strings.HasPrefix(c.Peers[0].URL, scheme+"://") {
			bad("peer URLs %s and %s have different schemes", c.Peers[0].URL, p.URL)
		}
		seenID[p.ID], seenURL[place] = true, p.URL
	}
	for name, u := range map[string]string{"peer URL": c.PeerURL, "listen URL": c.ListenURL} {
		if u == "" {
			continue // a restart finds it in the data
		}
		if err := validatePeerURL(u); err != nil {
			bad("%s: %w", name, err)
		}
	}
	if c.TickInterval <= 0 {
		bad("tick interval %v is not positive", c.TickInterval)
	}
	if c.HeartbeatTicks <= 0 || c.ElectionTicks <= c.HeartbeatTicks {
		bad("election ticks (%d) must exceed heartbeat ticks (%d), and those 0", c.ElectionTicks, c.HeartbeatTicks)
	}
	if c.MaxInflightEntries < 0 {
		bad("max in-flight entries %d is negative", c.MaxInflightEntries)
	}
	if c.Durability > No {
		bad("unknown durability %d", c.Durability)
	}
	if t := c.PeerTLS; t != (TLS{}) && (t.CertFile == "" || t.KeyFile == "" || t.CAFile == "") {
		bad("peer TLS needs a certificate, a key and a CA file")
	}
	switch {
	case c.PeerSecret != "" && c.PeerTLS != (TLS{}):
		bad("certificates and a secret are given for the peers: one of them")
	case c.PeerSecret != "" && len(c.PeerSecret) < MinPeerSecret:
		bad("the peers' secret has %d bytes: at least %d, or it can be guessed", len(c.PeerSecret), MinPeerSecret)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("raftnode: bad config: %w", err)
	}
	return nil
}

// maxID keeps clear of the ids that raft uses for its local threads.
const maxID = 1 << 63

// sortedPeers are the initial members in the order of their ids, so that every
// member bootstraps the very same log.
func (c *Config) sortedPeers() []Peer {
	peers := append([]Peer(nil), c.Peers...)
	sort.Slice(peers, func(i, j int) bool { return peers[i].ID < peers[j].ID })
	return peers
}

func (c *Config) failpoint(point string) error {
	if c.Failpoint == nil {
		return nil
	}
	if err := c.Failpoint(point); err != nil {
		return fmt.Errorf("failpoint %s: %w", point, err)
	}
	return nil
}
