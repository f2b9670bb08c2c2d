package resp

import (
	"fmt"
	"math"
	"strings"

	"github.com/raftredis/raftredis/store/command"
)

func clientContainer() local {
	sub := func(name string, arity int, since, summary, syntax string, w when, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: connFlags, Since: since, Complexity: "O(1)", Summary: summary, Syntax: syntax}, when: w, run: run}
	}
	admin := func(l local) local { l.spec.Flags |= command.Admin; return l }
	return local{
		spec: command.Spec{Name: "client", Arity: -2, Group: "connection", Since: "2.4.0", Complexity: "Depends on subcommand.", Summary: "A container for client connection commands"},
		subs: []local{
			sub("id", 2, "5.0.0", "Get the current connection ID", "", anytime, func(c *conn, _ [][]byte) { c.enc.Int(c.id) }),
			sub("getname", 2, "2.6.9", "Get the name of the current connection", "", anytime, (*conn).cmdGetName),
			sub("setname", 3, "2.6.9", "Set the name of the current connection", "connection-name", anytime, (*conn).cmdSetName),
			sub("setinfo", 4, "7.2.0", "Set what the client library says of itself", "attr value", anytime, (*conn).cmdSetInfo),
			sub("capa", -3, "8.0.0", "Say what the client library can do: redirect has it sent to the leader", "capability [capability ...]", anytime, (*conn).cmdClientCapa),
			sub("info", 2, "6.2.0", "Get information about the current connection", "", inOrder, (*conn).cmdClientInfo).tips("nondeterministic_output"),
			admin(sub("list", -2, "2.4.0", "Get the list of client connections", "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", inOrder, (*conn).cmdClientList)).tips("nondeterministic_output"),
			admin(sub("kill", -3, "2.4.0", "Close connections", "[ip:port] [ID client-id] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]", inOrder, (*conn).cmdClientKill)),
			admin(sub("pause", -3, "2.9.50", "Hold back commands of all clients for some time", "timeout [WRITE | ALL]", inOrder, (*conn).cmdClientPause)),
			admin(sub("unpause", 2, "6.2.0", "Let clients that were paused go on", "", inOrder, (*conn).cmdClientUnpause)),
			sub("reply", 3, "3.2.0", "Choose whether commands are replied to", "<ON | OFF | SKIP>", inOrder, (*conn).cmdClientReply),
			admin(sub("no-evict", 3, "7.0.0", "Exempt the connection from client eviction", "<ON | OFF>", anytime, (*conn).cmdClientNoEvict)),
			sub("no-touch", 3, "7.2.0", "Choose whether reads count as use of a key", "<ON | OFF>", anytime, (*conn).cmdClientNoTouch).as(setsNoTouch),
			admin(sub("unblock", -3, "5.0.0", "End the wait of a blocked client", "client-id [TIMEOUT | ERROR]", inOrder, (*conn).cmdClientUnblock)),
			sub("tracking", -3, "6.0.0", "Be told when what this connection has read changes, for a cache on the client's side", "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", inOrder, (*conn).cmdTracking),
			sub("caching", 3, "6.0.0", "Choose whether the next command's keys are tracked", "<YES | NO>", anytime, (*conn).cmdCaching).as(allowsCache),
			sub("getredir", 2, "6.0.0", "Get where tracking notifications of this connection go", "", anytime, func(c *conn, _ [][]byte) { c.enc.Int(c.redirection()) }),
			sub("trackinginfo", 2, "6.2.0", "Get the state of this connection's tracking", "", anytime, (*conn).cmdTrackingInfo),
			{spec: *command.Help("client", "connection", "5.0.0",
				"CACHING (YES|NO)",
				"    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
				"GETREDIR",
				"    Return the client ID we are redirecting to when tracking is enabled.",
				"GETNAME",
				"    Return the name of the current connection.",
				"ID",
				"    Return the ID of the current connection.",
				"INFO",
				"    Return information about the current client connection.",
				"KILL <ip:port>",
				"    Kill connection made from <ip:port>.",
				"KILL <option> <value> [<option> <value> [...]]",
				"    Kill connections. Options are:",
				"    * ADDR (<ip:port>|<unixsocket>:0)",
				"      Kill connections made from the specified address",
				"    * LADDR (<ip:port>|<unixsocket>:0)",
				"      Kill connections made to specified local address",
				"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
				"      Kill connections by type.",
				"    * USER <username>",
				"      Kill connections authenticated by <username>.",
				"    * SKIPME (YES|NO)",
				"      Skip killing current connection (default: yes).",
				"LIST [options ...]",
				"    Return information about client connections. Options:",
				"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
				"      Return clients of specified type.",
				"UNPAUSE",
				"    Stop the current client pause, resuming traffic.",
				"PAUSE <timeout> [WRITE|ALL]",
				"    Suspend all, or just write, clients for <timeout> milliseconds.",
				"REPLY (ON|OFF|SKIP)",
				"    Control the replies sent to the current connection.",
				"SETNAME <name>",
				"    Assign the name <name> to the current connection.",
				"UNBLOCK <clientid> [TIMEOUT|ERROR]",
				"    Unblock the specified blocked client.",
				"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
				"         [OPTIN] [OPTOUT] [NOLOOP]",
				"    Control server assisted client side caching.",
				"TRACKINGINFO",
				"    Report tracking status for the current connection.",
				"NO-EVICT (ON|OFF)",
				"    Protect current client connection from eviction.")},
		},
	}
}

