package raftnode

import (
	"os"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// logWriter appends to the log: a journalLog, or an etcdLog in a directory that an
// older program may have to read. The storage goroutine calls all of it, but for sync,
// purge, and what is about spares. No error is ever retried.
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
	// fewSpares says whether the room on the disk is needed for something better than what is
	// kept beyond the next segment.
	fewSpares(few bool) error
	// close makes everything durable, and ends it.
	close() error
}

// journals reports whether the log of a directory at a level is a journal, or is to go on
// as one. A journal stays one: etcd's WAL could not read what is in front of it.
func (c *Config) journals(level uint64, all []segment) bool {
	return level >= c.JournalLevel || len(all) > 0 && all[len(all)-1].journal
}

// beginsJournal reports whether the log of a new directory is to be a journal: others must
// not count on this member for less than that needs.
func (c *Config) beginsJournal() bool {
	told, _ := c.TellLevel()
	return c.journals(told, nil)
}

// goesOver reports whether a log that etcd's WAL has written goes on as a journal now. If
// there is no room for one, that can wait.
func (v *survey) goesOver(level uint64, r *reserve) bool {
	if level < v.cfg.JournalLevel {
		return false
	}
	free, err := r.free()
	if err == nil && free < r.size {
		v.noJournalYet(zap.Uint64("free", uint64(free)), zap.Uint64("needed", uint64(r.size)))
		return false
	}
	return true
}

func (v *survey) noJournalYet(why ...zap.Field) {
	v.lg.Warn("there is no room to go over to a journal: the log goes on as it is until the next start", append(why, zap.String("dir", v.cfg.Dir))...)
}

// begunJournal reports whether the newest segment is a journal's, or may be.
func begunJournal(cfg *Config) bool {
	all, err := listSegments(cfg)
	return err != nil || len(all) > 0 && all[len(all)-1].journal
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
func startLog(cfg *Config, journal bool, dir string, meta []byte) (logWriter, error) {
	switch {
	case hasLogIn(dir):
		return nil, os.ErrExist
	case journal:
		return createJournalLog(cfg, dir, meta)
	default:
		return createEtcdLog(cfg, dir, meta)
	}
}
