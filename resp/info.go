package resp

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// infoText writes INFO: sections with lines of name:value. Monitoring tools
// parse them, so names are Redis's wherever the thing exists here, and a thing
// that does not exist here (AOF, RDB children) is shown as idle rather than left
// out.
type infoText struct {
	strings.Builder
	srv *Server
}

func (t *infoText) section(name string) {
	if t.Len() > 0 {
		t.WriteString("\r\n")
	}
	t.WriteString("# " + name + "\r\n")
}

func (t *infoText) line(name string, value any) { fmt.Fprintf(t, "%s:%v\r\n", name, value) }

// bytes writes a size and, as name_human, the same for people.
func (t *infoText) bytes(name string, n int64) {
	t.line(name, n)
	t.line(name+"_human", humanBytes(n))
}

// infoSection is one section of INFO. A plain INFO shows those byDefault.
type infoSection struct {
	name      string
	byDefault bool
	write     func(*infoText)
}

// infoSections are INFO's sections in order.
func infoSections() []infoSection {
	return []infoSection{
		{"server", true, (*infoText).server},
		{"clients", true, (*infoText).clients},
		{"memory", true, (*infoText).memory},
		{"persistence", true, (*infoText).persistence},
		{"stats", true, (*infoText).stats},
		{"replication", true, (*infoText).replication},
		{"cpu", true, (*infoText).cpu},
		{"modules", true, func(t *infoText) { t.section("Modules") }},
		{"commandstats", false, (*infoText).commandStats},
		{"errorstats", true, (*infoText).errorStats},
		{"latencystats", false, (*infoText).latencyStats},
		{"cluster", true, (*infoText).cluster},
		{"keyspace", true, (*infoText).keyspace},
		{"raft", true, (*infoText).raft},
	}
}

func (c *conn) cmdInfo(argv [][]byte) {
	var names []string
	for _, a := range argv[1:] {
		names = append(names, strings.ToLower(string(a)))
	}
	c.enc.Verbatim("txt", c.srv.info(names))
}

// info writes the named sections; none: the default ones.
func (s *Server) info(names []string) string {
	t := &infoText{srv: s}
	all := slices.Contains(names, "all") || slices.Contains(names, "everything")
	def := len(names) == 0 || slices.Contains(names, "default")
	for _, sec := range infoSections() {
		if all || def && sec.byDefault || slices.Contains(names, sec.name) {
			sec.write(t)
		}
	}
	return t.String()
}

func (t *infoText) server() {
	s := t.srv
	cfg := s.config()
	up := int64(s.now().Sub(s.started).Seconds())
	system, release, machine := uname()
	executable, _ := os.Executable()
	port := cfg.Port
	if port == 0 {
		port = cfg.TLSPort
	}
	t.section("Server")
	t.line("redis_version", redisVersion)
	t.line("redis_git_sha1", "00000000")
	t.line("redis_git_dirty", 0)
	t.line("redis_build_id", "0")
	t.line("redis_mode", "standalone")
	t.line("os", system+" "+release+" "+machine)
	t.line("arch_bits", strconv.IntSize)
	t.line("monotonic_clock", "Go runtime")
	t.line("multiplexing_api", s.plain.name())
	t.line("go_version", strings.TrimPrefix(runtime.Version(), "go"))
	t.line("raftredis_version", s.opts.Version)
	t.line("process_id", os.Getpid())
	t.line("process_supervised", "no")
	t.line("run_id", s.opts.RunID)
	t.line("tcp_port", port)
	t.line("server_time_usec", s.now().UnixMicro())
	t.line("uptime_in_seconds", up)
	t.line("uptime_in_days", up/86400)
	t.line("hz", 10)
	t.line("configured_hz", 10)
	t.line("lru_clock", s.now().Unix()&(1<<24-1))
	t.line("executable", executable)
	t.line("config_file", s.extraValue("config-file"))
	t.line("io_threads_active", 0)
}

func (t *infoText) clients() {
	s := t.srv
	var blocked, maxIn int
	var maxOut int64
	n := 0
	s.eachClient(func(c *conn) {
		n++
		_, _, omem := c.pending()
		c.face.mu.Lock()
		defer c.face.mu.Unlock()
		if c.face.blocked {
			blocked++
		}
		maxIn, maxOut = max(maxIn, c.face.qbuf+c.face.qbufFree), max(maxOut, omem)
	})
	t.section("Clients")
	t.line("connected_clients", n)
	t.line("cluster_connections", 0)
	t.line("maxclients", s.config().MaxClients)
	t.line("client_recent_max_input_buffer", maxIn)
	t.line("client_recent_max_output_buffer", maxOut)
	t.line("blocked_clients", blocked)
	t.line("tracking_clients", 0)
	t.line("clients_in_timeout_table", blocked)
}

