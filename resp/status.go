package resp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Status is one node as RAFT STATUS shows it: its own part, and what it knows of the
// others. The JSON is the machine form. Names are stable: fields are added, never renamed.
type Status struct {
	ID        uint64 `json:"id"`
	Cluster   string `json:"cluster"`
	Version   string `json:"version"`
	Role      string `json:"role"`
	Leader    uint64 `json:"leader"` // 0: none is known
	Term      uint64 `json:"term"`
	Ready     bool   `json:"ready"`
	Reason    string `json:"reason,omitempty"` // why it is not
	UpSeconds int64  `json:"up_seconds"`

	FirstIndex    uint64 `json:"first_index"`
	LastIndex     uint64 `json:"last_index"`
	CommitIndex   uint64 `json:"commit_index"`
	AppliedIndex  uint64 `json:"applied_index"`
	SnapshotIndex uint64 `json:"snapshot_index"`

	LogBytes       uint64 `json:"log_bytes"` // since the last snapshot
	LogDisk        uint64 `json:"log_disk_bytes"`
	SnapshotDisk   uint64 `json:"snapshot_disk_bytes"`
	DiskFree       uint64 `json:"disk_free_bytes"` // 0: it cannot be told
	MemoryUsed     int64  `json:"used_memory_bytes"`
	MemoryLimit    int64  `json:"maxmemory_bytes"` // 0: none
	EvictedKeys    uint64 `json:"evicted_keys"`
	OutOfMemory    bool   `json:"out_of_memory"`
	Keys           int64  `json:"keys"`
	Clients        int    `json:"clients"`
	PendingWrites  int    `json:"pending_writes"`
	RefusesWrites  bool   `json:"refuses_writes"`
	DiskLow        bool   `json:"disk_low"`
	SyncP50Micros  int64  `json:"sync_p50_us"`
	SyncP99Micros  int64  `json:"sync_p99_us"`
	RoundP50Micros int64  `json:"round_p50_us"` // 0 on a node that has not led
	RoundP99Micros int64  `json:"round_p99_us"`
	ApplyP99Micros int64  `json:"apply_p99_us"`

	Election ElectionStatus `json:"election"`
	Members  []MemberStatus `json:"members"`
	Tasks    []TaskStatus   `json:"tasks"`
	Warnings []string       `json:"warnings"`
}

// ElectionStatus is the last election that a node has seen.
type ElectionStatus struct {
	Term       uint64 `json:"term"`
	Leader     uint64 `json:"leader"`
	Was        uint64 `json:"was"`
	Reason     string `json:"reason"`
	AgoSeconds int64  `json:"ago_seconds"`
	Text       string `json:"text"`
}

// MemberStatus is what a node knows of a member: most of it only the leader does.
type MemberStatus struct {
	ID         uint64 `json:"id"`
	Role       string `json:"role"`
	ClientAddr string `json:"client_addr"`
	PeerURL    string `json:"peer_url"`
	// ClientTLSPort is where at the host of ClientAddr it speaks TLS, 0: nowhere.
	ClientTLSPort int  `json:"client_tls_port"`
	Reached       bool `json:"reached"`
	// From the leader only: Known says that it is there.
	Known         bool    `json:"known"`
	Match         uint64  `json:"match_index"`
	State         string  `json:"state,omitempty"`
	DiskLow       bool    `json:"disk_low"`
	SilentSeconds int64   `json:"silent_seconds"`
	BehindSeconds int64   `json:"behind_seconds"`
	CatchUp       float64 `json:"catch_up"` // 0 to 1, 0 also if it does not catch up
	LeftSeconds   int64   `json:"left_seconds"`
	Text          string  `json:"text"` // how it is, in a few words
}

// TaskStatus is work that takes longer than commit.TaskPatience.
type TaskStatus struct {
	Kind        string  `json:"kind"`
	Member      uint64  `json:"member"`
	Done        int64   `json:"done"`
	Total       int64   `json:"total"`
	Unit        string  `json:"unit"`
	Part        float64 `json:"part"`
	AgeSeconds  int64   `json:"age_seconds"`
	LeftSeconds int64   `json:"left_seconds"` // -1: not known
	Text        string  `json:"text"`
}

