package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// These tests throw random input at what has to equal Redis to the byte, and ask
// the server given with -oracle what it would have said.

func oracleRand(t *testing.T) (*oracleConn, *rand.Rand) {
	real := dialOracle(t)
	if real == nil {
		t.Skip("needs -oracle host:port")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return real, rand.New(rand.NewPCG(seed, 0))
}

// both runs a command here and there and compares.
func both(t *testing.T, s *space, real *oracleConn, argv ...[]byte) {
	t.Helper()
	if got, want := s.call(0, argv...).String(), real.do(argv...).String(); got != want {
		t.Errorf("%q: %s, redis-server says %s", argv, got, want)
	}
}

func TestOracleFloats(t *testing.T) {
	real, rnd := oracleRand(t)
	s := newSpace(t)
	number := func() string {
		digits := func(n int) string {
			b := make([]byte, rnd.IntN(n)+1)
			for i := range b {
				b[i] = byte('0' + rnd.IntN(10))
			}
			return string(b)
		}
		switch rnd.IntN(8) {
		case 0:
			return fmt.Sprint(rnd.Int64() - rnd.Int64())
		case 1:
			return fmt.Sprintf("%x", rnd.NormFloat64()*1e5)
		case 2:
			return fmt.Sprint(rnd.NormFloat64())
		case 3:
			return fmt.Sprintf("-%s.%s", digits(20), digits(25))
		case 4:
			return fmt.Sprintf("%s.%se%d", digits(3), digits(25), rnd.IntN(60)-30)
		case 5:
			return fmt.Sprintf("%s.%se%d", digits(3), digits(25), rnd.IntN(10000)-5000)
		case 6:
			return fmt.Sprintf("0x%x.%xp%d", rnd.Uint64(), rnd.Uint64(), rnd.IntN(140)-70)
		default: // now and then not a number
			const letters = "0123456789.eE+-xX infa"
			b := make([]byte, rnd.IntN(6)+1)
			for i := range b {
				b[i] = letters[rnd.IntN(len(letters))]
			}
			return string(b)
		}
	}
	for range 20000 {
		both(t, s, real, args("SET", "f", number())...)
		both(t, s, real, args("INCRBYFLOAT", "f", number())...)
		both(t, s, real, args("INCRBYFLOAT", "f", number())...)
		if t.Failed() {
			break
		}
	}
}

func TestOracleMatch(t *testing.T) {
	real, rnd := oracleRand(t)
	s := newSpace(t)
	word := func(letters string, n int) string {
		b := make([]byte, rnd.IntN(n))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		return string(b)
	}
	for range 30000 {
		key, pattern := word("ab-]^\\\xff\x80", 7), word("abc*?[]^-\\\xff\x80*", 10)
		both(t, s, real, args("SET", key, 1)...)
		both(t, s, real, args("KEYS", pattern)...)
		both(t, s, real, args("DEL", key)...)
		if t.Failed() {
			break
		}
	}
}

// canonical prints a reply so that the order of sets and maps is of no account,
// without the fields of maps that are in drop.
func (n *node) canonical(drop ...string) string {
	var parts []string
	switch n.kind {
	case '%':
		for i := 0; i+1 < len(n.elems); i += 2 {
			if !slices.Contains(drop, n.elems[i].text) {
				parts = append(parts, n.elems[i].text+": "+n.elems[i+1].canonical(drop...))
			}
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case '*', '~':
		for _, e := range n.elems {
			parts = append(parts, e.canonical(drop...))
		}
		if n.kind == '~' {
			slices.Sort(parts)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return n.text
	}
}

// sort brings the elements of an array into the order of their text.
func (n *node) sort() {
	slices.SortFunc(n.elems, func(a, b *node) int { return strings.Compare(a.text, b.text) })
}

// Every entry of the table is what Redis's COMMAND INFO says, but for the notes
// in key specs, and COMMAND DOCS but for the history and the names of choices.
func TestOracleTable(t *testing.T) {
	real, _ := oracleRand(t)
	real.hello(true, 0)
	var check func(s *Spec)
	check = func(s *Spec) {
		if s.Group == "raft" { // what Redis does not have
			return
		}
		rec := &recorder{resp3: true}
		WriteInfo(rec, s)
		got, want := rec.root.elems[0], real.do(args("COMMAND", "INFO", s.FullName())...).elems[0]
		if want.kind == '_' {
			t.Errorf("redis-server has no command %s", s.FullName())
			return
		}
		// Subcommands are looked at one by one: another family may declare some.
		got, want = &node{kind: '*', elems: got.elems[:9]}, &node{kind: '*', elems: want.elems[:9]}
		if got, want := got.canonical(), want.canonical("notes"); got != want {
			t.Errorf("INFO %s:\n%s\n%s", s.FullName(), got, want)
		}
		rec = &recorder{resp3: true}
		WriteDocs(rec, s)
		got, want = rec.root.elems[0], real.do(args("COMMAND", "DOCS", s.FullName())...).elems[1]
		drop := []string{"history", "subcommands", "arguments"}
		if s.Name == "pfdebug" {
			drop = append(drop, "doc_flags")
		}
		if got, want := got.canonical(drop...), want.canonical(drop...); got != want {
			t.Errorf("DOCS %s:\n%s\n%s", s.FullName(), got, want)
		}
		// SORT's patterns have key specs that say nothing; of GEOSEARCH's BYBOX Redis
		// gives the token to the width alone.
		if got, want := shape(got), shape(want); got != want && !strings.HasPrefix(s.Name, "sort") && !strings.HasPrefix(s.Name, "geosearch") {
			t.Errorf("DOCS %s, arguments:\n%s\n%s", s.FullName(), got, want)
		}
		for _, sub := range s.Subcommands {
			check(sub)
		}
	}
	for _, s := range testTable(t).All() {
		check(s)
	}
}

// shape prints the arguments in COMMAND DOCS without the names that the notation
// does not tell: those of choices and blocks.
func shape(n *node) string {
	for i := 0; i+1 < len(n.elems); i += 2 {
		if n.elems[i].text == "arguments" {
			return n.elems[i+1].shape()
		}
	}
	return ""
}

func (n *node) shape() string {
	var parts []string
	for _, arg := range n.elems {
		fields := map[string]string{}
		for i := 0; i+1 < len(arg.elems); i += 2 {
			value := arg.elems[i+1]
			if name := arg.elems[i].text; name == "arguments" {
				fields[name] = value.shape()
			} else {
				fields[name] = value.canonical()
			}
		}
		delete(fields, "since")
		delete(fields, "deprecated_since")
		delete(fields, "summary")
		if fields["arguments"] != "" || fields["type"] == "pure-token" {
			delete(fields, "name")
		}
		parts = append(parts, fmt.Sprint(fields))
	}
	return strings.Join(parts, "\n")
}

// Keys are found in calls as COMMAND GETKEYSANDFLAGS finds them.
func TestOracleKeys(t *testing.T) {
	real, _ := oracleRand(t)
	real.hello(true, 0)
	table := testTable(t)
	for _, line := range []string{
		"GET k", "SET k v", "SET k v GET", "SET k v EX 10 get", "MSET a 1 b 2", "MSET a 1 b", "DEL a b c", "COPY a b", "RENAME a b",
		"OBJECT ENCODING k", "MEMORY USAGE k", "LCS a b", "SCAN 0", "KEYS *", "OBJECT HELP", "GET a b", "NOSUCH a",
		"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "ZUNIONSTORE d 3 a b", "ZUNIONSTORE d x a b", "ZUNIONSTORE d 0 a", "ZUNIONSTORE d -1 a",
		"ZUNION 2 a b", "ZINTERCARD 1 a b", "BLMPOP 0 2 a b LEFT", "SINTERCARD 2 a b LIMIT 1", "ZMPOP 1 a MIN",
		"XREAD COUNT 2 STREAMS a b 0 0", "XREAD COUNT 2 STREAMS a b 0", "XREAD COUNT 2 BLOCK 0", "XREADGROUP GROUP g c STREAMS a >",
		"XREADGROUP GROUP streams c STREAMS a >", "BLPOP a b 0", "BRPOPLPUSH a b 0", "BITOP AND d a b", "PFCOUNT a b", "PFMERGE d a",
		"GEORADIUS k 1 2 3 m", "GEORADIUS k 1 2 3 m STORE d", "GEORADIUS k 1 2 3 m STORE d STOREDIST e", "GEORADIUSBYMEMBER k m 3 m STORE d",
		"GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 m", "BITFIELD k GET u8 0", "BITFIELD k SET u8 0 1", "BITFIELD_RO k GET u8 0",
		"XGROUP CREATE k g $", "XINFO STREAM k", "SMOVE a b m", "SORT k", "SORT k STORE d", "SORT k BY x GET y STORE d STORE e", "SORT_RO k BY w",
		"LMOVE a b LEFT RIGHT", "RPOPLPUSH a b", "SDIFFSTORE d a b", "ZDIFFSTORE d 2 a b", "ZRANGESTORE d s 0 -1",
	} {
		argv, err := splitArgs(line)
		if err != nil {
			t.Fatal(err)
		}
		if table.Lookup(argv[0]) == nil && string(argv[0]) != "NOSUCH" {
			t.Logf("%s is not in the table", argv[0])
			continue
		}
		for sub, withFlags := range map[string]bool{"GETKEYS": false, "GETKEYSANDFLAGS": true} {
			rec := &recorder{resp3: true}
			WriteKeys(rec, table, argv, withFlags)
			got, want := rec.root.elems[0].canonical(), real.do(append(args("COMMAND", sub), argv...)...).canonical()
			if got != want {
				t.Errorf("%s %s:\n%s\n%s", sub, line, got, want)
			}
		}
	}
}

func TestOracleLCS(t *testing.T) {
	real, rnd := oracleRand(t)
	s := newSpace(t)
	word := func() string {
		b := make([]byte, rnd.IntN(30))
		for i := range b {
			b[i] = "abc"[rnd.IntN(3)]
		}
		return string(b)
	}
	for range 3000 {
		both(t, s, real, args("MSET", "a", word(), "b", word())...)
		both(t, s, real, args("LCS", "a", "b")...)
		both(t, s, real, args("LCS", "a", "b", "LEN")...)
		both(t, s, real, args("LCS", "a", "b", "IDX", "WITHMATCHLEN", "MINMATCHLEN", rnd.IntN(3))...)
		if t.Failed() {
			break
		}
	}
}
