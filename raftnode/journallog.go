package raftnode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/journal"
)

const journalExt = journal.Ext

// journalLog is a log in a journal. A save is one record of it, which is there as a whole
// after a crash, or not at all. A record is a row of items:
//
//	{ kind(1) length(4) data }
//
// with the kinds and the data of etcd's WAL.
type journalLog struct {
	cfg      *Config
	dir      string
	j        *journal.Writer
	meta     []byte
	empty    bool              // there is no segment yet
	hard     *raftpb.HardState // as last saved
	last     uint64            // index of the last entry written, or of a newer snapshot
	buf      []byte
	err      error         // of the items
	released atomic.Uint64 // no entry up to there is needed
}

const itemHead = 5

// appendItem appends one to dst. The first error sticks.
func (l *journalLog) appendItem(dst []byte, kind int64, m proto.Message) []byte {
	n := len(dst)
	dst = append(dst, byte(kind), 0, 0, 0, 0)
	dst, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil && l.err == nil {
		l.err = err
	}
	binary.LittleEndian.PutUint32(dst[n+1:], uint32(len(dst)-n-itemHead))
	return dst
}

// items calls fn for each item of a record.
func items(payload []byte, fn func(kind int64, data []byte)) error {
	for len(payload) > 0 {
		if len(payload) < itemHead {
			return errUnlikeRaft
		}
		kind, size := int64(payload[0]), int64(binary.LittleEndian.Uint32(payload[1:]))
		if payload = payload[itemHead:]; size > int64(len(payload)) || kind < wal.MetadataType || kind > wal.SnapshotType {
			return fmt.Errorf("%w: an item of kind %d with %d bytes", errUnlikeRaft, kind, size)
		}
		fn(kind, payload[:size])
		payload = payload[size:]
	}
	return nil
}

// head is what a segment begins with: it stands by itself when those before are gone.
func (l *journalLog) head(dst []byte) []byte {
	dst = append(dst, byte(wal.MetadataType))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(l.meta)))
	dst = append(dst, l.meta...)
	if l.empty { // the first of all
		dst = l.appendItem(dst, wal.SnapshotType, &walpb.Snapshot{Index: new(uint64(0)), Term: new(uint64(0))})
	}
	if !raft.IsEmptyHardState(l.hard) {
		dst = l.appendItem(dst, wal.StateType, l.hard)
	}
	return dst
}

func (l *journalLog) options() journal.Options {
	return journal.Options{SegmentBytes: wal.SegmentSizeBytes, Head: l.head, Direct: l.cfg.Durability == Always, Beside: l.cfg.LongWork}
}

func createJournalLog(cfg *Config, dir string, meta []byte) (*journalLog, error) {
	l := &journalLog{cfg: cfg, dir: dir, meta: meta, empty: true, hard: &raftpb.HardState{}}
	var err error
	l.j, err = journal.Create(dir, l.options())
	l.empty = false
	return l, errors.Join(err, l.err)
}

// openJournalLog goes on behind what was examined. If etcd's WAL has written that, the
// journal takes the log over with its next segment: it gets its name when it has its first
// record, durably, so a crash leaves what was there, or that and a journal behind it.
func openJournalLog(cfg *Config, v *survey) (*journalLog, error) {
	l := &journalLog{cfg: cfg, dir: walDir(cfg), meta: v.tail.meta, hard: v.history.hard, last: max(v.history.written, v.history.last)}
	var err error
	if v.tail.journal != nil {
		l.j, err = journal.Open(v.tail.journal, l.options())
		return l, err
	}
	if err := cfg.failpoint("walBeforeGoingOver"); err != nil {
		return nil, err
	}
	l.j, err = journal.Continue(l.dir, v.tail.seq+1, l.last+1, v.tail.crc, l.options())
	if err = errors.Join(err, l.err); err == nil {
		cfg.Logger.Info("the log goes on as a journal", zap.String("dir", l.dir), zap.Uint64("segment", l.j.Seq()))
	}
	return l, err
}

