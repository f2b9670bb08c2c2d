package raftnode

import (
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"

	"go.uber.org/zap"
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
}

// Config is everything a node needs to know. The zero value of an optional
// field stands for its default: EnsureDefaults fills it in.
type Config struct {
	// ID is this member's id: never 0, never used before by another member.
	ID uint64
	// Dir is the data directory. It belongs to one member of one cluster.
	Dir string

	// Peers are the initial members, this node among them, and the same on all
	// of them. On a restart they may be left out: membership is in the data. When
	// joining they are members to ask (their ids are ignored) and, under the own
	// ID, the own URL.
	Peers []Peer
	// Join makes a node with an empty Dir ask to be taken into a running cluster
	// instead of starting a new one.
	Join bool
	// JoinTimeout bounds how long New tries to be taken in. Default 10 s.
	JoinTimeout time.Duration

	// PeerURL is where other members reach this node. Default: the own entry in
	// Peers.
	PeerURL string
	// ListenURL is where the peer listener is bound. Default: PeerURL.
	ListenURL string
	// ClientAddr is announced to the other members as the place where clients
	// reach this node.
	ClientAddr string
	// PeerTLS secures the links between members.
	PeerTLS TLS

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

	// ConfChangeTimeout bounds one membership change. Default 10 s.
	ConfChangeTimeout time.Duration

	// Durability says when the log is forced to disk. Default Always.
	Durability Durability

	// Failpoint, if not nil, is called at every boundary of the persist path with
	// its name. An error makes that step fail. For tests only. The names, in the
	// order of a node's life:
	//
	//	incarnationBeforeRename
	//	walBeforeSave, walAfterSave
	//	snapBodyBeforeSync, snapBodyBeforeRename, snapBodyBeforeDirSync, snapBodyAfterDirSync
	//	snapBeforeDescriptor, snapBeforeDescriptorDirSync, snapBeforeWALRecord, snapAfterWALRecord
	//	walBeforeRelease, purge
	Failpoint func(point string) error
}

// EnsureDefaults fills in what was left out.
func (c *Config) EnsureDefaults() {
	own := ""
	for _, p := range c.Peers {
		if p.ID == c.ID {
			own = p.URL
		}
	}
	setDefault(&c.PeerURL, own)
	setDefault(&c.ListenURL, c.PeerURL)
	setDefault(&c.TickInterval, 50*time.Millisecond)
	setDefault(&c.ElectionTicks, 10)
	setDefault(&c.HeartbeatTicks, 1)
	setDefault(&c.SnapshotBytes, 64<<20)
	setDefault(&c.MaxLogBytes, max(512<<20, c.SnapshotBytes))
	setDefault(&c.CatchUpBytes, 8<<20)
	if c.LongWork == nil {
		c.LongWork = func() func() { return func() {} }
	}
	setDefault(&c.MaxEntryBytes, 1<<20)
	setDefault(&c.MaxPendingBytes, 64<<20)
	setDefault(&c.MaxInflightEntries, 1)
	setDefault(&c.CommitDelay, 2*time.Millisecond)
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
	seenID, seenURL := map[uint64]bool{}, map[string]bool{}
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
		if seenURL[p.URL] {
			bad("peer URL %s is given twice", p.URL)
		}
		seenID[p.ID], seenURL[p.URL] = true, true
	}
	if len(c.Peers) > 0 && !c.Join && !seenID[c.ID] {
		bad("id %d is not among the peers", c.ID)
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
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("raftnode: bad config: %w", err)
	}
	return nil
}

// maxID keeps clear of the ids that raft uses for its local threads.
const maxID = 1 << 63

// validatePeerURL accepts exactly what rafthttp accepts: rafthttp panics on
// anything else, and an address reaches it through the log.
func validatePeerURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q does not start with http:// or https://", s)
	case u.Port() == "" || u.Hostname() == "":
		return fmt.Errorf("%q lacks a host or a port", s)
	case u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q has more than scheme, host and port", s)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%q has spaces around it", s)
	}
	return nil
}

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
