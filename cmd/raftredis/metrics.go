package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/store"
)

var _ prometheus.Collector = (*monitor)(nil)

// metric is one value of the store or of the raft node.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*reading) float64
}

// reading is what one scrape sees.
type reading struct {
	stats           store.Stats
	status          commit.Status
	applied         uint64
	isLeader, ready bool
	outOfMemory     bool
}

func bool01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func metrics() []metric {
	counter, gauge := prometheus.CounterValue, prometheus.GaugeValue
	return []metric{
		{"raft_term", "Raft's term.", gauge, func(r *reading) float64 { return float64(r.status.Term) }},
		{"raft_has_leader", "Whether this node knows a leader.", gauge, func(r *reading) float64 { return bool01(r.status.Leader != 0) }},
		{"raft_is_leader", "Whether this node believes to be the leader.", gauge, func(r *reading) float64 { return bool01(r.isLeader) }},
		{"raft_commit_index", "Highest index known to be committed.", gauge, func(r *reading) float64 { return float64(r.status.Commit) }},
		{"raft_applied_index", "Index of the last entry applied to the keyspace.", gauge, func(r *reading) float64 { return float64(r.applied) }},
		{"raft_first_index", "First index in the log.", gauge, func(r *reading) float64 { return float64(r.status.FirstIndex) }},
		{"raft_last_index", "Last index in the log.", gauge, func(r *reading) float64 { return float64(r.status.LastIndex) }},
		{"raft_snapshot_index", "Index of the last snapshot.", gauge, func(r *reading) float64 { return float64(r.status.SnapshotIndex) }},
		{"raft_log_bytes", "Bytes of log since the last snapshot.", gauge, func(r *reading) float64 { return float64(r.status.LogBytes) }},
		{"raft_disk_low", "Whether the disk of this node is nearly full.", gauge, func(r *reading) float64 { return bool01(r.status.DiskLow) }},
		{"raft_refuses_writes", "Whether clients' writes are refused because too many disks are nearly full.", gauge, func(r *reading) float64 { return bool01(r.status.RefusesWrites) }},
		{"raft_members", "Members of the cluster, learners included.", gauge, func(r *reading) float64 { return float64(len(r.status.Members)) }},
		{"ready", "Whether this node has caught up and knows a leader, as /readyz says.", gauge, func(r *reading) float64 { return bool01(r.ready) }},

		{"entries_applied_total", "Log entries with requests applied.", counter, func(r *reading) float64 { return float64(r.stats.Entries) }},
		{"requests_applied_total", "Requests applied, whoever's.", counter, func(r *reading) float64 { return float64(r.stats.Requests) }},
		{"commands_applied_total", "Write commands applied.", counter, func(r *reading) float64 { return float64(r.stats.Commands) }},
		{"duplicates_dropped_total", "Requests that came again and were dropped.", counter, func(r *reading) float64 { return float64(r.stats.Duplicates) }},
		{"keyspace_hits_total", "Lookups by this node's clients that found the key.", counter, func(r *reading) float64 { return float64(r.stats.Hits) }},
		{"keyspace_misses_total", "Lookups by this node's clients that did not.", counter, func(r *reading) float64 { return float64(r.stats.Misses) }},
		{"keys_expired_total", "Keys deleted because their deadline had passed.", counter, func(r *reading) float64 { return float64(r.stats.Expired) }},
		{"keys_evicted_total", "Keys deleted to make room.", counter, func(r *reading) float64 { return float64(r.stats.Evicted) }},
		{"keys_evicted_late_total", "Of these, those that a write had to delete to make room for itself.", counter, func(r *reading) float64 { return float64(r.stats.EvictedLate) }},
		{"memory_exceeded_seconds_total", "For how long more than maxmemory was used.", counter, func(r *reading) float64 { return r.stats.Exceeded.Seconds() }},
		{"out_of_memory", "Whether writes that need memory are refused: maxmemory is used and nothing may be evicted.", gauge, func(r *reading) float64 { return bool01(r.outOfMemory) }},
		{"proposals_total", "Requests of this node's clients that were sent to the log.", counter, func(r *reading) float64 { return float64(r.stats.Proposals) }},
		{"proposals_retried_total", "Times a request was sent again.", counter, func(r *reading) float64 { return float64(r.stats.Retries) }},
		{"proposals_pending", "Requests that wait for their outcome.", gauge, func(r *reading) float64 { return float64(r.stats.Pending) }},
		{"proposals_pending_bytes", "Their size.", gauge, func(r *reading) float64 { return float64(r.stats.PendingBytes) }},
		{"read_index_rounds_total", "Quorum rounds for linearizable reads.", counter, func(r *reading) float64 { return float64(r.stats.ReadIndexes) }},
		{"snapshots_sent_total", "Snapshots sent to other members.", counter, func(r *reading) float64 { return float64(r.status.SnapshotsSent) }},
		{"log_disk_bytes", "Size of the files of the log.", gauge, func(r *reading) float64 { return float64(r.status.Disk.Log) }},
		{"snapshot_disk_bytes", "Size of the files of snapshots.", gauge, func(r *reading) float64 { return float64(r.status.Disk.Snapshots) }},
		{"disk_free_bytes", "Bytes free for this node on the disk of its data directory.", gauge, func(r *reading) float64 { return float64(r.status.Disk.Free) }},
		{"snapshot_write_last_duration_seconds", "How long the last snapshot body took to write, 0 if there was none.", gauge, func(r *reading) float64 { return max(0, r.stats.LastWrite.Seconds()) }},
		{"apply_longest_hold_seconds", "The longest that applying has kept readers out at a stretch.", gauge, func(r *reading) float64 { return r.stats.LongestHold.Seconds() }},
		{"snapshots_total", "Snapshot bodies written.", counter, func(r *reading) float64 { return float64(r.stats.Snapshots) }},
	}
}

