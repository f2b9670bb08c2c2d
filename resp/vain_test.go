package resp

import (
	"fmt"
	"strings"
	"testing"
)

// TestVainPops: a command for which there is nothing is answered without an entry, behind
// one ReadIndex for all that came together, and in its place among the others.
func TestVainPops(t *testing.T) {
	s, l := newServer(t, nil)
	c := dial(t, s)
	c.ask("RPUSH q a\r\n", ":1\r\n")
	entries, rounds := l.store.Stats().Entries, l.ReadIndexes.Load()
	c.ask(strings.Repeat("ZPOPMIN none\r\n", 50)+"LPOP none\r\nLPOP none x\r\n",
		strings.Repeat("*0\r\n", 50)+"$-1\r\n-ERR value is out of range, must be positive\r\n")
	if got := l.store.Stats().Entries; got != entries {
		t.Errorf("pops of nothing became %d entries", got-entries)
	}
	if got := l.ReadIndexes.Load() - rounds; got < 1 || got > 10 { // as TCP has cut the pipeline up
		t.Errorf("a pipeline of pops of nothing asked for %d indexes", got)
	}
	c.ask("LPOP q\r\nLPOP q\r\nRPUSH q b\r\nLPOP none\r\nLPOP q\r\nLPOP q\r\n", "$1\r\na\r\n$-1\r\n:1\r\n$-1\r\n$1\r\nb\r\n$-1\r\n")
	c.ask("LPOP none\r\nSET k v\r\nDEL k\r\nDEL k\r\nGET k\r\n", "$-1\r\n+OK\r\n:1\r\n:0\r\n$-1\r\n")
	c.ask("MULTI\r\nLPOP none\r\nDEL none\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n:0\r\n")
}

// TestVainAdds: so is an addition of what is there, alone or among others of its kind. A
// pipeline that needs an entry anyway does not wait for a barrier as well.
func TestVainAdds(t *testing.T) {
	s, l := newServer(t, nil)
	c := dial(t, s)
	dial(t, s).ask("SADD s a b\r\nZADD z 1 a\r\nHSET h f v\r\nSET k v\r\n", ":2\r\n:1\r\n:1\r\n+OK\r\n")
	const add, none = "*3\r\n$4\r\nSADD\r\n$1\r\ns\r\n$1\r\na\r\n", ":0\r\n"
	entries, rounds := l.store.Stats().Entries, l.ReadIndexes.Load()
	c.ask(strings.Repeat(add, 50), strings.Repeat(none, 50))
	c.ask("ZADD z 1 a\r\nzadd z incr 0 a\r\nGET k\r\nHSETNX h f w\r\nSET k w NX\r\nSREM s x\r\nSISMEMBER s a\r\nZADD z nx 1 a\r\n",
		":0\r\n$1\r\n1\r\n$1\r\nv\r\n:0\r\n$-1\r\n:0\r\n:1\r\n:0\r\n")
	if got := l.store.Stats().Entries; got != entries {
		t.Errorf("what has changed nothing became %d entries", got-entries)
	}
	if got := l.ReadIndexes.Load() - rounds; got < 2 || got > 20 { // as TCP has cut the pipelines up
		t.Errorf("two pipelines asked for %d indexes", got)
	}
	rounds = l.ReadIndexes.Load()
	for i := range 10 {
		c := dial(t, s) // which doubts nothing yet
		c.ask(strings.Repeat(add, 7)+fmt.Sprintf("*3\r\n$4\r\nSADD\r\n$1\r\ns\r\n$1\r\n%d\r\n", i)+add, strings.Repeat(none, 7)+":1\r\n"+none)
		c.ask(add+"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nw\r\n", none+"+OK\r\n")
	}
	if got := l.ReadIndexes.Load() - rounds; got > 10 { // where TCP has cut a pipeline in front of the one
		t.Errorf("20 pipelines with a change in each asked for %d indexes as well", got)
	}
	// Who changes something is not looked at as often, and is again once it does not.
	c.ask(strings.Repeat("SADD s c\r\nSREM s c\r\n", 40), strings.Repeat(":1\r\n", 80))
	eventually(t, "additions of what is there need no entries", func() bool {
		entries := l.store.Stats().Entries
		c.ask(add, none)
		return l.store.Stats().Entries == entries
	})
	c.ask("SADD s c\r\nSADD s c\r\nSREM s c\r\nSREM s c\r\nSADD s c\r\n", ":1\r\n:0\r\n:1\r\n:0\r\n:1\r\n")
	c.ask("SADD s c\r\nSREM s c\r\nSADD s c\r\nSADD s c\r\n", ":0\r\n:1\r\n:1\r\n:0\r\n")
	c.ask("MULTI\r\nSADD s a\r\nZADD z 1 a\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n:0\r\n")
	c.ask("SADD k a\r\nSADD s\r\nZADD z one a\r\n", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"+
		"-ERR wrong number of arguments for 'sadd' command\r\n-ERR value is not a valid float\r\n")
}

// TestVainBehind: a node that has not applied what others have acknowledged does not say
// that there is nothing, or that all is there.
func TestVainBehind(t *testing.T) {
	s, l := newServer(t, nil)
	other := l.Join(2, 1, nil)
	other.Run(l.store.Seal)
	go func() {
		for range other.CommitC {
		}
	}()
	t.Cleanup(other.Stop)
	c := dial(t, s)
	c.ask("SET k v\r\nSADD s a\r\n", "+OK\r\n:1\r\n")
	l.Hold(true) // this member is not told of what is committed
	w := dial(t, s)
	w.send("RPUSH q a\r\nSREM s a\r\n")
	eventually(t, "the push is committed", func() bool { return l.Last() > l.store.AppliedIndex() })
	c.send("LPOP q\r\nLPOP q\r\n")
	adds := dial(t, s)
	adds.send("SADD s a\r\nSADD s a\r\n")
	l.Hold(false)
	w.expect(":1\r\n:1\r\n")
	c.expect("$1\r\na\r\n$-1\r\n")
	adds.expect(":1\r\n:0\r\n")
}

// TestVainNoLeader: without a leader nobody says that there is nothing, and the answer is
// that of a write.
func TestVainNoLeader(t *testing.T) {
	s, l := newServer(t, nil)
	c := dial(t, s)
	c.ask("SET k v\r\n", "+OK\r\n")
	l.FailReads.Store(true)
	c.ask("LPOP none\r\n", "$-1\r\n") // by the log, which works
}
