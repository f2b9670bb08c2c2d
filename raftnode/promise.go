package raftnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.uber.org/zap"
)

// promise says how far the log has certainly come. A log that was cut off between two
// records looks like a shorter log, and so does an older copy of it; only something
// beside it can tell. The file is replaced when the node has started, when a segment
// is full, when a snapshot is in the log, and when the node stops: after that, the log
// has to end there and nowhere before. It is a lower bound at any time, so that an
// older copy of it does no harm.
type promise struct {
	Version int `json:"version"`
	// Cluster and Member are those of the log's identity.
	Cluster uint64 `json:"cluster"`
	Member  uint64 `json:"member"`
	// Incarnation is that of the run that wrote this, in case that file is lost: a
	// number that is handed out twice makes the store take a new request for an old one,
	// which it has answered already.
	Incarnation uint64 `json:"incarnation"`
	// Segment number Seq of the log has had a record that ended at Offset, with CRC
	// as the checksum of all records up to there.
	Seq    uint64 `json:"segment"`
	Offset int64  `json:"offset"`
	CRC    uint32 `json:"crc"`
	// Snapshot is the newest one that the log knows.
	Snapshot uint64 `json:"snapshot"`
	// Synced says that each write to the log was synced before the next one began: then
	// only the very last can be torn, and anything else that looks like it is damage.
	Synced bool `json:"synced"`
}

func promisePath(cfg *Config) string { return filepath.Join(cfg.Dir, "promise") }

// readPromise returns nil without an error if there is none.
func readPromise(cfg *Config) (*promise, error) {
	b, err := os.ReadFile(promisePath(cfg))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // a new directory, or one of a version without promises
	}
	if err != nil {
		return nil, fmt.Errorf("read promise: %w", err)
	}
	// A damaged one is set aside, with a warning: the log alone is enough to start from,
	// and only loses its witness.
	var p promise
	if err := unseal(b, &p); err != nil {
		return nil, err
	}
	if p.Version != 1 {
		return nil, fmt.Errorf("%w: %s has format version %d, this program knows 1", ErrWrongDir, promisePath(cfg), p.Version)
	}
	return &p, nil
}

// writePromise replaces the promise. What it says is durable already: a promise that
// got to the disk first would have the next start refuse a log for lacking what nobody was
// told of.
func writePromise(cfg *Config, p promise) error {
	p.Version = 1
	b, err := seal(p)
	if err != nil {
		return fmt.Errorf("write promise: %w", err)
	}
	if err := writeDurably(promisePath(cfg), b, func() error { return cfg.failpoint("promiseBeforeRename") }); err != nil {
		return fmt.Errorf("write promise: %w", err)
	}
	return nil
}

// writeAndSync makes a file of b, and b durable, but not the name.
func writeAndSync(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fileutil.PrivateFileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// promiseRun notes that the number of this run is taken. That is before the node says
// anything under it.
func (d *disk) promiseRun(incarnation uint64) error {
	d.promised.Incarnation = incarnation
	return writePromise(d.cfg, d.promised)
}

// promiseSegment promises the newest segment, if the log has just begun one.
func (d *disk) promiseSegment() error {
	seq := d.log.segment()
	if d.cfg.Durability == No || seq == d.promised.Seq {
		return nil // with No, nothing is durable before the node stops
	}
	if d.cfg.Durability == EverySec { // what is promised must be durable
		if err := d.log.sync(); err != nil {
			return err
		}
	}
	// Offset 0 of the new one: all of the segment before it, whose end is known by what
	// this one says it goes on from.
	d.promised.Seq, d.promised.Offset, d.promised.CRC = seq, 0, 0
	return d.renewPromise()
}

// promiseSnapshot promises the record of a snapshot, which is synced. The log before it
// goes soon: a log that has lost the record would seem to begin in the middle.
func (d *disk) promiseSnapshot(index uint64) error {
	if d.cfg.Durability == No {
		return nil
	}
	d.promised.Snapshot = index
	return d.renewPromise()
}

// renewPromise replaces the promise. If there is no room for that, the one that is
// there stays: it is not wrong, and no reason to stop.
func (d *disk) renewPromise() error {
	err := writePromise(d.cfg, d.promised)
	if exhausted(err) {
		d.lg.Warn("no room to note how far the log has come", zap.String("dir", d.cfg.Dir), zap.Error(err))
		return nil
	}
	return err
}

// promiseEnd promises all of a log that is closed and synced.
func (d *disk) promiseEnd() error {
	all, err := listSegments(d.cfg)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: %s: the log is gone", ErrCorrupt, walDir(d.cfg))
	}
	if err != nil {
		return err
	}
	// Read back, not counted along: this is also the last chance to see that what was
	// written can be read.
	sc, err := scanSegment(all[len(all)-1])
	if err == nil && sc.bad != nil {
		err = fmt.Errorf("%w: %s: at offset %d: %w", ErrCorrupt, sc.path, sc.end, sc.bad)
	}
	if err != nil {
		return err
	}
	d.promised.Seq, d.promised.Offset, d.promised.CRC = sc.seq, sc.end, sc.crc
	return writePromise(d.cfg, d.promised)
}
