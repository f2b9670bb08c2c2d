package raftnode

import (
	"sync"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// input is one thing for the raft goroutine to do: a message to step, or a
// function to run there.
type input struct {
	msg *raftpb.Message
	fn  func(*core)
}

// inbox is how everybody else talks to the raft goroutine. Putting something in
// never blocks, because it is called from rafthttp's goroutines and callbacks,
// from the storage goroutine, and even (ReportUnreachable, inside Send) from the
// raft goroutine itself. The raft goroutine takes everything at once, so that a
// burst costs one wake-up.
type inbox struct {
	readyC chan struct{} // has one element whenever inputs may be waiting

	mu     sync.Mutex
	inputs []input
	// netMsgs and netBytes count what came from the network and may be dropped.
	netMsgs, netBytes int
	spare             []input
}

// A raft goroutine that is this far behind is better off losing messages, which
// raft repairs, than holding an unbounded number of them.
const (
	maxInboxMsgs  = 16384
	maxInboxBytes = 256 << 20
)

func newInbox() *inbox { return &inbox{readyC: make(chan struct{}, 1)} }

// receive puts in a message from the network. False means it was dropped.
func (b *inbox) receive(m *raftpb.Message) bool {
	size := 0
	if len(m.GetEntries()) > 0 {
		size = proto.Size(m)
	}
	b.mu.Lock()
	if b.netMsgs >= maxInboxMsgs || b.netBytes+size > maxInboxBytes && b.netMsgs > 0 {
		b.mu.Unlock()
		return false
	}
	b.netMsgs++
	b.netBytes += size
	b.inputs = append(b.inputs, input{msg: m})
	b.mu.Unlock()
	b.wake()
	return true
}

// deliver puts in answers of the own storage goroutine, which must never be lost.
func (b *inbox) deliver(ms []*raftpb.Message) {
	b.mu.Lock()
	for _, m := range ms {
		b.inputs = append(b.inputs, input{msg: m})
	}
	b.mu.Unlock()
	b.wake()
}

// run has fn called on the raft goroutine, unless the node stops before.
func (b *inbox) run(fn func(*core)) {
	b.mu.Lock()
	b.inputs = append(b.inputs, input{fn: fn})
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	select {
	case b.readyC <- struct{}{}:
	default:
	}
}

// take returns all inputs in the order they came. The slice is the caller's
// until the next call.
func (b *inbox) take() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.inputs
	clear(b.spare) // do not pin last round's messages
	b.inputs, b.spare = b.spare[:0], taken
	b.netMsgs, b.netBytes = 0, 0
	if cap(b.inputs) > maxInboxMsgs {
		b.inputs = nil // a burst must not leave a huge buffer behind
	}
	return taken
}
