package resp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store"
)

// trio is a cluster of three over a log in memory, each with a front.
type trio struct {
	*committest.Log
	members []*committest.Member
	stores  []*store.Store
	servers []*Server
}

func newTrio(t *testing.T, change func(*Options)) *trio {
	t.Helper()
	c := &trio{Log: committest.New(1)}
	table := testTable(t)
	for id := uint64(1); id <= 3; id++ {
		m := c.Join(id, 1, nil)
		st := store.New(store.Config{Table: table, Member: id, ProposalTimeout: 2 * time.Second}, m.ProposeC)
		m.Run(st.Seal)
		st.Start(m, m.CommitC, m.SnapshotterReady)
		opts := Options{Config: DefaultConfig(), Store: st, Cluster: m, Table: table, Forms: true}
		opts.Config.Bind, opts.Config.Port = []string{"127.0.0.1"}, freePort(t)
		if change != nil {
			change(&opts)
		}
		s, err := New(opts)
		if err == nil {
			err = s.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = s.Close(ctx)
			st.Close()
			m.Stop()
		})
		c.members, c.stores, c.servers = append(c.members, m), append(c.stores, st), append(c.servers, s)
	}
	for _, st := range c.stores {
		eventually(t, "the store is ready", st.Ready)
	}
	return c
}

// asker asks one command after another, and reads whole replies.
type asker struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func newAsker(t *testing.T, s *Server) *asker {
	c := dial(t, s)
	return &asker{t, c, bufio.NewReader(c)}
}

// ask returns a string (errors begin with a minus), an int64, nil or an []any.
func (a *asker) ask(command string) any {
	a.t.Helper()
	_ = a.nc.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(a.nc, command+"\r\n"); err != nil {
		a.t.Fatal(err)
	}
	return a.read()
}

func (a *asker) read() any {
	a.t.Helper()
	line, err := a.r.ReadString('\n')
	if err != nil {
		a.t.Fatal(err)
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	n, _ := strconv.ParseInt(rest, 10, 64)
	switch {
	case kind == '+':
		return rest
	case kind == '-':
		return "-" + rest
	case kind == ':':
		return n
	case n < 0:
		return nil
	case kind == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(a.r, b); err != nil {
			a.t.Fatal(err)
		}
		return string(b[:n])
	}
	all := make([]any, n)
	for i := range all {
		all[i] = a.read()
	}
	return all
}

// fields reads a map that came as a list.
func fields(v any) map[string]any {
	all, m := v.([]any), map[string]any{}
	for i := 0; i+1 < len(all); i += 2 {
		m[all[i].(string)] = all[i+1]
	}
	return m
}

// info reads the lines of name:value.
func info(v any) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(v.(string)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		m[name] = value
	}
	return m
}

// faces is whom a node names as the master in each of its answers, "" if nobody; and
// whether it says so of itself.
func faces(a *asker) map[string]string {
	named := map[string]string{}
	role := a.ask("ROLE").([]any)
	self := "no"
	if role[0] == "master" {
		self = "yes"
	} else if role[1] != "" {
		named["ROLE"] = fmt.Sprintf("%s:%d", role[1], role[2])
	} else {
		named["ROLE"] = ""
	}
	if got := fields(a.ask("HELLO"))["role"]; (got == "master") != (self == "yes") {
		named["HELLO"] = fmt.Sprint(got)
	}
	repl := info(a.ask("INFO replication"))
	switch {
	case (repl["role"] == "master") != (self == "yes"):
		named["INFO"] = repl["role"]
	case repl["role"] == "slave" && repl["master_host"] != "":
		named["INFO"] = repl["master_host"] + ":" + repl["master_port"]
	case repl["role"] == "slave":
		named["INFO"] = ""
	}
	named["NODES"] = ""
	for line := range strings.Lines(a.ask("CLUSTER NODES").(string)) {
		words := strings.Fields(line)
		if flags := strings.Split(words[2], ","); slices.Contains(flags, "master") {
			named["NODES"], _, _ = strings.Cut(words[1], "@")
			if slices.Contains(flags, "myself") != (self == "yes") {
				named["NODES"] += " not myself"
			}
		}
	}
	named["SLOTS"], named["SHARDS"] = "", ""
	if v, ok := a.ask("CLUSTER SLOTS").([]any); ok {
		master := v[0].([]any)[2].([]any)
		named["SLOTS"] = fmt.Sprintf("%s:%d", master[0], master[1])
	}
	if v, ok := a.ask("CLUSTER SHARDS").([]any); ok {
		for _, n := range fields(v[0])["nodes"].([]any) {
			if f := fields(n); f["role"] == "master" {
				named["SHARDS"] = fmt.Sprintf("%s:%d", f["endpoint"], f["port"])
			}
		}
	}
	if state := info(a.ask("CLUSTER INFO"))["cluster_state"]; (state == "ok") != (named["SLOTS"] != "") {
		named["CLUSTER INFO"] = state
	}
	named["GET-MASTER-ADDR"] = ""
	if v, ok := a.ask("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster").([]any); ok {
		named["GET-MASTER-ADDR"] = fmt.Sprintf("%s:%s", v[0], v[1])
	}
	for name, v := range map[string]any{"MASTERS": a.ask("SENTINEL MASTERS").([]any)[0], "MASTER": a.ask("SENTINEL MASTER mymaster")} {
		m := fields(v)
		if named[name] = fmt.Sprintf("%s:%s", m["ip"], m["port"]); m["flags"] == "s_down,o_down,master,disconnected" && named[name] == ":0" {
			named[name] = ""
		}
	}
	_, named["# Sentinel"], _ = strings.Cut(info(a.ask("INFO sentinel"))["master0"], "address=")
	named["# Sentinel"], _, _ = strings.Cut(named["# Sentinel"], ",")
	return named
}

