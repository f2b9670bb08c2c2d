package resp

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/store/command"
)

// What only a cluster of shards can do. Redis has no texts for these, but for the few
// that clusterFamily gives by themselves.
const (
	errOneShard    = "ERR slots cannot be moved: every member has all keys, and the leader is the master of all slots"
	errMeet        = "ERR nodes do not meet: a node is started with --join, or added with RAFT ADD"
	errForget      = "ERR a member is not forgotten but removed: RAFT REMOVE"
	errReset       = "ERR a member cannot be reset: RAFT REMOVE takes it out, and its data directory can be deleted then"
	errConfigEpoch = "ERR the epoch is raft's term, which nobody sets"
	errTakeover    = "ERR TAKEOVER is not possible without the majority that elects a leader"
)

// errClusterDown is the answer to a question about slots while no master can be named.
// An empty list of slots would be taken for the new state of things; of an error clients
// keep what they know, and ask another node.
const errClusterDown = "CLUSTERDOWN The cluster is down"

// clusterFamily speaks Redis Cluster's dialect, in which all of the data is one shard
// that the leader is the master of. It does so whether cluster-enabled is set or not.
func clusterFamily() []local {
	const (
		show   = command.Stale
		admin  = command.Admin | command.Stale
		change = command.Admin | command.Stale | command.NoAsyncLoading
	)
	nodes := "O(N) where N is the total number of Cluster nodes"
	sub := func(name string, arity int, flags command.Flags, since, complexity, summary, syntax string, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Complexity: complexity, Summary: summary, Syntax: syntax}, when: inOrder, run: run}
	}
	instead := func(of local, since, by string) local {
		of.spec.DeprecatedSince, of.spec.ReplacedBy = since, by
		return of
	}
	slowly := func(l local) local { l.when = slow; return l }
	const many = "O(N) where N is the total number of the slots between the start slot and end slot arguments."
	return []local{
		{
			spec: command.Spec{Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Complexity: "Depends on subcommand.", Summary: "A container for cluster commands"},
			subs: []local{
				sub("info", 2, show, "3.0.0", "O(1)", "Provides info about Redis Cluster node state", "", (*conn).cmdClusterInfo).tips("nondeterministic_output"),
				sub("myid", 2, show, "3.0.0", "O(1)", "Return the node id", "", func(c *conn, _ [][]byte) { c.enc.BulkString(c.srv.myName()) }),
				sub("nodes", 2, show, "3.0.0", nodes, "Get Cluster config for the node", "", (*conn).cmdClusterNodes).tips("nondeterministic_output"),
				instead(sub("slots", 2, show, "3.0.0", nodes, "Get array of Cluster slot to node mappings", "", (*conn).cmdClusterSlots).tips("nondeterministic_output"), "7.0.0", "`CLUSTER SHARDS`"),
				sub("shards", 2, show, "7.0.0", "O(N) where N is the total number of cluster nodes", "Get array of cluster slots to node mappings", "", (*conn).cmdClusterShards).tips("nondeterministic_output"),
				sub("links", 2, show, "7.0.0", nodes, "Returns a list of all TCP links to and from peer nodes in cluster", "", (*conn).cmdClusterLinks).tips("nondeterministic_output"),
				sub("keyslot", 3, show, "3.0.0", "O(N) where N is the number of bytes in the key", "Returns the hash slot of the specified key", "key", func(c *conn, argv [][]byte) { c.enc.Int(int64(slotOf(argv[2]))) }),
				slowly(sub("countkeysinslot", 3, show, "3.0.0", "O(1)", "Return the number of local keys in the specified hash slot", "slot", (*conn).cmdCountKeysInSlot)),
				slowly(sub("getkeysinslot", 4, show, "3.0.0", "O(log(N)) where N is the number of requested keys", "Return local key names in the specified hash slot", "slot count", (*conn).cmdGetKeysInSlot).tips("nondeterministic_output")),
				sub("replicas", 3, admin, "5.0.0", "O(1)", "List replica nodes of the specified master node", "node-id", (*conn).cmdClusterReplicas).tips("nondeterministic_output"),
				instead(sub("slaves", 3, admin, "3.0.0", "O(1)", "List replica nodes of the specified master node", "node-id", (*conn).cmdClusterReplicas).tips("nondeterministic_output"), "5.0.0", "`CLUSTER REPLICAS`"),
				sub("count-failure-reports", 3, admin, "3.0.0", "O(N) where N is the number of failure reports", "Return the number of failure reports active for a given node", "node-id", (*conn).cmdFailureReports).tips("nondeterministic_output"),
				sub("failover", -2, change, "3.0.0", "O(1)", "Forces a replica to perform a manual failover of its master.", "[FORCE | TAKEOVER]", (*conn).cmdClusterFailover),
				sub("saveconfig", 2, change, "3.0.0", "O(1)", "Forces the node to save cluster state on disk", "", func(c *conn, _ [][]byte) { c.enc.Status("OK") }), // it is in the log
				sub("bumpepoch", 2, change, "3.0.0", "O(1)", "Advance the cluster config epoch", "", func(c *conn, _ [][]byte) {
					c.enc.Status("STILL " + strconv.FormatUint(c.srv.topology().epoch, 10))
				}).tips("nondeterministic_output"),
				sub("addslots", -3, change, "3.0.0", "O(N) where N is the total number of hash slot arguments", "Assign new hash slots to receiving node", "slot [slot ...]", (*conn).cmdAddSlots),
				sub("addslotsrange", -4, change, "7.0.0", many, "Assign new hash slots to receiving node", "start-slot end-slot [start-slot end-slot ...]", (*conn).cmdAddSlots),
				sub("delslots", -3, change, "3.0.0", "O(N) where N is the total number of hash slot arguments", "Set hash slots as unbound in receiving node", "slot [slot ...]", refused(errOneShard)),
				sub("delslotsrange", -4, change, "7.0.0", many, "Set hash slots as unbound in receiving node", "start-slot end-slot [start-slot end-slot ...]", refused(errOneShard)),
				sub("flushslots", 2, change, "3.0.0", "O(1)", "Delete a node's own slots information", "", refused(errOneShard)),
				sub("setslot", -4, change, "3.0.0", "O(1)", "Bind a hash slot to a specific node", "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>", refused(errOneShard)),
				sub("meet", -4, change, "3.0.0", "O(1)", "Force a node cluster to handshake with another node", "ip port [cluster_bus_port]", refused(errMeet)),
				sub("forget", 3, change, "3.0.0", "O(1)", "Remove a node from the nodes table", "node-id", (*conn).cmdClusterForget),
				sub("replicate", 3, change, "3.0.0", "O(1)", "Reconfigure a node as a replica of the specified master node", "node-id", (*conn).cmdClusterReplicate),
				sub("reset", -2, admin|command.NoScript, "3.0.0", "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.", "Reset a Redis Cluster node", "[HARD | SOFT]", refused(errReset)),
				sub("set-config-epoch", 3, change, "3.0.0", "O(1)", "Set the configuration epoch in a new node", "config-epoch", refused(errConfigEpoch)),
				{spec: *command.Help("cluster", "cluster", "5.0.0", clusterHelp()...)},
			},
		},
		{spec: command.Spec{Name: "asking", ACL: "connection", Arity: 1, Flags: command.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
			Summary: "Sent by cluster clients after an -ASK redirect"}, when: anytime, run: func(c *conn, _ [][]byte) { c.enc.Status("OK") }},
	}
}