// desc describes a metric with labels.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("raftredis_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector. It describes nothing: what there is depends
// on who leads and what clients do, and the registry then checks what it collects.
func (m *monitor) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *monitor) Collect(c chan<- prometheus.Metric) {
	out := sink{c}
	out.gauge(desc("build_info", "1, with the version.", "version"), 1, release)
	tasks := m.tasks.List(commit.TaskPatience)
	out.gauge(desc("tasks", "How much is going on that has taken longer than two seconds: see raftredis_task_done_ratio."), float64(len(tasks)))
	for _, t := range tasks {
		member := strconv.FormatUint(t.Member, 10)
		out.gauge(desc("task_done_ratio", "How much is done of what has taken longer than two seconds.", "task", "member", "id"), t.Part(), string(t.Kind), member, strconv.FormatUint(t.ID, 10))
		out.gauge(desc("task_age_seconds", "How long that has taken so far.", "task", "member", "id"), t.Age.Seconds(), string(t.Kind), member, strconv.FormatUint(t.ID, 10))
	}
	if w := m.watched.Load(); w != nil {
		out.node(w)
	}
	if f := m.front.Load(); f != nil {
		out.front(f)
	}
}

// sink is where collected metrics go.
type sink struct{ c chan<- prometheus.Metric }

func (s sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s sink) counter(d *prometheus.Desc, value float64, labels ...string) {
	s.c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

func (s sink) histogram(d *prometheus.Desc, h *commit.Durations, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Buckets))
	for _, b := range h.Buckets {
		buckets[b.UpTo.Seconds()] = b.Count
	}
	s.c <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum.Seconds(), buckets, labels...)
}

// node collects what the store and the raft node have counted.
func (s sink) node(w *watched) {
	r := reading{stats: w.store.Stats(), status: w.cluster.Status(), applied: w.store.AppliedIndex(), isLeader: w.cluster.IsLeader(), ready: w.store.Ready(), outOfMemory: w.store.OutOfMemory()}
	for _, x := range metrics() {
		s.c <- prometheus.MustNewConstMetric(desc(x.name, x.help), x.kind, x.value(&r))
	}
	for _, db := range w.store.Keyspaces() {
		label := strconv.Itoa(db.DB)
		s.gauge(desc("keys", "Keys in a database.", "db"), float64(db.Keys), label)
		s.gauge(desc("keys_with_expiry", "Keys in a database that have a deadline.", "db"), float64(db.Expires), label)
	}
	s.histogram(desc("sync_duration_seconds", "How long it took to make a batch of entries durable on this node."), &r.status.Syncs)
	s.histogram(desc("round_duration_seconds", "On the leader: from when an entry went into the log until it was committed; of one entry at a time."), &r.status.Rounds)
	s.histogram(desc("apply_duration_seconds", "How long it took to apply a batch of entries."), &r.stats.Applies)

	outcomes := desc("proposal_outcomes_total", "Requests of this node's clients by what became of them: applied, refused (nothing was applied), overloaded (refused because too many waited), unknown.", "outcome")
	s.counter(outcomes, float64(r.stats.Applied), "applied")
	s.counter(outcomes, float64(r.stats.Refused-r.stats.Overloaded), "refused")
	s.counter(outcomes, float64(r.stats.Overloaded), "overloaded")
	s.counter(outcomes, float64(r.stats.Unknown), "unknown")

	elections := desc("raft_elections_total", "Elections that this node has seen end, by why there was one, as far as it knows.", "reason")
	for _, reason := range commit.ElectionReasons() {
		s.counter(elections, float64(r.status.Elections[reason]), string(reason))
	}
	if r.status.Leader != 0 {
		leader := strconv.FormatUint(r.status.Leader, 10)
		s.gauge(desc("raft_leader_info", "1, with the id of the member that leads as far as this node knows.", "leader"), 1, leader)
	}
	s.members(&r.status)
}

