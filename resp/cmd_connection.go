package resp

import (
	"fmt"

	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
)

// Flags that most commands about a connection share.
const connFlags = command.NoScript | command.Loading | command.Stale

func connectionFamily() []local {
	const group = "connection"
	return []local{
		{spec: command.Spec{Name: "ping", Tips: "request_policy:all_shards response_policy:all_succeeded", Arity: -1, Flags: command.Fast, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Ping the server", Syntax: "[message]"}, when: anytime, run: (*conn).cmdPing, role: whileListens},
		{spec: command.Spec{Name: "echo", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Echo the given string", Syntax: "message"}, when: anytime, run: (*conn).cmdEcho},
		local{spec: command.Spec{Name: "hello", Arity: -1, Flags: connFlags | command.Fast | command.NoAuth | command.AllowBusy, Group: group, Since: "6.0.0", Complexity: "O(1)",
			Summary: "Handshake with Redis", Syntax: "[protover [AUTH username password] [SETNAME clientname]]"}, when: inOrder, run: (*conn).cmdHello}.hiding(2),
		local{spec: command.Spec{Name: "auth", Arity: -2, Flags: connFlags | command.Fast | command.NoAuth | command.AllowBusy, Group: group, Since: "1.0.0", Complexity: "O(N) where N is the number of passwords defined for the user",
			Summary: "Authenticate to the server", Syntax: "[username] password"}, when: inOrder, run: (*conn).cmdAuth}.hiding(1),
		{spec: command.Spec{Name: "select", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Change the selected database for the current connection", Syntax: "index", OtherDatabase: func(argv [][]byte) string {
				if n, ok := command.ParseInt(argv[1]); ok && n != 0 {
					return "ERR SELECT is not allowed in cluster mode"
				}
				return ""
			}}, when: anytime, run: (*conn).cmdSelect, role: selects},
		{spec: command.Spec{Name: "quit", Arity: -1, Flags: connFlags | command.Fast | command.NoAuth | command.AllowBusy, Group: group, Since: "1.0.0", Complexity: "O(1)",
			Summary: "Close the connection"}, when: inOrder, run: (*conn).cmdQuit, role: unqueued | whileListens},
		{spec: command.Spec{Name: "reset", Arity: 1, Flags: connFlags | command.Fast | command.NoAuth | command.AllowBusy, Group: group, Since: "6.2.0", Complexity: "O(1)",
			Summary: "Reset the connection"}, when: inOrder, run: (*conn).cmdReset, role: unqueued | whileListens},
		{spec: command.Spec{Name: "readonly", ACL: "connection", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
			Summary: "Serve this connection's reads from this node's own state"}, when: anytime, run: (*conn).cmdReadonly},
		{spec: command.Spec{Name: "readwrite", ACL: "connection", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
			Summary: "Make this connection's reads linearizable"}, when: anytime, run: (*conn).cmdReadwrite},
		clientContainer(),
	}
}

func (c *conn) cmdPing(argv [][]byte) {
	switch {
	case len(argv) > 2:
		c.enc.Error(command.ErrArity("ping"))
	case c.inSubscribedMode(): // as a message, which is all that such a client expects
		c.enc.Array(2)
		c.enc.BulkString("pong")
		if len(argv) == 2 {
			c.enc.Bulk(argv[1])
		} else {
			c.enc.BulkString("")
		}
	case len(argv) == 2:
		c.enc.Bulk(argv[1])
	default:
		c.enc.Status("PONG")
	}
}

func (c *conn) cmdEcho(argv [][]byte) { c.enc.Bulk(argv[1]) }

func (c *conn) cmdSelect(argv [][]byte) {
	n, ok := command.ParseInt(argv[1])
	switch {
	case !ok:
		c.enc.Error(command.ErrNotInteger)
	case n < 0 || n >= databases:
		c.enc.Error(command.ErrDBIndex)
	default:
		c.db = int(n)
		c.enc.Status("OK")
	}
}

func (c *conn) cmdQuit([][]byte) {
	c.enc.Status("OK")
	c.closing = true
}

// cmdReset brings the connection back to where it was when it was accepted.
func (c *conn) cmdReset([][]byte) {
	cfg := c.srv.config()
	if c.monitor {
		c.monitor = false
		c.srv.monitors.Add(-1)
	}
	c.discard()
	c.untrack()
	c.takeInvalidations()
	c.unlisten()
	c.db, c.name = 0, ""
	c.sink.setRESP3(false)
	c.beDefault()
	c.linear, c.modeSet = cfg.ReadMode == "linearizable", false
	c.noEvict, c.noTouch, c.debugging, c.redirects = false, false, false, false
	if c.sink.off { // as in Redis, a SKIP before holds for RESET itself
		c.sink.off, c.enc = false, &c.sink.client
	}
	c.enc.Status("RESET")
}

// cmdReadonly is Redis Cluster's word for "this node will do, even if it is
// behind".
func (c *conn) cmdReadonly([][]byte) {
	c.linear, c.modeSet = false, true
	c.enc.Status("OK")
}

func (c *conn) cmdReadwrite([][]byte) {
	c.linear, c.modeSet = true, true
	c.enc.Status("OK")
}

func (c *conn) cmdAuth(argv [][]byte) {
	user, password := []byte(acl.DefaultName), argv[len(argv)-1]
	switch {
	case len(argv) > 3:
		c.enc.Error(command.ErrSyntax)
		return
	case len(argv) == 3:
		user = argv[1]
	case !c.unknown() && c.srv.users().Default().NoPass():
		c.enc.Error(errNoPassword)
		return
	}
	if c.unknown() {
		c.enc.Error(loadingError(c.srv.store.Readiness()))
		return
	}
	if !c.login(c.srv.commands["auth"], argv, user, password) {
		c.enc.Error(errWrongPass)
		return
	}
	c.enc.Status("OK")
}

func (c *conn) cmdHello(argv [][]byte) {
	var version int64
	if len(argv) >= 2 {
		var ok bool
		if version, ok = command.ParseInt(argv[1]); !ok {
			c.enc.Error("ERR Protocol version is not an integer or out of range")
			return
		}
		if version < 2 || version > 3 {
			c.enc.Error("NOPROTO unsupported protocol version")
			return
		}
	}
	for i := 2; i < len(argv); i++ {
		more := len(argv) - 1 - i
		switch {
		case command.EqualFold(argv[i], "auth") && more >= 2:
			if c.unknown() {
				c.enc.Error(loadingError(c.srv.store.Readiness()))
				return
			}
			if !c.login(c.srv.commands["hello"], argv, argv[i+1], argv[i+2]) {
				c.enc.Error(errWrongPass)
				return
			}
			i += 2
		case command.EqualFold(argv[i], "setname") && more >= 1:
			if !c.setName(argv[i+1]) {
				return
			}
			i++
		default:
			c.enc.Error(fmt.Sprintf("ERR Syntax error in HELLO option '%s'", cString(argv[i], len(argv[i]))))
			return
		}
	}
	if !c.who.authed && !c.unknown() {
		c.enc.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	if version != 0 {
		c.sink.setRESP3(version == 3)
	}
	proto := int64(2)
	if c.enc.RESP3() {
		proto = 3
	}
	role := "replica"
	if t := c.srv.topology(); t.leads() {
		role = "master"
	}
	c.enc.Map(7)
	c.enc.BulkString("server")
	c.enc.BulkString("redis")
	c.enc.BulkString("version")
	c.enc.BulkString(redisVersion)
	c.enc.BulkString("proto")
	c.enc.Int(proto)
	c.enc.BulkString("id")
	c.enc.Int(c.id)
	c.enc.BulkString("mode")
	c.enc.BulkString(c.srv.mode())
	c.enc.BulkString("role")
	c.enc.BulkString(role)
	c.enc.BulkString("modules")
	c.enc.Array(0)
}

// redisVersion is the version of Redis whose commands these are. Clients choose
// what they send by it.
const redisVersion = "7.0.15"

// setName sets the connection's name, or says why not.
func (c *conn) setName(name []byte) bool {
	for _, b := range name {
		if b < '!' || b > '~' {
			c.enc.Error(errClientName)
			return false
		}
	}
	c.name = string(name)
	return true
}