func clusterHelp() []string {
	return []string{
		"ADDSLOTS <slot> [<slot> ...]",
		"    Assign slots to current node.",
		"ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
		"    Assign slots which are between <start-slot> and <end-slot> to current node.",
		"BUMPEPOCH",
		"    Advance the cluster config epoch.",
		"COUNT-FAILURE-REPORTS <node-id>",
		"    Return number of failure reports for <node-id>.",
		"COUNTKEYSINSLOT <slot>",
		"    Return the number of keys in <slot>.",
		"DELSLOTS <slot> [<slot> ...]",
		"    Delete slots information from current node.",
		"DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
		"    Delete slots information which are between <start-slot> and <end-slot> from current node.",
		"FAILOVER [FORCE|TAKEOVER]",
		"    Promote current replica node to being a master.",
		"FORGET <node-id>",
		"    Remove a node from the cluster.",
		"GETKEYSINSLOT <slot> <count>",
		"    Return key names stored by current node in a slot.",
		"FLUSHSLOTS",
		"    Delete current node own slots information.",
		"INFO",
		"    Return information about the cluster.",
		"KEYSLOT <key>",
		"    Return the hash slot for <key>.",
		"MEET <ip> <port> [<bus-port>]",
		"    Connect nodes into a working cluster.",
		"MYID",
		"    Return the node id.",
		"NODES",
		"    Return cluster configuration seen by node. Output format:",
		"    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
		"REPLICATE <node-id>",
		"    Configure current node as replica to <node-id>.",
		"RESET [HARD|SOFT]",
		"    Reset current node (default: soft).",
		"SET-CONFIG-EPOCH <epoch>",
		"    Set config epoch of current node.",
		"SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
		"    Set slot state.",
		"REPLICAS <node-id>",
		"    Return <node-id> replicas.",
		"SAVECONFIG",
		"    Force saving cluster configuration on disk.",
		"SLOTS",
		"    Return information about slots range mappings. Each range is made of:",
		"    start, end, master and replicas IP addresses, ports and ids",
		"SHARDS",
		"    Return information about slot range mappings and the nodes associated with them.",
		"LINKS",
		"    Return information about all network links between this node and its peers.",
		"    Output format is an array where each array element is a map containing attributes of a link",
	}
}

