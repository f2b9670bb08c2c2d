package raftnode

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// errDamaged says that a file is not what was written.
var errDamaged = errors.New("damaged")

// survey is what a data directory was found to hold, before anything in it is touched:
// a refusal leaves everything as it is.
type survey struct {
	cfg      *Config
	lg       *zap.Logger
	promised *promise // nil if there is none that can be read
	who      identity
	segments []segment // all there are
	first    segment   // of those that count
	tail     *scan
	history  *history
	snapshot *raftpb.Snapshot // what to start from, nil for an empty state

	members   *membership // as of membersAt, the newest that can be read
	membersAt uint64

	aside []damagedFile // to be set aside

	kept tail // for behind
}

// examine reads the data directory of a member that has a log.
func examine(cfg *Config) (*survey, error) {
	v := &survey{cfg: cfg, lg: cfg.Logger, history: newHistory(), members: newMembership()}
	var err error
	v.promised, err = readPromise(cfg)
	switch {
	case errors.Is(err, errDamaged):
		v.damaged(promisePath(cfg), err.Error())
	case err != nil:
		return nil, err
	}
	snapshots, err := v.readDescriptors()
	if err != nil {
		return nil, err
	}
	if err := v.readLog(); err != nil {
		return nil, err
	}
	if err := v.who.check(cfg); err != nil {
		return nil, err
	}
	if err := v.choose(snapshots); err != nil {
		return nil, err
	}
	return v, v.passOver(snapshots)
}

// damaged has a file set aside if the node starts.
func (v *survey) damaged(path, why string) {
	if !slices.ContainsFunc(v.aside, func(f damagedFile) bool { return f.path == path }) {
		v.aside = append(v.aside, damagedFile{path, why})
	}
}

// voters returns those that are known, which may be none.
func (v *survey) voters() []uint64 {
	if v.membersAt > 0 || v.history.base == 0 {
		if ids := v.history.membership(v.members, v.membersAt).voters(); len(ids) > 0 {
			return ids
		}
	}
	var ids []uint64
	for _, p := range v.cfg.Peers {
		ids = append(ids, p.ID)
	}
	return ids
}

// alone reports whether nobody but this member has a vote: it never got a snapshot
// from a leader, and nobody else can have anything that it does not have.
func (v *survey) alone() bool { return slices.Equal(v.voters(), []uint64{v.cfg.ID}) }

// refuse makes the error that keeps a node from starting.
func (v *survey) refuse(path, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if exhausted(err) {
		return fmt.Errorf("%s: %w", path, err) // no damage
	}
	return fmt.Errorf("%w: %s: %w; nothing was changed; way out: %s", ErrCorrupt, path, err, v.wayOut())
}

// wayOut says what can be done. It is read at the worst moment, so it has to fit: a
// lone node must not be told that others have everything.
func (v *survey) wayOut() string {
	replace := newIDWayOut(v.cfg.ID)
	restore := "put back an undamaged copy of what is named here, or a backup of the whole directory; or start once with " +
		"--force-new-cluster, which keeps what can still be read and loses the rest"
	voters := v.voters()
	switch {
	case len(voters) == 0:
		return "if there are other members, they have everything that was acknowledged: " + replace + "; if this is the only one: " + restore
	case v.alone():
		return "no other member has this node's data: " + restore
	case len(voters) == 2 && slices.Contains(voters, v.cfg.ID):
		return "the other voter has everything that was acknowledged, but cannot decide anything alone: put back an undamaged copy of what is named here, " +
			"or make the other one a cluster of its own (--force-new-cluster), and then start this one with an empty data directory, a new id and --join"
	default:
		return "the other members have everything that was acknowledged: " + replace
	}
}

// found is a snapshot of which there is at least a file.
type found struct {
	position
	paths    []string         // its files
	snapshot *raftpb.Snapshot // nil if there is no good descriptor
	desc     descriptor
	why      string // it cannot be used
}

