package raftnode

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/machine"
)

// simList is where the requests of a simulation end up: each pushes its name.
const simList = "requests"

// witness is the real state machine on a simulated node, with the names of the
// requests that it has applied, each once. It is also the machine's observer, and
// checks what a store has no reason to: that nothing is applied that was reported as
// not applied, and that the machine knows what is fresh. It stands here in place of a
// store because that has goroutines: tens of thousands of steps of a random schedule
// would each wait for them. A store on simulated nodes is in inprocess_test.go.
type witness struct {
	machine.Nobody
	n       *simNode
	m       *machine.Machine
	large   commit.Assembly
	applied uint64
	done    map[string]bool
	order   []string
}

func (st *witness) UsersChanged(*acl.Users) {}

var _ machine.Observer = (*witness)(nil)

func newWitness(n *simNode) *witness {
	st := &witness{n: n, done: map[string]bool{}}
	st.m = machine.New(n.s.table, st)
	return st
}

// entry makes what the machine applies of the requests of an entry, which are names.
// Each name has its number, so that a request which was sent twice is one to the
// machine.
func (s *sim) entry(index uint64, names []string) []byte {
	requests := make([][]byte, len(names))
	for i, name := range names {
		seq := s.numbers[name]
		if seq == 0 {
			s.names = append(s.names, name)
			seq = uint64(len(s.names))
			s.numbers[name] = seq
		}
		var r machine.Request
		r.Write(0, [][]byte{[]byte("rpush"), []byte(simList), []byte(name)})
		requests[i] = r.Seal(machine.Head{Origin: 1, Incarnation: 1, Seq: seq})
	}
	return machine.Seal(nil, machine.Millis(index), index, requests)
}

// apply applies an entry. Members at one index have one digest.
func (st *witness) apply(e commit.Entry) {
	s := st.n.s
	if e.Index <= st.applied {
		return
	}
	data, err := st.large.Add(e.Term, e.Data)
	if err == nil && len(data) > 0 {
		data = s.entry(e.Index, testUnseal(data))
	}
	if err == nil {
		err = st.m.Apply(e.Index, e.Term, data)
	}
	if err != nil {
		s.failf("%d cannot apply %d: %v", st.n.id, e.Index, err)
		return
	}
	st.applied = st.m.Index()
	st.check()
}

// check compares the state with that of who was here first.
func (st *witness) check() {
	s := st.n.s
	digest := st.m.Capture().Digest()
	if first, ok := s.digests[st.applied]; !ok {
		s.digests[st.applied] = digest
	} else if first != digest {
		s.failf("%d has state %s at %d, another has %s", st.n.id, digest, st.applied, first)
	}
}

// capture is what the store answers to a request for a Capture: the parts of a large
// request, whose names are no requests yet, and the machine's own snapshot.
func (st *witness) capture() commit.Capture {
	p, large := st.m.Capture(), st.large
	return commit.Capture{Index: p.Index, Write: func(w io.Writer) error {
		if err := json.NewEncoder(w).Encode(large); err != nil {
			return err
		}
		return p.Write(w)
	}}
}

// load replaces the state by a snapshot's.
func (st *witness) load(index uint64, body []byte) {
	s := st.n.s
	head, rest, _ := bytes.Cut(body, []byte("\n"))
	var saved commit.Assembly
	err := json.Unmarshal(head, &saved)
	for i := 0; err == nil && i < len(saved.Parts); i++ {
		_, err = st.large.Add(saved.Term, saved.Parts[i])
	}
	if err != nil {
		s.failf("%d: snapshot %d: %v", st.n.id, index, err)
		return
	}
	m, err := machine.Load(s.table, st, bytes.NewReader(rest))
	if err != nil || m.Index() != index {
		s.failf("%d loads snapshot %d: %v", st.n.id, index, err)
		return
	}
	st.m, st.applied, st.order = m, index, nil
	view := m.Keyspace().View(0, int64(m.Now()))
	var names command.Recorded
	s.table.Lookup([]byte("lrange")).Read(&command.Read{
		Call: command.Call{Args: [][]byte{[]byte("lrange"), []byte(simList), []byte("0"), []byte("-1")}, Now: int64(m.Now()), Reply: &names}, DB: &view,
	})
	for _, name := range names.Values() {
		st.has(string(name))
	}
	st.check()
}

// has notes that a request is applied.
func (st *witness) has(name string) {
	s := st.n.s
	st.done[name] = true
	st.order = append(st.order, name)
	if _, mine := st.n.open[name]; mine {
		delete(st.n.open, name)
		s.acked[name] = st.applied
		if len(name) > int(s.cfg.MaxEntryBytes) {
			s.larges++
		}
		s.ackedTop = max(s.ackedTop, st.applied)
	}
}

// Request checks what it can about a request.
func (st *witness) Request(h machine.Head, fresh bool) (machine.Asker, error) {
	s := st.n.s
	name := s.names[h.Seq-1]
	if s.refused[name] {
		s.failf("%d applies %q, which was reported as not applied", st.n.id, name)
	}
	if fresh == st.done[name] {
		s.failf("%d applies %q: fresh is %v", st.n.id, name, fresh)
	}
	if fresh {
		st.applied = st.m.Index() + 1
		st.has(name)
	}
	return machine.Nobody{}, nil
}

// Entry does nothing, and so do the rest.
func (st *witness) Entry(machine.Millis)                              {}
func (st *witness) Touched(keyspace.Touch)                            {}
func (st *witness) Swapping(int, int)                                 {}
func (st *witness) Executed()                                         {}
func (st *witness) Script(bool)                                       {}
func (st *witness) Served(machine.WaitID)                             {}
func (st *witness) Serving(machine.WaitID, bool)                      {}
func (st *witness) Claimed(machine.WaitID, *command.Recorded)         {}
func (st *witness) Ended(machine.WaitID, machine.Ended)               {}
func (*witness) Published(machine.Message)                            {}
func (*witness) Announced(machine.Head, uint64)                       {}
func (*witness) Silenced(uint64, uint64)                              {}
func (st *witness) Expired(uint64)                                    {}
func (st *witness) Read(machine.Head, *keyspace.View, []byte, uint64) {}
func (st *witness) Aside(f func())                                    { f() }
func (st *witness) Pause(int)                                         {}
