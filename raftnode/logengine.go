package raftnode

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
)

// LogEngine says what writes the log.
type LogEngine string

const (
	// EtcdLog is etcd's WAL.
	EtcdLog LogEngine = "etcd"
	// JournalLog is raftnode/journal: files that are written over and over.
	JournalLog LogEngine = "journal"
)

// LogEngines are all there are, the one for new directories first.
func LogEngines() []LogEngine { return []LogEngine{JournalLog, EtcdLog} }

// logWriter appends to the log. The storage goroutine calls all of it, but for sync,
// purge, spare and makeSpare. No error is ever retried.
type logWriter interface {
	// save writes entries and then the hard state. sync says that they have to be durable
	// when it returns.
	save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) error
	// saveSnapshot writes that there is a snapshot.
	saveSnapshot(s *walpb.Snapshot, sync bool) error
	// sync makes everything durable that is written.
	sync() error
	// segment is the number of the newest segment.
	segment() uint64
	// release says that no entry up to index is needed any more, and purge removes the
	// segments that are of no use then.
	release(index uint64) error
	purge() error
	// spare says how far the next segment is made, and makeSpare has it made if that has
	// failed.
	spare() spare
	makeSpare()
	// close makes everything durable, and ends it.
	close() error
}

// engine is what is to write the log: what the configuration says, what there is
// already, or what new directories get.
func (c *Config) engine(all []segment) LogEngine {
	switch {
	case c.LogEngine != "":
		return c.LogEngine
	case len(all) == 0:
		return cmp.Or(c.NewLogEngine, LogEngines()[0])
	case all[len(all)-1].journal:
		return JournalLog
	default:
		return EtcdLog
	}
}

// checkEngine refuses to go on with etcd's WAL behind a journal: it could not read what
// is in front of it.
func (c *Config) checkEngine(all []segment) error {
	if c.engine(all) == EtcdLog && slices.ContainsFunc(all, func(s segment) bool { return s.journal }) {
		return fmt.Errorf("%w: the log in %s is a journal, which etcd's WAL cannot go on from: start without --log-engine, or with --log-engine %s; "+
			"the way back is to replace the member", ErrWrongDir, walDir(c), JournalLog)
	}
	return nil
}

// hasLogIn reports whether there is a log in a directory.
func hasLogIn(dir string) bool {
	names, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(names, func(e os.DirEntry) bool {
		return strings.HasSuffix(e.Name(), etcdExt) || strings.HasSuffix(e.Name(), journalExt)
	})
}

// startLog makes an empty log in a directory, under a temporary name first: a crash
// leaves none, or one with its metadata.
func startLog(cfg *Config, engine LogEngine, dir string, meta []byte) (logWriter, error) {
	if hasLogIn(dir) {
		return nil, os.ErrExist
	}
	switch engine {
	case EtcdLog:
		return createEtcdLog(cfg, dir, meta)
	case JournalLog:
		return createJournalLog(cfg, dir, meta)
	default:
		return nil, errors.New("unknown log engine " + string(engine))
	}
}
