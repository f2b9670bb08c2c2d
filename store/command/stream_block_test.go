package command

import (
	"strings"
	"testing"
)

// attempt makes a call of a client that can wait, for the first time or for a key
// that has become ready. If the call would block, next is what to make it again with.
func (s *space) attempt(ready string, argv ...[]byte) (reply string, next [][]byte) {
	s.t.Helper()
	spec, rec := s.table.Resolve(argv), &recorder{resp3: s.resp3}
	call := Call{Args: argv, Now: s.now, Reply: rec, MayBlock: true}
	if ready != "" {
		call.Ready = []byte(ready)
	}
	blocked := false
	if spec.Read != nil {
		view := s.ks.View(0, s.now)
		r := &Read{Call: call, DB: &view}
		spec.Read(r)
		blocked, next = r.Blocked(), r.Args
	} else {
		s.index++
		s.ks.Begin(s.index, s.now)
		db := s.ks.DB(0)
		before := encoding(s.ks)
		w := &Write{Call: call, DB: &db, Space: s.ks}
		spec.Write(w)
		blocked, next = w.Blocked(), w.Args
		if blocked && string(encoding(s.ks)) != string(before) {
			s.t.Fatalf("%q: has changed something and would block", argv)
		}
	}
	if blocked {
		if len(rec.root.elems) != 0 {
			s.t.Fatalf("%q: has replied and would block", argv)
		}
		return "", next
	}
	n, err := rec.reply()
	if err != nil {
		s.t.Fatalf("%q: %v", argv, err)
	}
	return n.String(), nil
}

func words(line string) [][]byte {
	var argv [][]byte
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

func TestStreamReadBlocks(t *testing.T) {
	s := newSpace(t)
	wait := func(line string) [][]byte {
		t.Helper()
		reply, next := s.attempt("", words(line)...)
		if next == nil {
			t.Fatalf("%s: does not wait: %s", line, reply)
		}
		return next
	}
	wake := func(key string, argv [][]byte, want string) {
		t.Helper()
		reply, next := s.attempt(key, argv...)
		if next != nil {
			t.Fatalf("%q: waits", argv)
		}
		if got := strings.Join(strings.Fields(reply), " "); got != want {
			t.Fatalf("%q: got %s, want %s", argv, got, want)
		}
	}
	sleep := func(key string, argv [][]byte) [][]byte {
		t.Helper()
		reply, next := s.attempt(key, argv...)
		if next == nil {
			t.Fatalf("%q: does not wait: %s", argv, reply)
		}
		return next
	}

	// $ is the last ID of the first attempt, whatever happens before the next.
	s.do("XADD a 5 f 1")
	r := wait("XREAD BLOCK 0 STREAMS a b $ $")
	if got := string(r[6]) + " " + string(r[7]); got != "5-0 0-0" {
		t.Fatalf("waits from %s", got)
	}
	s.do("XADD a 6 f 2")
	s.do("XADD b 1 g 1")
	s.do("XDEL a 6")
	wake("b", r, `1) 1) "b" 2) 1) 1) "1-0" 2) 1) "g" 2) "1"`)
	wake("a", r, `1) 1) "a" 2) (empty array)`) // Redis, too, tells of an entry that is deleted by now
	s.do("XADD a 7 f 3")
	wake("a", r, `1) 1) "a" 2) 1) 1) "7-0" 2) 1) "f" 2) "3"`)

	// A key that becomes another type is waited for; a blocked client gets no more
	// than a thousand entries.
	r = wait("XREAD BLOCK 0 STREAMS c 0")
	s.do("SET c x")
	r = sleep("c", r)
	s.do("DEL c")
	for range 1001 {
		s.do("XADD c * f v")
	}
	if reply, _ := s.attempt("c", r...); strings.Count(reply, `"f"`) != 1000 {
		t.Fatalf("%d entries", strings.Count(reply, `"f"`))
	}
	if reply, _ := s.attempt("", words("XREAD BLOCK 0 STREAMS c 0")...); strings.Count(reply, `"f"`) != 1001 {
		t.Fatalf("%d entries", strings.Count(reply, `"f"`))
	}

	// Groups.
	s.do("XGROUP CREATE a g $")
	r = wait("XREADGROUP GROUP g c BLOCK 0 STREAMS a >")
	if got := s.do("XINFO CONSUMERS a g"); got != "(empty array)\n" {
		t.Fatalf("waiting has made a consumer: %s", got)
	}
	s.do("XADD a 8 f 4")
	wake("a", r, `1) 1) "a" 2) 1) 1) "8-0" 2) 1) "f" 2) "4"`)
	r = wait("XREADGROUP GROUP g c BLOCK 0 STREAMS a >")
	s.do("XGROUP DESTROY a g")
	wake("a", r, "(error) NOGROUP the consumer group this client was blocked on no longer exists")
	s.do("SET a x")
	wake("a", r, "(error) UNBLOCKED the stream key no longer exists")
	s.do("DEL a")
	wake("a", r, "(error) UNBLOCKED the stream key no longer exists")

	// Without BLOCK nobody waits.
	if reply, next := s.attempt("", words("XREAD STREAMS b $")...); next != nil || reply != "(nil)\n" {
		t.Fatalf("waits, or replies %s", reply)
	}
}

func TestStreamReadTimeout(t *testing.T) {
	table := testTable(t)
	for line, want := range map[string]int64{
		"XREAD STREAMS a 0":                               -1,
		"XREAD BLOCK 0 STREAMS a 0":                       0,
		"XREAD COUNT 1 BLOCK 1500 STREAMS a 0":            1500,
		"XREAD STREAMS BLOCK 5":                           -1,
		"XREADGROUP GROUP BLOCK 7 STREAMS a >":            -1,
		"XREADGROUP GROUP g c BLOCK 7 NOACK STREAMS a >":  7,
		"XREAD BLOCK 9223372036854775807 STREAMS a b 0 0": maxTimeout,
	} {
		argv := words(line)
		block := table.Resolve(argv).Block
		ms, ok, err := block.Timeout(argv)
		if err != "" || ok != (want >= 0) || ok && ms != want {
			t.Errorf("%s: %d, %v, %q", line, ms, ok, err)
		}
		if ok && string(block.Keys(argv)[0]) != "a" {
			t.Errorf("%s: waits for %q", line, block.Keys(argv))
		}
	}
	for line, want := range map[string]string{
		"XREAD BLOCK x STREAMS a 0":  "ERR timeout is not an integer or out of range",
		"XREAD BLOCK -1 STREAMS a 0": "ERR timeout is negative",
	} {
		argv := words(line)
		if _, ok, err := table.Resolve(argv).Block.Timeout(argv); ok || err != want {
			t.Errorf("%s: %v, %q", line, ok, err)
		}
	}
}
