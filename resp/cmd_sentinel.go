package resp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/glob"
)

const (
	errNoMaster     = "ERR No such master with that name"
	errMonitor      = "ERR this node watches its own cluster and no other"
	errUnmonitor    = "ERR a cluster cannot stop watching itself"
	errSentinelSet  = "ERR what a Sentinel is told to do follows here from the cluster: cluster-node-timeout is when a leader is replaced, and the quorum is a majority of the voters"
	errSentinelConf = "ERR addresses and passwords are the node's own: see cluster-announce-ip, cluster-announce-port and requirepass"
	errNoDebug      = "ERR there are no such timers: raft's follow from cluster-node-timeout"
	errNoSimulation = "ERR failures are not simulated"
)

// sentinelFamily speaks Sentinel's dialect: every member is a Sentinel that watches one
// master, its own cluster's leader. Its commands answer at any time: that there is nobody
// to be named is an answer, too.
func sentinelFamily() []local {
	sub := func(name string, arity int, since, complexity, summary, syntax string, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: command.Admin, Since: since, Complexity: complexity, Summary: summary, Syntax: syntax}, when: inOrder, run: run}.as(always | harmless)
	}
	of := func(name, since, complexity, summary string, run func(*conn, *topology)) local {
		return sub(name, 3, since, complexity, summary, "master-name", func(c *conn, argv [][]byte) {
			if !c.watches(argv[2]) {
				c.enc.Error(errNoMaster)
				return
			}
			run(c, c.srv.topology())
		})
	}
	about := func(name string, arity int, since, complexity, summary, syntax, line string) local {
		return sub(name, arity, since, complexity, summary, syntax, func(c *conn, argv [][]byte) {
			if !c.watches(argv[2]) {
				c.enc.Error(errNoMaster)
				return
			}
			c.enc.Error(line)
		})
	}
	slaves := of("slaves", "2.8.0", "O(N) where N is the number of slaves", "List the monitored slaves", (*conn).sentinelReplicas)
	slaves.spec.DeprecatedSince, slaves.spec.ReplacedBy = "5.0.0", "`SENTINEL REPLICAS`"
	failover := of("failover", "2.8.4", "", "Force a failover", (*conn).sentinelFailover)
	failover.role = always
	return []local{{
		spec: command.Spec{Name: "sentinel", Arity: -2, Flags: command.Admin, Group: "sentinel", Since: "2.8.4", Complexity: "Depends on subcommand.", Summary: "A container for Sentinel commands"},
		subs: []local{
			sub("masters", 2, "2.8.4", "O(N) where N is the number of masters", "List the monitored masters", "", func(c *conn, _ [][]byte) {
				c.enc.Array(1)
				c.sentinelMaster(c.srv.topology())
			}),
			of("master", "2.8.4", "O(1)", "Shows the state of a master", (*conn).sentinelMaster),
			of("replicas", "5.0.0", "O(N) where N is the number of replicas", "List the monitored replicas", (*conn).sentinelReplicas),
			slaves,
			of("sentinels", "2.8.4", "O(N) where N is the number of Sentinels", "List the Sentinel instances", (*conn).sentinelSentinels),
			of("ckquorum", "2.8.4", "", "Check for a Sentinel quorum", (*conn).sentinelQuorum),
			failover,
			sub("get-master-addr-by-name", 3, "2.8.4", "O(1)", "Get port and address of a master", "master-name", (*conn).cmdMasterAddr),
			sub("is-master-down-by-addr", 6, "2.8.4", "O(1)", "Check if a master is down", "ip port current-epoch runid", (*conn).cmdMasterDown),
			sub("myid", 2, "6.2.0", "O(1)", "Get the Sentinel instance ID", "", func(c *conn, _ [][]byte) { c.enc.BulkString(c.srv.myName()) }),
			sub("info-cache", -3, "3.2.0", "O(N) where N is the number of instances", "Get cached INFO from the instances in the deployment", "nodename [nodename ...]", (*conn).cmdInfoCache),
			sub("config", -3, "6.2.0", "O(1)", "Configure Sentinel", "<SET <parameter value> [<parameter value> ...] | GET parameter [parameter ...]>", (*conn).cmdSentinelConfig),
			sub("reset", 3, "2.8.4", "O(N) where N is the number of masters", "Reset masters by name pattern", "pattern", (*conn).cmdSentinelReset),
			sub("pending-scripts", 2, "2.8.4", "", "Get information about pending scripts", "", func(c *conn, _ [][]byte) { c.enc.Array(0) }), // none is ever run
			sub("flushconfig", 2, "2.8.4", "O(1)", "Rewrite configuration file", "", func(c *conn, _ [][]byte) { c.enc.Status("OK") }),        // the members are in the log
			sub("monitor", 6, "2.8.4", "O(1)", "Start monitoring", "name ip port quorum", (*conn).cmdSentinelMonitor),
			about("remove", 3, "2.8.4", "O(1)", "Stop monitoring", "master-name", errUnmonitor),
			about("set", -5, "2.8.4", "O(1)", "Change the configuration of a monitored master", "master-name <option value> [<option value> ...]", errSentinelSet),
			sub("debug", -2, "7.0.0", "O(N) where N is the number of configurable parameters", "List or update the current configurable parameters", "<parameter value> [<parameter value> ...]", refused(errNoDebug)),
			sub("simulate-failure", -3, "3.2.0", "", "Simulate failover scenarios", "mode [mode ...]", refused(errNoSimulation)),
			{spec: *command.Help("sentinel", "sentinel", "6.2.0", sentinelHelp()...)},
		},
	}}
}

