package resp

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// adminTimeout bounds commands that ask something of the cluster.
const adminTimeout = 30 * time.Second

func serverFamily() []local {
	const group = "server"
	const admin = command.Admin | command.NoScript
	return []local{
		configContainer(),
		commandContainer(),
		slowlogContainer(),
		latencyContainer(),
		memoryContainer(),
		moduleContainer(),
		replicaof("replicaof", "5.0.0"),
		replicaof("slaveof", "1.0.0"),
		failover(),
		{spec: migrateSpec(), when: slow, run: (*conn).cmdMigrate, secret: migrateSecret},
		{spec: command.Spec{Name: "debug", Arity: -2, Flags: command.Admin | command.NoScript | command.Loading | command.Stale, Group: group, Since: "1.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for debugging commands"}, when: slow, run: (*conn).cmdDebug, role: guarded},
		{spec: command.Spec{Name: "info", Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Arity: -1, Flags: command.Loading | command.Stale | command.Dangerous, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Get information and statistics about the server", Syntax: "[section [section ...]]"}, when: inOrder, run: (*conn).cmdInfo},
		{spec: command.Spec{Name: "time", Tips: "nondeterministic_output", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: group, Since: "2.6.0", Complexity: "O(1)",
			Summary: "Return the current server time"}, when: anytime, run: (*conn).cmdTime},
		{spec: command.Spec{Name: "role", ACL: "admin dangerous", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.Fast, Group: group, Since: "2.8.12", Complexity: "O(1)",
			Summary: "Return the role of the instance in the context of replication"}, when: inOrder, run: (*conn).cmdRole},
		{spec: command.Spec{Name: "wait", Tips: "request_policy:all_shards response_policy:agg_min", ACL: "connection", Arity: 3, Flags: command.NoScript, Group: "generic", Since: "3.0.0", Complexity: "O(1)",
			Summary: "Wait for the replication of all the write commands sent in the context of the current connection", Syntax: "numreplicas timeout"}, when: slow, run: (*conn).cmdWait, role: untimed},
		{spec: command.Spec{Name: "waitaof", Tips: "request_policy:all_shards response_policy:agg_min", ACL: "connection", Arity: 4, Flags: command.NoScript, Group: "generic", Since: "7.2.0", Complexity: "O(1)",
			Summary: "Wait until the writes of this connection are on the disks of this node and of others", Syntax: "numlocal numreplicas timeout"}, when: slow, run: (*conn).cmdWaitAOF, role: untimed},
		{spec: command.Spec{Name: "lastsave", Tips: "nondeterministic_output", ACL: "admin dangerous", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Get the UNIX time stamp of the last successful save to disk"}, when: inOrder, run: func(c *conn, _ [][]byte) { c.enc.Int(c.srv.lastSave()) }},
		{spec: command.Spec{Name: "save", Arity: 1, Flags: admin | command.NoMulti | command.NoAsyncLoading, Group: group, Since: "1.0.0", Complexity: "O(N) where N is the total number of keys in all databases",
			Summary: "Take a snapshot of the data and wait for it"}, when: slow, run: (*conn).cmdSave},
		{spec: command.Spec{Name: "bgsave", Arity: -1, Flags: admin | command.NoAsyncLoading, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Take a snapshot of the data in the background", Syntax: "[SCHEDULE]"}, when: inOrder, run: (*conn).cmdBgsave},
		{spec: command.Spec{Name: "bgrewriteaof", Arity: 1, Flags: admin | command.NoAsyncLoading, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Take a snapshot, behind which the log can be cut off, in the background"}, when: inOrder, run: (*conn).cmdBgrewriteaof},
		{spec: command.Spec{Name: "shutdown", Arity: -1, Flags: admin | command.NoMulti | command.Loading | command.Stale | command.AllowBusy, Group: group, Since: "1.0.0", Complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
			Summary: "Shut this node down", Syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"}, when: inOrder, run: (*conn).cmdShutdown},
		{spec: command.Spec{Name: "monitor", Arity: 1, Flags: admin | command.Loading | command.Stale, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Listen for all requests received by this node in real time"}, when: inOrder, run: (*conn).cmdMonitor},
		{spec: command.Spec{Name: "lolwut", ACL: "read", Arity: -1, Flags: command.Readonly | command.Fast, Group: group, Since: "5.0.0", Complexity: "O(1)",
			Summary: "Display the Redis version that is spoken here", Syntax: "[VERSION version]"}, when: anytime, run: (*conn).cmdLolwut},
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func (c *conn) cmdTime([][]byte) {
	now := c.srv.now()
	c.enc.Array(2)
	c.enc.BulkString(decimal(now.Unix()))
	c.enc.BulkString(decimal(int64(now.Nanosecond() / 1000)))
}

// cmdRole answers in the words of a primary with replicas, so that clients and
// proxies that look for the primary find the leader.
func (c *conn) cmdRole([][]byte) {
	s := c.srv
	t, applied := s.topology(), int64(s.store.AppliedIndex())
	m := t.master()
	if t.leads() {
		far := s.progress()
		replicas := slices.DeleteFunc(t.replicas(), func(p place) bool { return !far.online(&p) })
		c.enc.Array(3)
		c.enc.BulkString("master")
		c.enc.Int(applied)
		c.enc.Array(len(replicas))
		for _, r := range replicas {
			c.enc.Strings(r.host, strconv.Itoa(r.reach(c.tls)), strconv.FormatUint(far.offset(r.id), 10))
		}
		return
	}
	host, port, state := "", 0, "connect"
	if m != nil {
		host, port, state = m.host, m.reach(c.tls), "connected"
		if !s.store.Ready() {
			state = "sync"
		}
	}
	c.enc.Array(5)
	c.enc.BulkString("slave")
	c.enc.BulkString(host)
	c.enc.Int(int64(port))
	c.enc.BulkString(state)
	c.enc.Int(applied)
}

// cmdWait answers how many members beside the leader are known to hold what
// this node has applied, which includes everything that this connection was
// told is done. The leader knows that of each member. Others know that a
// quorum does: nothing is acknowledged before.
func (c *conn) cmdWait(argv [][]byte) {
	want, ok := command.ParseInt(argv[1])
	if !ok {
		c.enc.Error(command.ErrNotInteger)
		return
	}
	ms, ok := c.timeoutOf(argv[2])
	if !ok {
		return
	}
	c.enc.Int(c.waitForHolders(want, ms))
}

// timeoutOf reads the milliseconds that a command is to last. If it answers false, the client has
// got the error.
func (c *conn) timeoutOf(arg []byte) (ms int64, ok bool) {
	ms, ok = command.ParseInt(arg)
	switch {
	case !ok:
		c.enc.Error("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.enc.Error("ERR timeout is negative")
	}
	return ms, ok && ms >= 0
}

// waitForHolders waits up to ms, 0 for ever, until so many members beside the leader
// are known to hold what this node has applied, and returns how many do.
func (c *conn) waitForHolders(want, ms int64) int64 {
	index := c.srv.store.AppliedIndex()
	start := time.Now()
	for {
		have := c.srv.holders(index)
		timeIsUp := ms > 0 && time.Since(start).Milliseconds() >= ms
		if have >= want || timeIsUp || c.executing || c.gone.Load() {
			return have
		}
		select {
		case <-c.srv.stopC:
			return have
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// cmdWaitAOF is younger than Redis 7.0, but today's client libraries know it. Here
// the log is what the append-only file is in Redis, and with appendfsync always
// nothing is applied, here or on any member that holds it, before it is on disk.
func (c *conn) cmdWaitAOF(argv [][]byte) {
	var n [3]int64
	for i := range n {
		var ok bool
		if n[i], ok = command.ParseInt(argv[i+1]); !ok && i < 2 {
			c.enc.Error(command.ErrNotInteger)
			return
		} else if !ok {
			c.enc.Error("ERR timeout is not an integer or out of range")
			return
		}
	}
	switch {
	case n[0] < 0 || n[0] > 1:
		c.enc.Error("ERR value is out of range, must be between 0 and 1")
	case n[1] < 0:
		c.enc.Error("ERR value is out of range, must be positive")
	case n[2] < 0:
		c.enc.Error("ERR timeout is negative")
	case c.srv.settingOf("appendfsync") != "always":
		c.enc.Error("ERR WAITAOF cannot be used unless appendfsync is 'always': it is not known when the log is on disk")
	default:
		have := c.waitForHolders(n[1], n[2])
		c.enc.Array(2)
		c.enc.Int(1)
		c.enc.Int(have)
	}
}

// holders counts the members beside the leader that are known to hold the log
// up to index, which this node has applied.
func (s *Server) holders(index uint64) int64 {
	st := s.cluster.Status()
	var voters, match int64
	for _, m := range st.Members {
		if !m.Learner {
			voters++
		}
		if p, ok := st.Progress[m.ID]; ok && m.ID != st.ID && p.Match >= index {
			match++
		}
	}
	// An applied entry is committed, which takes a majority of the voters.
	return max(match, voters/2)
}

func (s *Server) lastSave() int64 {
	if at := s.store.LastSnapshot(); at != 0 {
		return at
	}
	return s.started.Unix() // as Redis: no earlier than the start
}

func (s *Server) saveStatus() string {
	if s.saveErr.Load() {
		return "err"
	}
	return "ok"
}

// snapshotTimeout bounds what a client may have to wait for a snapshot.
const snapshotTimeout = 10 * time.Minute

// takeSnapshot has the raft node take one, and remembers how it went.
func (s *Server) takeSnapshot() error {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	s.saving.Add(1)
	defer s.saving.Add(-1)
	err := s.cluster.Snapshot(ctx)
	s.saveErr.Store(err != nil)
	return err
}

func (c *conn) cmdSave([][]byte) {
	if c.srv.saving.Load() > 0 {
		c.enc.Error("ERR Background save already in progress")
		return
	}
	c.done(c.srv.takeSnapshot())
}

func (c *conn) cmdBgsave(argv [][]byte) {
	s := c.srv
	switch {
	case len(argv) > 2 || len(argv) == 2 && !command.EqualFold(argv[1], "schedule"):
		c.enc.Error(command.ErrSyntax)
		return
	case s.saving.Load() > 0:
		c.enc.Error("ERR Background save already in progress")
		return
	}
	s.snapshotAside()
	c.enc.Status("Background saving started")
}

// cmdBgrewriteaof makes the log shorter. What takes the place of the commands that go is a
// snapshot, as in Redis's AOF.
func (c *conn) cmdBgrewriteaof([][]byte) {
	if c.srv.saving.Load() > 0 {
		c.enc.Error("ERR Background append only file rewriting already in progress")
		return
	}
	c.srv.snapshotAside()
	c.enc.Status("Background append only file rewriting started")
}

func (s *Server) snapshotAside() {
	go func() {
		if err := s.takeSnapshot(); err != nil {
			s.log.Warn("background save", zap.Error(err))
		}
	}()
}

// done answers a command that something was asked of.
func (c *conn) done(err error) {
	if err != nil {
		c.enc.Error(oneLine(store.Line(err)))
		return
	}
	c.enc.Status("OK")
}

func (c *conn) cmdShutdown(argv [][]byte) {
	var save, nosave, abort, other bool
	for _, a := range argv[1:] {
		switch {
		case command.EqualFold(a, "save"):
			save = true
		case command.EqualFold(a, "nosave"):
			nosave = true
		case command.EqualFold(a, "now"), command.EqualFold(a, "force"):
			other = true
		case command.EqualFold(a, "abort"):
			abort = true
		default:
			c.enc.Error(command.ErrSyntax)
			return
		}
	}
	switch {
	case save && nosave, abort && (save || nosave || other):
		c.enc.Error(command.ErrSyntax)
	case abort:
		c.enc.Error("ERR No shutdown in progress.")
	case c.srv.opts.Stop == nil:
		c.enc.Error("ERR Errors trying to SHUTDOWN. Check logs.")
	default:
		// As Redis: no reply, the connection just ends.
		c.srv.opts.Stop(save)
		c.dead = true
	}
}

func (c *conn) cmdMonitor([][]byte) {
	if !c.monitor {
		c.monitor = true
		c.srv.monitors.Add(1)
	}
	c.enc.Status("OK")
}

func (c *conn) cmdLolwut(argv [][]byte) {
	if len(argv) >= 3 && command.EqualFold(argv[1], "version") {
		if _, ok := command.ParseInt(argv[2]); !ok {
			c.enc.Error(command.ErrNotInteger)
			return
		}
	}
	c.enc.Verbatim("txt", "Redis ver. "+redisVersion+"\n")
}

func slowlogContainer() local {
	const flags = command.Admin | command.Loading | command.Stale
	return local{
		spec: command.Spec{Name: "slowlog", Arity: -2, Group: "server", Since: "2.2.12", Complexity: "Depends on subcommand.", Summary: "A container for slow log commands"},
		subs: []local{
			{spec: command.Spec{Name: "get", Tips: "request_policy:all_nodes nondeterministic_output", Arity: -2, Flags: flags, Since: "2.2.12", Complexity: "O(N) where N is the number of entries returned",
				Summary: "Get the slow log's entries", Syntax: "[count]"}, when: inOrder, run: (*conn).cmdSlowlogGet},
			{spec: command.Spec{Name: "len", Tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output", Arity: 2, Flags: flags, Since: "2.2.12", Complexity: "O(1)",
				Summary: "Get the slow log's length"}, when: inOrder, run: func(c *conn, _ [][]byte) { c.enc.Int(int64(c.srv.slowlog.len())) }},
			{spec: command.Spec{Name: "reset", Tips: "request_policy:all_nodes response_policy:all_succeeded", Arity: 2, Flags: flags, Since: "2.2.12", Complexity: "O(N) where N is the number of entries in the slowlog",
				Summary: "Clear all entries from the slow log"}, when: inOrder, run: func(c *conn, _ [][]byte) {
				c.srv.slowlog.reset()
				c.enc.Status("OK")
			}},
			{spec: *command.Help("slowlog", "server", "6.2.0",
				"GET [<count>]",
				"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
				"    Entries are made of:",
				"    id, timestamp, time in microseconds, arguments array, client IP and port,",
				"    client name",
				"LEN",
				"    Return the length of the slowlog.",
				"RESET",
				"    Reset the slowlog.")},
		},
	}
}

func (c *conn) cmdSlowlogGet(argv [][]byte) {
	count := int64(10)
	if len(argv) > 3 {
		c.enc.Error(subcommandSyntax(argv))
		return
	}
	if len(argv) == 3 {
		var ok bool
		if count, ok = command.ParseInt(argv[2]); !ok || count < -1 {
			c.enc.Error("ERR count should be greater than or equal to -1")
			return
		}
	}
	entries := c.srv.slowlog.latest(int(min(count, math.MaxInt32)))
	c.enc.Array(len(entries))
	for _, e := range entries {
		c.enc.Array(6)
		c.enc.Int(e.id)
		c.enc.Int(e.at.Unix())
		c.enc.Int(int64(e.took))
		c.enc.Strings(e.argv...)
		c.enc.BulkString(e.addr)
		c.enc.BulkString(e.name)
	}
}
