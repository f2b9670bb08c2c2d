package resp

import (
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

// TestVainBehind: a node that has not applied what others have acknowledged does not say
// that there is nothing.
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
	c.ask("SET k v\r\n", "+OK\r\n")
	l.Hold(true) // this member is not told of what is committed
	w := dial(t, s)
	w.send("RPUSH q a\r\n")
	eventually(t, "the push is committed", func() bool { return l.Last() > l.store.AppliedIndex() })
	c.send("LPOP q\r\nLPOP q\r\n")
	l.Hold(false)
	w.expect(":1\r\n")
	c.expect("$1\r\na\r\n$-1\r\n")
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
