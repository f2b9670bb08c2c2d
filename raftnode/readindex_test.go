package raftnode

import (
	"bytes"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// reader is a readWaiter that keeps its answer.
type reader struct {
	readWaiter
	indexC chan uint64
}

func newReader() *reader {
	r := &reader{indexC: make(chan uint64, 1)}
	r.left, r.answer = func() {}, func(i uint64) { r.indexC <- i }
	return r
}

func answer(context []byte, index uint64) []raft.ReadState {
	return []raft.ReadState{{Index: index, RequestCtx: context}}
}

// got is the answer that a reader has, 0 if it has none.
func (w *reader) got() uint64 {
	select {
	case i := <-w.indexC:
		return i
	default:
		return 0
	}
}

// An answer is for those who waited when the question left, not for who came later.
func TestReadRounds(t *testing.T) {
	at := leading()
	r := reads{incarnation: 7}
	a, b, late := newReader(), newReader(), newReader()
	r.waiting = append(r.waiting, &a.readWaiter, &b.readWaiter)
	first := r.next(at)
	r.waiting = append(r.waiting, &late.readWaiter)
	second := r.next(at)
	if first == nil || second == nil || bytes.Equal(first, second) {
		t.Fatalf("contexts %x and %x", first, second)
	}
	r.waiting = append(r.waiting, &newReader().readWaiter)
	if third := r.next(at); third != nil {
		t.Fatalf("a third round %x", third)
	}
	r.answered(answer(first, 50))
	if a.got() != 50 || b.got() != 50 || late.got() != 0 {
		t.Fatal("the answer did not go to those who waited for it, or to others as well")
	}
	if third := r.next(at); third == nil {
		t.Fatal("no round for who has come meanwhile")
	}
}

// A round that is lost is asked again under another context, and the answer to the
// earlier one counts for nobody.
func TestLostReadRounds(t *testing.T) {
	at := leading()
	r := reads{incarnation: 7}
	w := newReader()
	r.waiting = append(r.waiting, &w.readWaiter)
	lost := r.next(at)
	for at.now++; !r.tick(at); at.now++ {
		if at.now > 200 {
			t.Fatal("it is never given up")
		}
	}
	if waited := at.now - leading().now; waited != 5 { // half an election timeout
		t.Errorf("given up after %d ticks", waited)
	}
	again := r.next(at)
	r.answered(answer(lost, 40))
	if i := w.got(); i != 0 {
		t.Fatalf("answered with %d by a round that was given up", i)
	}
	r.answered(answer(again, 60))
	if i := w.got(); i != 60 {
		t.Fatalf("answered with %d", i)
	}
	other := reads{incarnation: 8, waiting: []*readWaiter{&newReader().readWaiter}}
	if next := other.next(at); bytes.Equal(next, lost) {
		t.Error("another run asks with the same context")
	}
}

// A new leader answers nobody before an entry of its term is committed.
func TestReadsTooEarly(t *testing.T) {
	at := leading()
	var r reads
	r.elected()
	r.waiting = append(r.waiting, &newReader().readWaiter)
	r.hold(msgTo(raftpb.MsgReadIndex, 1))
	if r.next(at) != nil || r.committed(at) != nil {
		t.Fatal("a read before the term has begun")
	}
	r.appended(&raftpb.Entry{Index: new(uint64(51))})
	r.appended(&raftpb.Entry{Index: new(uint64(52))})
	if r.next(at) != nil || r.committed(at) != nil {
		t.Fatalf("a read at commit index %d, and the term begins at 51", at.commit)
	}
	at.commit = 51
	if len(r.committed(at)) != 1 || r.committed(at) != nil {
		t.Error("held reads do not come back once")
	}
	if r.next(at) == nil {
		t.Error("the own read does not leave")
	}
	idle := following(0)
	if (&reads{waiting: []*readWaiter{&newReader().readWaiter}}).next(idle) != nil {
		t.Error("a read without a leader")
	}
}
