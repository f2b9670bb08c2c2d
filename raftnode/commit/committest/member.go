package committest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Member is one node as its store and its front see it: what they take for a raft node.
// It is the double of commit.Cluster, and of what the store wants besides.
type Member struct {
	commit.Changes // ConfChangeC

	ProposeC         chan *commit.Proposal   // for the store to send on
	ConfChangeC      chan *commit.ConfChange // a test answers what the front asks for
	CommitC          chan *commit.Batch      // for the store to receive from
	SnapshotterReady chan commit.Snapshotter

	ReadIndexes atomic.Int64                    // so many were asked for
	FailReads   atomic.Bool                     // none is answered
	DiskFull    atomic.Bool                     // clients' writes are to be refused
	Coming      atomic.Pointer[commit.Transfer] // a snapshot on its way
	Level       atomic.Uint64                   // commit.Progress.Level; the level does not rise before all have one

	log         *Log
	id          uint64
	incarnation uint64
	seal        func(dst []byte, requests [][]byte) []byte // guarded by log.mu, as are the next two
	sent        int                                        // entries handed to the store
	held        bool
	snapshot    atomic.Pointer[Snapshot]
	wakeC       chan struct{}
	stopC       chan struct{}
	wg          sync.WaitGroup
}

var _ commit.Cluster = (*Member)(nil)

// Snapshot is a store's state that has been saved.
type Snapshot struct {
	Index, Term uint64
	Body        []byte
}

// Join adds a member, or starts it again as another incarnation. Its store gets the
// log from the snapshot on, nil: from the beginning. Run must follow.
func (l *Log) Join(id, incarnation uint64, from *Snapshot) *Member {
	m := &Member{
		ProposeC:         make(chan *commit.Proposal, 64),
		ConfChangeC:      make(chan *commit.ConfChange),
		CommitC:          make(chan *commit.Batch),
		SnapshotterReady: make(chan commit.Snapshotter, 1),
		log:              l, id: id, incarnation: incarnation,
		wakeC: make(chan struct{}, 1), stopC: make(chan struct{}),
	}
	m.Changes = m.ConfChangeC
	m.SnapshotterReady <- m
	if from != nil {
		m.snapshot.Store(from)
		m.sent = int(from.Index)
	}
	l.mu.Lock()
	l.members[id] = m
	l.mu.Unlock()
	return m
}

// Run lets requests and entries through. seal is the store's, which makes entries
// while this member leads.
func (m *Member) Run(seal func(dst []byte, requests [][]byte) []byte) {
	m.log.mu.Lock()
	m.seal = seal
	m.log.mu.Unlock()
	m.wg.Go(m.takeIn)
	m.wg.Go(m.deliver)
}

// Stop takes the member out. Its store must be closed before.
func (m *Member) Stop() {
	m.log.mu.Lock()
	if m.log.members[m.id] == m {
		delete(m.log.members, m.id)
	}
	m.log.mu.Unlock()
	close(m.stopC)
	m.wg.Wait()
}

// ID returns the member's id.
func (m *Member) ID() uint64 { return m.id }

// takeIn is the way of requests from the store to the log.
func (m *Member) takeIn() {
	for {
		var waiting []*commit.Proposal
		select {
		case <-m.stopC:
			return
		case p := <-m.ProposeC:
			waiting = append(waiting, p)
		}
		for more := true; more; {
			select {
			case p := <-m.ProposeC:
				waiting = append(waiting, p)
			default:
				more = false
			}
		}
		m.log.propose(waiting)
	}
}

func (m *Member) wake() {
	select {
	case m.wakeC <- struct{}{}:
	default:
	}
}

// Hold stops or resumes handing entries to the member's store.
func (m *Member) Hold(on bool) {
	m.log.mu.Lock()
	m.held = on
	m.log.mu.Unlock()
	m.wake()
}

func (l *Log) isHeld(m *Member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m.held
}

// deliver is the way of entries from the log to the store.
func (m *Member) deliver() {
	for {
		m.log.mu.Lock()
		var batch []commit.Entry
		if !m.held {
			batch = append(batch, m.log.entries[m.sent:]...)
			m.sent = len(m.log.entries)
		}
		m.log.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-m.wakeC:
			case <-m.stopC:
				return
			}
			continue
		}
		if !m.Commit(&commit.Batch{Entries: batch, ApplyDoneC: make(chan struct{})}) {
			return
		}
	}
}

// Commit hands something to the store, out of turn. It reports whether the store took
// it before the member was stopped.
func (m *Member) Commit(b *commit.Batch) bool {
	select {
	case m.CommitC <- b:
		return true
	case <-m.stopC:
		return false
	}
}

// Save takes a snapshot of the store's state as it is.
func (m *Member) Save() (*Snapshot, error) {
	captureC := make(chan commit.Capture, 1)
	if !m.Commit(&commit.Batch{CaptureC: captureC}) {
		return nil, commit.ErrStopped
	}
	c := <-captureC
	var body bytes.Buffer
	if err := c.Write(&body); err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	s := &Snapshot{Index: c.Index, Body: body.Bytes()}
	if c.Index > 0 {
		m.log.mu.Lock()
		s.Term = m.log.entries[c.Index-1].Term
		m.log.mu.Unlock()
	}
	return s, nil
}

