package raftnode

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// TestEachSegmentIsPromised: whatever the entries are like, the write that fills a
// segment promises it.
func TestEachSegmentIsPromised(t *testing.T) { engines(t, eachSegmentIsPromised) }

func eachSegmentIsPromised(t *testing.T, engine logEngine) {
	cfg, d := newDisk(t, engine)
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() { must(d.close()) }()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	index, seen := uint64(0), 0
	for round := range 3 {
		// Large terms and indexes, small and empty entries: then most of a record is not data.
		size := []int{0, 40, 4000}[round]
		for begun := 0; begun < 2; {
			var entries []*raftpb.Entry
			for range rnd.IntN(200) {
				index++
				e := entry(index, 1<<62)
				e.Data = bytes.Repeat([]byte("x"), rnd.IntN(size+1))
				entries = append(entries, e)
			}
			must(d.save(hardState(1<<62, 1<<62, index), entries, false))
			segments, err := listSegments(&cfg)
			must(err)
			newest := segments[len(segments)-1].seq
			if seq := d.log.segment(); seq != newest || d.promised.Seq != newest {
				t.Fatalf("segment %d is there, and %d is promised (%d known)", newest, d.promised.Seq, seq)
			}
			if len(segments) != seen {
				seen = len(segments)
				begun++
			}
		}
		// The next run of the node counts on from where the log ends.
		must(d.close())
		d, _, _, err = openDisk(&cfg, newReserve(&cfg), firstLevel)
		must(err)
	}
}
