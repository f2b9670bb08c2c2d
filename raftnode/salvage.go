package raftnode

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// salvage reads what can still be read of a damaged directory, for NewCluster: the
// snapshot and the entries behind it that reach furthest, without a gap. useless are
// the files of snapshots that are not part of it. Nothing is touched. This is no
// start: what is missing may have been acknowledged, and only an operator can decide
// to do without.
func salvage(cfg *Config, o *origin) (who identity, from restored, useless []damagedFile, err error) {
	who = identity{Version: 1, Cluster: o.Cluster, Member: cfg.ID}
	from.hard = &raftpb.HardState{}
	v := &survey{cfg: cfg, lg: cfg.Logger, history: newHistory(), members: newMembership()}
	snapshots, err := v.readDescriptors()
	if err != nil {
		return who, from, nil, err
	}
	all, err := listSegments(cfg)
	if err != nil {
		return who, from, nil, err
	}
	log := map[uint64]*raftpb.Entry{}
	for _, s := range all {
		sc, err := scanSegment(s)
		if err != nil {
			return who, from, nil, err
		}
		var in identity
		if json.Unmarshal(sc.meta, &in) == nil && in.Cluster != 0 {
			if err := in.check(cfg); err != nil {
				return who, from, nil, err
			}
			who = in
		}
		for i := range sc.recs {
			if !collect(&sc.recs[i], log, &from) {
				break
			}
		}
	}
	if who.Cluster == 0 {
		return who, from, nil, fmt.Errorf("%w: neither the log in %s nor %s says which cluster it was", ErrCorrupt, walDir(cfg), originPath(cfg.Dir))
	}
	// follow returns the entries behind a place in the log.
	follow := func(p position) (entries []*raftpb.Entry) {
		for e := log[p.index+1]; e != nil && e.GetTerm() >= p.term; e = log[p.index+1] {
			entries = append(entries, e)
			p = position{e.GetIndex(), e.GetTerm()}
		}
		return entries
	}
	from.entries = follow(position{})
	var chosen *found
	for _, f := range snapshots {
		if f.why != "" || checkBody(cfg, f.index, f.desc) != nil {
			continue
		}
		if entries := follow(f.position); f.index+uint64(len(entries)) > from.last() {
			from.snapshot, from.entries, chosen = f.snapshot, entries, f
		}
	}
	for _, f := range snapshots {
		for _, path := range f.paths {
			if f != chosen {
				useless = append(useless, damagedFile{path, "not part of what was salvaged"})
			}
		}
	}
	if from.empty() {
		return who, from, nil, fmt.Errorf("%w: nothing in %s can be read any more: restore a backup", ErrCorrupt, cfg.Dir)
	}
	return who, from, useless, nil
}

// collect takes in a record. It reports whether it made sense.
func collect(r *walRecord, log map[uint64]*raftpb.Entry, from *restored) bool {
	switch r.kind {
	case wal.EntryType:
		e := &raftpb.Entry{}
		if proto.Unmarshal(r.data, e) != nil || e.GetIndex() == 0 || e.GetTerm() == 0 {
			return false
		}
		for i := e.GetIndex() + 1; log[i] != nil; i++ {
			delete(log, i) // overwritten by a new leader
		}
		log[e.GetIndex()] = e
	case wal.StateType:
		hs := &raftpb.HardState{}
		if proto.Unmarshal(r.data, hs) != nil || hs.GetTerm() < from.hard.GetTerm() {
			return false
		}
		from.hard = hs
	}
	return true
}

// last is the index that what was found reaches to.
func (r *restored) last() uint64 {
	return r.snapshot.GetMetadata().GetIndex() + uint64(len(r.entries))
}