// TestFacesAgree: whatever a node is asked, it names the same master.
func TestFacesAgree(t *testing.T) {
	c := newTrio(t, nil)
	for _, leader := range []uint64{1, 2, 0, 3, 0, 1} {
		c.Elect(leader)
		want := ""
		if leader != 0 {
			want = fmt.Sprintf("127.0.0.1:%d", 6378+leader)
		}
		for i, s := range c.servers {
			for where, got := range faces(newAsker(t, s)) {
				if got != want {
					t.Errorf("leader %d: node %d names %q in %s", leader, i+1, got, where)
				}
			}
		}
	}
}

// TestNames: members have the names that all others know them by.
func TestNames(t *testing.T) {
	c := newTrio(t, nil)
	names := map[any]bool{}
	for _, s := range c.servers {
		a := newAsker(t, s)
		id := a.ask("CLUSTER MYID")
		if id != a.ask("SENTINEL MYID") || len(id.(string)) != 40 || names[id] {
			t.Errorf("%s is no name", id)
		}
		names[id] = true
	}
	for _, s := range c.servers {
		for line := range strings.Lines(newAsker(t, s).ask("CLUSTER NODES").(string)) {
			if !names[strings.Fields(line)[0]] {
				t.Errorf("nobody has the name of %s", line)
			}
		}
	}
}

