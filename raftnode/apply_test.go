package raftnode

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// The line keeps the order of the log, and a Capture is asked for behind everything
// that was in the line.
func TestApplyingInOrder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  func(*applying)
		batches int // that carry no Capture, in front of the one that does
	}{
		{"with the last batch", func(a *applying) { a.push(applyBatch{last: 1}); a.push(applyBatch{last: 2}) }, 1},
		{"alone", func(*applying) {}, 0},
		{"not with a snapshot", func(a *applying) { a.pushSnapshot(&raftpb.Snapshot{}) }, 1},
		{"not with what was offered already", func(a *applying) { a.push(applyBatch{last: 1}); a.head() }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a applying
			tt.before(&a)
			p := &pendingSnapshot{captureC: make(chan commit.Capture, 1)}
			a.capture(p)
			for i := 0; ; i++ {
				b, ok := a.head()
				if !ok {
					t.Fatal("no Capture is asked for")
				}
				asks := b != nil && b.CaptureC != nil
				if got := a.sentHead(); (got == p) != asks {
					t.Fatalf("batch %d asks for a Capture: %v, and %v is to be written", i, asks, got)
				}
				if asks {
					if i != tt.batches {
						t.Errorf("it is asked for with batch %d, want %d", i, tt.batches)
					}
					break
				}
			}
			if _, ok := a.head(); ok {
				t.Error("something follows")
			}
		})
	}
}

// Batches are done in the order in which they were sent; a snapshot is not waited for.
func TestAppliedInOrder(t *testing.T) {
	var a applying
	a.pushSnapshot(&raftpb.Snapshot{})
	a.push(applyBatch{last: 1})
	a.push(applyBatch{last: 2})
	if a.doneC() != nil {
		t.Fatal("it waits for what was not sent")
	}
	for range 3 {
		a.head()
		a.sentHead()
	}
	if got := a.applied().last; got != 1 || a.idle() {
		t.Errorf("%d is done first, idle %v", got, a.idle())
	}
	if got := a.applied().last; got != 2 || !a.idle() {
		t.Errorf("%d is done next, idle %v", got, a.idle())
	}
}