// save implements logWriter.
func (l *journalLog) save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	b := l.buf[:0]
	for _, e := range entries {
		b = l.appendItem(b, wal.EntryType, e)
	}
	if !raft.IsEmptyHardState(hard) {
		b = l.appendItem(b, wal.StateType, hard)
	}
	first := l.last + 1
	if len(entries) > 0 {
		first = min(first, entries[0].GetIndex()) // a new leader's may overwrite
	}
	if err := l.append(b, first, sync); err != nil {
		return err
	}
	if !raft.IsEmptyHardState(hard) {
		l.hard = hard
	}
	if n := len(entries); n > 0 {
		l.last = entries[n-1].GetIndex()
	}
	return nil
}

// saveSnapshot implements logWriter.
func (l *journalLog) saveSnapshot(s *walpb.Snapshot, sync bool) error {
	if err := l.append(l.appendItem(l.buf[:0], wal.SnapshotType, s), l.last+1, sync); err != nil {
		return err
	}
	l.last = max(l.last, s.GetIndex())
	return nil
}

// append writes a record.
func (l *journalLog) append(b []byte, first uint64, sync bool) error {
	switch {
	case l.err != nil:
	case len(b) > 0:
		l.err = l.j.Append(b, first, sync)
	case sync:
		l.err = l.j.Sync()
	}
	if l.buf = b; cap(b) > maxJournalBuffer {
		l.buf = nil
	}
	return l.err
}

// maxJournalBuffer is what is kept for the next record.
const maxJournalBuffer = 4 << 20

// sync implements logWriter.
func (l *journalLog) sync() error { return l.j.Sync() }

// segment implements logWriter.
func (l *journalLog) segment() uint64 { return l.j.Seq() }

// release implements logWriter.
func (l *journalLog) release(index uint64) error {
	l.released.Store(max(index, l.released.Load()))
	return nil
}

// purge implements logWriter. The newest segment that begins at or below what is released
// stays, and all behind it.
func (l *journalLog) purge() error {
	released := l.released.Load()
	all, err := listSegments(l.cfg)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(all) && all[i+1].index < released; i++ {
		if all[i].journal {
			err = l.j.Recycle(journal.Segment{Seq: all[i].seq, First: all[i].index, Path: all[i].path})
		} else {
			err = os.Remove(all[i].path)
		}
		if err != nil {
			return err
		}
		l.cfg.Logger.Info("removed segment of the log", zap.Uint64("number", all[i].seq), zap.Uint64("first", all[i].index))
	}
	return nil
}

// spare implements logWriter.
func (l *journalLog) spare() spare {
	ready, partial := l.j.Spare()
	return spare{ready: ready, partial: byteCount(partial)}
}

// makeSpare implements logWriter.
func (l *journalLog) makeSpare() { l.j.MakeSpare() }

// fewSpares implements logWriter.
func (l *journalLog) fewSpares(few bool) error { return l.j.FewSpares(few) }

// close implements logWriter.
func (l *journalLog) close() error { return l.j.Close(true) }

// scanJournal reads a segment that a journal has written.
func scanJournal(s segment) (*scan, error) {
	js, err := journal.Read(journal.Segment{Seq: s.seq, First: s.index, Path: s.path})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	sc := &scan{segment: s, journal: js, size: js.Size, begin: js.Begin, crc: js.CRC, end: js.End, head: js.HeadEnd, bad: js.Bad}
	// The checksum is that of the whole record, so one that is right vouches for all items.
	take := func(payload []byte, crc uint32, next int64) {
		if err == nil {
			err = items(payload, func(kind int64, data []byte) {
				if kind == wal.MetadataType {
					sc.meta = data
				} else {
					sc.recs = append(sc.recs, walRecord{kind: kind, data: data, crc: crc, next: next})
				}
			})
		}
	}
	take(js.Head, js.CRC, js.HeadEnd)
	for _, f := range js.Frames {
		take(f.Payload, f.CRC, f.End)
	}
	js.Frames = nil
	if sc.bad == nil {
		sc.bad = err
	}
	return sc, nil
}

// journalMeta reads the metadata of a segment, and nothing else of it.
func journalMeta(s segment) (meta []byte, err error) {
	head, err := journal.ReadHead(journal.Segment{Seq: s.seq, First: s.index, Path: s.path})
	if err != nil {
		return nil, err
	}
	return meta, items(head, func(kind int64, data []byte) {
		if kind == wal.MetadataType {
			meta = data
		}
	})
}