// readDescriptors returns the snapshots there are files of, the newest first.
func (v *survey) readDescriptors() ([]*found, error) {
	names, err := fileutil.ReadDir(snapDir(v.cfg))
	if err != nil {
		return nil, fmt.Errorf("read snapshot directory: %w", err)
	}
	var all []*found
	at := map[uint64]*found{}
	for _, name := range names { // a descriptor comes before its body
		path := filepath.Join(snapDir(v.cfg), name)
		if index, ok := descriptorIndex(name); ok {
			f := &found{position: position{index: index}, paths: []string{path}}
			if f.snapshot, f.desc, err = readDescriptor(v.lg, path); exhausted(err) {
				return nil, fmt.Errorf("read %s: %w", path, err)
			} else if err != nil {
				f.why = fmt.Sprintf("%s: %v", path, err)
			} else {
				f.term = f.snapshot.GetMetadata().GetTerm()
			}
			all = append(all, f)
			at[index] = f
		}
	}
	for _, name := range names {
		index, ok := bodyIndex(name)
		if !ok {
			continue
		}
		if at[index] == nil {
			at[index] = &found{position: position{index: index}, why: fmt.Sprintf("snapshot %d has a body and no descriptor", index)}
			all = append(all, at[index])
		}
		at[index].paths = append(at[index].paths, filepath.Join(snapDir(v.cfg), name))
	}
	slices.SortStableFunc(all, func(a, b *found) int { return cmp.Compare(b.index, a.index) })
	for _, f := range all {
		if f.snapshot != nil {
			v.members, v.membersAt = f.desc.membership(), f.index
			v.kept.from = f.index // most likely
			break
		}
	}
	return all, nil
}

// readDescriptor is what etcd's Snapshotter does, but it renames nothing.
func readDescriptor(lg *zap.Logger, path string) (*raftpb.Snapshot, descriptor, error) {
	s, err := snap.Read(lg, path)
	if err != nil {
		return nil, descriptor{}, err
	}
	d, err := decodeDescriptor(s.GetData())
	if err != nil {
		return nil, descriptor{}, err
	}
	m := s.GetMetadata()
	if name := fmt.Sprintf("%016x-%016x.snap", m.GetTerm(), m.GetIndex()); name != filepath.Base(path) {
		return nil, descriptor{}, fmt.Errorf("its contents belong into %s", name)
	}
	return s, d, nil
}

// readLog reads the segments. What is before a damaged one, or before a gap, does not
// count: a newer snapshot may make it superfluous.
func (v *survey) readLog() error {
	all, err := listSegments(v.cfg)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return v.refuse(walDir(v.cfg), "the log is gone")
	}
	v.segments = all
	if v.promised != nil && v.foreign(all[len(all)-1]) {
		v.promised = nil // of a log that NewCluster has moved aside
	}
	// The three things that the log's own files cannot tell: that there was another
	// segment, that this one was longer, that there was another snapshot. Each of them is
	// what is left when somebody puts back an older copy, or a file system forgets.
	p := v.promised
	if last := all[len(all)-1]; p != nil && p.Seq > last.seq {
		return v.refuse(walDir(v.cfg), "the log had come to segment %d, and now it ends with %s: what comes after is missing", p.Seq, filepath.Base(last.path))
	}
	v.first = all[0]
	task := v.cfg.Tasks.Begin(commit.ReadLog, 0, int64(len(all))*wal.SegmentSizeBytes, "bytes")
	defer task.End()
	var before *scan
	for i, s := range all {
		sc, err := scanSegment(s)
		if err != nil {
			return err
		}
		task.Add(wal.SegmentSizeBytes)
		// Only the newest may end in the middle of a write: the others were complete, and
		// synced, before the next was begun.
		if i == len(all)-1 {
			if err := v.readTail(sc); err != nil {
				return err
			}
		}
		// Each segment says with which checksum the one before ended. That finds one that
		// was cut between two records, or replaced.
		if before != nil {
			switch {
			case before.seq+1 != s.seq:
				v.startOver(all, i, s.path, fmt.Sprintf("segments %d to %d of the log, before this one, are missing", before.seq+1, s.seq-1))
			case before.crc != sc.begin || string(before.meta) != string(sc.meta):
				v.startOver(all, i, before.path, fmt.Sprintf("it is not what the next segment goes on from (checksum %08x instead of %08x)", before.crc, sc.begin))
			}
		}
		if p != nil && p.Seq == sc.seq && !sc.reaches(p.Offset, p.CRC) {
			return v.refuse(s.path, "it had records up to offset %d with checksum %08x, and those that are there end at %d with %08x: "+
				"it was cut off, or it is an older copy", p.Offset, p.CRC, sc.end, sc.crc)
		}
		if sc.bad == nil && len(sc.rest()) > 0 && len(sc.unfinished) == 0 {
			sc.bad = errors.New("something stands behind the last record")
		}
		err = sc.tell(v.history, v.kept.add)
		if err == nil && i < len(all)-1 && sc.bad != nil {
			err = fmt.Errorf("at offset %d: %w", sc.end, sc.bad)
		}
		if err != nil {
			// Damage in the newest is at the end of all there is: nothing leads past it.
			// Damage before that may be in front of a snapshot, and then does no harm.
			// Whether it is, choose finds out: nothing is decided here.
			if i == len(all)-1 {
				return v.refuse(s.path, "%w", err)
			}
			v.startOver(all, i+1, s.path, err.Error())
			before = nil
			continue
		}
		sc.recs, sc.file = nil, nil
		before, v.tail = sc, sc
	}
	if p != nil && p.Snapshot > v.history.newest {
		return v.refuse(v.tail.path, "the log knew a snapshot at %d, and now it knows none behind %d: it was cut off, or it is an older copy",
			p.Snapshot, v.history.newest)
	}
	if err := json.Unmarshal(v.tail.meta, &v.who); err != nil {
		return v.refuse(v.tail.path, "metadata: %w", err)
	}
	return nil
}