// members collects what a leader knows of the others, and since when links work.
func (s sink) members(st *commit.Status) {
	for _, m := range st.Members {
		if m.ID == st.ID {
			continue
		}
		id := strconv.FormatUint(m.ID, 10)
		_, linked := st.Links[m.ID]
		s.gauge(desc("member_link_up", "Whether the links from this node to a member work.", "member"), bool01(linked), id)
		p, known := st.Progress[m.ID]
		if !known {
			continue
		}
		s.gauge(desc("member_match_index", "On the leader: highest index known to be durable on a member.", "member"), float64(p.Match), id)
		s.gauge(desc("member_lag_entries", "On the leader: entries that a member lacks.", "member"), float64(st.LastIndex-min(p.Match, st.LastIndex)), id)
		s.gauge(desc("member_lag_seconds", "On the leader: how old the first entry is that a member lacks, 0 below two seconds.", "member"), p.Behind.Seconds(), id)
		s.gauge(desc("member_active", "On the leader: whether a member has answered within an election timeout.", "member"), bool01(p.RecentActive), id)
		s.gauge(desc("member_silent_seconds", "On the leader: how long ago a member last answered.", "member"), p.Silent.Seconds(), id)
		s.gauge(desc("member_disk_low", "On the leader: whether a member has said that its disk is nearly full.", "member"), bool01(p.DiskLow), id)
	}
}

// front collects what clients do.
func (s sink) front(f *resp.Server) {
	m := f.Measures()
	s.gauge(desc("clients", "Connected clients."), float64(m.Clients))
	s.gauge(desc("clients_limit", "The most clients that may connect (maxclients)."), float64(m.MaxClients))
	s.gauge(desc("clients_blocked", "Clients that wait in a blocking command."), float64(m.BlockedClients))
	s.gauge(desc("clients_paused", "Clients that wait because of CLIENT PAUSE or a handover."), float64(m.PausedClients))
	s.gauge(desc("clients_tracking", "Clients that are told which keys change (CLIENT TRACKING)."), float64(m.TrackingClients))
	s.counter(desc("connections_total", "Connections accepted."), float64(m.Connections))
	s.counter(desc("connections_rejected_total", "Connections refused because of maxclients."), float64(m.RejectedConnections))
	s.counter(desc("clients_disconnected_total", "Clients cut off because a buffer of theirs had grown too large."), float64(m.Disconnected))
	s.gauge(desc("client_input_buffer_bytes", "What the input buffers of all clients hold."), float64(m.InputBuffers))
	s.gauge(desc("client_output_buffer_bytes", "What the output buffers of all clients hold."), float64(m.OutputBuffers))
	s.counter(desc("client_received_bytes_total", "Bytes received from clients."), float64(m.NetIn))
	s.counter(desc("client_sent_bytes_total", "Bytes sent to clients."), float64(m.NetOut))
	s.gauge(desc("memory_used_bytes", "What keys and values need, as used_memory in INFO: the same on all members."), float64(m.MemoryUsed))
	s.gauge(desc("memory_limit_bytes", "What they may need (maxmemory), 0: any."), float64(m.MemoryLimit))
	s.gauge(desc("memory_rss_bytes", "Memory that the system counts for the process."), float64(m.MemoryRSS))
	s.gauge(desc("memory_peak_bytes", "The most of memory_used_bytes that was seen."), float64(m.MemoryPeak))
	for code, n := range m.Errors {
		s.counter(desc("error_replies_total", "Error replies to clients, by their first word.", "error"), float64(n), code)
	}
	for i := range m.Commands {
		x := &m.Commands[i]
		s.counter(desc("commands_total", "Commands of this node's clients executed.", "command", "family"), float64(x.Calls), x.Name, x.Family)
		s.counter(desc("commands_seconds_total", "Time that this node took to execute them.", "command", "family"), x.Took.Seconds(), x.Name, x.Family)
		s.counter(desc("commands_failed_total", "Those that ended with an error.", "command", "family"), float64(x.Failed), x.Name, x.Family)
		s.counter(desc("commands_rejected_total", "Those that were refused before they were executed.", "command", "family"), float64(x.Rejected), x.Name, x.Family)
	}
	for i := range m.Families {
		x := &m.Families[i]
		if x.Executions.Count > 0 {
			s.histogram(desc("command_duration_seconds", "How long this node took to execute commands of its clients, by family.", "family"), &x.Executions, x.Family)
		}
		if x.Waits.Count > 0 {
			s.histogram(desc("command_wait_seconds", "How long clients waited for commands that go through the log, by family.", "family"), &x.Waits, x.Family)
		}
	}
}

// peerTraffic returns the bytes that came from and went to other members, as
// etcd's transport counts them.
func peerTraffic() (in, out int64) {
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		return 0, 0 // some collector is broken: /metrics says so
	}
	for _, f := range families {
		n := &in
		switch f.GetName() {
		case "etcd_network_peer_received_bytes_total":
		case "etcd_network_peer_sent_bytes_total":
			n = &out
		default:
			continue
		}
		for _, m := range f.GetMetric() {
			*n += int64(m.GetCounter().GetValue())
		}
	}
	return in, out
}
