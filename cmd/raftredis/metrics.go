package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/raftredis/raftredis/raftnode/commit"
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
		{"proposals_total", "Requests of this node's clients.", counter, func(r *reading) float64 { return float64(r.stats.Proposals) }},
		{"proposals_retried_total", "Times a request was sent again.", counter, func(r *reading) float64 { return float64(r.stats.Retries) }},
		{"proposals_refused_total", "Requests that ended with: nothing was applied.", counter, func(r *reading) float64 { return float64(r.stats.Refused) }},
		{"proposals_overloaded_total", "Requests refused because too many were waiting.", counter, func(r *reading) float64 { return float64(r.stats.Overloaded) }},
		{"proposals_unknown_total", "Requests that ended with: the outcome is unknown.", counter, func(r *reading) float64 { return float64(r.stats.Unknown) }},
		{"proposals_pending", "Requests that wait for their outcome.", gauge, func(r *reading) float64 { return float64(r.stats.Pending) }},
		{"proposals_pending_bytes", "Their size.", gauge, func(r *reading) float64 { return float64(r.stats.PendingBytes) }},
		{"read_index_rounds_total", "Quorum rounds for linearizable reads.", counter, func(r *reading) float64 { return float64(r.stats.ReadIndexes) }},
		{"snapshots_total", "Snapshot bodies written.", counter, func(r *reading) float64 { return float64(r.stats.Snapshots) }},
	}
}

func (m metric) desc() *prometheus.Desc {
	return prometheus.NewDesc("raftredis_"+m.name, m.help, nil, nil)
}

// descKeys and its like have a label per database.
func descKeys() *prometheus.Desc {
	return prometheus.NewDesc("raftredis_keys", "Keys in a database.", []string{"db"}, nil)
}

func descExpires() *prometheus.Desc {
	return prometheus.NewDesc("raftredis_keys_with_expiry", "Keys in a database that have a deadline.", []string{"db"}, nil)
}

// Describe implements prometheus.Collector.
func (m *monitor) Describe(c chan<- *prometheus.Desc) {
	for _, x := range metrics() {
		c <- x.desc()
	}
	c <- descKeys()
	c <- descExpires()
}

// Collect implements prometheus.Collector.
func (m *monitor) Collect(c chan<- prometheus.Metric) {
	w := m.watched.Load()
	if w == nil {
		return
	}
	s := w.store
	r := reading{stats: s.Stats(), status: w.cluster.Status(), applied: s.AppliedIndex(), isLeader: w.cluster.IsLeader(), ready: s.Ready()}
	for _, x := range metrics() {
		c <- prometheus.MustNewConstMetric(x.desc(), x.kind, x.value(&r))
	}
	for _, db := range s.Keyspaces() {
		label := strconv.Itoa(db.DB)
		c <- prometheus.MustNewConstMetric(descKeys(), prometheus.GaugeValue, float64(db.Keys), label)
		c <- prometheus.MustNewConstMetric(descExpires(), prometheus.GaugeValue, float64(db.Expires), label)
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
