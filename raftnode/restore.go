package raftnode

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// RestoreReport says what Restore has made.
type RestoreReport struct {
	From    BackupHeader
	Cluster uint64 // the new one
	Index   uint64 // that its log begins behind
}

// restoreLeap is how far the log of the restored cluster begins behind the index of the backup:
// further than the old one can have come since. What follows from it for clients, fencing tokens,
// must not be given out a second time.
const restoreLeap = 1 << 40

// Restore makes the empty directory cfg.Dir the data of the only member of a new cluster,
// cfg.ID at cfg.PeerURL, which has the state of a backup. renew copies the state
// machine's part of it, as of the index that it is told.
//
// The cluster's id is random: each restoring makes another cluster, which neither hears
// the old one nor one that was restored from the same backup elsewhere. And it
// has one member: others join it, and so get its data and its id from it and from nowhere else.
//
// Until all of it is durable, the directory says that it is being restored, and no
// node starts in it. What an interrupted attempt has left is replaced by the next one.
func Restore(cfg Config, backup io.Reader, renew func(w io.Writer, body io.Reader, index uint64) error) (r RestoreReport, err error) {
	cfg.EnsureDefaults()
	if err := validatePeerURL(cfg.PeerURL); err != nil {
		return r, fmt.Errorf("raftnode: member %d: %w", cfg.ID, err)
	}
	from, err := NewBackupReader(backup)
	if err != nil { // nothing was touched
		return r, err
	}
	lock, err := lockDir(&cfg)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	o, err := beginRestore(&cfg)
	if err != nil {
		return r, err
	}
	r = RestoreReport{From: from.BackupHeader, Cluster: rand.Uint64() | 1, Index: from.Index + restoreLeap}
	s, err := restoreBody(&cfg, from, r.Index, renew)
	if err != nil {
		return r, err
	}
	if err := snap.New(cfg.Logger, snapDir(&cfg)).SaveSnap(s); err != nil {
		return r, fmt.Errorf("save descriptor: %w", err)
	}
	if err := syncDir(snapDir(&cfg)); err != nil {
		return r, err
	}
	who := identity{Version: 1, Cluster: r.Cluster, Member: cfg.ID, Joined: true}
	log := restored{snapshot: s, hard: &raftpb.HardState{Term: new(from.Term), Vote: new(uint64(0)), Commit: new(r.Index)}}
	if err := writeNewLog(&cfg, cfg.beginsJournal(), who, log); err != nil {
		return r, fmt.Errorf("write the log: %w", err)
	}
	if err := os.Rename(newLogDir(&cfg), walDir(&cfg)); err != nil {
		return r, err
	}
	if err := syncDir(cfg.Dir); err != nil {
		return r, err
	}
	// From here on it counts.
	o.State, o.Cluster, o.HasLog, o.Committed = stageMember, r.Cluster, true, r.Index
	return r, o.write(&cfg)
}

// beginRestore notes in an empty directory, or one in which an attempt was interrupted, that
// it is being restored.
func beginRestore(cfg *Config) (*origin, error) {
	o, err := readOrigin(cfg)
	if err != nil {
		return nil, err
	}
	if o == nil || o.State != stageRestoring {
		left, err := traces(cfg, nil)
		if err != nil {
			return nil, err
		}
		if o != nil {
			left = append(left, "origin")
		}
		if len(left) > 0 {
			return nil, fmt.Errorf("%w: %s is not empty, it has %s: a backup is restored into an empty directory", ErrWrongDir, cfg.Dir, strings.Join(left, ", "))
		}
	}
	// Of a higher level it will be as soon as a node runs with what is in the backup.
	o = &origin{Version: firstLevel, Member: cfg.ID, State: stageRestoring}
	if err := o.write(cfg); err != nil {
		return nil, err
	}
	for _, dir := range []string{walDir(cfg), newLogDir(cfg), snapDir(cfg)} { // of an earlier attempt
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(snapDir(cfg), fileutil.PrivateDirMode); err != nil {
		return nil, err
	}
	return o, syncDir(cfg.Dir)
}

// restoreBody writes the body of the snapshot that the new cluster begins with.
func restoreBody(cfg *Config, from *BackupReader, index uint64, renew func(io.Writer, io.Reader, uint64) error) (*raftpb.Snapshot, error) {
	f, err := os.CreateTemp(snapDir(cfg), "tmp-restore-*")
	if err != nil {
		return nil, err
	}
	w := &bodyWriter{f: f, crc: newBodyCRC(), room: func() error { return nil }}
	buffered := bufio.NewWriterSize(w, 64<<10)
	err = renew(buffered, from, index)
	if err == nil {
		// To its end, where the checksum is, and whatever should not be there.
		_, err = io.Copy(io.Discard, from)
	} else if sum := checkRest(from); sum != nil {
		err = sum // which says more plainly what is wrong
	}
	err = errors.Join(err, buffered.Flush())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), bodyPath(cfg, index)); err != nil {
		return nil, err
	}
	ms := newMembership()
	ms.members[cfg.ID] = commit.Member{ID: cfg.ID, PeerURL: cfg.PeerURL}
	return &raftpb.Snapshot{
		Data: ms.describe(w.size, w.crc.Sum32()),
		Metadata: &raftpb.SnapshotMetadata{
			ConfState: &raftpb.ConfState{Voters: []uint64{cfg.ID}},
			Index:     new(index), Term: new(from.Term),
		},
	}, syncDir(snapDir(cfg))
}

// checkRest returns what is wrong with a backup as such, if anything is.
func checkRest(from *BackupReader) error {
	if _, err := io.Copy(io.Discard, from); errors.Is(err, ErrBackup) {
		return err
	}
	return nil
}

// errRestoring refuses a directory in which restoring has not come to its end.
func errRestoring(cfg *Config) error {
	return fmt.Errorf("%w: restoring a backup into %s was interrupted: do it again, or empty the directory", ErrUnfinished, filepath.Clean(cfg.Dir))
}
