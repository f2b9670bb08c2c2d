package resp

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/raftredis/raftredis/store/command"
)

// when says what a command of the front has to wait for.
type when uint8

const (
	// anytime is for commands about this connection alone. They run as soon as
	// they are read; behind a write that is still on its way, their reply takes
	// its place among the batch's.
	anytime when = iota

	// inOrder is for commands that look at the node, at the data, or change how
	// the following commands are taken. They run once everything before them has
	// been answered.
	inOrder

	// slow is for commands that may wait for the network or the disk. They run
	// on a goroutine of their own, while the connection waits.
	slow
)

// role is what a command of the front is to the state machine of its connection,
// which takes it another way than the rest. What clients may know of a command is
// in its Spec.
type role uint16

const (
	unqueued     role = 1 << iota // MULTI does not queue it
	executes                      // it runs what MULTI has queued, and the checks are about that
	selects                       // in a transaction, it chooses the database of what is behind it
	allowsCache                   // in a transaction, it may say that what is behind it may be cached
	setsNoTouch                   // in a transaction, it says whether what is behind it uses keys
	untimed                       // it waits for others: its time is not one of execution
	subscribes                    // it changes what the client listens to
	whileListens                  // a RESP2 client that listens may call it, as it may what subscribes
	guarded                       // it is refused unless enable-debug-command allows it
	always                        // it is about who leads: whether the node loads, or knows a leader, does not matter
	wraps                         // it is about the command behind it: see once
	harmless                      // an @admin command that only shows what this node's part in the cluster is
)

// local is a command that the front runs itself: its declaration, which is also
// its entry in the table of all commands, and its handler.
type local struct {
	spec command.Spec
	when when
	run  func(c *conn, argv [][]byte)
	role role
	subs []local

	// secret reports whether argument i of a call, not its name, must not be shown to
	// others. nil: nothing of it is secret.
	secret func(argv [][]byte, i int) bool
}

// families are all commands of the front.
func families() [][]local {
	return [][]local{connectionFamily(), aclFamily(), transactionFamily(), pubsubFamily(), serverFamily(), raftFamily(), clusterFamily(), sentinelFamily(), scriptingFamily(), onceFamily()}
}

// Commands returns the Specs of the commands that the front runs itself, for
// main to join with the data commands in one table.
func Commands() []*command.Spec {
	var specs []*command.Spec
	for _, family := range families() {
		for i := range family {
			specs = append(specs, family[i].declare())
		}
	}
	return specs
}

// as gives the command a role.
func (l local) as(r role) local { l.role |= r; return l }

// hiding keeps the arguments from i on from others.
func (l local) hiding(from int) local {
	l.secret = func(_ [][]byte, i int) bool { return i >= from }
	return l
}

// tips adds Redis's hints for clients that talk to a whole cluster.
func (l local) tips(tips string) local { l.spec.Tips = tips; return l }

func (l *local) declare() *command.Spec {
	s := l.spec
	s.Local = s.Local || l.run != nil
	for i := range l.subs {
		sub := l.subs[i].declare()
		if sub.Group == "" {
			sub.Group = s.Group
		}
		s.Subcommands = append(s.Subcommands, sub)
	}
	return &s
}

// cmd is what the front knows of one command, data commands included.
type cmd struct {
	spec  *command.Spec
	name  string // lower case; a subcommand's is "config|get"
	flags command.Flags
	subs  []*cmd
	when  when
	run   func(c *conn, argv [][]byte) // nil for data commands
	role  role

	secret func(argv [][]byte, i int) bool // as local's

	calls, nanos, rejected, failed atomic.Int64 // nanos: of execution
	latency                        histogram    // of execution
	waited                         waits
}

// newCommands makes the front's view of the table, keyed by lower case name.
func newCommands(table *command.Table) (map[string]*cmd, error) {
	handlers := make(map[string]*local)
	for _, family := range families() {
		for i := range family {
			handlers[family[i].spec.Name] = &family[i]
			for j := range family[i].subs {
				handlers[family[i].spec.Name+"|"+family[i].subs[j].spec.Name] = &family[i].subs[j]
			}
		}
	}
	cmds := make(map[string]*cmd)
	for _, spec := range table.All() {
		cm, err := newCommand(spec, "", handlers)
		if err != nil {
			return nil, err
		}
		cmds[spec.Name] = cm
	}
	return cmds, nil
}

func newCommand(spec *command.Spec, parent string, handlers map[string]*local) (*cmd, error) {
	cm := &cmd{spec: spec, name: spec.Name, flags: spec.AllFlags()}
	if parent != "" {
		cm.name = parent + "|" + spec.Name
	}
	if h := handlers[cm.name]; h != nil {
		cm.run, cm.when, cm.role, cm.secret = h.run, h.when, h.role, h.secret
	}
	if spec.Answer != nil && cm.run == nil {
		cm.run = func(c *conn, _ [][]byte) { spec.Answer(c.enc) }
	}
	if spec.Local && cm.run == nil && !cm.is(wraps) {
		return nil, fmt.Errorf("command %q is the front's, but the front does not know it", cm.name)
	}
	for _, s := range spec.Subcommands {
		sub, err := newCommand(s, spec.Name, handlers)
		if err != nil {
			return nil, err
		}
		cm.subs = append(cm.subs, sub)
	}
	return cm, nil
}

// is reports whether the command has the role, or one of them.
func (cm *cmd) is(r role) bool { return cm.role&r != 0 }

// monitored reports whether monitors see the command. What runs a script has Redis's
// flag against it and is shown all the same, there by the command itself.
func (cm *cmd) monitored() bool {
	return cm.flags&(command.SkipMonitor|command.Admin) == 0 || cm.spec.Runs != 0
}

// hides reports whether argument i of a call must not be shown to others.
func (cm *cmd) hides(argv [][]byte, i int) bool {
	return i > 0 && cm.secret != nil && cm.secret(argv, i)
}

// lookup finds the command that argv calls, nil if there is none. container is
// set if argv names a subcommand that does not exist.
func (s *Server) lookup(argv [][]byte) (cm *cmd, container bool) {
	var lower [32]byte
	name := argv[0]
	if len(name) > len(lower) {
		return nil, false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	cm = s.commands[string(lower[:len(name)])]
	if cm == nil || len(cm.subs) == 0 || len(argv) < 2 {
		return cm, false
	}
	for _, sub := range cm.subs {
		if command.EqualFold(argv[1], sub.spec.Name) {
			return sub, false
		}
	}
	return nil, true
}

// unknownCommand is Redis's answer to a command that there is not.
func unknownCommand(argv [][]byte, container bool) string {
	name := cString(argv[0], 128)
	if container {
		return oneLine(fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", cString(argv[1], 128), strings.ToUpper(cString(argv[0], len(argv[0])))))
	}
	var args strings.Builder
	for _, a := range argv[1:] {
		if args.Len() >= 128 {
			break
		}
		fmt.Fprintf(&args, "'%s' ", cString(a, 128-args.Len()))
	}
	return oneLine(fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", name, args.String()))
}

// cString cuts b as C's %.*s does: at n bytes or the first NUL.
func cString(b []byte, n int) string {
	if len(b) > n {
		b = b[:n]
	}
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return string(b)
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, s)
}

// subcommandSyntax is Redis's answer to a subcommand with arguments that make no
// sense.
func subcommandSyntax(argv [][]byte) string {
	return oneLine(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
		cString(argv[1], 128), strings.ToUpper(cString(argv[0], len(argv[0])))))
}
