package resp

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store"
)

// infoText writes INFO: sections with lines of name:value. Monitoring tools
// parse them, so names are Redis's wherever the thing exists here, and a thing
// that does not exist here (AOF, RDB children) is shown as idle rather than left
// out.
type infoText struct {
	strings.Builder
	srv *Server
	tls bool // who asks has come over TLS, and is told those ports
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
	asked     bool // shown only to who names it
}

// infoSections are INFO's sections in order.
func infoSections() []infoSection {
	return []infoSection{
		{name: "server", byDefault: true, write: (*infoText).server},
		{name: "clients", byDefault: true, write: (*infoText).clients},
		{name: "memory", byDefault: true, write: (*infoText).memory},
		{name: "persistence", byDefault: true, write: (*infoText).persistence},
		{name: "stats", byDefault: true, write: (*infoText).stats},
		{name: "replication", byDefault: true, write: (*infoText).replication},
		{name: "cpu", byDefault: true, write: (*infoText).cpu},
		{name: "modules", byDefault: true, write: func(t *infoText) { t.section("Modules") }},
		{name: "commandstats", write: (*infoText).commandStats},
		{name: "errorstats", byDefault: true, write: (*infoText).errorStats},
		{name: "latencystats", write: (*infoText).latencyStats},
		{name: "cluster", byDefault: true, write: (*infoText).cluster},
		{name: "keyspace", byDefault: true, write: (*infoText).keyspace},
		{name: "waitstats", write: (*infoText).waitStats},
		{name: "raft", byDefault: true, write: (*infoText).raft},
		{name: "sentinel", asked: true, write: (*infoText).sentinel}, // of a Sentinel, which this is beside everything else
	}
}

func (c *conn) cmdInfo(argv [][]byte) {
	var names []string
	for _, a := range argv[1:] {
		names = append(names, strings.ToLower(string(a)))
	}
	c.enc.Verbatim("txt", c.srv.info(names, c.tls))
}

