package raftnode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/raftredis/raftredis/raftnode/journal"
)

// This file reads the segments of a log without touching them: those of a journal as
// it reads them itself, those of etcd's WAL here. What etcd's own
// functions read they also repair: wal.Repair takes a flipped bit in a record's
// length for the end of an unfinished write and cuts off everything behind it, and
// ReadAll fills the rest of a segment with zeros wherever it finds eight of them.
//
// A segment of etcd's WAL:
//
//	{ length(8, the top byte says how much padding) walpb.Record padding to 8 }
//
// A record's CRC-32C covers its data and goes on from the record before it, also
// from segment to segment: each begins with a record of what it goes on from, and
// the metadata. The newest segment is preallocated up to SegmentSizeBytes, so that
// what is behind its last record is zero, and a shorter file was cut.

const (
	frameHead  = 8
	sectorSize = 512
)

// walTable returns the polynomial of the WAL's checksums. MakeTable keeps the tables.
func walTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// segment is a file of the log.
type segment struct {
	seq, index uint64 // its number, and that of the first entry in it
	path       string
	journal    bool // written by a journal, not by etcd's WAL
}

// listSegments returns the segments of the log in order.
func listSegments(cfg *Config) ([]segment, error) { return segmentsIn(walDir(cfg)) }

func segmentsIn(dir string) ([]segment, error) {
	names, err := fileutil.ReadDir(dir) // sorted
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the log: %w", err)
	}
	var all []segment
	for _, name := range names {
		s := segment{path: filepath.Join(dir, name), journal: filepath.Ext(name) == journalExt}
		if !s.journal && filepath.Ext(name) != etcdExt {
			continue
		}
		if _, err := fmt.Sscanf(name, "%016x-%016x.", &s.seq, &s.index); err != nil {
			continue // as etcd does
		}
		all = append(all, s)
	}
	return all, nil
}

// scan is what was found in one segment.
type scan struct {
	segment
	file  []byte
	size  int64  // of the file
	begin uint32 // the CRC that the segment goes on from
	crc   uint32 // and that at its end
	end   int64  // behind the last good record
	meta  []byte
	head  int64 // behind the metadata
	recs  []walRecord
	// bad says what is at end, if that is not the end of the file or zeros.
	bad error
	// unfinished is what a crash left behind the end of the newest segment.
	unfinished []byte
	// journal is what was found if a journal has written it, which judges by itself.
	journal *journal.Scan
}

type walRecord struct {
	kind int64
	data []byte
	crc  uint32
	next int64 // offset of the record behind it
}

var (
	errNoRecord = errors.New("no record")
	errBadCRC   = errors.New("wrong checksum")
)

