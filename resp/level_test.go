package resp

import (
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/command"
)

// What came with a level that is not in force is refused by itself, and spoils a transaction;
// what stands beside it is answered. When the level has risen it is a command like others.
func TestCommandAheadOfTheLevel(t *testing.T) {
	s, l := newServerAt(t, command.Level1, func(o *Options) { o.Table.Lookup([]byte("lpush")).Level = command.Level2 })
	c := dial(t, s)
	const refusal = "-ERR LPUSH needs all members of the cluster to be at level 2 (raftredis 0.2.0 or later), and the cluster is at level 1; INFO raft on the leader says whom it waits for\r\n"
	c.ask("SET a 1\r\nLPUSH l x\r\nGET a\r\n", "+OK\r\n"+refusal+"$1\r\n1\r\n")
	c.ask("MULTI\r\nLPUSH l x\r\nSET a 2\r\nEXEC\r\n", "+OK\r\n"+refusal+"+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n")
	c.ask("ONCE id 1000 LPUSH l x\r\n", refusal)
	script := func(name string) string {
		return "EVAL \"return redis.call('" + name + "', 'l', 'x')\" 0\r\n"
	}
	c.send(script("nosuch"))
	unknown := c.line()
	c.send(script("lpush"))
	if got := c.line(); !strings.HasPrefix(got, "-ERR Unknown Redis command called from script") || got[:40] != unknown[:40] {
		t.Errorf("from a script: %s, and an unknown one: %s", got, unknown)
	}
	l.Level.Store(2)
	eventually(t, "the level to rise", func() bool { return l.store.Level() == command.Level2 })
	c.ask("LPUSH l x\r\nMULTI\r\nLPUSH l y\r\nEXEC\r\n"+script("lpush"), ":1\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n:3\r\n")
}

// A limit that came with a level is refused by CONFIG SET, before anything is proposed, and
// nothing else of the same CONFIG SET comes to be.
func TestLimitAheadOfTheLevel(t *testing.T) {
	s, l := newServerAt(t, command.Level1, nil)
	c := dial(t, s)
	before := l.Last()
	for _, name := range []string{"maxmemory", "lfu-decay-time"} {
		c.ask("CONFIG SET "+name+" 7\r\n", "-ERR CONFIG SET failed (possibly related to argument '"+name+"') - "+name+
			" needs all members of the cluster to be at level 2 (raftredis 0.2.0 or later), and the cluster is at level 1; INFO raft on the leader says whom it waits for\r\n")
	}
	c.ask("CONFIG GET maxmemory\r\n", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n")
	if l.Last() != before {
		t.Error("it went into the log")
	}
	c.ask("CONFIG SET hash-max-listpack-entries 7 maxmemory 1000000\r\n", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - maxmemory needs all members of the cluster to be at level 2 "+
		"(raftredis 0.2.0 or later), and the cluster is at level 1; INFO raft on the leader says whom it waits for\r\n")
	c.ask("CONFIG GET hash-max-listpack-entries\r\n", "*2\r\n$25\r\nhash-max-listpack-entries\r\n$3\r\n512\r\n")
	l.Level.Store(2)
	eventually(t, "the level to rise", func() bool { return l.store.Level() == command.Level2 })
	c.ask("CONFIG SET hash-max-listpack-entries 7 maxmemory 1mb\r\nCONFIG GET maxmemory\r\n", "+OK\r\n*2\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n")
}

// The limits that options ask for come to be when the level does: until then the new cluster
// may have members that have not been started yet.
func TestLimitsOfOptionsWaitForTheLevel(t *testing.T) {
	s, l := newServerAt(t, command.Level1, nil)
	doneC := make(chan struct{})
	go func() {
		s.WantLimits(map[string]int64{"hash-max-listpack-entries": 7, "maxmemory": 1 << 20}, true)
		close(doneC)
	}()
	eventually(t, "what needs no level", func() bool { return s.limits()["hash-max-listpack-entries"] == 7 })
	if n := s.limits()["maxmemory"]; n != 0 {
		t.Errorf("maxmemory is %d at level 1", n)
	}
	l.Level.Store(2)
	<-doneC
	if n := s.limits()["maxmemory"]; n != 1<<20 {
		t.Errorf("maxmemory is %d", n)
	}
}