func sentinelHelp() []string {
	return []string{
		"CKQUORUM <master-name>",
		"    Check if the current Sentinel configuration is able to reach the quorum",
		"    needed to failover a master and the majority needed to authorize the",
		"    failover.",
		"CONFIG SET <param> <value>",
		"    Set a global Sentinel configuration parameter.",
		"CONFIG GET <param>",
		"    Get global Sentinel configuration parameter.",
		"DEBUG [<param> <value> ...]",
		"    Show a list of configurable time parameters and their values (milliseconds).",
		"    Or update current configurable parameters values (one or more).",
		"GET-MASTER-ADDR-BY-NAME <master-name>",
		"    Return the ip and port number of the master with that name.",
		"FAILOVER <master-name>",
		"    Manually failover a master node without asking for agreement from other",
		"    Sentinels",
		"FLUSHCONFIG",
		"    Force Sentinel to rewrite its configuration on disk, including the current",
		"    Sentinel state.",
		"INFO-CACHE <master-name>",
		"    Return last cached INFO output from masters and all its replicas.",
		"IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
		"    Check if the master specified by ip:port is down from current Sentinel's",
		"    point of view.",
		"MASTER <master-name>",
		"    Show the state and info of the specified master.",
		"MASTERS",
		"    Show a list of monitored masters and their state.",
		"MONITOR <name> <ip> <port> <quorum>",
		"    Start monitoring a new master with the specified name, ip, port and quorum.",
		"MYID",
		"    Return the ID of the Sentinel instance.",
		"PENDING-SCRIPTS",
		"    Get pending scripts information.",
		"REMOVE <master-name>",
		"    Remove master from Sentinel's monitor list.",
		"REPLICAS <master-name>",
		"    Show a list of replicas for this master and their state.",
		"RESET <pattern>",
		"    Reset masters for specific master name matching this pattern.",
		"SENTINELS <master-name>",
		"    Show a list of Sentinel instances for this master and their state.",
		"SET <master-name> <option> <value> [<option> <value> ...]",
		"    Set configuration parameters for certain masters.",
		"SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
		"    Simulate a Sentinel crash.",
	}
}

// watches reports whether name is that of this cluster's master.
func (c *conn) watches(name []byte) bool { return string(name) == c.srv.config().SentinelMaster }

// instance is one map of SENTINEL's, all of whose values are strings.
type instance struct{ pairs []string }

func (in *instance) add(name, value string) { in.pairs = append(in.pairs, name, value) }

func (c *conn) instance(in *instance) {
	c.enc.Map(len(in.pairs) / 2)
	for _, s := range in.pairs {
		c.enc.BulkString(s)
	}
}

// newInstance begins a map with what Sentinel says of everybody. down is for how many
// ms it has been so, if it is.
func (c *conn) newInstance(role, name string, p *place, down bool, since int64) *instance {
	flags, heard := role, "0"
	if down {
		flags, heard = "s_down,"+role+",disconnected", decimal(since)
		if role == "master" {
			flags = "s_down,o_down,master,disconnected"
		}
	}
	in := &instance{}
	in.add("name", name)
	in.add("ip", p.host)
	in.add("port", strconv.Itoa(p.reach(c.tls)))
	in.add("runid", p.node)
	in.add("flags", flags)
	in.add("link-pending-commands", "0")
	in.add("link-refcount", "1")
	in.add("last-ping-sent", heard)
	in.add("last-ok-ping-reply", heard)
	in.add("last-ping-reply", heard)
	if down {
		in.add("s-down-time", heard)
		if role == "master" {
			in.add("o-down-time", heard)
		}
	}
	in.add("down-after-milliseconds", decimal(c.srv.downAfter()))
	return in
}