func (c *conn) cmdGetName([][]byte) {
	if c.name == "" {
		c.enc.Null()
		return
	}
	c.enc.BulkString(c.name)
}

func (c *conn) cmdSetName(argv [][]byte) {
	if c.setName(argv[2]) {
		c.enc.Status("OK")
	}
}

// cmdSetInfo is younger than Redis 7.0, but today's client libraries send it on
// connecting.
func (c *conn) cmdSetInfo(argv [][]byte) {
	var field *string
	switch {
	case command.EqualFold(argv[2], "lib-name"):
		field = &c.libName
	case command.EqualFold(argv[2], "lib-ver"):
		field = &c.libVersion
	default:
		c.enc.Error(fmt.Sprintf("ERR Unrecognized option '%s'", cString(argv[2], len(argv[2]))))
		return
	}
	for _, b := range argv[3] {
		if b < '!' || b > '~' {
			c.enc.Error(fmt.Sprintf("ERR %s cannot contain spaces, newlines or special characters.", strings.ToLower(string(argv[2]))))
			return
		}
	}
	*field = string(argv[3])
	c.enc.Status("OK")
}

func (c *conn) cmdClientInfo([][]byte) {
	c.publish()
	c.enc.Verbatim("txt", c.info(c.srv.now())+"\n")
}

// clientType reads one of the classes that CLIENT LIST and KILL know. No client here
// is a master or replica: replication does not come in by this door.
func clientType(b []byte) (name string, ok bool) {
	name = strings.ToLower(string(b))
	switch name {
	case "normal", "master", "pubsub":
		return name, true
	case "slave", "replica":
		return "replica", true
	default:
		return "", false
	}
}

// kind is the connection's class.
func (c *conn) kind() string {
	c.face.mu.Lock()
	defer c.face.mu.Unlock()
	if c.face.listens() {
		return "pubsub"
	}
	return "normal"
}

func (c *conn) cmdClientList(argv [][]byte) {
	c.publish()
	now := c.srv.now()
	var text strings.Builder
	list := func(each *conn) { text.WriteString(each.info(now) + "\n") }
	switch {
	case len(argv) == 2:
		c.srv.eachClient(list)
	case len(argv) == 4 && command.EqualFold(argv[2], "type"):
		kind, ok := clientType(argv[3])
		if !ok {
			c.enc.Error(fmt.Sprintf("ERR Unknown client type '%s'", cString(argv[3], len(argv[3]))))
			return
		}
		c.srv.eachClient(func(each *conn) {
			if each.kind() == kind {
				list(each)
			}
		})
	case len(argv) > 3 && command.EqualFold(argv[2], "id"):
		for _, a := range argv[3:] {
			id, ok := command.ParseInt(a)
			if !ok {
				c.enc.Error("ERR Invalid client ID")
				return
			}
			if each := c.srv.client(id); each != nil {
				list(each)
			}
		}
	default:
		c.enc.Error(command.ErrSyntax)
		return
	}
	c.enc.Verbatim("txt", text.String())
}

// killFilter says which connections CLIENT KILL means.
type killFilter struct {
	id          int64
	addr, laddr string
	kind        string
	user        string
	skipMe      bool
}

func (f *killFilter) matches(c, me *conn) bool {
	return (f.addr == "" || c.addr == f.addr) &&
		(f.laddr == "" || c.laddr == f.laddr) &&
		(f.kind == "" || f.kind == c.kind()) &&
		(f.id == 0 || c.id == f.id) &&
		(f.user == "" || c.userName() == f.user) &&
		!(c == me && f.skipMe)
}

func (c *conn) cmdClientKill(argv [][]byte) {
	f := killFilter{skipMe: true}
	if len(argv) == 3 {
		f.addr, f.skipMe = string(argv[2]), false
	} else if !c.parseKill(argv[2:], &f) {
		return
	}
	killed := 0
	c.srv.eachClient(func(each *conn) {
		if !f.matches(each, c) {
			return
		}
		killed++
		if each == c {
			c.closing = true // after the reply
			return
		}
		each.link.Kill()
	})
	switch {
	case len(argv) > 3:
		c.enc.Int(int64(killed))
	case killed == 0:
		c.enc.Error("ERR No such client")
	default:
		c.enc.Status("OK")
	}
}

