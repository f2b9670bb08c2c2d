package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/raftredis/raftredis/raftnode/commit"
)

func TestMain(m *testing.M) {
	wal.SegmentSizeBytes = 1 << 20 // the tests make many small logs
	goleak.VerifyTestMain(m)
}

// testSeal makes an entry of requests: each with its length before it.
func testSeal(b []byte, requests [][]byte) []byte {
	if len(requests) == 0 {
		return append(b, 0x80, 0) // a 0 that does not look like a part
	}
	for _, r := range requests {
		b = binary.AppendUvarint(b, uint64(len(r)))
		b = append(b, r...)
	}
	return b
}

func testSealLarge(b []byte, size int) []byte { return binary.AppendUvarint(b, uint64(size)) }

func testUnseal(b []byte) (requests []string) {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if size > 0 {
			requests = append(requests, string(b[n:n+int(size)]))
		}
		b = b[n+int(size):]
	}
	return requests
}

// testStore is the smallest state machine: the sequence of all requests, each once,
// however often it was sent.
type testStore struct {
	t *testing.T

	mu       sync.Mutex
	large    commit.Assembly // not in its snapshots
	applied  uint64
	requests []string
	loads    int
	changed  *sync.Cond
	ended    chan struct{}
}

func newTestStore(t *testing.T) *testStore {
	s := &testStore{t: t, ended: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *testStore) run(commitC <-chan *commit.Batch, snapshotterReady <-chan commit.Snapshotter) {
	defer close(s.ended)
	snapshotter := <-snapshotterReady
	for b := range commitC {
		s.mu.Lock()
		if b == nil {
			s.load(snapshotter)
		} else {
			for _, e := range b.Entries {
				if e.Index <= s.applied {
					continue
				}
				if e.Index != s.applied+1 {
					s.t.Errorf("entry %d follows %d", e.Index, s.applied)
				}
				s.applied = e.Index
				data, err := s.large.Add(e.Term, e.Data)
				if err != nil {
					s.t.Error(err)
				}
				for _, r := range testUnseal(data) {
					if !s.has(r) {
						s.requests = append(s.requests, r)
					}
				}
			}
			if b.CaptureC != nil {
				requests := s.requests[:len(s.requests):len(s.requests)]
				b.CaptureC <- commit.Capture{Index: s.applied, Write: func(w io.Writer) error {
					for _, r := range requests {
						if _, err := w.Write(testSeal(nil, [][]byte{[]byte(r)})); err != nil {
							return err
						}
					}
					return nil
				}}
			}
			close(b.ApplyDoneC)
		}
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

func (s *testStore) load(snapshotter commit.Snapshotter) {
	snap, err := snapshotter.Load()
	if err != nil || snap == nil {
		s.t.Errorf("load snapshot: %v, %v", snap, err)
		return
	}
	defer snap.Body.Close()
	body, err := io.ReadAll(snap.Body)
	if err != nil {
		s.t.Errorf("read snapshot: %v", err)
	}
	s.requests = testUnseal(body)
	s.applied = snap.Index
	s.loads++
}

// await waits until cond, which may look at the store, is true.
func (s *testStore) await(what string, cond func() bool) {
	s.t.Helper()
	deadline := time.AfterFunc(20*time.Second, func() { s.changed.Broadcast() })
	defer deadline.Stop()
	start := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !cond() {
		if time.Since(start) > 20*time.Second {
			s.t.Fatalf("waited in vain for %s; applied %d, %d requests", what, s.applied, len(s.requests))
		}
		s.changed.Wait()
	}
}

func (s *testStore) has(request string) bool {
	for _, r := range s.requests {
		if r == request {
			return true
		}
	}
	return false
}

// member is one node of a test cluster on loopback.
type member struct {
	t           *testing.T
	cfg         Config
	node        *Node
	store       *testStore
	proposeC    chan *commit.Proposal
	confChangeC chan *commit.ConfChange
	errC        chan error // what errorC brought
}

func freeURLs(t testing.TB, n int) []string {
	var urls []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		urls = append(urls, "http://"+ln.Addr().String())
	}
	return urls
}

func testLogger(t *testing.T) *zap.Logger {
	if os.Getenv("RAFTNODE_LOG") == "" {
		return zap.NewNop()
	}
	return zaptest.NewLogger(t)
}

func testConfig(t *testing.T, id uint64, peers []Peer) Config {
	return Config{
		ID: id, Dir: t.TempDir(), Peers: peers, Seal: testSeal, SealLarge: testSealLarge,
		ClientAddr:   fmt.Sprintf("client:%d", id),
		TickInterval: 20 * time.Millisecond,
		Logger:       testLogger(t).Named(fmt.Sprint(id)),
	}
}

// newCluster starts size members, and waits until they have formed their cluster.
func newCluster(t *testing.T, size int, adjust func(*Config)) []*member {
	t.Helper()
	var peers []Peer
	for i, u := range freeURLs(t, size) {
		peers = append(peers, Peer{uint64(i + 1), u})
	}
	var ms []*member
	for _, p := range peers {
		cfg := testConfig(t, p.ID, peers)
		if adjust != nil {
			adjust(&cfg)
		}
		m := &member{t: t, cfg: cfg}
		m.start()
		ms = append(ms, m)
	}
	for _, m := range ms {
		eventually(t, "the cluster", m.node.in)
	}
	return ms
}

func (m *member) start() {
	m.t.Helper()
	if err := m.tryStart(); err != nil {
		m.t.Fatalf("start member %d: %v", m.cfg.ID, err)
	}
}

func (m *member) tryStart() error {
	m.proposeC = make(chan *commit.Proposal)
	m.confChangeC = make(chan *commit.ConfChange)
	node, commitC, errorC, snapshotterReady, err := New(m.cfg, m.proposeC, m.confChangeC)
	if err != nil {
		return err
	}
	m.node, m.store = node, newTestStore(m.t)
	go m.store.run(commitC, snapshotterReady)
	m.errC = make(chan error, 1)
	errC := m.errC
	go func() { errC <- <-errorC }()
	m.t.Cleanup(node.Stop)
	return nil
}

// refused starts a member that must not start, and returns its reason.
func (m *member) refused() error {
	m.t.Helper()
	if err := m.tryStart(); err != nil {
		return err
	}
	select {
	case err := <-m.errC:
		<-m.store.ended
		return err
	case <-time.After(20 * time.Second):
		m.t.Fatalf("member %d is not refused; it waits for %q", m.cfg.ID, m.node.Waiting())
		return nil
	}
}

func (m *member) stop() {
	m.node.Stop()
	<-m.store.ended
}

// propose sends a request and waits until this member has applied it, sending
// again until then, as the real store does.
func (m *member) propose(request string) {
	m.t.Helper()
	if err := m.tryPropose(request, 20*time.Second); err != nil {
		m.t.Fatalf("propose %q at %d: %v", request, m.cfg.ID, err)
	}
}

func (m *member) tryPropose(request string, timeout time.Duration) error {
	p := &commit.Proposal{Data: []byte(request)}
	deadline := time.Now().Add(timeout)
	for {
		select {
		case m.proposeC <- p:
		case <-time.After(100 * time.Millisecond):
		}
		for range 50 {
			m.store.mu.Lock()
			ok := m.store.has(request)
			m.store.mu.Unlock()
			if ok {
				return nil
			}
			time.Sleep(2 * time.Millisecond)
		}
		if time.Now().After(deadline) {
			return errors.New("timeout")
		}
	}
}

func (m *member) change(op commit.ConfChangeOp, who commit.Member) error {
	resC := make(chan error, 1)
	m.confChangeC <- &commit.ConfChange{Op: op, Member: who, ResultC: resC}
	return <-resC
}

// remove has a member removed. It does what an operator would: when the answer is
// that nothing was changed, because other members did not answer in time or
// leadership was on its way, it asks again. Where the disk takes longer to sync
// than an election lasts, that happens.
func (m *member) remove(id uint64) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("the removal of member %d", id), func() bool {
		err := m.change(commit.Remove, commit.Member{ID: id})
		for _, nothing := range []error{ErrNoSuccessor, ErrQuorumLoss, ErrChangePending, ErrChangeDropped, commit.ErrNoLeader} {
			if errors.Is(err, nothing) {
				m.t.Logf("member %d is not removed yet: %v", id, err)
				return false
			}
		}
		if err != nil {
			m.t.Fatalf("removing member %d: %v", id, err)
		}
		return true
	})
}

