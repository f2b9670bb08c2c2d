package command

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// TestStreamsAsRedis runs random commands here and against a real server with
// small nodes, and compares replies and, byte for byte, what DUMP says. It needs
// -oracle, whose data it flushes.
func TestStreamsAsRedis(t *testing.T) {
	real := dialOracle(t)
	if real == nil {
		t.Skip("needs -oracle")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	real.do(args("CONFIG", "SET", "rdbcompression", "no")...)
	for round := range 30 {
		real.do(args("FLUSHALL")...)
		s := newSpace(t)
		entries, bytes := int64(rnd.IntN(8)), int64(rnd.IntN(400))
		if round%5 == 0 {
			entries, bytes = 100, 4096
		}
		for _, ks := range []*keyspace.Keyspace{s.ks, s.twin} {
			ks.Limits().StreamNodeMaxEntries, ks.Limits().StreamNodeMaxBytes = entries, bytes
		}
		real.do(args("CONFIG", "SET", "stream-node-max-entries", entries)...)
		real.do(args("CONFIG", "SET", "stream-node-max-bytes", bytes)...)
		for i := range 400 {
			argv := randomStreamCommand(rnd, i)
			got, want := s.call(0, argv...), real.do(argv...)
			forgetTimes(argv, got)
			forgetTimes(argv, want)
			if got.String() != want.String() {
				t.Fatalf("round %d, nodes of %d entries and %d bytes: %q:\n%s\nredis-server says\n%s", round, entries, bytes, argv, got, want)
			}
		}
		s.checkTwin()
		s.restoreTwin()
		s.checkTwin()
	}
	real.do(args("CONFIG", "SET", "stream-node-max-entries", 100)...)
	real.do(args("CONFIG", "SET", "stream-node-max-bytes", 4096)...)
}

// forgetTimes removes what depends on the clock.
func forgetTimes(argv [][]byte, reply *node) {
	if string(argv[0]) == "XPENDING" && len(argv) > 3 {
		for _, row := range reply.elems {
			row.elems[2].text = "0"
		}
	}
}

// randomStreamCommand draws a command. IDs rise with the number of commands
// before it.
func randomStreamCommand(rnd *rand.Rand, before int) [][]byte {
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	ms := before / 4
	id := func() string { return fmt.Sprintf("%d-%d", max(0, ms-rnd.IntN(20)), rnd.IntN(4)) }
	key := func() string { return pick("a", "a", "a", "grouped", "grouped", "grouped", "b") }
	value := func() string {
		switch rnd.IntN(4) {
		case 0:
			return fmt.Sprint(rnd.IntN(1 << rnd.IntN(31)))
		case 1:
			return fmt.Sprint(-rnd.Int64())
		default:
			return fmt.Sprintf("%0*d", 1+rnd.IntN(100), rnd.IntN(10))
		}
	}
	group, consumer := pick("g", "g", "h"), pick("alice", "bob", "carol")
	var words []any
	add := func(more ...any) { words = append(words, more...) }
	switch rnd.IntN(24) {
	default:
		add("XADD", key())
		switch rnd.IntN(12) {
		case 0:
			add("MAXLEN", pick("~", "="), rnd.IntN(100))
		case 1:
			add("MINID", pick("~", "="), id())
		case 2:
			add("MAXLEN", "~", rnd.IntN(20), "LIMIT", rnd.IntN(10))
		}
		add(pick(fmt.Sprintf("%d-%d", ms, rnd.IntN(4)), fmt.Sprintf("%d-*", ms), fmt.Sprintf("%d-*", ms), id()))
		for range 1 + rnd.IntN(3) {
			add(pick("f", "f", "g", "12"), value())
		}
	case 0:
		add("XTRIM", key(), "MAXLEN", pick("~", "="), rnd.IntN(100))
	case 1:
		add("XTRIM", key(), "MINID", pick("~", "="), id())
	case 2, 3:
		add("XDEL", key(), id(), id(), id(), id(), id(), id())
	case 4:
		add(pick("XRANGE", "XREVRANGE"), key(), id(), id())
	case 5:
		add("XRANGE", key(), "-", "+")
	case 6:
		add("XREVRANGE", key(), "+", id(), "COUNT", 1+rnd.IntN(5))
	case 7:
		add("XREAD", "COUNT", rnd.IntN(5), "STREAMS", "a", "b", id(), id())
	case 8:
		add("XINFO", "STREAM", key())
	case 9:
		if rnd.IntN(4) == 0 {
			add("XSETID", key(), id(), "ENTRIESADDED", rnd.IntN(100), "MAXDELETEDID", id())
		} else {
			add("DUMP", pick("a", "b"))
		}
	case 10:
		add("XGROUP", pick("CREATE", "SETID"), "grouped", group, pick("$", id()))
		if rnd.IntN(3) == 0 {
			add("ENTRIESREAD", rnd.IntN(20)-1)
		}
	case 11, 12:
		add("XREADGROUP", "GROUP", group, consumer, "COUNT", rnd.IntN(6))
		if rnd.IntN(4) == 0 {
			add("NOACK")
		}
		add("STREAMS", "grouped", pick(">", ">", id()))
	case 13:
		add("XACK", "grouped", group, id(), id(), id(), id())
	case 14:
		add("XPENDING", "grouped", group)
	case 15:
		add("XPENDING", "grouped", group, "-", "+", 10)
	case 16:
		add("XCLAIM", "grouped", group, consumer, 0, id(), id(), id())
		if rnd.IntN(2) == 0 {
			add(pick("FORCE", "JUSTID"))
		}
		if rnd.IntN(4) == 0 {
			add("RETRYCOUNT", rnd.IntN(5))
		}
		if rnd.IntN(4) == 0 {
			add("LASTID", id())
		}
	case 17:
		add("XAUTOCLAIM", "grouped", group, consumer, 0, id(), "COUNT", 1+rnd.IntN(4))
		if rnd.IntN(2) == 0 {
			add("JUSTID")
		}
	case 18:
		add("XINFO", "GROUPS", "grouped")
	case 19:
		if rnd.IntN(5) > 0 {
			add("XLEN", key())
		} else {
			add("XGROUP", pick("CREATECONSUMER", "DELCONSUMER"), "grouped", group, consumer)
		}
	}
	return args(words...)
}
