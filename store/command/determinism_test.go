package command

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store/keyspace"
)

var (
	logSeed = flag.Uint64("log-seed", 0, "seed of the random logs, 0 for a new one")
	logLen  = flag.Int("log-len", 4000, "commands in each random log")
)

// TestRandomLogs applies random logs over all commands of the table to two
// keyspaces, one of which goes through its snapshot at random points. Replies and
// snapshots must stay the same; a command that fails must not have changed
// anything; and nobody may leave an empty collection behind.
func TestRandomLogs(t *testing.T) {
	seed := *logSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for run := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed+run), func(t *testing.T) {
			l := &randomLog{space: newSpace(t), rnd: rand.New(rand.NewPCG(seed+run, 0))}
			for _, s := range l.table.All() {
				l.add(s)
			}
			for range *logLen {
				l.step()
			}
			l.checkTwin()
		})
	}
}

// randomLog makes calls from what the table says about commands' arguments.
type randomLog struct {
	*space
	rnd   *rand.Rand
	specs []*Spec
	args  [][]Argument
}

func (l *randomLog) add(s *Spec) {
	if s.Read != nil || s.Write != nil {
		args, err := s.Arguments()
		if err != nil {
			l.t.Fatal(err)
		}
		l.specs, l.args = append(l.specs, s), append(l.args, args)
	}
	for _, sub := range s.Subcommands {
		l.add(sub)
	}
}

func (l *randomLog) step() {
	switch l.rnd.IntN(60) {
	case 0:
		l.advance(time.Duration(l.rnd.IntN(3000)) * time.Millisecond)
	case 1:
		l.checkTwin()
		l.restoreTwin()
	case 2:
		l.checkNoEmpty()
	case 3, 4, 5, 6: // values that chance alone would seldom make
		argv, err := splitArgs(strings.ReplaceAll(l.pick(
			"XADD stream:# * a 1 b 2",
			"XGROUP CREATE stream:# g1 0 MKSTREAM",
			"XREADGROUP GROUP g1 alice COUNT 2 STREAMS stream:# >",
			"GEOADD geo:# 13.361389 38.115556 a 15.087269 37.502669 b 2.35 48.85 c",
			"PFADD hyperloglog:# a b c d e f g h",
			"ZADD sorted-set:# 1 a 2 b 3 c 3 d 4 e",
			"RPUSH list:# a b c d e f",
			"SADD set:# 1 2 3 4 5",
			"HSET hash:# a 1 b 2 c x",
			"SETBIT bitmap:# 77 1",
		), "#", l.pick("0", "1")))
		if err != nil {
			l.t.Fatal(err)
		}
		l.call(0, argv...)
	}
	i := l.rnd.IntN(len(l.specs))
	s := l.specs[i]
	if (strings.HasPrefix(s.Name, "flush") || s.Name == "swapdb") && l.rnd.IntN(20) > 0 {
		return // or the keyspace stays empty
	}
	argv := l.make(s, l.args[i])
	db := 0
	if l.rnd.IntN(8) == 0 {
		db = 1
	}
	if l.rnd.IntN(4) > 0 { // a capture makes every change fork first: not always
		l.call(db, argv...)
		return
	}
	before, expired := encoding(l.ks), l.ks.Stats().Expired
	reply := l.call(db, argv...)
	if reply.kind != '-' && s.Write != nil {
		return
	}
	// A key past its deadline may have been deleted on the way to the error.
	if l.ks.Stats().Expired == expired && !bytes.Equal(before, encoding(l.ks)) {
		l.t.Errorf("%q answered %s and yet changed the keyspace", argv, reply)
	}
}

// make makes a call: mostly a sensible one.
func (l *randomLog) make(s *Spec, args []Argument) [][]byte {
	g := &callGenerator{rnd: l.rnd, name: s.Name, group: s.Group}
	g.dump = func() string {
		return l.call(0, []byte("DUMP"), []byte(g.key())).text
	}
	for _, word := range strings.Split(s.FullName(), "|") {
		g.argv = append(g.argv, []byte(word))
	}
	names := len(g.argv)
	g.all(args)
	if l.rnd.IntN(12) == 0 && len(g.argv) > names { // and now and then not
		at := names + l.rnd.IntN(len(g.argv)-names)
		switch l.rnd.IntN(3) {
		case 0:
			g.argv = append(g.argv[:at], g.argv[at+1:]...)
		case 1:
			g.argv[at] = []byte(g.word())
		default:
			g.argv = append(g.argv, g.argv[at])
		}
	}
	return g.argv
}

type callGenerator struct {
	rnd   *rand.Rand
	name  string
	group string
	argv  [][]byte
	count int // position of the argument that is the number of keys, 0 if none
	keys  int // how many keys there were
	dump  func() string
}

func (g *callGenerator) pick(words ...string) string { return words[g.rnd.IntN(len(words))] }

func (l *randomLog) pick(words ...string) string { return words[l.rnd.IntN(len(words))] }

func (g *callGenerator) put(word string) { g.argv = append(g.argv, []byte(word)) }

func (g *callGenerator) all(args []Argument) {
	for _, a := range args {
		if a.Optional && g.rnd.IntN(100) < 60 {
			continue
		}
		times := 1
		if a.Multiple {
			times += g.rnd.IntN(3)
		}
		if a.Name == "id" && a.Multiple && strings.HasPrefix(g.name, "xread") {
			times = g.keys // one for each stream
		}
		for i := range times {
			if a.Token != "" && a.Type != "pure-token" && (i == 0 || a.MultipleToken) {
				g.put(a.Token)
			}
			g.one(a)
		}
		if a.Name == "key" {
			g.keys = times
		}
		if a.Name == "key" && g.count > 0 && g.rnd.IntN(15) > 0 {
			g.argv[g.count] = fmt.Append(nil, times)
		}
	}
}

