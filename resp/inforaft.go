package resp

import (
	"fmt"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/command"
)

func (t *infoText) raft() {
	t.section("Raft")
	for _, p := range t.srv.raftStatus() {
		t.line("raft_"+p.name, p.value)
	}
	// What takes longer than two seconds; no line if there is nothing.
	for i, x := range t.srv.opts.Tasks.List(commit.TaskPatience) {
		t.line(fmt.Sprintf("raft_task%d", i), fmt.Sprintf("kind=%s,member=%d,done=%d,total=%d,unit=%s,perc=%.2f,elapsed_seconds=%d,eta_seconds=%d",
			x.Kind, x.Member, x.Done, x.Total, x.Unit, 100*x.Part(), seconds(x.Age), seconds(x.Left())))
	}
}

// pair is one line of RAFT INFO. The value is a string or an int64.
type pair struct {
	name  string
	value any
}

// raftStatus is what RAFT INFO answers and INFO shows as # Raft.
func (s *Server) raftStatus() []pair {
	st, n := s.cluster.Status(), s.store.Stats()
	voters, learners := 0, 0
	for _, m := range st.Members {
		if m.Learner {
			learners++
		} else {
			voters++
		}
	}
	_, leaderAddr := s.cluster.Leader()
	num := func(n uint64) int64 { return int64(n) }
	bit := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	return []pair{
		{"node_id", num(st.ID)},
		{"cluster_id", fmt.Sprintf("%016x", st.ClusterID)},
		{"role", st.Role},
		{"leader_id", num(st.Leader)},
		{"leader_addr", leaderAddr},
		{"term", num(st.Term)},
		{"commit_index", num(st.Commit)},
		{"applied_index", num(s.store.AppliedIndex())},
		{"first_index", num(st.FirstIndex)},
		{"last_index", num(st.LastIndex)},
		{"snapshot_index", num(st.SnapshotIndex)},
		{"log_bytes", num(st.LogBytes)},
		{"disk_low", bit(st.DiskLow)},
		{"refuses_writes", bit(st.RefusesWrites)},
		{"voters", int64(voters)},
		{"learners", int64(learners)},
		{"level", num(uint64(s.store.Level()))},
		{"level_known", num(uint64(command.Latest))},
		{"level_waits", s.store.LevelWaits()},
		{"read_mode", s.config().ReadMode},
		{"entries_applied", num(n.Entries)},
		{"requests_applied", num(n.Requests)},
		{"commands_applied", num(n.Commands)},
		{"duplicates_dropped", num(n.Duplicates)},
		{"proposals", num(n.Proposals)},
		{"proposal_retries", num(n.Retries)},
		{"proposals_refused", num(n.Refused)},
		{"proposals_overloaded", num(n.Overloaded)},
		{"proposals_unknown", num(n.Unknown)},
		{"pending_requests", int64(n.Pending)},
		{"pending_bytes", int64(n.PendingBytes)},
		{"read_index_rounds", num(n.ReadIndexes)},
		{"snapshots_written", num(n.Snapshots)},
		{"log_disk_bytes", num(st.Disk.Log)},
		{"snapshot_disk_bytes", num(st.Disk.Snapshots)},
		{"disk_free_bytes", num(st.Disk.Free)},
		{"sync_p99_usec", st.Syncs.Quantile(0.99).Microseconds()},
		{"round_p99_usec", st.Rounds.Quantile(0.99).Microseconds()},
		{"apply_p99_usec", n.Applies.Quantile(0.99).Microseconds()},
		{"last_election", st.Election.String()},
		{"last_election_reason", string(st.Election.Reason)},
	}
}
