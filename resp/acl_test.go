package resp

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store"
)

// Whose user is deleted is sent away, whatever it is doing, and nobody else.
func TestDeletedUser(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, _ *single) {
		admin, stays := dial(t, s), dial(t, s)
		admin.ask("ACL SETUSER bob on nopass allkeys allcommands\r\nACL SETUSER carol on nopass allcommands\r\n", "+OK\r\n+OK\r\n")
		stays.ask("AUTH carol x\r\n", "+OK\r\n")
		idle, blocked, own := dial(t, s), dial(t, s), dial(t, s)
		for _, c := range []*client{idle, blocked, own} {
			c.ask("AUTH bob x\r\n", "+OK\r\n")
		}
		blocked.send("BLPOP nothing 0\r\n")
		eventually(t, "it is blocked", func() bool { return s.store.Blocked() == 1 })
		own.ask("ACL DELUSER bob\r\n", ":1\r\n")
		for name, c := range map[string]*client{"idle": idle, "blocked": blocked, "own": own} {
			if rest := c.expectEOF(); len(rest) > 0 {
				t.Errorf("%s: %q", name, rest)
			}
		}
		eventually(t, "nobody is blocked", func() bool { return s.store.Blocked() == 0 })
		stays.ask("ACL WHOAMI\r\nGET x\r\n", "$5\r\ncarol\r\n-NOPERM this user has no permissions to access one of the keys used as arguments\r\n")
	})
}

// A change of a user is in force for the connections that there are.
func TestChangedUser(t *testing.T) {
	s, _ := newServer(t, nil)
	admin, bob := dial(t, s), dial(t, s)
	admin.ask("ACL SETUSER bob on >pw allkeys +@all\r\n", "+OK\r\n")
	bob.ask("AUTH bob pw\r\nSET a 1\r\nMULTI\r\nSET a 2\r\nGET a\r\n", "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n")
	admin.ask("ACL SETUSER bob -set resetpass off\r\n", "+OK\r\n")
	bob.ask("EXEC\r\n", "*2\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand\r\n$1\r\n1\r\n")
	bob.ask("SET a 1\r\nGET a\r\n", "-NOPERM this user has no permissions to run the 'set' command\r\n$1\r\n1\r\n")
	admin.ask("ACL SETUSER bob resetkeys ~b*\r\n", "+OK\r\n")
	bob.ask("GET a\r\nRESET\r\nGET a\r\n", "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n+RESET\r\n$1\r\n1\r\n")
}

func TestACLLog(t *testing.T) {
	var now atomic.Int64 // ms
	now.Store(1_700_000_000_000)
	s, _ := newServer(t, func(o *Options) { o.Now = func() time.Time { return time.UnixMilli(now.Load()) } })
	c := dial(t, s)
	c.ask("ACL SETUSER bob on nopass ~a +get +multi +discard +exec\r\nAUTH nobody x\r\nAUTH nobody x\r\nAUTH bob x\r\n", "+OK\r\n-"+errWrongPass+"\r\n-"+errWrongPass+"\r\n+OK\r\n")
	c.ask("GET b\r\n", "-"+errNoPermKey+"\r\n")
	c.ask("SET a 1\r\nMULTI\r\nSET a 1\r\nDISCARD\r\nGET b\r\n", fmt.Sprintf("-"+errNoPermCommand+"\r\n", "set")+"+OK\r\n"+fmt.Sprintf("-"+errNoPermCommand+"\r\n", "set")+"+OK\r\n-"+errNoPermKey+"\r\n")
	admin := dial(t, s)
	c.ask("MULTI\r\nGET a\r\n", "+OK\r\n+QUEUED\r\n")
	admin.ask("ACL SETUSER bob -get\r\n", "+OK\r\n")
	c.ask("EXEC\r\n", "*1\r\n-"+errNoPermExec+"no permission to execute the command or subcommand\r\n")
	admin.ask("ACL SETUSER bob +get\r\n", "+OK\r\n")
	var got []string
	for _, e := range s.aclLog.latest(100) {
		got = append(got, fmt.Sprintf("%d %s %s %s %s", e.count, e.reason, e.where, e.object, e.user))
		if !strings.Contains(e.client, " user=") || !strings.Contains(e.client, " cmd=") {
			t.Error(e.client)
		}
	}
	want := "1 command multi get bob, 2 key toplevel b bob, 1 command multi set bob, 1 command toplevel set bob, 2 auth toplevel AUTH nobody"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
	now.Add(61_000) // too late to be the same
	c.ask("GET b\r\nRESET\r\n", "-"+errNoPermKey+"\r\n+RESET\r\n")
	if all := s.aclLog.latest(100); len(all) != 6 || all[0].count != 1 {
		t.Errorf("%+v", all)
	}
	c.ask("CONFIG SET acllog-max-len 2\r\nAUTH a a\r\nACL LOG RESET\r\n", "+OK\r\n-"+errWrongPass+"\r\n+OK\r\n")
	for i := range 5 {
		c.ask(fmt.Sprintf("AUTH u%d a\r\n", i), "-"+errWrongPass+"\r\n")
	}
	if all := s.aclLog.latest(100); len(all) != 2 || all[0].user != "u4" {
		t.Errorf("%+v", all)
	}
}

