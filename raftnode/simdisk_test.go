package raftnode

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// simDisk is a stableStore that forgets in a crash what was not synced. It behaves
// as disk does with one of the engines of the log below it: etcd's WAL, or a
// journal, where a save is there as a whole or not at all.
type simDisk struct {
	id          uint64
	engine      logEngine
	records     []simRecord
	synced      int // records before this one survive a crash
	descriptors map[uint64]*raftpb.Snapshot
	bodies      map[uint64][]byte
	term, vote  uint64
	prepared    uint64 // the cluster id that the node has agreed to
	cluster     uint64 // the cluster that it is a member of
	loadable    uint64 // index of the snapshot that a nil batch refers to

	// fuse, if positive, counts down with every step of the persist path; the
	// step that finds it at 1 panics with errFuse instead: the node dies there.
	fuse int
	// trace, if not nil, is told of every step.
	trace func(string)
}

type simRecord struct {
	more     bool // of the same save follows
	hard     *raftpb.HardState
	entry    *raftpb.Entry
	snapshot *raftpb.SnapshotMetadata
}

type fuseBlown struct{ step string }

func newSimDisk(id uint64) *simDisk {
	return &simDisk{id: id, descriptors: map[uint64]*raftpb.Snapshot{}, bodies: map[uint64][]byte{}}
}

func (d *simDisk) step(format string, args ...any) {
	name := fmt.Sprintf(format, args...)
	if d.fuse > 0 {
		if d.fuse--; d.fuse == 0 {
			if d.trace != nil {
				d.trace("CRASH before " + name)
			}
			panic(fuseBlown{name})
		}
	}
	if d.trace != nil {
		d.trace(name)
	}
}

func (d *simDisk) sync(what string) {
	d.step("sync %s", what)
	d.synced = len(d.records)
}

func (d *simDisk) save(hard *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	mustSync := sync || len(entries) > 0 || hard.GetTerm() != d.term || hard.GetVote() != d.vote
	whole := d.engine == journalEngine
	if n := len(entries); n > 0 {
		if !whole {
			d.step("write entries %d-%d", entries[0].GetIndex(), entries[n-1].GetIndex())
		}
		for _, e := range entries {
			d.records = append(d.records, simRecord{entry: e, more: whole})
		}
	}
	d.step("write term=%d vote=%d commit=%d", hard.GetTerm(), hard.GetVote(), hard.GetCommit())
	d.records = append(d.records, simRecord{hard: hard})
	d.term, d.vote = hard.GetTerm(), hard.GetVote()
	if mustSync {
		d.sync("wal")
	}
	return nil
}

// found does what createDisk does for one of the first members: it is durable before
// the node says anything.
func (d *simDisk) found(peers []Peer) (restored, error) {
	first, err := foundingLog(peers)
	for _, e := range first.entries {
		d.records = append(d.records, simRecord{entry: e})
	}
	d.records = append(d.records, simRecord{hard: first.hard})
	d.term, d.synced = first.hard.GetTerm(), len(d.records)
	return first, err
}

func (d *simDisk) saveSnapshot(snap *raftpb.Snapshot, install bool) error {
	index := snap.GetMetadata().GetIndex()
	d.step("write and sync descriptor %d", index)
	d.descriptors[index] = snap
	d.step("write snapshot record %d", index)
	d.records = append(d.records, simRecord{snapshot: snap.GetMetadata()})
	d.sync("wal")
	if install {
		d.loadable = index
	}
	return nil
}

func (d *simDisk) release(index uint64) error {
	d.step("release up to %d", index)
	return nil
}

// writeBody stands for the whole of writeBody in snapfiles.go, which is atomic by
// its rename.
func (d *simDisk) writeBody(index uint64, body []byte) {
	d.step("write and sync body %d", index)
	d.bodies[index] = body
}

// crash forgets what was not synced, except for a random part that happened to
// reach the disk.
func (d *simDisk) crash(rng *rand.Rand) {
	d.fuse = 0
	keep := d.synced
	if rng != nil && len(d.records) > d.synced {
		keep += rng.IntN(len(d.records) - d.synced + 1)
	}
	for keep > d.synced && d.records[keep-1].more {
		keep--
	}
	d.records = d.records[:keep:keep]
	d.synced = keep
}

// replay does what openDisk does. Whatever a crash leaves behind must look to history
// like something that raft writes, and must lead to the newest complete snapshot: any
// doubt would be a node that refuses to start after a crash.
func (d *simDisk) replay() (from restored, body []byte, err error) {
	h := newHistory()
	if err := h.snapshot(position{}); err != nil {
		return from, nil, err
	}
	for i, r := range d.records {
		switch {
		case r.hard != nil:
			if !raft.IsEmptyHardState(r.hard) {
				err = h.state(r.hard)
			}
		case r.entry != nil:
			err = h.entry(r.entry)
		default:
			err = h.snapshot(position{r.snapshot.GetIndex(), r.snapshot.GetTerm()})
		}
		if err != nil {
			return from, nil, fmt.Errorf("record %d: %w", i, err)
		}
	}
	from.hard = h.hard
	d.term, d.vote = from.hard.GetTerm(), from.hard.GetVote()
	var all []uint64
	for index := range d.bodies {
		all = append(all, index)
	}
	slices.Sort(all)
	slices.Reverse(all)
	for _, index := range all {
		s := d.descriptors[index]
		if s == nil {
			continue
		}
		p := position{index, s.GetMetadata().GetTerm()}
		if !slices.Contains(h.snapshots, p) {
			continue
		}
		if err := h.leads(p); err != nil {
			return from, nil, fmt.Errorf("snapshot %d: %w", index, err)
		}
		from.snapshot = s
		break
	}
	start := from.snapshot.GetMetadata().GetIndex()
	if from.snapshot == nil {
		if err := h.leads(position{}); err != nil {
			return from, nil, err
		}
	}
	members := newMembership()
	if from.snapshot != nil {
		desc, err := decodeDescriptor(from.snapshot.GetData())
		if err != nil {
			return from, nil, err
		}
		members = desc.membership()
	}
	for _, index := range all { // passOver
		if index > start {
			if v := h.membership(members, start).voters(); index > h.last && slices.Equal(v, []uint64{d.id}) {
				return from, nil, fmt.Errorf("body %d of a lone voter is newer than its log, which ends at %d", index, h.last)
			}
			delete(d.bodies, index)
			delete(d.descriptors, index)
		}
	}
	d.loadable = start
	body = d.bodies[start]
	kept := tail{from: start}
	for _, r := range d.records {
		if r.entry != nil {
			kept.add(r.entry)
		}
	}
	var ok bool
	if from.entries, ok = kept.upTo(start, h); !ok {
		return from, nil, fmt.Errorf("the log does not lead on from %d to %d", start, h.last)
	}
	from.entries = cutTorn(from.entries, from.hard, zap.NewNop())
	return from, body, nil
}
