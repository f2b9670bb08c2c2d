package command

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// What is dumped here is restored by a real server as the same value with the
// same encoding, and the other way round. It needs -oracle, whose data it
// flushes.
func TestDumpAndRedis(t *testing.T) {
	real, rnd := oracleRand(t)
	s := newSpace(t)
	s.resp3 = true
	real.hello(true, 0)
	real.do(args("CONFIG", "SET", "rdbcompression", "yes")...)
	for _, kind := range []string{"string", "list", "set", "hash", "zset", "stream"} {
		if s.table.Lookup([]byte(dumpReads(kind)[0])) == nil {
			t.Errorf("no commands for %s", kind)
			continue
		}
		for range 60 {
			size := 1 << rnd.IntN(11)
			for _, argv := range dumpWrites(rnd, kind, 1+rnd.IntN(size)) {
				s.call(0, argv...)
			}
			compare := func(what string) {
				t.Helper()
				for _, read := range append(dumpReads(kind)[1:], "OBJECT ENCODING k") {
					argv, err := splitArgs(read)
					if err != nil {
						t.Fatal(err)
					}
					got, want := s.call(0, argv...), real.do(argv...)
					if kind == "hash" || kind == "set" {
						got, want = &node{kind: '$', text: got.canonical()}, &node{kind: '$', text: want.canonical()}
					}
					if got.String() != want.String() {
						t.Fatalf("%s, %s: here\n%.2000s\nredis-server\n%.2000s", what, read, got, want)
					}
				}
			}
			restore := func(payload string) [][]byte {
				return [][]byte{[]byte("RESTORE"), []byte("k"), []byte("0"), []byte(payload), []byte("REPLACE")}
			}
			payload := s.call(0, args("DUMP", "k")...).text
			if payload == "" { // trimmed away
				continue
			}
			if reply := real.do(restore(payload)...); reply.text != "OK" {
				t.Fatalf("redis-server does not take %q: %s", payload, reply)
			}
			compare("to Redis")
			theirs := real.do(args("DUMP", "k")...).text
			if reply := s.call(0, restore(theirs)...); reply.text != "OK" {
				t.Fatalf("%q cannot be restored: %s", theirs, reply)
			}
			compare("from Redis")
			s.checkTwin()
			s.do("DEL k")
		}
	}
}

// dumpReads are a command of each kind and what shows a value of it.
func dumpReads(kind string) []string {
	return map[string][]string{
		"string": {"get", "GET k"},
		"list":   {"lpush", "LRANGE k 0 -1"},
		"set":    {"sadd", "SMEMBERS k"},
		"hash":   {"hset", "HGETALL k"},
		"zset":   {"zadd", "ZRANGE k 0 -1 WITHSCORES"},
		"stream": {"xadd", "XRANGE k - +", "XINFO STREAM k FULL"},
	}[kind]
}

// dumpWrites makes a value of n elements at k.
func dumpWrites(rnd *rand.Rand, kind string, n int) (calls [][][]byte) {
	element := func() string {
		switch rnd.IntN(12) {
		case 0:
			return fmt.Sprint(rnd.Int64() >> rnd.IntN(64))
		case 1:
			return fmt.Sprint(-rnd.Int64() >> rnd.IntN(64))
		case 2:
			return strings.Repeat("x", rnd.IntN(200))
		case 3:
			return strings.Repeat("abcdefgh", rnd.IntN(1+rnd.IntN(500)))
		default:
			return fmt.Sprintf("%c%d", 'a'+rnd.IntN(26), rnd.IntN(1<<rnd.IntN(20)))
		}
	}
	integers := rnd.IntN(2) == 0
	add := func(words ...any) { calls = append(calls, args(words...)) }
	for range n {
		switch kind {
		case "string":
			add("SET", "k", element())
		case "list":
			add("RPUSH", "k", element())
		case "set":
			if integers {
				add("SADD", "k", rnd.Int64()>>(63-rnd.IntN(20)))
			} else {
				add("SADD", "k", element())
			}
		case "hash":
			add("HSET", "k", element(), element())
		case "zset":
			add("ZADD", "k", []any{rnd.IntN(100), rnd.NormFloat64(), "inf", "-inf", 1e17, -1e300, 0.1}[rnd.IntN(7)], element())
		case "stream":
			add("XADD", "k", "*", "field", element(), "other", element())
			switch rnd.IntN(20) {
			case 0:
				add("XGROUP", "CREATE", "k", element(), "0")
			case 1:
				add("XTRIM", "k", "MAXLEN", rnd.IntN(n))
			case 2:
				add("XGROUP", "CREATE", "k", "g", "0")
			default:
				if rnd.IntN(3) == 0 {
					add("XREADGROUP", "GROUP", "g", fmt.Sprint(rnd.IntN(3)), "COUNT", "3", "STREAMS", "k", ">")
				}
			}
		}
	}
	return calls
}