func scanSegment(s segment) (*scan, error) {
	if s.journal {
		return scanJournal(s)
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	sc := &scan{segment: s, file: b, size: int64(len(b))}
	for n := 0; ; n++ {
		r, err := frameAt(b, sc.end)
		if errors.Is(err, errNoRecord) {
			return sc, nil
		}
		if err == nil {
			err = sc.place(n, &r)
		}
		if sc.bad = err; sc.bad != nil {
			return sc, nil //nolint:nilerr // what is wrong is what was to be found out
		}
		sc.crc, sc.end = r.crc, r.next
	}
}

// place takes in the n-th record. Only the first goes on from another segment's
// checksum, only the second is the metadata.
func (sc *scan) place(n int, r *walRecord) error {
	switch {
	case (n == 0) != (r.kind == wal.CrcType), (n == 1) != (r.kind == wal.MetadataType):
		return fmt.Errorf("%w: record %d of the segment is of kind %d", errUnlikeRaft, n, r.kind)
	case n == 0:
		if len(r.data) > 0 {
			return errBadCRC
		}
		sc.begin = r.crc
		return nil
	case crc32.Update(sc.crc, walTable(), r.data) != r.crc:
		return errBadCRC
	case n == 1:
		sc.meta, sc.head = r.data, r.next
	default:
		// The checksum goes over all records up to here, so one that is right vouches for
		// those in front of it and for their order.
		sc.recs = append(sc.recs, *r)
	}
	return nil
}

// frameAt reads the record at an offset, which may not be one. errNoRecord stands for
// the end of the file and for a length of zero. It believes nothing that it reads: a
// length may be that of something else, and an index out of range would end a start
// without a word about what is damaged.
func frameAt(b []byte, off int64) (walRecord, error) {
	if off >= int64(len(b)) {
		return walRecord{}, errNoRecord
	}
	if off+frameHead > int64(len(b)) {
		return walRecord{}, errors.New("the file ends in the middle of a record")
	}
	size, next, err := frameSize(b, off)
	if err != nil {
		return walRecord{}, err
	}
	if next > int64(len(b)) {
		return walRecord{}, fmt.Errorf("a record of %d bytes does not fit into the file", size)
	}
	rec := &walpb.Record{}
	if err := proto.Unmarshal(b[off+frameHead:off+frameHead+size], rec); err != nil {
		return walRecord{}, fmt.Errorf("not a record: %w", err)
	}
	if len(rec.ProtoReflect().GetUnknown()) > 0 || rec.GetType() < wal.MetadataType || rec.GetType() > wal.SnapshotType {
		return walRecord{}, fmt.Errorf("%w: a record of kind %d", errUnlikeRaft, rec.GetType())
	}
	return walRecord{kind: rec.GetType(), data: rec.Data, crc: rec.GetCrc(), next: next}, nil
}

// frameSize reads the length in front of a record, and where the next one begins.
func frameSize(b []byte, off int64) (size, next int64, err error) {
	head := binary.LittleEndian.Uint64(b[off:])
	if head == 0 {
		return 0, 0, errNoRecord
	}
	size = int64(head &^ (0xff << 56))
	pad := (8 - size%8) % 8
	want := uint64(0)
	if pad != 0 {
		want = uint64(0x80 | pad)
	}
	if size == 0 || head>>56 != want {
		return 0, 0, fmt.Errorf("%016x is not the length of a record", head)
	}
	return size, off + frameHead + size + pad, nil
}

// rest is what is behind the last good record, without the zeros at the end.
func (sc *scan) rest() []byte {
	if sc.journal != nil {
		return sc.journal.Rest
	}
	return bytes.TrimRight(sc.file[sc.end:], "\x00")
}

// whole reports whether the file is at least as long as it was when it was made.
func (sc *scan) whole() bool {
	if sc.journal != nil {
		return sc.size >= sc.journal.Made
	}
	return sc.size >= wal.SegmentSizeBytes
}

// full reports whether there is no room for another record, or for the one at end.
func (sc *scan) full() bool {
	if sc.journal != nil {
		return false // it would be bad
	}
	if sc.end+frameHead > sc.size {
		return true
	}
	_, next, err := frameSize(sc.file, sc.end)
	return err == nil && next > sc.size
}

// torn reports whether the end of the newest segment can be that of a write which a
// crash interrupted: nothing of it was acknowledged, and it may be cut off. It leaves
// whole sectors unwritten, which were zero before. synced says that each write was
// synced before the next began.
func (sc *scan) torn(synced bool) bool {
	if sc.journal != nil {
		return true // or it would be bad
	}
	rest := sc.rest()
	switch {
	case sc.bad == nil && len(bytes.Trim(sc.file[sc.end:min(sc.end-sc.end%sectorSize+sectorSize, sc.size)], "\x00")) > 0:
		return false // a length of zero, in a sector that was written
	case sc.bad != nil && len(rest) > frameHead && !sc.lostSector():
		return false
	}
	// A record that is damaged in front of what was written after a sync had been durable:
	// it may have been acknowledged. Without syncs nothing can be told from the order.
	return !synced || !sc.laterWrite()
}

// lostSector reports whether the record at the end lacks a sector.
func (sc *scan) lostSector() bool {
	size, next, err := frameSize(sc.file, sc.end)
	if err != nil {
		return false // a length is never torn: it lies within a sector
	}
	// The record holds the length of its data once more. If both are there and
	// differ, one of them was changed afterwards.
	if inner, ok := innerSize(sc.file[sc.end+frameHead:]); ok && inner != size {
		return false
	}
	for from := sc.end + frameHead; from < next; {
		to := min(from-from%sectorSize+sectorSize, next)
		if from >= int64(len(sc.file)) || len(bytes.Trim(sc.file[from:min(to, int64(len(sc.file)))], "\x00")) == 0 {
			return true
		}
		from = to
	}
	return false
}

// innerSize computes the size of a record from its beginning.
func innerSize(b []byte) (int64, bool) {
	b = b[:min(len(b), 64)]
	n := 0
	for {
		num, kind, k := protowire.ConsumeTag(b[n:])
		if k < 0 {
			return 0, false
		}
		n += k
		v, k := protowire.ConsumeVarint(b[n:])
		if k < 0 || num > 3 {
			return 0, false
		}
		n += k
		if kind == protowire.BytesType {
			return int64(n) + int64(min(v, 1<<50)), true
		}
	}
}

// laterWrite reports whether there is something behind the end that was written after
// a sync: records of entries, the hard state that ends their write, and anything
// behind that. Then what is damaged at the end had been durable.
func (sc *scan) laterWrite() bool {
	limit := sc.end + int64(len(sc.rest()))
	for off := sc.end + frameHead; off < limit; {
		r, err := frameAt(sc.file, off)
		off += 8 // records begin at multiples of it
		if err != nil {
			continue
		}
		entry, state := false, false
		for crc := r.crc; ; off = r.next {
			if r, err = frameAt(sc.file, r.next); err != nil || crc32.Update(crc, walTable(), r.data) != r.crc {
				break
			}
			switch crc = r.crc; {
			case state:
				return true
			case r.kind == wal.EntryType:
				entry = true
			case r.kind == wal.StateType:
				state = entry
			}
		}
	}
	return false
}

// reaches reports whether the segment has a record boundary at an offset, with the
// given CRC up to there.
func (sc *scan) reaches(offset int64, crc uint32) bool {
	if offset == 0 || offset == sc.head || offset == sc.end && crc == sc.crc {
		return true
	}
	for _, r := range sc.recs {
		if r.next == offset {
			return r.crc == crc
		}
	}
	return false
}

// tell passes the records on, up to one that raft cannot have written. keep is given
// the entries, too.
func (sc *scan) tell(h *history, keep func(*raftpb.Entry)) error {
	for i, r := range sc.recs {
		if err := r.tell(h, keep); err != nil {
			return fmt.Errorf("record %d: %w", i+2, err) // behind the first two
		}
	}
	return nil
}

func (r *walRecord) tell(h *history, keep func(*raftpb.Entry)) error {
	switch r.kind {
	case wal.EntryType:
		e := &raftpb.Entry{}
		if err := proto.Unmarshal(r.data, e); err != nil {
			return fmt.Errorf("%w: an entry: %w", errUnlikeRaft, err)
		}
		if err := h.entry(e); err != nil {
			return err
		}
		keep(e)
		return nil
	case wal.StateType:
		hs := &raftpb.HardState{}
		if err := proto.Unmarshal(r.data, hs); err != nil {
			return fmt.Errorf("%w: a hard state: %w", errUnlikeRaft, err)
		}
		return h.state(hs)
	default:
		s := &walpb.Snapshot{}
		if err := proto.Unmarshal(r.data, s); err != nil {
			return fmt.Errorf("%w: a snapshot: %w", errUnlikeRaft, err)
		}
		return h.snapshot(position{s.GetIndex(), s.GetTerm()})
	}
}
