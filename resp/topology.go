package resp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// topology is the one picture that everything is answered from which names masters and
// replicas to clients: ROLE, HELLO and INFO, CLUSTER and SENTINEL. Whoever answers makes
// one, and asks nothing else.
type topology struct {
	self    uint64
	epoch   uint64 // raft's term
	members []place
	quorum  bool // this node is in contact with a majority of the voters
	needed  int  // how many voters a majority is
}

// place is a member as clients see it.
type place struct {
	id      uint64 // of the member
	node    string // its name in the dialects: 40 digits
	host    string
	port    int // for clients without TLS; of a member that has only a TLS port, that
	tlsPort int // 0: none
	busPort int // for the other members
	name    string
	leads   bool
	learner bool
	up      bool // this node is in contact with it
}

// topology is the present one.
func (s *Server) topology() *topology {
	st := s.cluster.Standing()
	return newTopology(&st)
}

func newTopology(st *commit.Standing) *topology {
	t := &topology{self: st.Self, epoch: st.Term, quorum: st.Majority(), needed: 1}
	voters := 0
	for _, m := range st.Members {
		p := place{
			id: m.ID, node: nodeName(st.Cluster, m.ID), tlsPort: m.ClientTLSPort, name: m.Hostname,
			leads: m.ID == st.Leader, learner: m.Learner, up: st.Reaches(m.ID), busPort: portOf(m.PeerURL),
		}
		var port string
		p.host, port = splitAddr(m.ClientAddr)
		p.port, _ = strconv.Atoi(port)
		if !m.Learner {
			voters++
		}
		t.members = append(t.members, p)
	}
	t.needed = voters/2 + 1
	if m := t.master(); m != nil && m.host == "" {
		m.leads = false // it has not announced itself yet: there is nobody to name
	}
	return t
}

// nodeName is a member's name of 40 hexadecimal digits, as run ids and the names of
// Redis Cluster's nodes are. It follows from the ids of cluster and member, so that all
// members know all names, and people see different beginnings.
func nodeName(cluster, member uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], cluster)
	binary.BigEndian.PutUint64(b[8:], member)
	sum := sha256.Sum256(b[:])
	return hex.EncodeToString(sum[:20])
}

func portOf(peerURL string) int {
	u, err := url.Parse(peerURL)
	if err != nil {
		return 0 // it has been checked where it came in
	}
	port, _ := strconv.Atoi(u.Port())
	return port
}

// master returns who leads, nil if nobody can be named.
func (t *topology) master() *place {
	return t.find(func(p *place) bool { return p.leads })
}

// me returns this node, nil before it is a member.
func (t *topology) me() *place {
	return t.find(func(p *place) bool { return p.id == t.self })
}

func (t *topology) find(is func(*place) bool) *place {
	for i := range t.members {
		if is(&t.members[i]) {
			return &t.members[i]
		}
	}
	return nil
}

// leads reports whether this node may say that it is the master.
func (t *topology) leads() bool {
	m := t.master()
	return m != nil && m.id == t.self
}

// replicas are the members that do not lead and that clients can be sent to.
func (t *topology) replicas() []place {
	return slices.DeleteFunc(slices.Clone(t.members), func(p place) bool { return p.leads || p.host == "" })
}

// others are the members but for this one that clients can be sent to.
func (t *topology) others() []place {
	return slices.DeleteFunc(slices.Clone(t.members), func(p place) bool { return p.id == t.self || p.host == "" })
}

// reach is the port for a client that came with or without TLS.
func (p *place) reach(tls bool) int {
	if tls && p.tlsPort != 0 {
		return p.tlsPort
	}
	return p.port
}

// addr is host:port as Sentinel writes it.
func (p *place) addr(tls bool) string { return p.host + ":" + strconv.Itoa(p.reach(tls)) }

// progress is how far members are, as far as this node knows: all of them if it leads.
type progress struct {
	commit.Status
	applied uint64 // by this node
}

func (s *Server) progress() progress { return progress{s.cluster.Status(), s.store.AppliedIndex()} }

// offset is what Redis calls a replication offset: the index up to which a member is
// known to hold the log. 0: nothing is known.
func (p *progress) offset(id uint64) uint64 {
	if id == p.ID {
		return p.applied
	}
	if id == p.Leader {
		return p.Commit
	}
	return p.Progress[id].Match
}

// online reports whether a member follows the log, rather than being sent a snapshot.
func (p *progress) online(m *place) bool {
	return m.up && p.Progress[m.id].State != "snapshot"
}

// linkedSince is when the link to a member began to work, in ms, 0 if it does not.
func (p *progress) linkedSince(id uint64) int64 {
	at, ok := p.Links[id]
	if !ok {
		return 0
	}
	return at.Truncate(time.Millisecond).UnixMilli()
}
