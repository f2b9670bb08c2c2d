package commit

import "slices"

// Standing is who leads and who the members are, as far as a node may tell clients: one
// picture, for everything that names a leader to them. It is stricter than Leader, which
// is where to send requests to and may be wrong for a moment: a node that leads says so
// only while a majority of the voters has answered it lately and it is not handing
// leadership over, and any other node names a leader only while it hears from it. So no
// two nodes say of themselves at the same time that they lead, and a node without a
// majority names nobody, at the latest after an election timeout or two.
type Standing struct {
	Self    uint64
	Cluster uint64 // 0: this node is in none yet
	Term    uint64 // of raft: the epoch of what is said here
	Leader  uint64 // 0: nobody who could be named
	Members []Member
	Away    []uint64 // members that this node has no contact with
}

// Leads reports whether this node may say that it is the leader.
func (s *Standing) Leads() bool { return s.Leader != 0 && s.Leader == s.Self }

// Member returns a member, and whether there is one of that id.
func (s *Standing) Member(id uint64) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// Reaches reports whether this node is in contact with a member. It is with itself.
func (s *Standing) Reaches(id uint64) bool { return !slices.Contains(s.Away, id) }

// Majority reports whether this node and those that it reaches are a majority of the
// voters.
func (s *Standing) Majority() bool {
	voters, there := 0, 0
	for _, m := range s.Members {
		if m.Learner {
			continue
		}
		voters++
		if s.Reaches(m.ID) {
			there++
		}
	}
	return there > voters/2
}
