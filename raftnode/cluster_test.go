package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

func TestMain(m *testing.M) {
	wal.SegmentSizeBytes = 1 << 20 // the tests make many small logs
	goleak.VerifyTestMain(m)
}

// testSeal makes an entry of requests: each with its length before it. It is for
// simulated nodes, whose requests are names (witness_test.go), and where no state
// machine is looked at.
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

// member is one node of a test cluster on loopback, with a store on top as in the real
// process. A request pushes its name onto a list.
type member struct {
	t           *testing.T
	cfg         Config
	node        *Node
	store       *store.Store
	table       *command.Table
	proposeC    chan *commit.Proposal
	confChangeC chan *commit.ConfChange
	errC        chan error // what errorC brought
	deadC       chan struct{}
}

// freeURLs returns URLs where nobody listens. Their ports are below those that kernels give
// away and those of package integration, so that nobody takes one while its member is not
// started, or not started again.
func freeURLs(t testing.TB, n int) []string {
	var urls []string
	for tried := 0; len(urls) < n; tried++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(10000)))
		if err != nil && tried > 1000 {
			t.Fatal(err)
		}
		if err == nil {
			defer ln.Close()
			urls = append(urls, "http://"+ln.Addr().String())
		}
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
	table, err := command.NewTable(command.Data())
	if err != nil {
		return err
	}
	proposeC, confChangeC := make(chan *commit.Proposal), make(chan *commit.ConfChange)
	s := store.New(store.Config{Table: table, Member: m.cfg.ID, ProposalTimeout: 20 * time.Second}, proposeC)
	m.cfg.Seal, m.cfg.SealLarge = s.Seal, s.SealLarge
	node, commitC, errorC, snapshotterReady, err := New(m.cfg, proposeC, confChangeC)
	if err != nil {
		return err
	}
	m.node, m.store, m.table, m.proposeC, m.confChangeC = node, s, table, proposeC, confChangeC
	s.Start(node, commitC, snapshotterReady)
	errC, deadC := make(chan error, 1), make(chan struct{})
	m.errC, m.deadC = errC, deadC
	go func() {
		defer close(deadC)
		errC <- <-errorC // at its end commitC is closed, and ends the store
		s.Close()
		select {
		case err := <-s.ErrorC():
			m.t.Errorf("the state machine of member %d: %v", m.cfg.ID, err)
		default:
		}
	}()
	m.t.Cleanup(func() {
		node.Stop()
		<-deadC
	})
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
		m.ended()
		return err
	case <-time.After(20 * time.Second):
		m.t.Fatalf("member %d is not refused; it waits for %q", m.cfg.ID, m.node.Waiting())
		return nil
	}
}

func (m *member) stop() {
	m.node.Stop()
	m.ended()
}

// ended waits until the node, which has been stopped or has failed, is no more.
func (m *member) ended() { <-m.deadC }

// propose has a request applied on this member.
func (m *member) propose(request string) {
	m.t.Helper()
	if err := m.tryPropose(request, 20*time.Second); err != nil {
		m.t.Fatalf("propose %.100q at %d: %v", request, m.cfg.ID, err)
	}
}

func (m *member) tryPropose(request string, timeout time.Duration) error {
	errC := m.submit(request)
	select {
	case err := <-errC:
		if errors.Is(err, store.ErrUnknown) && m.has(request) {
			return nil // its reply was lost with the entries that a snapshot stands for
		}
		return err
	case <-time.After(timeout):
		return errors.New("timeout")
	}
}

// submit sends a request. On the channel comes its outcome.
func (m *member) submit(request string) <-chan error {
	var b store.Batch
	b.Write(0, m.table.Lookup([]byte("rpush")), [][]byte{[]byte("rpush"), []byte(simList), []byte(request)})
	errC := make(chan error, 1)
	m.store.Submit(&b, command.Discard{}, func() {
		if err := b.Err(); err != "" {
			errC <- err
		} else {
			errC <- nil
		}
	})
	return errC
}

// requests returns what this member has applied.
func (m *member) requests() (names []string) {
	argv := [][]byte{[]byte("lrange"), []byte(simList), []byte("0"), []byte("-1")}
	var reply command.Recorded
	r := m.store.BeginRead()
	defer r.End()
	r.Do(0, m.table.Lookup(argv[0]), argv, &reply)
	for _, name := range reply.Values() {
		names = append(names, string(name))
	}
	return names
}

func (m *member) has(request string) bool { return slices.Contains(m.requests(), request) }

// loaded reports whether the state comes from a snapshot.
func (m *member) loaded() bool { return m.store.Stats().LoadedKeys > 0 }

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

// sameRequests waits until the members have applied the same entries, and checks that
// they have the same state.
func sameRequests(t *testing.T, ms []*member) {
	t.Helper()
	eventually(t, "the same applied index", func() bool {
		var indexes []uint64
		var digests []string
		for _, m := range ms {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			index, digest, err := m.store.Digest(ctx)
			cancel()
			if err != nil {
				t.Fatalf("member %d: %v", m.cfg.ID, err)
			}
			indexes, digests = append(indexes, index), append(digests, digest)
		}
		if len(slices.Compact(indexes)) > 1 {
			return false
		}
		if len(slices.Compact(slices.Clone(digests))) > 1 {
			t.Fatalf("at %d the members' digests are %q", indexes[0], digests)
		}
		return true
	})
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
	if got := m.requests(); len(got) != 2 || got[0] != "a" || got[1] != "b" {
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
	eventually(t, "catching up", func() bool { return l.has("without the leader") })
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