// behind returns the entries that the log has behind an index. Those behind the newest
// snapshot were kept when the log was read; for another it is read once more.
func (v *survey) behind(index uint64) ([]*raftpb.Entry, error) {
	if v.kept.from != index {
		v.kept = tail{from: index}
		for _, s := range v.segments {
			if s.seq < v.first.seq {
				continue
			}
			sc, err := scanSegment(s)
			if err == nil {
				err = sc.tell(newHistory(), v.kept.add)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	entries, ok := v.kept.upTo(index, v.history)
	if !ok {
		return nil, v.refuse(walDir(v.cfg), "the log does not lead on from entry %d", index)
	}
	return entries, nil
}

// foreign reports whether a segment is of another cluster than the promise. Which of
// them the directory belongs to is for its origin to say.
func (v *survey) foreign(s segment) bool {
	if s.journal {
		var who identity
		meta, err := journalMeta(s)
		return err == nil && json.Unmarshal(meta, &who) == nil && who.Cluster != v.promised.Cluster
	}
	f, err := os.Open(s.path)
	if err != nil {
		return false // it will be missed
	}
	defer func() { _ = f.Close() }() // read only
	head := make([]byte, 4<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	sc := &scan{file: head[:n]}
	for i := range 2 {
		r, err := frameAt(sc.file, sc.end)
		if err != nil || sc.place(i, &r) != nil {
			return false
		}
		sc.crc, sc.end = r.crc, r.next
	}
	var who identity
	return json.Unmarshal(sc.meta, &who) == nil && who.Cluster != v.promised.Cluster
}

// startOver has the log begin with segment i of all.
func (v *survey) startOver(all []segment, i int, path, why string) {
	v.history, v.kept.entries = newHistory(), nil
	v.first = all[i]
	for _, s := range all[:i] {
		if s.path == path {
			v.damaged(path, why)
		} else {
			v.damaged(s.path, "of no use without what came after it: "+why)
		}
	}
}

// readTail judges the end of the newest segment.
func (v *survey) readTail(sc *scan) error {
	synced := v.cfg.Durability == Always
	if v.promised != nil {
		synced = v.promised.Synced
	}
	promised := v.promised != nil && v.promised.Seq == sc.seq && v.promised.Offset == sc.end && v.promised.CRC == sc.crc
	switch {
	case sc.meta == nil:
		return v.refuse(sc.path, "it cannot be read from its very beginning: %w", cmp.Or(sc.bad, errNoRecord))
	case sc.journal != nil && sc.bad != nil:
		return v.refuse(sc.path, "at offset %d: %w", sc.end, sc.bad)
	case synced && !promised && !sc.whole() && sc.full():
		// A segment is made at its full length, and grows only with a record that does not
		// fit. (For a moment it is shorter while a log is opened, and then its end has been
		// promised: openDisk.)
		return v.refuse(sc.path, "the file is %d bytes long and full to its end; it was made with %d: it was cut off", sc.size, wal.SegmentSizeBytes)
	case len(sc.rest()) == 0:
		return nil
	case !sc.torn(synced):
		// Cut off here, it would start, and lack what it has acknowledged.
		return v.refuse(sc.path, "at offset %d: %w", sc.end, cmp.Or(sc.bad, errors.New("the records end, and others stand behind that")))
	}
	sc.unfinished, sc.bad = sc.rest(), nil
	if sc.journal == nil {
		sc.file = sc.file[:sc.end]
	}
	return nil
}

// choose picks the newest snapshot to start from: complete, known to the log, and
// with a log that leads from there to its end.
func (v *survey) choose(snapshots []*found) error {
	for _, f := range snapshots {
		if f.why != "" {
			continue
		}
		// The log first: a body is large, and only one that may be used is read.
		if err := v.leads(f.position); err != nil {
			f.why = fmt.Sprintf("%s: %v", f.paths[0], err)
			continue
		}
		if err := checkBody(v.cfg, f.index, f.desc); exhausted(err) {
			return err
		} else if err != nil {
			f.why = fmt.Sprintf("%s: %v", bodyPath(v.cfg, f.index), err)
			continue
		}
		v.snapshot = f.snapshot
		return nil
	}
	// Without any: all the log from its beginning, if it is there.
	err := v.leads(position{})
	if err == nil {
		return nil
	}
	var all []string
	for _, f := range v.aside {
		all = append(all, fmt.Sprintf("%s: %s", f.path, f.why))
	}
	path := snapDir(v.cfg)
	for _, f := range snapshots {
		all = append(all, f.why)
		if f.snapshot != nil {
			path = walDir(v.cfg) // it is for the log to lead on from there
		}
	}
	all = append(all, fmt.Sprintf("without a snapshot: %v", err))
	return v.refuse(path, "there is nothing to start from (%s)", strings.Join(all, "; "))
}

// leads says why the log does not lead from a snapshot to its end: see history.leads.
func (v *survey) leads(p position) error {
	if p.index < v.first.index {
		return fmt.Errorf("the log begins with segment %s, behind it", filepath.Base(v.first.path))
	}
	return v.history.leads(p)
}

// passOver decides about the snapshots that are newer than the one to start from.
// Those that the log knows are damaged, and the log leads past them. Those that it
// does not know are of a crash before the log was told, unless they prove that it has
// lost its end: an own snapshot never has more than the log.
func (v *survey) passOver(snapshots []*found) error {
	h, start := v.history, v.snapshot.GetMetadata().GetIndex()
	there := map[uint64]bool{}
	for _, f := range snapshots {
		there[f.index] = true
		if f.index <= start {
			continue
		}
		known := slices.ContainsFunc(h.snapshots, func(p position) bool { return p.index == f.index })
		// In a cluster the leader's snapshot may be newer than all the log: a crash came
		// before its record. Alone there is no leader that it could be of.
		if !known && f.index > max(h.last, start) && v.alone() {
			return v.refuse(f.paths[0], "it is newer than the log, which ends at %d: the log has lost its end", max(h.last, start))
		}
		for _, path := range f.paths {
			if !known {
				v.damaged(path, "the log does not know this snapshot: it was not finished")
			} else {
				v.damaged(path, "of a snapshot that cannot be used: "+f.why)
			}
		}
	}
	for _, p := range h.snapshots {
		if p.index > start && !there[p.index] {
			v.lg.Warn("a snapshot is missing, starting from the one before and the log behind that", zap.Uint64("index", p.index), zap.Uint64("from", start))
		}
	}
	return nil
}

// mend sets the damaged files aside and makes the newest segment end where its records
// do. Nothing is deleted: what is cut off is kept as a file of its own.
func (v *survey) mend() error {
	// What is cut off is kept first, durably: a crash in the middle of this does it again.
	sc := v.tail
	if len(sc.unfinished) > 0 {
		name := fmt.Sprintf("%s.from-%d", filepath.Base(sc.path), sc.end)
		if err := keepAside(v.cfg, name, sc.unfinished); err != nil {
			return err
		}
		v.lg.Warn("the log ended in the middle of a write, which was cut off", zap.String("segment", sc.path), zap.Int64("offset", sc.end))
	}
	if err := setAside(v.cfg, v.aside...); err != nil {
		return err
	}
	if len(sc.unfinished) == 0 && sc.whole() {
		return nil
	}
	if sc.journal != nil {
		if err := sc.journal.Mend(); err != nil {
			return fmt.Errorf("mend the log: %w", err)
		}
		return nil
	}
	f, err := os.OpenFile(sc.path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("mend the log: %w", err)
	}
	// Cut off, and made long again: what is behind the records has to be zeros, or the next
	// start takes it for the rest of a write.
	if len(sc.unfinished) > 0 {
		err = f.Truncate(sc.end)
	}
	if err == nil {
		err = fileutil.Preallocate(f, max(sc.size, wal.SegmentSizeBytes), true)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("mend the log: %w", err)
	}
	return nil
}