func (g *callGenerator) one(a Argument) {
	switch a.Type {
	case "pure-token":
		g.put(a.Token)
	case "oneof":
		choice := a.Arguments[g.rnd.IntN(len(a.Arguments))]
		choice.Optional = false
		g.all([]Argument{choice})
	case "block":
		g.all(a.Arguments)
	case "key":
		g.put(g.key())
	case "integer", "unix-time":
		if a.Name == "numkeys" {
			g.count = len(g.argv)
		}
		g.put(g.integer(a.Name))
	case "double":
		if g.rnd.IntN(12) == 0 {
			g.put(g.pick("-inf", "inf", "nan", "1e400", "", g.integer("")))
		} else {
			g.put(g.pick("0", "1", "2", "3", "1.5", "2e2", "0.1", "13.361389", "38.115556"))
		}
	case "pattern":
		g.put(g.pick("*", "a*", "?", "[a-c]*", "*1", "nosuch"))
	default:
		g.put(g.text(a.Name))
	}
}

// key picks from a few keys of the command's own group, so that most calls find
// a value of their type.
func (g *callGenerator) key() string {
	group := g.group
	switch group {
	case "generic", "server":
		group = g.pick("string", "list", "set", "hash", "sorted-set", "stream", "geo", "hyperloglog", "bitmap")
	case "sorted-set":
		group = g.pick("sorted-set", "sorted-set", "sorted-set", "set")
	default:
		if g.rnd.IntN(15) == 0 {
			group = "sorted-set"
		}
	}
	return fmt.Sprint(group, ":", g.rnd.IntN(2))
}

func (g *callGenerator) integer(name string) string {
	switch {
	case strings.HasPrefix(name, "unix-time") && g.rnd.IntN(4) > 0:
		return fmt.Sprint(epoch.Unix() + int64(g.rnd.IntN(100000)))
	case name == "milliseconds" && g.rnd.IntN(3) > 0:
		return fmt.Sprint(g.rnd.IntN(5000))
	}
	switch g.rnd.IntN(40) {
	case 0:
		return g.pick("9223372036854775807", "-9223372036854775808", "abc", "", "1.5", "9223372036854775808")
	case 1, 2:
		return fmt.Sprint(g.rnd.IntN(5000))
	default:
		return fmt.Sprint(g.rnd.IntN(24) - 4)
	}
}

func (g *callGenerator) word() string {
	switch g.rnd.IntN(30) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(g.pick("x", "yz"), g.rnd.IntN(200))
	case 2:
		return "\x00\xff\r\n"
	case 3, 4, 5, 6:
		return g.integer("")
	default:
		return g.pick("a", "b", "c", "d", "e", "f", "alpha", "beta") + g.pick("", "1", "2", "3", "4")
	}
}

// text knows a few names whose arguments are not just any string.
func (g *callGenerator) text(name string) string {
	if g.rnd.IntN(20) == 0 {
		return g.word()
	}
	switch name {
	case "min", "max", "start", "stop", "end":
		switch {
		case g.group == "stream":
			return g.pick("-", "+", "1-1", "5-1", "(2-1", "3")
		case strings.Contains(g.name, "lex"):
			return g.pick("-", "+", "[a", "(c", "[e")
		case strings.Contains(g.name, "range") && g.rnd.IntN(3) == 0: // ZRANGE alone is told by an option
			return g.pick("-", "+", "[a", "-inf", "+inf", "(1", "0")
		}
		return g.pick("-inf", "+inf", "(1", "0", "1", "2", "10", "3.5")
	case "id", "last-id", "lastid", "threshold":
		switch {
		case g.name == "xreadgroup" && g.rnd.IntN(3) > 0:
			return ">"
		case g.name == "xadd" && g.rnd.IntN(3) > 0:
			return "*"
		}
		return g.pick("0", "1-1", "2-2", "3-0", "5", "7-1", "99-99", "$", "12-*")
	case "group", "groupname":
		return g.pick("g1", "g1", "g1", "g2")
	case "consumer", "consumername":
		return g.pick("alice", "bob")
	case "serialized-value":
		return g.dump()
	case "value":
		if g.name == "setbit" {
			return g.pick("0", "1")
		}
		return g.word()
	case "bit":
		return g.pick("0", "1")
	case "member1", "member2":
		return g.pick("a", "b", "c")
	case "encoding":
		return g.pick("u8", "i5", "u1", "i64", "u63", "u64")
	case "offset":
		return g.pick("0", "#1", "7", "100")
	case "where", "wherefrom", "whereto":
		return g.pick("left", "right")
	case "operation":
		return g.pick("and", "or", "xor", "not")
	case "min-idle-time", "entries-read", "entries-added":
		return g.integer("milliseconds")
	case "type":
		return g.pick("string", "list", "zset", "stream")
	case "field", "member", "element":
		return g.pick("a", "b", "c", "d", "1", "2", "3", "4", "5", g.word())
	default:
		return g.word()
	}
}

// checkNoEmpty asks every collection how long it is.
func (l *randomLog) checkNoEmpty() {
	l.t.Helper()
	length := map[keyspace.Kind]string{keyspace.List: "LLEN", keyspace.Set: "SCARD", keyspace.Hash: "HLEN", keyspace.ZSet: "ZCARD"}
	for db := range 2 {
		view := l.ks.View(db, l.now)
		view.Scan(0, 1<<30, func(key []byte, k keyspace.Kind) {
			if cmd := length[k]; cmd != "" && l.table.Lookup([]byte(cmd)) != nil {
				if n := l.call(db, []byte(cmd), key); n.text == "0" {
					l.t.Errorf("an empty %s was left at %q", k, key)
				}
			}
		})
	}
}
