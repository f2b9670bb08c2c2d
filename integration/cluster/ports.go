package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// portBlock is how many ports a process takes at once: the first one is its guard.
const portBlock = 100

// ports are those that this process hands out. It is one for the process, as ports are.
var ports portSequence

// portSequence hands out ports, each once, from blocks that no other process hands out:
// one owns a block while it listens at the block's first port, so that the kernel gives
// the block back when the process ends, however it does.
type portSequence struct {
	mu     sync.Mutex
	guards []net.Listener
	blocks []int // first ports of the blocks that are owned
	used   int   // of them all, guards included
	lapped bool  // there are no more blocks
}

// FreeAddr returns a loopback address for something that is about to listen there. Nobody
// else who asks FreeAddr, in this process or another one, gets its port, and no outgoing
// connection does, now or while what listens there is restarted. When a process has had
// all ports there are, it gets those back that are not listened at.
func FreeAddr() (string, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	first, end := portRange()
	for range end - first {
		port, err := ports.next(first, end)
		if err != nil {
			return "", err
		}
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			return fmt.Sprintf("127.0.0.1:%d", port), l.Close()
		}
	}
	return "", errors.New("no free port on loopback")
}

// next returns the next port, which may be in use by who did not ask here.
func (s *portSequence) next(first, end int) (int, error) {
	if s.used == len(s.blocks)*portBlock {
		switch {
		case !s.lapped && s.take(first, end):
		case len(s.blocks) == 0:
			return 0, fmt.Errorf("no block of ports from %d to %d is free", first, end-1)
		default:
			s.lapped, s.used = true, 0
		}
	}
	if s.used%portBlock == 0 {
		s.used++ // the guard
	}
	port := s.blocks[s.used/portBlock] + s.used%portBlock
	s.used++
	return port, nil
}

// take takes one more block, and answers false if none is free.
func (s *portSequence) take(first, end int) bool {
	blocks := (end - first) / portBlock
	start := rand.IntN(blocks) // whoever starts at once need not try the same ones
	for i := range blocks {
		block := first + (start+i)%blocks*portBlock
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", block))
		if err != nil {
			continue
		}
		s.guards, s.blocks = append(s.guards, l), append(s.blocks, block)
		return true
	}
	return false
}

// portRange returns the ports to hand out, from first to below end: those beside the
// range that the kernel takes the ports of outgoing connections from.
func portRange() (first, end int) {
	const lowest, highest = 20000, 65536
	low, high := 32768, 60999 // Linux's, and below those of others
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
			low, high = 32768, 60999
		}
	}
	switch {
	case low-lowest >= 10*portBlock && low-lowest >= highest-high-1:
		return lowest, low
	case highest-high-1 >= 10*portBlock:
		return high + 1, highest
	}
	return lowest, 32000 // nearly all ports are taken: better than nothing
}