// myName is this node's name in the dialects.
func (s *Server) myName() string {
	st := s.cluster.Standing()
	return nodeName(st.Cluster, st.Self)
}

func (c *conn) cmdClusterInfo([][]byte) {
	t := c.srv.topology()
	state, ok, fail, size := "ok", slots, 0, 1
	if t.master() == nil {
		state, ok, fail, size = "fail", 0, slots, 0
	}
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s:%v\r\n", name, value) }
	line("cluster_state", state)
	line("cluster_slots_assigned", slots)
	line("cluster_slots_ok", ok)
	line("cluster_slots_pfail", 0)
	line("cluster_slots_fail", fail)
	line("cluster_known_nodes", len(t.members))
	line("cluster_size", size)
	line("cluster_current_epoch", t.epoch)
	line("cluster_my_epoch", t.epoch)
	// There is no cluster bus: members send each other raft's messages.
	line("cluster_stats_messages_sent", 0)
	line("cluster_stats_messages_received", 0)
	line("total_cluster_links_buffer_limit_exceeded", 0)
	c.enc.Verbatim("txt", b.String())
}

func (c *conn) cmdClusterNodes([][]byte) {
	t := c.srv.topology()
	var b strings.Builder
	for i := range t.members {
		b.WriteString(c.nodeLine(t, &t.members[i]) + "\n")
	}
	c.enc.Verbatim("txt", b.String())
}

// nodeLine describes a member as CLUSTER NODES does.
func (c *conn) nodeLine(t *topology, p *place) string {
	var flags []string
	add := func(is bool, flag string) {
		if is {
			flags = append(flags, flag)
		}
	}
	add(p.id == t.self, "myself")
	add(p.leads, "master")
	add(!p.leads, "slave")
	add(!p.up && t.leads(), "fail")
	add(!p.up && !t.leads(), "fail?") // it is this node's opinion
	add(p.host == "", "noaddr")
	add(p.learner, "nofailover")
	master, slots, link := "-", "", "connected"
	if m := t.master(); p.leads {
		slots = " 0-16383"
	} else if m != nil {
		master = m.node
	}
	pong := c.srv.now().UnixMilli()
	if p.id == t.self {
		pong -= pong % 1000
	}
	if !p.up {
		link, pong = "disconnected", 0
	}
	name := ""
	if p.name != "" {
		name = "," + p.name
	}
	return fmt.Sprintf("%s %s:%d@%d%s %s %s 0 %d %d %s%s", p.node, p.host, p.reach(c.tls), p.busPort, name,
		strings.Join(flags, ","), master, pong, t.epoch, link, slots)
}

// clients are the members that clients can be sent to: the master, and the replicas in
// order behind it. nil, after an error was answered, if there is no master to be named.
func (c *conn) clients(t *topology) []place {
	m := t.master()
	if m == nil {
		c.enc.Error(errClusterDown)
		return nil
	}
	return append([]place{*m}, t.replicas()...)
}

