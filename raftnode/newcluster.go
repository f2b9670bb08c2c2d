package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// NewClusterReport says what NewCluster has made.
type NewClusterReport struct {
	OldCluster, Cluster uint64
	// Snapshot and Last are the indexes that the data reaches from and to. Entries up
	// to Committed were certainly committed; those after it, Doubtful of them, are kept
	// although the old cluster may have given them up, or told a client that their
	// outcome is unknown.
	Snapshot, Committed, Last, Doubtful uint64
	// Gone are the members that the new cluster does not have. Their ids cannot come
	// back.
	Gone []commit.Member
	// Damage is why the node would not start, or nil. Then entries from Last+1 on are
	// lost, and Committed says only how many there certainly were.
	Damage error
	// Aside is where the old log is kept.
	Aside string
}

// NewCluster makes a data directory a cluster of one: the way back when a majority of
// the members is lost for good. The data stays, and so does the member's id. The
// cluster gets a new id, so that no old member can ever talk to it, and their ids are
// burnt. No node may run in the directory, and the others of the old cluster must
// never be started again together: they would go on as the old one.
//
// The old log is moved aside only once the new one is complete. After a crash in between
// it can be, and has to be, done again.
func NewCluster(cfg Config, now time.Time) (r NewClusterReport, err error) {
	cfg.EnsureDefaults()
	if exists, err := Begun(cfg.Dir); err != nil || !exists {
		return r, errors.Join(err, fmt.Errorf("raftnode: %s has no data", cfg.Dir))
	}
	lock, err := lockDir(&cfg)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := finishNewCluster(&cfg); err != nil { // an earlier attempt
		return r, err
	}
	o, hasLog, err := findOrigin(&cfg)
	if errors.Is(err, ErrDataLost) { // there may be a snapshot
		r.Damage = err
		o, err = readOrigin(&cfg)
		hasLog = o != nil && o.State == stageMember
	}
	if err != nil {
		return r, err
	}
	if !hasLog {
		return r, fmt.Errorf("raftnode: %s has no log: its node was never in a cluster", cfg.Dir)
	}
	var who identity
	var from restored
	var useless []damagedFile
	if r.Damage == nil {
		var d *disk
		d, who, from, err = openDisk(&cfg, newReserve(&cfg), o.Version)
		switch {
		case errors.Is(err, ErrCorrupt):
			r.Damage = err
		case err != nil:
			return r, err
		default:
			if err := d.close(); err != nil {
				return r, err
			}
		}
	}
	if r.Damage != nil {
		if who, from, useless, err = salvage(&cfg, o); err != nil {
			return r, err
		}
	}
	if from.empty() {
		return r, fmt.Errorf("raftnode: the log in %s is empty: there is nothing to keep", cfg.Dir)
	}
	r.OldCluster, r.Cluster = who.Cluster, rand.Uint64()|1
	if err := from.alone(cfg.ID, &r); err != nil {
		return r, err
	}
	who = identity{Version: 1, Cluster: r.Cluster, Member: cfg.ID, Joined: true}
	all, err := listSegments(&cfg)
	if err != nil {
		return r, err
	}
	if err := writeNewLog(&cfg, cfg.journals(o.Version, all), who, from); err != nil {
		return r, fmt.Errorf("write the new log: %w", err)
	}
	o.Next = r.Cluster
	if err := o.write(&cfg); err != nil {
		return r, err
	}
	r.Aside = filepath.Join(cfg.Dir, "old-cluster-"+now.UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(r.Aside, 0o700); err != nil {
		return r, err
	}
	if err := setAside(&cfg, useless...); err != nil {
		return r, err
	}
	if err := os.Rename(walDir(&cfg), filepath.Join(r.Aside, walDirName)); err != nil && (r.Damage == nil || !errors.Is(err, os.ErrNotExist)) {
		return r, err
	}
	return r, errors.Join(syncDir(r.Aside), syncDir(cfg.Dir), finishNewCluster(&cfg))
}

// newLogDir is where the log of a new cluster is complete, and not in its place yet.
func newLogDir(cfg *Config) string { return filepath.Join(cfg.Dir, "wal-of-new-cluster") }

// finishNewCluster gives the new log its place once the old one has left it. If it has
// not, the new one is an unused copy, and goes.
func finishNewCluster(cfg *Config) error {
	if !fileutil.Exist(newLogDir(cfg)) {
		return nil
	}
	if hasLogIn(walDir(cfg)) {
		return os.RemoveAll(newLogDir(cfg))
	}
	o, err := readOrigin(cfg)
	if err != nil {
		return err
	}
	if o == nil || o.Next == 0 {
		return fmt.Errorf("%w: %s is there, but %s does not say of which cluster it is", ErrCorrupt, newLogDir(cfg), originPath(cfg.Dir))
	}
	// What the old log had come to is no promise of the new one: it may have been damaged.
	o.State, o.Cluster, o.HasLog, o.Committed = stageMember, o.Next, true, 0
	if err := o.write(cfg); err != nil {
		return err
	}
	if err := os.Rename(newLogDir(cfg), walDir(cfg)); err != nil {
		return err
	}
	return syncDir(cfg.Dir)
}

// alone turns what a member's disk holds into the log of a cluster that has only that
// member: everything in it counts as committed, and the others are removed at its end.
func (r *restored) alone(id uint64, report *NewClusterReport) error {
	ms, _, err := r.membership(id)
	if err != nil {
		return err
	}
	self, ok := ms.members[id]
	if !ok {
		return fmt.Errorf("%w: this member itself was removed from its cluster: there is no way to go on from its data", ErrRemoved)
	}
	report.Snapshot = r.snapshot.GetMetadata().GetIndex()
	report.Last = report.Snapshot + uint64(len(r.entries))
	report.Committed = r.hard.GetCommit()
	report.Doubtful = report.Last - min(report.Last, report.Committed)
	term := max(r.hard.GetTerm(), r.snapshot.GetMetadata().GetTerm())
	if n := len(r.entries); n > 0 {
		term = max(term, r.entries[n-1].GetTerm())
	}
	r.hard = &raftpb.HardState{Term: new(term + 1), Vote: new(uint64(0))}
	var changes []change
	if self.Learner {
		changes = append(changes, change{Op: commit.Promote, Member: commit.Member{ID: id}})
	}
	for _, m := range ms.list() {
		if m.ID != id {
			report.Gone = append(report.Gone, m)
			changes = append(changes, change{Op: commit.Remove, Member: commit.Member{ID: m.ID}})
		}
	}
	r.entries = slices.Clone(r.entries)
	for i, ch := range changes {
		cc := ch.confChange()
		data, err := proto.Marshal(cc)
		if err != nil {
			return err
		}
		r.entries = append(r.entries, &raftpb.Entry{
			Type: raftpb.EntryConfChange.Enum(), Term: new(r.hard.GetTerm()), Index: new(report.Last + uint64(i) + 1), Data: data,
		})
	}
	r.hard.Commit = new(report.Last + uint64(len(changes)))
	return nil
}

// writeNewLog makes the log of the new cluster complete beside the old one.
func writeNewLog(cfg *Config, journal bool, who identity, from restored) error {
	part := newLogDir(cfg) + ".part"
	if err := os.RemoveAll(part); err != nil { // of an earlier attempt
		return err
	}
	meta, err := json.Marshal(who)
	if err != nil {
		return err
	}
	w, err := startLog(cfg, journal, part, meta)
	if err != nil {
		return err
	}
	// As if the snapshot came from a leader: its record, a hard state that covers it and
	// nothing more, the entries behind it, and the hard state of them all.
	if m := from.snapshot.GetMetadata(); m != nil {
		err = w.saveSnapshot(&walpb.Snapshot{Index: new(m.GetIndex()), Term: new(m.GetTerm()), ConfState: m.GetConfState()}, true)
		if err == nil {
			err = w.save(&raftpb.HardState{Term: from.hard.Term, Vote: from.hard.Vote, Commit: new(m.GetIndex())}, nil, true)
		}
	}
	if err == nil {
		err = w.save(from.hard, from.entries, true)
	}
	if err = errors.Join(err, w.close()); err != nil {
		return err
	}
	if err := os.Rename(part, newLogDir(cfg)); err != nil {
		return err
	}
	return syncDir(cfg.Dir)
}
