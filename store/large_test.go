package store

import (
	"testing"
)

// Large requests and others do not use up each other's room.
func TestLargeRequestsAreCountedApart(t *testing.T) {
	f := newInflight()
	large, small := &Batch{flight: flight{size: largeRequest + 1}}, &Batch{flight: flight{size: largeRequest}}
	f.add(large)
	f.add(small)
	if f.bytes != small.size || f.largeBytes != large.size {
		t.Errorf("%d, %d", f.bytes, f.largeBytes)
	}
	f.take(large.seq)
	f.take(small.seq)
	if f.bytes != 0 || f.largeBytes != 0 {
		t.Errorf("%d, %d left over", f.bytes, f.largeBytes)
	}
}