func (c *conn) parseKill(opts [][]byte, f *killFilter) bool {
	for i := 0; i < len(opts); i += 2 {
		if i+1 == len(opts) {
			c.enc.Error(command.ErrSyntax)
			return false
		}
		value := opts[i+1]
		switch strings.ToLower(string(opts[i])) {
		case "id":
			id, ok := command.ParseInt(value)
			if !ok || id < 1 {
				c.enc.Error("ERR client-id should be greater than 0")
				return false
			}
			f.id = id
		case "type":
			kind, ok := clientType(value)
			if !ok {
				c.enc.Error(fmt.Sprintf("ERR Unknown client type '%s'", cString(value, len(value))))
				return false
			}
			f.kind = kind
		case "addr":
			f.addr = string(value)
		case "laddr":
			f.laddr = string(value)
		case "user":
			if c.srv.users().Find(string(value)) != nil {
				f.user = string(value)
			} else {
				c.enc.Error(fmt.Sprintf("ERR No such user '%s'", cString(value, len(value))))
				return false
			}
		case "skipme":
			switch {
			case command.EqualFold(value, "yes"):
				f.skipMe = true
			case command.EqualFold(value, "no"):
				f.skipMe = false
			default:
				c.enc.Error(command.ErrSyntax)
				return false
			}
		default:
			c.enc.Error(command.ErrSyntax)
			return false
		}
	}
	return true
}

func (c *conn) cmdClientPause(argv [][]byte) {
	p := &pause{all: true}
	switch {
	case len(argv) > 4:
		c.enc.Error(subcommandSyntax(argv))
		return
	case len(argv) == 3 || command.EqualFold(argv[3], "all"):
	case command.EqualFold(argv[3], "write"):
		p.all = false
	default:
		c.enc.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
		return
	}
	ms, ok := c.timeoutOf(argv[2])
	if !ok {
		return
	}
	now := c.srv.now().UnixMilli()
	p.until = now + min(ms, math.MaxInt64-now)
	// As Redis: a second pause never makes the first one shorter or weaker.
	if old := c.srv.pause.Load(); old != nil && old.until > now {
		p.until, p.all = max(p.until, old.until), p.all || old.all
	}
	c.srv.pause.Store(p)
	c.enc.Status("OK")
}

func (c *conn) cmdClientUnpause([][]byte) {
	if p := c.srv.pause.Load(); p != nil {
		c.srv.unpause(p)
	}
	c.enc.Status("OK")
}

func (c *conn) cmdClientReply(argv [][]byte) {
	switch {
	case command.EqualFold(argv[2], "on"):
		c.sink.off = false
		if !c.executing { // a transaction is answered as a whole
			c.enc = &c.sink.client
		}
		c.enc.Status("OK")
	case command.EqualFold(argv[2], "off"):
		c.sink.off = true
	case command.EqualFold(argv[2], "skip"):
		c.sink.next = !c.sink.off
	default:
		c.enc.Error(command.ErrSyntax)
	}
}

func (c *conn) onOff(b []byte) (on, ok bool) {
	switch {
	case command.EqualFold(b, "on"):
		return true, true
	case command.EqualFold(b, "off"):
		return false, true
	default:
		c.enc.Error(command.ErrSyntax)
		return false, false
	}
}

func (c *conn) cmdClientNoEvict(argv [][]byte) {
	if on, ok := c.onOff(argv[2]); ok {
		c.noEvict = on
		c.enc.Status("OK")
	}
}

// cmdClientCapa is Valkey's. What is not known is ignored, as there.
func (c *conn) cmdClientCapa(argv [][]byte) {
	for _, a := range argv[2:] {
		c.redirects = c.redirects || command.EqualFold(a, "redirect")
	}
	c.enc.Status("OK")
}

// cmdClientNoTouch is for who looks at all keys and has no use for them, and must not
// make hot ones of them. Writes count as ever: every member notes them as it applies them.
func (c *conn) cmdClientNoTouch(argv [][]byte) {
	if on, ok := c.onOff(argv[2]); ok {
		c.noTouch = on
		c.enc.Status("OK")
	}
}

// queuedNoTouch reports whether a queued command is a CLIENT NO-TOUCH, and what it says
// for those behind it.
func queuedNoTouch(q queuedCommand) (on, ok bool) {
	if !q.cmd.is(setsNoTouch) {
		return false, false
	}
	on = command.EqualFold(q.argv[2], "on")
	return on, on || command.EqualFold(q.argv[2], "off")
}

func (c *conn) cmdClientUnblock(argv [][]byte) {
	asError := false
	if len(argv) > 4 {
		c.enc.Error(subcommandSyntax(argv))
		return
	}
	if len(argv) == 4 {
		switch {
		case command.EqualFold(argv[3], "timeout"):
		case command.EqualFold(argv[3], "error"):
			asError = true
		default:
			c.enc.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
			return
		}
	}
	id, ok := command.ParseInt(argv[2])
	if !ok {
		c.enc.Error(command.ErrNotInteger)
		return
	}
	err := ""
	if asError {
		err = errUnblocked
	}
	if c.srv.unblock(id, err) {
		c.enc.Int(1)
		return
	}
	c.enc.Int(0)
}

// client returns the connection with an id, nil if there is none.
func (s *Server) client(id int64) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}