// leader waits until all the members agree on one.
func leader(t *testing.T, ms []*member) *member {
	t.Helper()
	var l *member
	eventually(t, "one leader", func() bool {
		id, _ := ms[0].node.Leader()
		l = nil
		for _, m := range ms {
			if got, _ := m.node.Leader(); got != id || id == 0 {
				return false
			}
			if m.cfg.ID == id && m.node.IsLeader() {
				l = m
			}
		}
		return l != nil
	})
	return l
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func sameRequests(t *testing.T, ms []*member) {
	t.Helper()
	var applied uint64
	for _, m := range ms {
		m.store.mu.Lock()
		applied = max(applied, m.store.applied)
		m.store.mu.Unlock()
	}
	for _, m := range ms {
		m.store.await("the same applied index", func() bool { return m.store.applied >= applied })
	}
	for _, m := range ms[1:] {
		a, b := ms[0].store, m.store
		a.mu.Lock()
		b.mu.Lock()
		n := min(len(a.requests), len(b.requests))
		for i := range n {
			if a.requests[i] != b.requests[i] {
				t.Errorf("request %d is %q on %d and %q on %d", i, a.requests[i], ms[0].cfg.ID, b.requests[i], m.cfg.ID)
				break
			}
		}
		b.mu.Unlock()
		a.mu.Unlock()
	}
}

func TestSingleNodeElectsItselfAtOnce(t *testing.T) {
	m := newCluster(t, 1, func(c *Config) { c.TickInterval = time.Hour })[0] // no tick will help
	m.propose("a")
	m.stop()
	m.start()
	m.propose("b")
	i, err := m.node.ReadIndex(context.Background())
	if err != nil || i < 4 {
		t.Fatalf("ReadIndex: %d, %v", i, err)
	}
	if got := m.store.requests; len(got) != 2 || got[0] != "a" || got[1] != "b" {
		t.Fatalf("requests %q", got)
	}
	if m.node.Incarnation() != 2 {
		t.Fatalf("incarnation %d", m.node.Incarnation())
	}
}

func TestThreeNodesReplicateAndRestart(t *testing.T) {
	ms := newCluster(t, 3, nil)
	l := leader(t, ms)
	for i, m := range ms { // followers forward
		m.propose(fmt.Sprintf("first %d", i))
	}
	sameRequests(t, ms)
	l.stop()
	rest := remove(ms, l)
	l2 := leader(t, rest)
	l2.propose("without the leader")
	l.start()
	l.store.await("catching up", func() bool { return l.store.has("without the leader") })
	for _, m := range ms {
		m.stop()
	}
	for _, m := range ms {
		m.start()
	}
	leader(t, ms)
	ms[1].propose("after all were down")
	sameRequests(t, ms)
	for _, m := range ms {
		if i, err := m.node.ReadIndex(context.Background()); err != nil || i == 0 {
			t.Errorf("ReadIndex at %d: %d, %v", m.cfg.ID, i, err)
		}
	}
	eventually(t, "announced addresses", func() bool {
		for _, m := range ms {
			for _, other := range m.node.Members() {
				if other.ClientAddr != fmt.Sprintf("client:%d", other.ID) {
					return false
				}
			}
		}
		return true
	})
}

func remove(ms []*member, gone *member) []*member {
	var rest []*member
	for _, m := range ms {
		if m != gone {
			rest = append(rest, m)
		}
	}
	return rest
}