// Status returns a picture of this node. It asks the raft goroutine.
func (s *Server) Status() Status {
	st, n, ready, standing := s.cluster.Status(), s.store.Stats(), s.store.Readiness(), s.cluster.Standing()
	now, memory := s.now(), s.store.Memory()
	out := Status{
		ID: st.ID, Cluster: fmt.Sprintf("%016x", st.ClusterID), Version: s.opts.Version, Role: st.Role, Leader: st.Leader, Term: st.Term,
		Ready: ready.Ready(), Reason: ready.Reason, UpSeconds: seconds(now.Sub(s.started)),
		FirstIndex: st.FirstIndex, LastIndex: st.LastIndex, CommitIndex: st.Commit, AppliedIndex: s.store.AppliedIndex(), SnapshotIndex: st.SnapshotIndex,
		LogBytes: st.LogBytes, LogDisk: st.Disk.Log, SnapshotDisk: st.Disk.Snapshots, DiskFree: st.Disk.Free,
		MemoryUsed: memory.Used, MemoryLimit: memory.Limit, EvictedKeys: n.Evicted, OutOfMemory: s.store.OutOfMemory(),
		PendingWrites: n.Pending, RefusesWrites: st.RefusesWrites, DiskLow: st.DiskLow,
		SyncP50Micros: st.Syncs.Quantile(0.5).Microseconds(), SyncP99Micros: st.Syncs.Quantile(0.99).Microseconds(),
		RoundP50Micros: st.Rounds.Quantile(0.5).Microseconds(), RoundP99Micros: st.Rounds.Quantile(0.99).Microseconds(),
		ApplyP99Micros: n.Applies.Quantile(0.99).Microseconds(),
		Members:        []MemberStatus{}, Tasks: []TaskStatus{}, Warnings: []string{},
	}
	for _, db := range s.store.Keyspaces() {
		out.Keys += int64(db.Keys)
	}
	s.eachClient(func(*conn) { out.Clients++ })
	out.Election = ElectionStatus{
		Term: st.Election.Term, Leader: st.Election.Leader, Was: st.Election.Was, Reason: string(st.Election.Reason), Text: st.Election.String(),
	}
	if !st.Election.At.IsZero() {
		out.Election.AgoSeconds = seconds(time.Since(st.Election.At))
	}
	for _, m := range st.Members {
		out.Members = append(out.Members, memberStatus(&st, &standing, m))
	}
	for _, t := range s.opts.Tasks.List(commit.TaskPatience) {
		out.Tasks = append(out.Tasks, taskStatus(t))
	}
	out.Warnings = append(out.Warnings, out.warn()...)
	return out
}

func seconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return int64(d.Round(time.Second) / time.Second)
}

func taskStatus(t commit.Task) TaskStatus {
	return TaskStatus{
		Kind: string(t.Kind), Member: t.Member, Done: t.Done, Total: t.Total, Unit: t.Unit, Part: t.Part(),
		AgeSeconds: seconds(t.Age), LeftSeconds: seconds(t.Left()), Text: t.String(),
	}
}

func memberStatus(st *commit.Status, standing *commit.Standing, m commit.Member) MemberStatus {
	is := MemberStatus{ID: m.ID, Role: memberRole(st, m), ClientAddr: m.ClientAddr, ClientTLSPort: m.ClientTLSPort, PeerURL: m.PeerURL, Reached: standing.Reaches(m.ID)}
	p, known := st.Progress[m.ID]
	if known && m.ID != st.ID {
		is.Known, is.Match, is.State, is.DiskLow = true, p.Match, p.State, p.DiskLow
		is.SilentSeconds, is.BehindSeconds, is.CatchUp, is.LeftSeconds = seconds(p.Silent), seconds(p.Behind), p.CatchUp, seconds(p.Left)
		is.Reached = p.RecentActive
	}
	span := func(s int64) string { return commit.Span(time.Duration(s) * time.Second) }
	switch {
	case m.ID == st.ID && !is.Known:
		is.Text = "this node"
	case is.Known && !is.Reached:
		is.Text = "has not answered for " + span(is.SilentSeconds)
	case !is.Reached:
		is.Text = "is not reached from here"
	case is.BehindSeconds > 0 && is.CatchUp > 0:
		is.Text = fmt.Sprintf("is %s behind and catching up: %s", span(is.BehindSeconds), commit.HowFar(p.CatchUp, p.Left))
	case is.BehindSeconds > 0 && is.State == "snapshot":
		is.Text = fmt.Sprintf("is %s behind and is being sent a snapshot", span(is.BehindSeconds))
	case is.BehindSeconds > 0:
		is.Text = fmt.Sprintf("is %s behind", span(is.BehindSeconds))
	case is.DiskLow:
		is.Text = "has a disk that is nearly full"
	default:
		is.Text = "is well"
	}
	return is
}

func memberRole(st *commit.Status, m commit.Member) string {
	switch {
	case m.ID == st.Leader:
		return "leader"
	case m.Learner:
		return "learner"
	}
	return "follower"
}