// sentinelMaster describes the leader. If there is none to be named, the master is down
// and has no address.
func (c *conn) sentinelMaster(t *topology) {
	was := c.srv.lookout.past(c.srv.now().UnixMilli())
	m, age := t.master(), was.age
	down := m == nil
	if down {
		m = &place{}
	}
	if m.id != was.master.id {
		age = 0
	}
	in := c.newInstance("master", c.srv.config().SentinelMaster, m, down, was.lost)
	in.add("info-refresh", "0")
	in.add("role-reported", "master")
	in.add("role-reported-time", decimal(age))
	in.add("config-epoch", strconv.FormatUint(t.epoch, 10))
	in.add("num-slaves", strconv.Itoa(len(t.replicas())))
	in.add("num-other-sentinels", strconv.Itoa(len(t.others())))
	in.add("quorum", strconv.Itoa(t.needed))
	in.add("failover-timeout", decimal(2*c.srv.downAfter()))
	in.add("parallel-syncs", "1")
	c.instance(in)
}

func (c *conn) sentinelReplicas(t *topology) {
	was := c.srv.lookout.past(c.srv.now().UnixMilli())
	far, replicas := c.srv.progress(), t.replicas()
	host, port, status := "?", 0, "err"
	if m := t.master(); m != nil {
		host, port, status = m.host, m.reach(c.tls), "ok"
	}
	c.enc.Array(len(replicas))
	for i := range replicas {
		r := &replicas[i]
		link := status
		if !r.up {
			link = "err"
		}
		in := c.newInstance("slave", r.addr(c.tls), r, !r.up, was.away[r.id])
		in.add("info-refresh", "0")
		in.add("role-reported", "slave")
		in.add("role-reported-time", decimal(was.age))
		in.add("master-link-down-time", decimal(was.lost))
		in.add("master-link-status", link)
		in.add("master-host", host)
		in.add("master-port", strconv.Itoa(port))
		in.add("slave-priority", c.priority(r))
		in.add("slave-repl-offset", strconv.FormatUint(far.offset(r.id), 10))
		in.add("replica-announced", "1")
		c.instance(in)
	}
}

// priority is 0, Redis's for one that is never to be the master, of a learner.
func (c *conn) priority(p *place) string {
	if p.learner {
		return "0"
	}
	return "100"
}

func (c *conn) sentinelSentinels(t *topology) {
	was := c.srv.lookout.past(c.srv.now().UnixMilli())
	others := t.others()
	c.enc.Array(len(others))
	for i := range others {
		p := &others[i]
		in := c.newInstance("sentinel", p.node, p, !p.up, was.away[p.id])
		in.add("last-hello-message", decimal(was.away[p.id]))
		in.add("voted-leader", "?")
		in.add("voted-leader-epoch", "0")
		c.instance(in)
	}
}

// sentinelQuorum counts the voters that this node is in contact with.
func (c *conn) sentinelQuorum(t *topology) {
	usable := 0
	for _, p := range t.members {
		if p.up && !p.learner {
			usable++
		}
	}
	if t.quorum {
		c.enc.Status(fmt.Sprintf("OK %d usable Sentinels. Quorum and failover authorization can be reached", usable))
		return
	}
	c.enc.Error(fmt.Sprintf("NOQUORUM %d usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master. "+
		"Not enough available Sentinels to reach the majority and authorize a failover", usable))
}

func (c *conn) sentinelFailover(t *topology) {
	switch {
	case !slices.ContainsFunc(t.replicas(), func(p place) bool { return p.up && !p.learner }) || t.master() == nil:
		c.enc.Error("NOGOODSLAVE No suitable replica to promote")
	case !c.srv.handOver(0, adminTimeout):
		c.enc.Error("INPROG Failover already in progress")
	default:
		c.enc.Status("OK")
	}
}

func (c *conn) cmdMasterAddr(argv [][]byte) {
	m := c.srv.topology().master()
	if m == nil || !c.watches(argv[2]) {
		c.enc.NullArray()
		return
	}
	c.enc.Strings(m.host, strconv.Itoa(m.reach(c.tls)))
}