func (t *infoText) memory() {
	m := memoryUse()
	limit, _ := ParseMemory(t.srv.extraValue("maxmemory"))
	policy := t.srv.extraValue("maxmemory-policy")
	if policy == "" {
		policy = "noeviction"
	}
	peak := t.srv.peakMemory(m.used)
	t.section("Memory")
	t.bytes("used_memory", m.used)
	t.bytes("used_memory_rss", m.rss)
	t.bytes("used_memory_peak", peak)
	t.line("used_memory_peak_perc", fmt.Sprintf("%.2f%%", 100*float64(m.used)/float64(max(peak, 1))))
	startup := t.srv.startMemory
	data := max(0, m.used-startup)
	t.line("used_memory_overhead", m.used-data)
	t.line("used_memory_startup", startup)
	t.line("used_memory_dataset", data)
	t.line("used_memory_dataset_perc", fmt.Sprintf("%.2f%%", 100*float64(data)/float64(max(data, m.used, 1))))
	t.line("allocator_allocated", m.used)
	t.line("allocator_active", m.active)
	t.line("allocator_resident", m.resident)
	t.bytes("total_system_memory", m.system)
	t.line("used_memory_lua", 0)
	t.line("used_memory_scripts", 0)
	t.line("number_of_cached_scripts", 0)
	t.bytes("maxmemory", limit)
	t.line("maxmemory_policy", policy)
	t.line("allocator_frag_ratio", ratio(m.active, m.used))
	t.line("allocator_frag_bytes", m.active-m.used)
	t.line("allocator_rss_ratio", ratio(m.resident, m.active))
	t.line("allocator_rss_bytes", m.resident-m.active)
	t.line("rss_overhead_ratio", ratio(m.rss, m.resident))
	t.line("rss_overhead_bytes", m.rss-m.resident)
	t.line("mem_fragmentation_ratio", ratio(m.rss, m.used))
	t.line("mem_fragmentation_bytes", m.rss-m.used)
	t.line("mem_allocator", "go")
	t.line("active_defrag_running", 0)
	t.line("lazyfree_pending_objects", 0)
}

func ratio(a, b int64) string { return fmt.Sprintf("%.2f", float64(a)/float64(max(b, 1))) }

func (t *infoText) persistence() {
	s := t.srv
	loading := 0
	if !s.store.Loaded() {
		loading = 1
	}
	t.section("Persistence")
	t.line("loading", loading)
	t.line("async_loading", 0)
	t.line("rdb_changes_since_last_save", s.store.Stats().Commands)
	t.line("rdb_bgsave_in_progress", s.saving.Load())
	t.line("rdb_last_save_time", s.lastSave())
	t.line("rdb_last_bgsave_status", s.saveStatus())
	t.line("rdb_saves", s.store.Stats().Snapshots)
	t.line("aof_enabled", 1) // the raft log is an append-only file in all that matters to a client
	t.line("aof_rewrite_in_progress", 0)
	t.line("aof_rewrite_scheduled", 0)
	t.line("aof_last_bgrewrite_status", "ok")
	writing := "ok"
	if s.store.RefusesWrites() {
		writing = "err" // as in Redis while it answers MISCONF
	}
	t.line("aof_last_write_status", writing)
}

func (t *infoText) stats() {
	s := t.srv
	st := s.store.Stats()
	ops, in, out := s.rates.perSecond()
	_, _, errs := s.stats.errorCounts()
	t.section("Stats")
	t.line("total_connections_received", s.stats.connections.Load())
	t.line("total_commands_processed", s.stats.commands.Load())
	t.line("instantaneous_ops_per_sec", int64(ops))
	t.line("total_net_input_bytes", s.stats.netIn.Load())
	t.line("total_net_output_bytes", s.stats.netOut.Load())
	t.line("instantaneous_input_kbps", fmt.Sprintf("%.2f", in/1024))
	t.line("instantaneous_output_kbps", fmt.Sprintf("%.2f", out/1024))
	t.line("rejected_connections", s.stats.rejected.Load())
	t.line("sync_full", 0)
	t.line("sync_partial_ok", 0)
	t.line("sync_partial_err", 0)
	t.line("expired_keys", st.Expired)
	t.line("evicted_keys", 0)
	t.line("evicted_clients", 0)
	t.line("client_query_buffer_limit_disconnections", s.stats.queryLimit.Load())
	t.line("client_output_buffer_limit_disconnections", s.stats.outputKill.Load())
	t.line("pubsub_channels", 0)
	t.line("pubsub_patterns", 0)
	// Nothing forks here. What Redis stands still for while it does is for us the
	// capture of the state.
	t.line("latest_fork_usec", st.LastCapture.Microseconds())
	t.line("total_forks", st.Snapshots)
	t.line("total_error_replies", errs)
	t.line("total_reads_processed", s.stats.reads.Load())
	t.line("total_writes_processed", s.stats.writes.Load())
}