// Passwords are in no log.
func TestPasswordsAreNotShown(t *testing.T) {
	s, _ := newServer(t, nil)
	c, monitor := dial(t, s), dial(t, s)
	c.ask("CONFIG SET slowlog-log-slower-than 0\r\n", "+OK\r\n")
	monitor.ask("MONITOR\r\n", "+OK\r\n")
	c.ask("ACL SETUSER bob on >hush allcommands\r\nAUTH bob hush\r\nHELLO 2 AUTH bob nothush\r\nCONFIG SET requirepass hush\r\nPING the-end\r\n",
		"+OK\r\n+OK\r\n-"+errWrongPass+"\r\n+OK\r\n$7\r\nthe-end\r\n")
	for line := ""; !strings.Contains(line, "the-end"); {
		if line = monitor.line(); strings.Contains(line, "hush") {
			t.Error(line)
		}
	}
	seen := 0
	for _, e := range s.slowlog.latest(-1) {
		if line := strings.Join(e.argv, " "); strings.Contains(line, "hush") || strings.Contains(line, "bob") {
			t.Error(line)
		} else if strings.Contains(line, "(redacted)") {
			seen++
		}
	}
	if seen < 2 {
		t.Errorf("%d entries with something to hide", seen)
	}
}

func TestClientsOfAUser(t *testing.T) {
	s, _ := newServer(t, nil)
	c, bob := dial(t, s), dial(t, s)
	c.ask("ACL SETUSER bob on nopass +@all\r\n", "+OK\r\n")
	bob.ask("AUTH bob x\r\n", "+OK\r\n")
	id := bob.id()
	eventually(t, "it is shown", func() bool { return strings.Contains(s.client(id).info(s.now()), " user=bob ") })
	c.ask("CLIENT KILL USER nobody\r\nCLIENT KILL USER bob\r\n", "-ERR No such user 'nobody'\r\n:1\r\n")
	bob.expectEOF()
	c.ask("PING\r\n", "+PONG\r\n")
}

// What the options say of users is in force before the cluster has agreed to it,
// and is the cluster's as soon as there is one.
func TestSeed(t *testing.T) {
	s, l := newServer(t, func(o *Options) {
		o.Forms = true
		o.Config.RequirePass = "secret"
		o.Users = []UserLine{{Name: "alice", Rules: []string{"on", "nopass", "+get"}}}
	})
	c := dial(t, s)
	c.ask("GET a\r\nAUTH secret\r\nACL USERS\r\n", "-"+errNoAuth+"\r\n+OK\r\n*2\r\n$5\r\nalice\r\n$7\r\ndefault\r\n")
	if l.store.Users().Version() != 0 {
		t.Fatal("they are the cluster's already")
	}
	// A change comes to stand on them.
	c.ask("ACL SETUSER bob\r\nACL USERS\r\n", "+OK\r\n*3\r\n$5\r\nalice\r\n$3\r\nbob\r\n$7\r\ndefault\r\n")
	if us := l.store.Users(); us.Default().Open() || us.Find("alice") == nil {
		t.Error("the seed is lost")
	}
	s.SeedUsers()
	c.ask("CONFIG SET requirepass \"\"\r\n", "+OK\r\n")
	s.SeedUsers() // is nothing now
	dial(t, s).ask("GET a\r\n", "$-1\r\n")
	if _, err := New(Options{Config: DefaultConfig(), Store: l.store, Cluster: l, Table: testTable(t), Users: []UserLine{{Name: "x", Rules: []string{"nonsense"}, Where: "f:1: "}}}); err == nil ||
		err.Error() != "f:1: user x: Error in ACL SETUSER modifier 'nonsense': Syntax error" {
		t.Error(err)
	}
}