// cmdMasterDown is what Sentinels ask each other. It never votes: raft does.
func (c *conn) cmdMasterDown(argv [][]byte) {
	port, ok := command.ParseInt(argv[3])
	_, epochOK := command.ParseInt(argv[4])
	if !ok || !epochOK {
		c.enc.Error(command.ErrNotInteger)
		return
	}
	last := c.srv.lookout.past(0).master
	is := last.host == string(argv[2]) && (int64(last.port) == port || int64(last.tlsPort) == port)
	c.enc.Array(3)
	c.enc.Int(int64(oneIf(is && last.id != 0 && c.srv.topology().master() == nil)))
	c.enc.BulkString("*")
	c.enc.Int(0)
}

// cmdInfoCache has this node's INFO. Of the others, no INFO is known here.
func (c *conn) cmdInfoCache(argv [][]byte) {
	if !slices.ContainsFunc(argv[2:], c.watches) {
		c.enc.Array(0)
		return
	}
	t := c.srv.topology()
	all := t.replicas()
	if m := t.master(); m != nil {
		all = append([]place{*m}, all...)
	}
	c.enc.Array(2)
	c.enc.BulkString(c.srv.config().SentinelMaster)
	c.enc.Array(len(all))
	for i := range all {
		c.enc.Array(2)
		c.enc.Int(0)
		if all[i].id == t.self {
			c.enc.BulkString(c.srv.info(nil, c.tls))
		} else {
			c.enc.Null()
		}
	}
}

func (c *conn) cmdSentinelConfig(argv [][]byte) {
	switch {
	case command.EqualFold(argv[2], "set") && len(argv) == 5:
		c.enc.Error(errSentinelConf)
	case command.EqualFold(argv[2], "get") && len(argv) == 4:
		names := "no"
		if c.srv.config().EndpointType == "hostname" {
			names = "yes"
		}
		in := &instance{}
		for _, p := range [][2]string{
			{"resolve-hostnames", names}, {"announce-hostnames", names}, {"announce-ip", c.srv.settingOf("cluster-announce-ip")},
			{"announce-port", strconv.Itoa(c.announcedPort())}, {"sentinel-user", ""}, {"sentinel-pass", ""},
		} {
			if glob.Match(argv[3], []byte(p[0]), true) {
				in.add(p[0], p[1])
			}
		}
		c.instance(in)
	default:
		c.enc.Error("ERR Only SENTINEL CONFIG GET <option> / SET <option> <value> are supported.")
	}
}

// announcedPort is cluster-announce-port, 0 if it is not set.
func (c *conn) announcedPort() int {
	n, _ := strconv.Atoi(c.srv.settingOf("cluster-announce-port"))
	return n
}

// cmdSentinelReset has nothing to reset: what a Sentinel forgets by it, this node sees
// again at once. It counts the masters of matching names, as Sentinel does.
func (c *conn) cmdSentinelReset(argv [][]byte) {
	name := c.srv.config().SentinelMaster
	if !glob.Match(argv[2], []byte(name), true) {
		c.enc.Int(0)
		return
	}
	if m := c.srv.topology().master(); m != nil {
		c.srv.store.Tell("+reset-master", fmt.Sprintf("master %s %s %d", name, m.host, m.port))
	}
	c.enc.Int(1)
}

func (c *conn) cmdSentinelMonitor(argv [][]byte) {
	quorum, ok := command.ParseInt(argv[5])
	switch {
	case !ok:
		c.enc.Error("ERR Invalid quorum")
	case quorum < 1:
		c.enc.Error("ERR Quorum must be 1 or greater.")
	case c.watches(argv[2]):
		c.enc.Error("ERR Duplicate master name.")
	default:
		c.enc.Error(errMonitor)
	}
}

// sentinel is what INFO of a Sentinel has beside what every server's has.
func (t *infoText) sentinel() {
	at, name := t.srv.topology(), t.srv.config().SentinelMaster
	status, addr := "ok", ""
	if m := at.master(); m != nil {
		addr = m.addr(t.tls)
	} else if status = "sdown"; at.quorum {
		status = "odown"
	}
	t.section("Sentinel")
	t.line("sentinel_masters", 1)
	t.line("sentinel_tilt", 0)
	t.line("sentinel_tilt_since_seconds", -1)
	t.zeros("sentinel_running_scripts", "sentinel_scripts_queue_length", "sentinel_simulate_failure_flags")
	t.line("master0", strings.Join([]string{
		"name=" + name, "status=" + status, "address=" + addr, "slaves=" + strconv.Itoa(len(at.replicas())), "sentinels=" + strconv.Itoa(len(at.others())+1),
	}, ","))
}