func (c *conn) cmdClusterSlots([][]byte) {
	t := c.srv.topology()
	var all []place
	for _, p := range c.clients(t) {
		if p.leads || p.up { // as Redis, which leaves out replicas that have failed
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return
	}
	c.enc.Array(1)
	c.enc.Array(2 + len(all))
	c.enc.Int(0)
	c.enc.Int(slots - 1)
	prefer := c.srv.config().EndpointType
	for _, p := range all {
		c.enc.Array(4)
		switch endpoint := p.endpoint(prefer); endpoint {
		case "":
			c.enc.Null()
		default:
			c.enc.BulkString(endpoint)
		}
		c.enc.Int(int64(p.reach(c.tls)))
		c.enc.BulkString(p.node)
		var more []string
		if prefer != "ip" {
			more = append(more, "ip", p.host)
		}
		if prefer != "hostname" && p.name != "" {
			more = append(more, "hostname", p.name)
		}
		c.enc.Map(len(more) / 2)
		for _, s := range more {
			c.enc.BulkString(s)
		}
	}
}

// endpoint is where clients are told to connect to, "": to the host that they have
// asked.
func (p *place) endpoint(prefer string) string {
	switch {
	case prefer == "hostname" && p.name != "":
		return p.name
	case prefer == "hostname":
		return "?"
	case prefer == "unknown-endpoint":
		return ""
	}
	return p.host
}

func (c *conn) cmdClusterShards([][]byte) {
	t, far := c.srv.topology(), c.srv.progress()
	all := c.clients(t)
	if all == nil {
		return
	}
	c.enc.Array(1)
	c.enc.Map(2)
	c.enc.BulkString("slots")
	c.enc.Array(2)
	c.enc.Int(0)
	c.enc.Int(slots - 1)
	c.enc.BulkString("nodes")
	c.enc.Array(len(all))
	prefer := c.srv.config().EndpointType
	for i := range all {
		p := &all[i]
		plain, tls := p.port, p.tlsPort
		if plain == tls {
			plain = 0 // there is none
		}
		role, health := "replica", "online"
		if p.leads {
			role = "master"
		}
		switch {
		case !p.up:
			health = "failed"
		case !far.online(p):
			health = "loading"
		}
		fields := []pair{{"id", p.node}}
		add := func(is bool, name string, value any) {
			if is {
				fields = append(fields, pair{name, value})
			}
		}
		add(plain != 0, "port", int64(plain))
		add(tls != 0, "tls-port", int64(tls))
		add(true, "ip", p.host)
		add(true, "endpoint", p.endpoint(prefer))
		add(p.name != "", "hostname", p.name)
		add(true, "role", role)
		add(true, "replication-offset", int64(far.offset(p.id)))
		add(true, "health", health)
		c.pairs(fields)
	}
}

// pairs answers with a map of strings and numbers.
func (c *conn) pairs(all []pair) {
	c.enc.Map(len(all))
	for _, p := range all {
		c.enc.BulkString(p.name)
		if n, ok := p.value.(int64); ok {
			c.enc.Int(n)
		} else {
			c.enc.BulkString(fmt.Sprint(p.value))
		}
	}
}

// cmdClusterLinks lists a link each way for each member that there are links to.
func (c *conn) cmdClusterLinks([][]byte) {
	t, far := c.srv.topology(), c.srv.progress()
	var links [][]pair
	for _, p := range t.members {
		since := far.linkedSince(p.id)
		if since == 0 {
			continue
		}
		for _, direction := range []string{"to", "from"} {
			links = append(links, []pair{{"direction", direction}, {"node", p.node}, {"create-time", since}, {"events", "r"},
				{"send-buffer-allocated", int64(0)}, {"send-buffer-used", int64(0)}})
		}
	}
	c.enc.Array(len(links))
	for _, l := range links {
		c.pairs(l)
	}
}

// member finds the member of a name, or says that there is none.
func (c *conn) member(t *topology, name []byte) *place {
	p := t.find(func(p *place) bool { return strings.EqualFold(p.node, string(name)) })
	if p == nil {
		c.enc.Error(oneLine("ERR Unknown node " + cString(name, len(name))))
	}
	return p
}

func (c *conn) cmdClusterReplicas(argv [][]byte) {
	t := c.srv.topology()
	p := c.member(t, argv[2])
	switch {
	case p == nil:
		return
	case !p.leads:
		c.enc.Error("ERR The specified node is not a master")
		return
	}
	var lines []string
	for i := range t.members {
		if r := &t.members[i]; !r.leads {
			lines = append(lines, c.nodeLine(t, r))
		}
	}
	c.enc.Strings(lines...)
}

// cmdFailureReports counts this node's own opinion: members do not report to each other.
func (c *conn) cmdFailureReports(argv [][]byte) {
	if p := c.member(c.srv.topology(), argv[2]); p != nil {
		c.enc.Int(int64(oneIf(!p.up)))
	}
}

func (c *conn) cmdClusterForget(argv [][]byte) {
	t := c.srv.topology()
	switch p := c.member(t, argv[2]); {
	case p == nil:
	case p.id == t.self:
		c.enc.Error("ERR I tried hard but I can't forget myself...")
	case p.leads:
		c.enc.Error("ERR Can't forget my master!")
	default:
		c.enc.Error(errForget)
	}
}

func (c *conn) cmdClusterReplicate(argv [][]byte) {
	t := c.srv.topology()
	switch p := c.member(t, argv[2]); {
	case p == nil:
	case p.id == t.self:
		c.enc.Error("ERR Can't replicate myself")
	case !p.leads:
		c.enc.Error("ERR I can only replicate a master, not a replica.")
	case t.leads():
		c.enc.Error("ERR To set a master the node must be empty and without assigned slots.")
	default:
		c.enc.Status("OK") // it is so
	}
}

// cmdAddSlots answers as Redis does if all slots have a master, which is so here.
func (c *conn) cmdAddSlots(argv [][]byte) {
	ranges := command.EqualFold(argv[1], "addslotsrange")
	if ranges && len(argv)%2 != 0 {
		c.enc.Error(command.ErrArity("cluster|addslotsrange"))
		return
	}
	var given []int64
	for _, a := range argv[2:] {
		slot, ok := command.ParseInt(a)
		if !ok || slot < 0 || slot >= slots {
			c.enc.Error("ERR Invalid or out of range slot")
			return
		}
		given = append(given, slot)
	}
	for i := 0; ranges && i < len(given); i += 2 {
		if given[i] > given[i+1] {
			c.enc.Error(fmt.Sprintf("ERR start slot number %d is greater than end slot number %d", given[i], given[i+1]))
			return
		}
	}
	c.enc.Error(fmt.Sprintf("ERR Slot %d is already busy", given[0]))
}

// slot reads a slot, and says what is wrong with it.
func (c *conn) slot(arg []byte, wrong string) (slot int, ok bool) {
	n, ok := command.ParseInt(arg)
	switch {
	case !ok:
		c.enc.Error(command.ErrNotInteger)
	case n < 0 || n >= slots:
		ok = false
		c.enc.Error(wrong)
	}
	return int(n), ok
}

func (c *conn) cmdCountKeysInSlot(argv [][]byte) {
	if slot, ok := c.slot(argv[2], "ERR Invalid slot"); ok {
		c.enc.Int(int64(len(c.keysInSlot(slot, math.MaxInt))))
	}
}

func (c *conn) cmdGetKeysInSlot(argv [][]byte) {
	const wrong = "ERR Invalid slot or number of keys"
	most, ok := command.ParseInt(argv[3])
	if !ok {
		c.enc.Error(command.ErrNotInteger)
		return
	}
	slot, ok := c.slot(argv[2], wrong)
	switch {
	case !ok:
	case most < 0:
		c.enc.Error(wrong)
	default:
		c.enc.Strings(c.keysInSlot(slot, int(most))...)
	}
}

// keysInSlot looks for the keys of a slot among all keys of database 0: there is no
// index by slot, since nothing but these commands needs one. It lets go of the store's
// lock between portions, and so what is written meanwhile may be missed.
func (c *conn) keysInSlot(slot, most int) []string {
	s := c.srv
	found := keyScan{cursor: "0"}
	scan := s.opts.Table.Lookup([]byte("scan"))
	var keys []string
	for len(keys) < most && !c.gone.Load() {
		argv := [][]byte{[]byte("scan"), []byte(found.cursor), []byte("count"), []byte("1000")}
		found = keyScan{}
		r := s.store.BeginRead()
		r.Do(0, scan, argv, &found)
		r.End()
		for _, key := range found.keys {
			if slotOf([]byte(key)) == slot && len(keys) < most {
				keys = append(keys, key)
			}
		}
		if found.cursor == "0" {
			break
		}
	}
	// SCAN may bring a key twice.
	slices.Sort(keys)
	return slices.Compact(keys)
}

// keyScan takes the reply of SCAN.
type keyScan struct {
	command.Discard
	cursor string
	keys   []string
}

// Bulk takes a key.
func (k *keyScan) Bulk(b []byte) { k.BulkString(string(b)) }

// BulkString takes the cursor, and then keys.
func (k *keyScan) BulkString(s string) {
	if k.cursor == "" {
		k.cursor = s
	} else {
		k.keys = append(k.keys, s)
	}
}
