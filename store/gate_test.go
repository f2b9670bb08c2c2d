package store

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Clients that are in no hurry share an entry, and nobody has to wait for that: what
// comes for them opens the gate, wherever it comes from, and so does a write of their
// node.
func TestGate(t *testing.T) {
	waitTest(t, func(t *testing.T, log *cluster, members []*member) {
		at := members[1].store
		here, there := client{t: t, s: at}, client{t: t, s: members[2].store}
		entries := func() uint64 { return at.Stats().Entries }
		check := func(what string, b *blocked, want string) {
			t.Helper()
			synctest.Wait()
			if got := b.got(); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		synctest.Wait() // for the first entries of the members
		before := entries()
		var all []*blocked
		for range 100 {
			all = append(all, arrive(at, "blpop q 0"))
		}
		synctest.Wait()
		if at.Blocked() != 0 || entries() != before {
			t.Errorf("%d are entered at once", at.Blocked())
		}
		time.Sleep(gatherFor)
		synctest.Wait()
		if n := entries() - before; at.Blocked() != 100 || n > 60 { // however the goroutines take turns
			t.Errorf("%d are entered, by %d entries", at.Blocked(), n)
		}
		there.do("rpush q" + strings.Repeat(" v", 99) + " w")
		for i, b := range all {
			want := `*2 "q" "v"`
			if i == 99 {
				want = `*2 "q" "w"`
			}
			check("in their order", b, want)
		}

		// Nothing of this takes time.
		began := time.Now()
		b := arrive(at, "brpop a b 0")
		there.do("rpush b 1")
		check("something comes from elsewhere", b, `*2 "b" "1"`)
		b = arrive(at, "blpop a 0")
		here.do("rpush a 1 2")
		check("something comes from here", b, `*2 "a" "1"`)
		if got := get(at, 0, "lrange a 0 -1"); got != `*1 "2"` {
			t.Errorf("what the client left: %s", got)
		}
		check("there already", arrive(at, "blpop a 0"), `*2 "a" "2"`)
		b = arrive(at, "blpop a 0")
		here.do("set other v")
		if at.Blocked() != 1 {
			t.Error("a later write has overtaken a client")
		}
		here.do("rpush a 3")
		check("another write of the node", b, `*2 "a" "3"`)
		b = arrive(at, "blpop a 0.5")
		synctest.Wait()
		if at.Blocked() != 1 {
			t.Error("who is in a hurry is held back")
		}
		here.do("rpush a 4")
		check("in a hurry", b, `*2 "a" "4"`)
		check("wrong", arrive(at, "blpop a nonsense"), "-ERR timeout is not a float or out of range")
		check("wrong type", arrive(at, "blpop other 0"), "-WRONGTYPE Operation against a key holding the wrong kind of value")
		if took := time.Since(began); took >= gatherFor {
			t.Errorf("that took %v", took)
		}

		// Who has gone meanwhile is not entered.
		b = arrive(at, "blpop a 0")
		at.Leave(&b.w)
		time.Sleep(gatherFor)
		synctest.Wait()
		here.do("rpush a 5")
		if got := get(at, 0, "lrange a 0 -1"); got != `*1 "5"` {
			t.Errorf("who had gone has taken it: %s", got)
		}
	})
}
