package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// origin is the file of that name in the data directory: how far the directory has
// come to belong to a member. It is written, durably, before each step that others
// will rely on, so that a directory that has lost its log is never mistaken for a
// new one.
type origin struct {
	// Version is the level that a program must know to start here: see level.go. The first
	// one, whose programs have levels for no other purpose, calls this 1.
	Version uint64 `json:"version"`
	Member  uint64 `json:"member"`
	State   stage  `json:"state"`
	// Cluster is agreed on if State is prepared or member.
	Cluster uint64 `json:"cluster,omitempty"`
	// Next is the cluster that NewCluster is about to make of it.
	Next uint64 `json:"next,omitempty"`
	// Peers is the list that the member was first started with. While it is
	// forming or joining, a start without a list goes on with it.
	Peers []Peer `json:"peers,omitempty"`
	// Instance tells this directory from an earlier one of the same member: it is
	// random, and goes into the membership when a node joins.
	Instance uint64 `json:"instance,omitempty"`
	// HasLog promises that the log is not empty.
	HasLog bool `json:"hasLog,omitempty"`
	// Committed promises that the log knows of commits up to there. It is what the
	// newest start found.
	Committed uint64 `json:"committed,omitempty"`
}

type stage string

const (
	stageForming  stage = "forming"  // asks the other founders
	stagePrepared stage = "prepared" // has agreed with them on Cluster
	stageJoining  stage = "joining"  // asks to be taken in
	stageMember   stage = "member"   // the WAL says everything else

	stageRestoring stage = "restoring" // a backup is being written into it: nothing in it counts
)

func originPath(dir string) string { return filepath.Join(dir, "origin") }

// Begun reports whether a data directory is more than empty: a node was started in
// it, and knows who it is and whom to ask without being told again.
func Begun(dir string) (bool, error) {
	for _, path := range []string{originPath(dir), filepath.Join(dir, walDirName)} {
		if _, err := os.Stat(path); err == nil {
			return true, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("data directory: %w", err)
		}
	}
	return false, nil
}

// readOrigin returns nil if there is none.
func readOrigin(cfg *Config) (*origin, error) {
	path := originPath(cfg.Dir)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read origin: %w", err)
	}
	o := &origin{}
	if err := unseal(b, o); err != nil {
		return nil, fmt.Errorf("%w: %s: %w; %s", ErrCorrupt, path, err, originWayOut)
	}
	switch {
	case o.Version == 0:
		return nil, fmt.Errorf("%w: %s has no version", ErrCorrupt, path)
	case o.Version > cfg.Level:
		return nil, fmt.Errorf("%w: %s is at level %d, and it knows levels up to %d: install the version that the other members run", ErrTooOld, cfg.Dir, o.Version, cfg.Level)
	}
	switch o.State {
	case stageForming, stagePrepared, stageJoining, stageMember, stageRestoring:
	default:
		return nil, fmt.Errorf("%w: %s has the unknown state %q", ErrCorrupt, path, o.State)
	}
	return o, nil
}

// A directory with a log can do without, so this is for one that never had one, or
// has lost everything.
const originWayOut = "way out: if this node was never in a cluster, move the directory away and begin anew; " +
	"otherwise restore a backup, or remove the member and start it with an empty directory, a new id and --join"

// write makes the origin durable.
func (o *origin) write(cfg *Config) error {
	b, err := seal(o)
	if err != nil {
		return err
	}
	if err := writeDurably(originPath(cfg.Dir), b, func() error { return cfg.failpoint("originBeforeRename") }); err != nil {
		return fmt.Errorf("write origin: %w", err)
	}
	return nil
}

// writeDurably replaces a file: after a crash it is the old one or the new one.
func writeDurably(path string, content []byte, beforeRename func() error) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = beforeRename()
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

// findOrigin says what the data directory is: its origin, a new one (not written
// yet) if the directory is really empty, and whether it has a log. A directory that
// was somebody's and has no log is refused. REQUIRES: the directory is locked.
func findOrigin(cfg *Config) (o *origin, hasLog bool, err error) {
	hasLog = hasLogIn(walDir(cfg))
	o, err = readOrigin(cfg)
	if errors.Is(err, errDamaged) && hasLog { // which says everything that counts
		err = setAside(cfg, damagedFile{originPath(cfg.Dir), err.Error()})
		o = nil
	}
	if err != nil {
		return nil, false, err
	}
	if o != nil && o.Member != cfg.ID {
		return nil, false, fmt.Errorf("%w: %s belongs to member %d, this is member %d", ErrWrongDir, cfg.Dir, o.Member, cfg.ID)
	}
	switch {
	case o != nil && o.State == stageRestoring:
		return nil, false, errRestoring(cfg)
	case hasLog && o == nil: // damaged, or made by a version that wrote none
		return &origin{Version: firstLevel, Member: cfg.ID, State: stageMember}, true, nil
	case hasLog:
		return o, true, nil
	case fileutil.Exist(newLogDir(cfg)):
		return nil, false, fmt.Errorf("%w: making a new cluster of %s was interrupted: do it again (--force-new-cluster)", ErrDataLost, cfg.Dir)
	case o != nil && o.State == stageMember:
		return nil, false, lostLog(cfg, o, "its log is missing")
	}
	left, err := traces(cfg, o)
	if err != nil {
		return nil, false, err
	}
	if len(left) > 0 {
		return nil, false, lostLog(cfg, o, fmt.Sprintf("it has %s, but no log", strings.Join(left, ", ")))
	}
	if o == nil {
		o = &origin{Version: firstLevel, Member: cfg.ID}
	}
	return o, false, nil
}

// traces lists what only a node that has run leaves behind.
func traces(cfg *Config, o *origin) (left []string, err error) {
	if o == nil { // both are there as soon as an origin is
		for _, name := range []string{"incarnation", "promise", "node.conf"} {
			if fileutil.Exist(filepath.Join(cfg.Dir, name)) {
				left = append(left, name)
			}
		}
	}
	for _, name := range []string{snapDirName, walDirName} {
		dir := filepath.Join(cfg.Dir, name)
		names, err := fileutil.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read data directory: %w", err)
		}
		for _, n := range names {
			if name != snapDirName || !strings.HasPrefix(n, "tmp") {
				left = append(left, filepath.Join(name, n))
			}
		}
	}
	return left, nil
}

// lostLog is the refusal of a directory that once had a log.
func lostLog(cfg *Config, o *origin, what string) error {
	peers := cfg.Peers
	if len(peers) == 0 && o != nil {
		peers = o.Peers
	}
	way := newIDWayOut(cfg.ID)
	if len(peers) == 1 && !cfg.Join {
		way = "restore the directory from a backup; or start once with --force-new-cluster, which keeps the newest snapshot, if there is one, and loses the rest; " +
			"or move it away to begin with nothing"
	}
	return fmt.Errorf("%w: %s was used before, and %s; %s", ErrDataLost, cfg.Dir, what, way)
}
