package cluster

import (
	"net"
	"sync"
	"testing"
)

// Ports are handed out once, while there are any; and two sequences, as two processes
// have them, share none.
func TestPorts(t *testing.T) {
	first, end := portRange()
	if end > first+10*portBlock {
		end = first + 10*portBlock
	}
	var a, b portSequence
	defer func() {
		for _, l := range append(a.guards, b.guards...) {
			l.Close()
		}
	}()
	seen := map[int]bool{}
	for i := range 3 * portBlock {
		for _, s := range []*portSequence{&a, &b} {
			port, err := s.next(first, end)
			if err != nil {
				t.Skipf("others have all blocks: %v", err)
			}
			if s.lapped {
				t.Skipf("others have nearly all blocks, %d ports were left", i)
			}
			if port < first || port >= end || seen[port] {
				t.Fatalf("port %d, of %d to %d, again or outside", port, first, end)
			}
			seen[port] = true
		}
	}
	for !a.lapped {
		if _, err := a.next(first, end); err != nil {
			t.Fatal(err)
		}
	}
	if port, err := a.next(first, end); err != nil || !seen[port] {
		t.Errorf("when there are none left: %d, %v", port, err)
	}
}

// TestFreeAddr: what it returns can be listened at, by any number at once.
func TestFreeAddr(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 40 {
				addr, err := FreeAddr()
				if err != nil {
					t.Error(err)
					return
				}
				l, err := net.Listen("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer l.Close()
			}
		})
	}
	group.Wait()
}