// replication describes the cluster in the words of a primary with replicas:
// the leader is the master, and the applied index is the offset.
func (t *infoText) replication() {
	s := t.srv
	st := s.store.Status()
	t.section("Replication")
	if s.store.IsLeader() {
		t.line("role", "master")
		slaves := s.replicas()
		t.line("connected_slaves", len(slaves))
		for i, r := range slaves {
			t.line(fmt.Sprintf("slave%d", i), fmt.Sprintf("ip=%s,port=%s,state=%s,offset=%d,lag=%d", r.host, r.port, r.state, r.offset, r.lag))
		}
	} else {
		id, addr := s.store.Leader()
		host, port := splitAddr(addr)
		up := "down"
		if id != 0 {
			up = "up"
		}
		t.line("role", "slave")
		t.line("master_host", host)
		t.line("master_port", port)
		t.line("master_link_status", up)
		t.line("master_last_io_seconds_ago", 0)
		t.line("master_sync_in_progress", 0)
		t.line("slave_read_repl_offset", st.Applied)
		t.line("slave_repl_offset", st.Applied)
		t.line("slave_priority", 100)
		t.line("slave_read_only", 0) // a write to a follower goes to the leader
		t.line("replica_announced", 1)
		t.line("connected_slaves", 0)
	}
	t.line("master_failover_state", "no-failover")
	t.line("master_replid", fmt.Sprintf("%040x", st.ClusterID))
	t.line("master_replid2", strings.Repeat("0", 40))
	t.line("master_repl_offset", st.Applied)
	t.line("second_repl_offset", -1)
	t.line("repl_backlog_active", 1)
	t.line("repl_backlog_size", st.LogBytes)
	t.line("repl_backlog_first_byte_offset", st.FirstIndex)
	t.line("repl_backlog_histlen", int64(st.LastIndex)-int64(st.FirstIndex)+1)
}

func (t *infoText) cpu() {
	user, system := cpuTimes()
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
	t.section("CPU")
	t.line("used_cpu_sys", seconds(system))
	t.line("used_cpu_user", seconds(user))
	t.line("used_cpu_sys_children", seconds(0))
	t.line("used_cpu_user_children", seconds(0))
}

// commandStats shows what commands cost this node. A write's time is not part of
// it: it runs on every node, when the log has it.
func (t *infoText) commandStats() {
	t.section("Commandstats")
	t.srv.eachCommand(func(cm *cmd) {
		calls, usec := cm.calls.Load(), cm.nanos.Load()/1000
		rejected, failed := cm.rejected.Load(), cm.failed.Load()
		if calls == 0 && rejected == 0 && failed == 0 {
			return
		}
		perCall := 0.0
		if calls > 0 {
			perCall = float64(cm.nanos.Load()) / 1000 / float64(calls)
		}
		t.line("cmdstat_"+cm.name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d", calls, usec, perCall, rejected, failed))
	})
}

func (t *infoText) errorStats() {
	t.section("Errorstats")
	codes, counts, _ := t.srv.stats.errorCounts()
	for i, code := range codes {
		t.line("errorstat_"+code, fmt.Sprintf("count=%d", counts[i]))
	}
}

func (t *infoText) latencyStats() {
	t.section("Latencystats")
	t.srv.eachCommand(func(cm *cmd) {
		if cm.latency.percentile(50) > 0 {
			t.line("latency_percentiles_usec_"+cm.name, fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f", cm.latency.percentile(50), cm.latency.percentile(99), cm.latency.percentile(99.9)))
		}
	})
}

func (t *infoText) cluster() {
	t.section("Cluster")
	t.line("cluster_enabled", 0)
}

func (t *infoText) keyspace() {
	t.section("Keyspace")
	for _, db := range t.srv.store.Keyspaces() {
		t.line(fmt.Sprintf("db%d", db.DB), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d", db.Keys, db.Expires, db.AvgTTL))
	}
}

func (t *infoText) raft() {
	t.section("Raft")
	for _, p := range t.srv.raftStatus() {
		t.line("raft_"+p.name, p.value)
	}
}

// pair is one line of RAFT INFO. The value is a string or an int64.
type pair struct {
	name  string
	value any
}

// raftStatus is what RAFT INFO answers and INFO shows as # Raft.
func (s *Server) raftStatus() []pair {
	st, n := s.store.Status(), s.store.Stats()
	voters, learners := 0, 0
	for _, m := range st.Members {
		if m.Learner {
			learners++
		} else {
			voters++
		}
	}
	_, leaderAddr := s.store.Leader()
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
	}
}

// replica is a follower, as Redis would show one.
type replica struct {
	id         uint64
	host, port string
	state      string
	offset     uint64
	lag        int
}

// replicas lists the other members, as the leader sees them.
func (s *Server) replicas() []replica {
	st := s.store.Status()
	var all []replica
	for _, m := range st.Members {
		if m.ID == st.ID {
			continue
		}
		p, known := st.Progress[m.ID]
		r := replica{id: m.ID, state: "wait_bgsave", offset: p.Match}
		r.host, r.port = splitAddr(m.ClientAddr)
		if known && p.RecentActive && p.State != "snapshot" {
			r.state = "online"
		}
		if known && !p.RecentActive {
			r.lag = 1
		}
		all = append(all, r)
	}
	return all
}

func splitAddr(addr string) (host, port string) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr, "0"
	}
	return strings.Trim(addr[:i], "[]"), addr[i+1:]
}

// extraValue returns another part's directive, "" if it has none of that name.
func (s *Server) extraValue(name string) string {
	for i := range s.opts.Extra {
		if s.opts.Extra[i].Name == name {
			return s.opts.Extra[i].Get()
		}
	}
	return ""
}
