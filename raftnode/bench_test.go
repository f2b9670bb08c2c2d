package raftnode

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// BenchmarkPropose measures one lone request after the other, from proposeC to the
// store of the leader, on three members of this process and one disk.
func BenchmarkPropose(b *testing.B) {
	for _, mode := range []struct {
		name string
		d    Durability
	}{{"always", Always}, {"no", No}} {
		b.Run(mode.name, func(b *testing.B) { benchmarkPropose(b, mode.d) })
	}
}

func benchmarkPropose(b *testing.B, durability Durability) {
	dir := b.TempDir() // set TMPDIR to a real disk
	var peers []Peer
	for i, u := range freeURLs(b, 3) {
		peers = append(peers, Peer{uint64(i + 1), u})
	}
	type running struct {
		node     *Node
		proposeC chan *commit.Proposal
		appliedC chan int
	}
	var all []running
	for _, p := range peers {
		cfg := Config{ID: p.ID, Dir: filepath.Join(dir, fmt.Sprint(p.ID)), Peers: peers, Seal: testSeal, SealLarge: testSealLarge, Durability: durability}
		r := running{proposeC: make(chan *commit.Proposal), appliedC: make(chan int, 1)}
		node, commitC, _, _, err := New(cfg, r.proposeC, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer node.Stop()
		r.node = node
		go func() {
			for batch := range commitC {
				n := 0
				for _, e := range batch.Entries {
					n += len(testUnseal(e.Data))
				}
				close(batch.ApplyDoneC)
				if n > 0 {
					select {
					case r.appliedC <- n:
					default: // a follower: nobody counts
					}
				}
			}
		}()
		all = append(all, r)
	}
	var leader *running
	for leader == nil {
		for i := range all {
			if all[i].node.IsLeader() {
				leader = &all[i]
			}
		}
	}
	data := make([]byte, 100)
	for b.Loop() {
		leader.proposeC <- &commit.Proposal{Data: data}
		<-leader.appliedC
	}
}