// info writes the named sections; none: the default ones.
func (s *Server) info(names []string, tls bool) string {
	t := &infoText{srv: s, tls: tls}
	all := slices.Contains(names, "all") || slices.Contains(names, "everything")
	def := len(names) == 0 || slices.Contains(names, "default")
	for _, sec := range infoSections() {
		if all && !sec.asked || def && sec.byDefault || slices.Contains(names, sec.name) {
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
	t.line("redis_mode", s.mode())
	t.line("os", system+" "+release+" "+machine)
	t.line("arch_bits", strconv.IntSize)
	t.line("monotonic_clock", "Go runtime")
	t.line("multiplexing_api", s.plain.Name())
	t.line("atomicvar_api", "go-builtin")
	t.line("gcc_version", "0.0.0") // what Redis says when another compiler built it
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
	t.line("config_file", s.settingOf("config-file"))
	t.line("io_threads_active", 0)
}

func (t *infoText) clients() {
	s := t.srv
	var maxIn int
	var maxOut int64
	n, paused := 0, 0
	s.eachClient(func(c *conn) {
		n++
		_, _, omem := c.pending()
		c.face.mu.Lock()
		defer c.face.mu.Unlock()
		maxIn, maxOut = max(maxIn, c.face.qbuf+c.face.qbufFree), max(maxOut, omem)
		if c.face.paused {
			paused++
		}
	})
	t.section("Clients")
	t.line("connected_clients", n)
	t.line("cluster_connections", 0)
	t.line("maxclients", s.config().MaxClients)
	t.line("client_recent_max_input_buffer", maxIn)
	t.line("client_recent_max_output_buffer", maxOut)
	blocked := s.store.Blocked()
	t.line("blocked_clients", blocked+paused)
	t.line("tracking_clients", s.store.TrackingStats().Clients)
	t.line("clients_in_timeout_table", blocked)
}

func (t *infoText) memory() {
	s := t.srv
	m := s.memoryUse()
	limit, _ := directive.ParseMemory(s.settingOf("maxmemory"))
	t.section("Memory")
	t.bytes("used_memory", m.used)
	t.bytes("used_memory_rss", m.rss)
	t.bytes("used_memory_peak", m.peak)
	t.line("used_memory_peak_perc", fmt.Sprintf("%.2f%%", 100*float64(m.used)/float64(max(m.peak, 1))))
	t.line("used_memory_overhead", m.overhead)
	t.zeros("used_memory_startup") // it counts what the state needs, and an empty one needs nothing
	t.line("used_memory_dataset", m.used-m.overhead)
	t.line("used_memory_dataset_perc", fmt.Sprintf("%.2f%%", 100*float64(m.used-m.overhead)/float64(max(m.used, 1))))
	t.line("allocator_allocated", m.objects)
	t.line("allocator_active", m.active)
	t.line("allocator_resident", m.resident)
	t.bytes("total_system_memory", m.system)
	scripts, scriptBytes, libraries, functions := s.store.Scripts()
	t.zeros("used_memory_lua", "used_memory_vm_eval")
	t.line("used_memory_lua_human", humanBytes(0))
	t.line("used_memory_scripts_eval", scriptBytes)
	t.line("number_of_cached_scripts", scripts)
	t.line("number_of_functions", functions)
	t.line("number_of_libraries", libraries)
	t.zeros("used_memory_vm_functions", "used_memory_vm_total")
	t.line("used_memory_vm_total_human", humanBytes(0))
	t.zeros("used_memory_functions")
	t.bytes("used_memory_scripts", int64(scriptBytes))
	t.bytes("maxmemory", limit)
	t.line("maxmemory_policy", s.settingOf("maxmemory-policy"))
	t.line("allocator_frag_ratio", ratio(m.active, m.objects))
	t.line("allocator_frag_bytes", m.active-m.objects)
	t.line("allocator_rss_ratio", ratio(m.resident, m.active))
	t.line("allocator_rss_bytes", m.resident-m.active)
	t.line("rss_overhead_ratio", ratio(m.rss, m.resident))
	t.line("rss_overhead_bytes", m.rss-m.resident)
	t.line("mem_fragmentation_ratio", ratio(m.rss, m.used))
	t.line("mem_fragmentation_bytes", m.rss-m.used)
	// Replication has no buffers of its own: members are sent the log. And what the node
	// needs for itself is not in used_memory in the first place.
	t.zeros("mem_not_counted_for_evict", "mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves")
	t.line("mem_clients_normal", m.clients)
	t.zeros("mem_cluster_links", "mem_aof_buffer")
	t.line("mem_allocator", "go")
	t.zeros("active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects")
	// What the process has beside the state, that Redis has no words for.
	t.line("mem_proposals", m.proposals)
	t.line("mem_eviction_policy", m.learned)
	t.line("mem_gc_headroom", m.headroom)
	t.line("mem_runtime", m.runtime)
}

func ratio(a, b int64) string { return fmt.Sprintf("%.2f", float64(a)/float64(max(b, 1))) }

// persistence describes the snapshots as RDB files and the raft log as an
// append-only file: in all that matters to a client they are. Nothing forks, hence
// no copy-on-write, and no AOF is ever rewritten.
func (t *infoText) persistence() {
	s := t.srv
	st, ready := s.store.Stats(), s.store.Readiness()
	seconds := func(d time.Duration) int64 {
		if d < 0 {
			return -1
		}
		return int64(d.Seconds())
	}
	t.section("Persistence")
	t.line("loading", oneIf(!ready.Serving))
	t.line("async_loading", 0)
	t.zeros("current_cow_peak", "current_cow_size", "current_cow_size_age")
	t.line("current_fork_perc", percent(0, 0))
	t.zeros("current_save_keys_processed", "current_save_keys_total")
	t.line("rdb_changes_since_last_save", st.Unsaved)
	t.line("rdb_bgsave_in_progress", oneIf(st.Writing >= 0 || s.saving.Load() > 0))
	t.line("rdb_last_save_time", s.lastSave())
	t.line("rdb_last_bgsave_status", s.saveStatus())
	t.line("rdb_last_bgsave_time_sec", seconds(st.LastWrite))
	t.line("rdb_current_bgsave_time_sec", seconds(st.Writing))
	t.line("rdb_saves", st.Snapshots-s.base.Load().store.Snapshots)
	t.line("rdb_last_cow_size", 0)
	t.line("rdb_last_load_keys_expired", 0) // they are loaded, and deleted by the log
	t.line("rdb_last_load_keys_loaded", st.LoadedKeys)
	t.line("aof_enabled", 1)
	t.zeros("aof_rewrite_in_progress", "aof_rewrite_scheduled")
	t.line("aof_last_rewrite_time_sec", -1)
	t.line("aof_current_rewrite_time_sec", -1)
	t.line("aof_last_bgrewrite_status", "ok")
	t.zeros("aof_rewrites", "aof_rewrites_consecutive_failures")
	writing := "ok"
	if s.cluster.RefusesWrites() {
		writing = "err" // as in Redis while it answers MISCONF
	}
	t.line("aof_last_write_status", writing)
	t.zeros("aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size")
	t.line("aof_current_size", s.cluster.Status().LogBytes)
	t.zeros("aof_base_size", "aof_pending_rewrite", "aof_buffer_length", "aof_pending_bio_fsync", "aof_delayed_fsync")
	if !ready.Serving {
		in := s.cluster.Status().Incoming
		done, total := in.Received, in.Total
		for _, task := range s.opts.Tasks.List(0) {
			if task.Kind == commit.LoadSnapshot { // it is there, or was from the start
				done, total = task.Done, task.Total
			}
		}
		t.line("loading_start_time", s.downFrom.Load()/1000)
		t.line("loading_total_bytes", total)
		t.line("loading_rdb_used_mem", 0)
		t.line("loading_loaded_bytes", done)
		t.line("loading_loaded_perc", percent(done, total))
		t.line("loading_eta_seconds", eta(done, total, s.downSeconds()))
		t.line("loading_reason", ready.Reason)
	}
}

// eta is how many seconds the rest of something takes, as Redis reckons.
func eta(done, total, elapsed int64) int64 {
	if elapsed <= 0 {
		return 1
	}
	return elapsed * (total - done) / (done + 1)
}

// zeros writes fields that are 0 on any node: of what there is not, or what never
// goes on.
func (t *infoText) zeros(names ...string) {
	for _, name := range names {
		t.line(name, 0)
	}
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

func percent(part, whole int64) string {
	return fmt.Sprintf("%.2f", 100*float64(part)/float64(max(whole, 1)))
}

func (t *infoText) stats() {
	s := t.srv
	st, base := s.store.Stats(), s.base.Load()
	ops, in, out := s.rates.perSecond()
	_, replIn, replOut := s.peers.perSecond()
	peerIn, peerOut := s.opts.PeerTraffic()
	_, _, errs := s.stats.errorCounts()
	kbps := func(bytes float64) string { return fmt.Sprintf("%.2f", bytes/1024) }
	t.section("Stats")
	t.line("total_connections_received", s.stats.connections.Load())
	t.line("total_commands_processed", s.stats.commands.Load())
	t.line("instantaneous_ops_per_sec", int64(ops))
	t.line("total_net_input_bytes", s.stats.netIn.Load())
	t.line("total_net_output_bytes", s.stats.netOut.Load())
	t.line("total_net_repl_input_bytes", peerIn-base.peerIn)
	t.line("total_net_repl_output_bytes", peerOut-base.peerOut)
	t.line("instantaneous_input_kbps", kbps(in))
	t.line("instantaneous_output_kbps", kbps(out))
	t.line("instantaneous_input_repl_kbps", kbps(replIn))
	t.line("instantaneous_output_repl_kbps", kbps(replOut))
	t.line("rejected_connections", s.stats.rejected.Load())
	t.line("sync_full", s.cluster.Status().SnapshotsSent-base.snapshotsSent)
	t.zeros("sync_partial_ok", "sync_partial_err")
	t.line("expired_keys", st.Expired-base.store.Expired)
	t.line("expired_stale_perc", percent(0, 0)) // no key is left to be found by chance
	t.zeros("expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds")
	t.line("evicted_keys", st.Evicted-base.store.Evicted)
	t.line("evicted_keys_late", st.EvictedLate-base.store.EvictedLate) // not Redis's: see store.Stats
	t.line("evicted_clients", s.stats.evictedClients.Load())
	t.line("total_eviction_exceeded_time", (st.Exceeded - base.store.Exceeded).Milliseconds())
	t.line("current_eviction_exceeded_time", s.store.Memory().Exceeded.Milliseconds())
	t.line("keyspace_hits", st.Hits-base.store.Hits)
	t.line("keyspace_misses", st.Misses-base.store.Misses)
	t.line("pubsub_channels", s.store.CountSubscribed(store.Channels))
	t.line("pubsub_patterns", s.store.CountSubscribed(store.Patterns))
	t.line("pubsubshard_channels", s.store.CountSubscribed(store.ShardChannels))
	// Nothing forks here. What Redis stands still for while it does is for us the
	// capture of the state.
	snapshots := st.Snapshots - base.store.Snapshots
	if snapshots == 0 {
		st.LastCapture = 0
	}
	t.line("latest_fork_usec", st.LastCapture.Microseconds())
	t.line("total_forks", snapshots)
	t.zeros("migrate_cached_sockets", "slave_expires_tracked_keys",
		"active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses",
		"total_active_defrag_time", "current_active_defrag_time")
	tracked := s.store.TrackingStats()
	t.line("tracking_total_keys", tracked.Keys)
	t.line("tracking_total_items", tracked.Items)
	t.line("tracking_total_prefixes", tracked.Prefixes)
	t.zeros("unexpected_error_replies")
	t.line("total_error_replies", errs)
	t.line("dump_payload_sanitizations", 0)
	t.line("total_reads_processed", s.stats.reads.Load())
	t.line("total_writes_processed", s.stats.writes.Load())
	t.zeros("io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands")
	t.line("client_query_buffer_limit_disconnections", s.stats.queryLimit.Load())
	t.line("client_output_buffer_limit_disconnections", s.stats.outputKill.Load())
}

// downSeconds is how long the node has not been ready.
func (s *Server) downSeconds() int64 {
	from := s.downFrom.Load()
	if from == 0 {
		return 0
	}
	return max(0, s.now().UnixMilli()-from) / 1000
}

// replication describes the cluster in the words of a primary with replicas:
// the leader is the master, and the applied index is the offset.
func (t *infoText) replication() {
	s := t.srv
	at, far := s.topology(), s.progress()
	st, applied := far.Status, far.applied
	t.section("Replication")
	if at.leads() {
		replicas := at.replicas()
		t.line("role", "master")
		t.line("connected_slaves", len(replicas))
		for i := range replicas {
			r := &replicas[i]
			state := "wait_bgsave"
			if far.online(r) {
				state = "online"
			}
			t.line(fmt.Sprintf("slave%d", i), fmt.Sprintf("ip=%s,port=%d,state=%s,offset=%d,lag=%d", r.host, r.reach(t.tls), state, far.offset(r.id), oneIf(!r.up)))
		}
	} else {
		host, port := "", 0
		if m := at.master(); m != nil {
			host, port = m.host, m.reach(t.tls)
		}
		in, behind := st.Incoming, st.Incoming.Index > applied
		up, heard := "down", -1
		if s.store.Ready() && host != "" {
			up, heard = "up", 0
		}
		t.line("role", "slave")
		t.line("master_host", host)
		t.line("master_port", port)
		t.line("master_link_status", up)
		t.line("master_last_io_seconds_ago", heard)
		t.line("master_sync_in_progress", oneIf(behind))
		t.line("slave_read_repl_offset", applied)
		t.line("slave_repl_offset", applied)
		if behind {
			t.line("master_sync_total_bytes", in.Total)
			t.line("master_sync_read_bytes", in.Received)
			t.line("master_sync_left_bytes", in.Total-in.Received)
			t.line("master_sync_perc", percent(in.Received, in.Total))
			t.line("master_sync_last_io_seconds_ago", int64(time.Since(in.LastIO).Seconds()))
		}
		if up == "down" {
			t.line("master_link_down_since_seconds", s.downSeconds())
		}
		t.line("slave_priority", 100)
		t.line("slave_read_only", 0) // a write to a follower goes to the leader
		t.line("replica_announced", 1)
		t.line("connected_slaves", 0)
	}
	t.line("master_failover_state", s.failoverState())
	t.line("master_replid", fmt.Sprintf("%040x", st.ClusterID))
	t.line("master_replid2", strings.Repeat("0", 40))
	t.line("master_repl_offset", applied)
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
	// No thread is the main one: they all do what Redis's does.
	t.line("used_cpu_sys_main_thread", seconds(system))
	t.line("used_cpu_user_main_thread", seconds(user))
}

func (t *infoText) cluster() {
	t.section("Cluster")
	t.line("cluster_enabled", oneIf(t.srv.config().ClusterEnabled))
}

func (t *infoText) keyspace() {
	t.section("Keyspace")
	for _, db := range t.srv.store.Keyspaces() {
		t.line(fmt.Sprintf("db%d", db.DB), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d", db.Keys, db.Expires, db.AvgTTL))
	}
}

// splitAddr splits host:port, and returns "" and "0" of what is not known.
func splitAddr(addr string) (host, port string) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr, "0"
	}
	return strings.Trim(addr[:i], "[]"), addr[i+1:]
}

// settingOf returns another part's directive, "" if it has none of that name.
func (s *Server) settingOf(name string) string {
	for i := range s.others {
		if s.others[i].Name == name {
			return s.others[i].Get()
		}
	}
	return ""
}