// A node that has not found out who its users are lets nobody in.
func TestUnknownUsers(t *testing.T) {
	opts := Options{Config: DefaultConfig(), Table: testTable(t)}
	opts.Config.Bind, opts.Config.Port, opts.Config.RequirePass = []string{"127.0.0.1"}, freePort(t), "secret"
	log := committest.New(1)
	log.Elect(0)
	m := log.Join(1, 1, nil)
	opts.Store, opts.Cluster = store.New(store.Config{Table: opts.Table, Member: 1}, m.ProposeC), m // never started
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	c := dial(t, s)
	for _, call := range []string{"GET a", "SET a 1", "AUTH secret", "AUTH default secret", "HELLO 2 AUTH default secret", "ACL SETUSER default nopass", "CONFIG SET requirepass x", "CLIENT KILL TYPE normal", "SHUTDOWN", "RAFT REMOVE 1", "DEBUG SLEEP 0"} {
		c.send(call + "\r\n")
		if line := c.line(); !strings.HasPrefix(line, "-LOADING") && !strings.HasPrefix(line, "-ERR DEBUG") {
			t.Errorf("%s: %s", call, line)
		}
	}
	c.ask("ECHO hi\r\n", "$2\r\nhi\r\n")
	c.ask("MULTI\r\nECHO hi\r\n", "+OK\r\n+QUEUED\r\n")
	s.access.known.Store(true)
	c.ask("EXEC\r\nECHO hi\r\n", "-"+"EXECABORT Transaction discarded because of: "+errNoAuth+"\r\n-"+errNoAuth+"\r\n")
}

// Who may not listen to a channel any more is sent away before it hears another
// message, and only who may not.
func TestChannelsOfAUser(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, _ *single) {
		admin := dial(t, s)
		admin.ask("ACL SETUSER bob on nopass resetchannels &a* &b &c? +@all\r\n", "+OK\r\n")
		subscribe := func(command, word, name string) *client {
			c := dial(t, s)
			c.ask("AUTH bob x\r\n", "+OK\r\n")
			c.ask(command+" "+name+"\r\n", fmt.Sprintf("*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n:1\r\n", len(word), word, len(name), name))
			return c
		}
		refused := dial(t, s)
		refused.ask("AUTH bob x\r\n", "+OK\r\n")
		for _, call := range []string{"SUBSCRIBE a1 x", "PSUBSCRIBE a1", "SSUBSCRIBE x", "PUBLISH x 1", "SPUBLISH x 1"} {
			refused.ask(call+"\r\nMULTI\r\n"+call+"\r\nEXEC\r\n", "-"+errNoPermChannel+"\r\n+OK\r\n-"+errNoPermChannel+"\r\n-"+errExecAbort+"\r\n")
		}
		refused.ask("PUBLISH b 1\r\nSPUBLISH b 1\r\nMULTI\r\nPUBLISH b 1\r\nSUBSCRIBE b\r\nSPUBLISH b 1\r\n", ":0\r\n:0\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n")
		gone := []*client{subscribe("SUBSCRIBE", "subscribe", "b"), subscribe("SSUBSCRIBE", "ssubscribe", "b"), subscribe("PSUBSCRIBE", "psubscribe", "c?")}
		stays := subscribe("SUBSCRIBE", "subscribe", "a1")
		admin.ask("ACL SETUSER bob resetchannels &a* &c*\r\nPUBLISH c1 late\r\nPUBLISH a1 late\r\n", "+OK\r\n")
		admin.line() // how many still listened is a matter of luck
		admin.expect(":1\r\n")
		const denied = "-" + errNoPermExec + "no permission to access one of the channels used as arguments\r\n"
		refused.ask("EXEC\r\n", "*3\r\n"+denied+denied+denied)
		for i, c := range gone {
			if rest := c.expectEOF(); len(rest) > 0 {
				t.Errorf("%d: %q", i, rest)
			}
		}
		stays.expect("*3\r\n$7\r\nmessage\r\n$2\r\na1\r\n$4\r\nlate\r\n")
		eventually(t, "only one listens", func() bool { return s.store.Subscribers(store.Channels, []byte("b")) == 0 })
	})
}