// TestAddresses: which address a client is told depends on how it has come, and on what
// the node was told to prefer.
func TestAddresses(t *testing.T) {
	st := &commit.Standing{Self: 1, Cluster: 7, Term: 3, Leader: 2, Members: []commit.Member{
		{ID: 1, PeerURL: "http://10.0.0.1:16379", ClientAddr: "10.0.0.1:6379", ClientTLSPort: 6380, Hostname: "a.example"},
		{ID: 2, PeerURL: "http://10.0.0.2:16379", ClientAddr: "[fd00::2]:6379"},
		{ID: 3, PeerURL: "http://10.0.0.3:16379", Learner: true}, // it has not announced itself
	}, Away: []uint64{3}}
	top := newTopology(st)
	me, m := top.me(), top.master()
	if me.reach(false) != 6379 || me.reach(true) != 6380 || m.host != "fd00::2" || m.reach(true) != 6379 || m.busPort != 16379 {
		t.Errorf("%+v, %+v", me, m)
	}
	if len(top.replicas()) != 1 || len(top.others()) != 1 || top.needed != 2 || !top.quorum || top.leads() {
		t.Errorf("%+v", top)
	}
	for prefer, want := range map[string]string{"ip": "10.0.0.1 fd00::2", "hostname": "a.example ?", "unknown-endpoint": " "} {
		if got := me.endpoint(prefer) + " " + m.endpoint(prefer); got != want {
			t.Errorf("%s: %q, want %q", prefer, got, want)
		}
	}
	st.Leader = 3
	if newTopology(st).master() != nil {
		t.Error("a leader without an address is named")
	}
	c := &conn{srv: &Server{opts: Options{Now: time.Now}}}
	lines := []string{}
	for i := range top.members {
		words := strings.Fields(c.nodeLine(top, &top.members[i]))
		lines = append(lines, strings.Join(append(words[1:3:3], words[7:]...), " "))
	}
	if got, want := strings.Join(lines, "; "),
		"10.0.0.1:6379@16379,a.example myself,slave connected; fd00::2:6379@16379 master connected 0-16383; :0@16379 slave,fail?,noaddr,nofailover disconnected"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestSlotOf(t *testing.T) {
	for key, want := range map[string]int{
		"": 0, "foo": 12182, "123456789": 12739, "{user1000}.following": 3443, "user1000": 3443, "foo{}{bar}": 8363,
		"foo{{bar}}zap": slotOf([]byte("{bar")), "foo{bar}{zap}": slotOf([]byte("bar")), "a": 15495, "foo{bar": slotOf([]byte("foo{bar")),
	} {
		if got := slotOf([]byte(key)); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}

func TestKeysInSlot(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		a := newAsker(t, s)
		want := int64(3)
		for i := range 2500 {
			key := fmt.Sprintf("k%d", i)
			a.ask("SET " + key + " x")
			if slotOf([]byte(key)) == slotOf([]byte("t")) {
				want++
			}
		}
		a.ask("MSET {t}1 x {t}2 x {t}3 x")
		slot := a.ask("CLUSTER KEYSLOT t")
		count := a.ask(fmt.Sprintf("CLUSTER COUNTKEYSINSLOT %d", slot)).(int64)
		keys := a.ask(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 1000", slot)).([]any)
		if count != want || int(count) != len(keys) || !slices.Contains(keys, any("{t}2")) {
			t.Errorf("%d keys: %v", count, keys)
		}
		if two := a.ask(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 2", slot)).([]any); len(two) != 2 {
			t.Error(two)
		}
	})
}

// TestFailovers: the three commands hand leadership over, and to whom they should.
func TestFailovers(t *testing.T) {
	c := newTrio(t, nil)
	ask := func(node int, command string) any { return newAsker(t, c.servers[node-1]).ask(command) }
	leads := func(id uint64) {
		t.Helper()
		eventually(t, "the leader", func() bool {
			s := c.members[0].Standing()
			return s.Leader == id && !c.servers[0].handing.Load() && !c.servers[1].handing.Load() && !c.servers[2].handing.Load()
		})
	}
	expect := func(node int, command string, want string) {
		t.Helper()
		if got := ask(node, command); got != want {
			t.Errorf("%s: %v, want %s", command, got, want)
		}
	}
	expect(2, "CLUSTER FAILOVER", "OK")
	leads(2)
	expect(2, "CLUSTER FAILOVER", "-ERR You should send CLUSTER FAILOVER to a replica")
	expect(1, "FAILOVER", "-ERR FAILOVER is not valid when server is a replica.")
	expect(2, "FAILOVER TO 127.0.0.1 6381 TIMEOUT 1000", "OK")
	leads(3)
	expect(3, "FAILOVER TO 127.0.0.1 9999", "-ERR FAILOVER target HOST and PORT is not a replica.")
	expect(3, "FAILOVER", "OK")
	leads(1)
	expect(3, "SENTINEL FAILOVER mymaster", "OK")
	eventually(t, "another leader", func() bool { s := c.members[0].Standing(); return s.Leader > 1 })
	c.Elect(0)
	expect(1, "CLUSTER FAILOVER", "-ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
	expect(1, "CLUSTER FAILOVER FORCE", "OK")
	expect(1, "CLUSTER FAILOVER TAKEOVER", "-"+errTakeover)
	expect(1, "SENTINEL FAILOVER mymaster", "-NOGOODSLAVE No suitable replica to promote")
	c.Elect(1)
	c.members[2].Hold(true)
	expect(1, "FAILOVER TO 127.0.0.1 6381", "-ERR FAILOVER target replica is not online.")
	c.members[1].Hold(true)
	expect(1, "FAILOVER", "-ERR FAILOVER requires connected replicas.")
	expect(1, "SENTINEL CKQUORUM mymaster", "-NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master. Not enough available Sentinels to reach the majority and authorize a failover")
}

// TestRedirects: only a client that asks for it is sent to the leader.
func TestRedirects(t *testing.T) {
	for _, enabled := range []bool{false, true} {
		c := newTrio(t, func(o *Options) { o.Config.ClusterEnabled = enabled })
		a := newAsker(t, c.servers[1]) // member 1 leads
		want := map[bool]string{false: "-REDIRECT 127.0.0.1:6379", true: "-MOVED 15495 127.0.0.1:6379"}[enabled]
		for _, step := range []struct{ command, want string }{
			{"SET a 1", "OK"},
			{"CLIENT CAPA nonsense redirect", "OK"},
			{"SET a 2", want},
			{"GET a", want},
			{"EVAL return(1) 1 a", want},
			{"PING", "PONG"},
			{"READONLY", "OK"},
			{"GET a", "1"},
			{"SET a 2", want},
			{"READWRITE", "OK"},
			{"MULTI", "OK"},
			{"GET a", want},
			{"EXEC", "-EXECABORT Transaction discarded because of previous errors."},
			{"RESET", "RESET"},
			{"SET a 3", "OK"},
		} {
			if got := fmt.Sprint(a.ask(step.command)); got != step.want {
				t.Errorf("cluster-enabled %v: %s: %s, want %s", enabled, step.command, got, step.want)
			}
		}
		a.ask("CLIENT CAPA redirect")
		c.Elect(2)
		if got := fmt.Sprint(a.ask("SET a 4")); got != "OK" {
			t.Errorf("on the leader: %s", got)
		}
	}
}