// warn says in words what an operator should know, and what there is to be done.
func (s *Status) warn() (warnings []string) {
	say := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if !s.Ready {
		say("this node is not ready: %s", s.Reason)
	}
	voters, there := 0, 0
	for _, m := range s.Members {
		if m.Role != "learner" {
			voters++
			if m.Reached {
				there++
			}
		}
	}
	switch {
	case voters == 0:
	case s.Leader == 0 && there <= voters/2:
		say("no leader is known, and only %d of %d voters are reached from here: writes wait until there is a majority again", there, voters)
	case s.Leader == 0:
		say("no leader is known: writes wait until one is elected")
	case voters > 2 && there == voters/2+1:
		say("only %d of %d voters are there: if one more is lost, no write is possible", there, voters)
	}
	if s.RefusesWrites {
		say("writes are refused because the disks of too many members are nearly full: make room there")
	}
	if s.OutOfMemory {
		say("writes that need memory are refused: %s of %s are used and nothing may be evicted, so delete keys, or raise maxmemory or change maxmemory-policy (CONFIG SET)",
			humanBytes(s.MemoryUsed), humanBytes(s.MemoryLimit))
	}
	if s.DiskLow {
		say("the disk of this node is nearly full: %s are left, make room in its file system", humanBytes(int64(s.DiskFree)))
	}
	for _, m := range s.Members {
		if m.ID == s.ID || m.Text == "is well" {
			continue
		}
		text := fmt.Sprintf("member %d %s", m.ID, m.Text)
		if m.Known && !m.Reached {
			text += fmt.Sprintf(": start it again, or replace it (RAFT REMOVE %d) if it is lost for good", m.ID)
		}
		say("%s", text)
		if m.DiskLow && !strings.Contains(m.Text, "disk") {
			say("the disk of member %d is nearly full: make room there", m.ID)
		}
	}
	for _, t := range s.Tasks {
		say("%s", t.Text)
	}
	return warnings
}

// Table returns the status as lines for people. others are what other members have
// said of themselves, if they were asked.
func (s *Status) Table(others map[uint64]*Status) []string {
	if s.Role == "forming" {
		return []string{fmt.Sprintf("member %d is in no cluster yet: %s", s.ID, s.Reason)}
	}
	span := func(sec int64) string { return commit.Span(time.Duration(sec) * time.Second) }
	memory := humanBytes(s.MemoryUsed) + " of memory"
	if s.MemoryLimit > 0 {
		memory = fmt.Sprintf("%s of %s of memory, %d keys evicted", humanBytes(s.MemoryUsed), humanBytes(s.MemoryLimit), s.EvictedKeys)
	}
	lines := []string{
		fmt.Sprintf("member %d of cluster %s, %s, term %d, leader %s", s.ID, s.Cluster, s.Role, s.Term, cmp.Or(ordinal(s.Leader), "unknown")),
		fmt.Sprintf("raftredis %s, up %s, %d keys, %s, %d clients, %d writes under way", s.Version, span(s.UpSeconds), s.Keys,
			memory, s.Clients, s.PendingWrites),
		"",
	}
	rows := [][]string{{"member", "role", "clients", "peers", "applied", "behind", "log", "snapshots", "free", "sync 99 %", "memory"}}
	for _, m := range s.Members {
		row := []string{ordinal(m.ID), m.Role, cmp.Or(m.ClientAddr, "-"), m.PeerURL, "-", "-", "-", "-", "-", "-", "-"}
		if m.Known {
			row[4], row[5] = cmp.Or(ordinal(m.Match), "-"), span(m.BehindSeconds)
			if !m.Reached {
				row[5] = "silent " + span(m.SilentSeconds)
			}
		}
		own := others[m.ID]
		if m.ID == s.ID {
			own = s
		}
		if own != nil {
			row[4] = ordinal(own.AppliedIndex)
			row[6], row[7], row[8] = humanBytes(int64(own.LogDisk)), humanBytes(int64(own.SnapshotDisk)), humanBytes(int64(own.DiskFree))
			row[9], row[10] = micros(own.SyncP99Micros), humanBytes(own.MemoryUsed)
		}
		rows = append(rows, row)
	}
	lines = append(lines, align(rows)...)
	lines = append(lines, "",
		fmt.Sprintf("log       %d to %d, committed %d, applied %d; %s since the snapshot at %d", s.FirstIndex, s.LastIndex, s.CommitIndex, s.AppliedIndex,
			humanBytes(int64(s.LogBytes)), s.SnapshotIndex),
		fmt.Sprintf("times     sync %s (99 %%: %s), round %s (99 %%: %s), apply 99 %%: %s", micros(s.SyncP50Micros), micros(s.SyncP99Micros),
			micros(s.RoundP50Micros), micros(s.RoundP99Micros), micros(s.ApplyP99Micros)),
	)
	if s.Election.Leader != 0 {
		lines = append(lines, fmt.Sprintf("election  %s, %s ago", s.Election.Text, span(s.Election.AgoSeconds)))
	}
	for _, t := range s.Tasks {
		lines = append(lines, "under way "+t.Text)
	}
	lines = append(lines, "")
	for _, w := range s.Warnings {
		if !slices.ContainsFunc(s.Tasks, func(t TaskStatus) bool { return t.Text == w }) {
			lines = append(lines, "! "+w)
		}
	}
	if len(s.Warnings) == 0 {
		lines = append(lines, "all is well")
	}
	return lines
}

func ordinal(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// micros writes a time that comes from a histogram, so that it is no more exact than that.
func micros(us int64) string {
	switch {
	case us == 0:
		return "-"
	case us < 1000:
		return fmt.Sprintf("%d us", us)
	case us < 1_000_000:
		return fmt.Sprintf("%.1f ms", float64(us)/1000)
	}
	return fmt.Sprintf("%.1f s", float64(us)/1e6)
}

// align makes a table of rows of the same length.
func align(rows [][]string) (lines []string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s", width[i]+2, cell)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}