// Put has Load return the snapshot.
func (m *Member) Put(s *Snapshot) { m.snapshot.Store(s) }

// Install hands the store a snapshot in place of all entries so far. It reports as
// Commit does.
func (m *Member) Install(s *Snapshot) bool {
	m.Put(s)
	m.log.mu.Lock()
	m.sent = len(m.log.entries)
	m.log.mu.Unlock()
	return m.Commit(nil)
}

// Load implements commit.Snapshotter.
func (m *Member) Load() (*commit.Snapshot, error) {
	s := m.snapshot.Load()
	if s == nil {
		return nil, nil
	}
	return &commit.Snapshot{Index: s.Index, Term: s.Term, Body: io.NopCloser(bytes.NewReader(s.Body))}, nil
}

// AskIndex answers with all that is in the log, once there is a leader.
func (m *Member) AskIndex(left func(), answer func(index uint64)) {
	go func() {
		retry := time.NewTicker(time.Millisecond)
		defer retry.Stop()
		for {
			if m.canRead() {
				m.ReadIndexes.Add(1)
				left()
				answer(m.log.Last())
				return
			}
			select {
			case <-retry.C:
			case <-m.stopC:
				return
			}
		}
	}()
}

func (m *Member) canRead() bool {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	return m.log.leader != 0 && !m.FailReads.Load()
}

// Status says that all members are there, but for those that do not take entries.
func (m *Member) Status() commit.Status {
	l := m.log
	l.mu.Lock()
	defer l.mu.Unlock()
	last := uint64(len(l.entries))
	st := commit.Status{
		ID: m.id, ClusterID: 0xabc, Term: l.term, Leader: l.leader, Role: "follower",
		Commit: last, FirstIndex: 1, LastIndex: last, RefusesWrites: m.DiskFull.Load(),
	}
	for _, o := range l.sorted() {
		st.Members = append(st.Members, commit.Member{ID: o.id, PeerURL: fmt.Sprintf("http://127.0.0.1:%d", 9020+o.id), ClientAddr: clientAddr(o.id)})
	}
	if m.id != l.leader {
		return st
	}
	st.Role, st.Progress = "leader", make(map[uint64]commit.Progress)
	for id, o := range l.members {
		st.Progress[id] = commit.Progress{Match: last, Next: last + 1, State: "replicate", RecentActive: !o.held, Level: o.Level.Load()}
	}
	return st
}

func clientAddr(id uint64) string { return fmt.Sprintf("127.0.0.1:%d", 6378+id) }

// Leader returns whom Elect has named.
func (m *Member) Leader() (uint64, string) {
	m.log.mu.Lock()
	leader := m.log.leader
	m.log.mu.Unlock()
	if leader == 0 {
		return 0, ""
	}
	return leader, clientAddr(leader)
}

// IsLeader reports whether that is this member.
func (m *Member) IsLeader() bool {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	return m.log.leader == m.id
}

// Standing names whom Elect has named. No member is away but for those that do not take
// entries.
func (m *Member) Standing() commit.Standing {
	st := m.Status()
	s := commit.Standing{Self: m.id, Cluster: st.ClusterID, Term: st.Term, Leader: st.Leader, Members: st.Members}
	for _, o := range m.log.Members() {
		if m.log.isHeld(o) {
			s.Away = append(s.Away, o.id)
		}
	}
	return s
}

// Transfer makes another member the leader.
func (m *Member) Transfer(_ context.Context, id uint64) error {
	l := m.log
	l.mu.Lock()
	for _, o := range l.sorted() {
		if id == 0 && o.id != l.leader {
			id = o.id
		}
	}
	_, there := l.members[id]
	l.mu.Unlock()
	if !there {
		return errors.New("there is nobody to take over")
	}
	l.Elect(id)
	return nil
}

// Backup takes a snapshot, which is all of a backup here.
func (m *Member) Backup(context.Context) (io.ReadCloser, error) {
	s, err := m.Save()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(s.Body)), nil
}

// Snapshot takes a snapshot, with which a member can join.
func (m *Member) Snapshot(context.Context) error {
	s, err := m.Save()
	if err == nil {
		m.Put(s)
	}
	return err
}

// Incarnation is what Join was told.
func (m *Member) Incarnation() uint64 { return m.incarnation }

// RefusesWrites is DiskFull.
func (m *Member) RefusesWrites() bool { return m.DiskFull.Load() }

// Waiting says that the member waits for nobody.
func (*Member) Waiting() string { return "" }

// Incoming is Coming.
func (m *Member) Incoming() commit.Transfer {
	if t := m.Coming.Load(); t != nil {
		return *t
	}
	return commit.Transfer{}
}
