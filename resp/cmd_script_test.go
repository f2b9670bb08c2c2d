package resp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/command"
)

// call is a command in RESP.
func call(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// A script that takes long sees one moment, while others write and are served, and
// goes through the log when it comes to its first write.
func TestLongScriptSeesOneMoment(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, other := dial(t, s), dial(t, s)
		c.ask("SET n 1\r\nHSET h f 1\r\n", "+OK\r\n:1\r\n")
		const script = `local n, h = redis.call('get', 'n'), redis.call('hget', 'h', 'f')
			for i = 1, 3000000 do end
			for i = 1, 1000 do
				if redis.call('get', 'n') ~= n or redis.call('hget', 'h', 'f') ~= h then return 'changed' end
			end
			return 'same'`
		c.send(call("EVAL", script, "0"))
		eventually(t, "the script takes long", func() bool { return s.store.LongScript() != nil })
		for i := 0; s.store.LongScript() != nil; i++ {
			other.ask(fmt.Sprintf("SET n x%d\r\nHSET h f x%d\r\nGET n\r\n", i, i), fmt.Sprintf("+OK\r\n:0\r\n$%d\r\nx%d\r\n", len(fmt.Sprint(i))+1, i))
		}
		c.expect("$4\r\nsame\r\n")
		// What follows in the pipeline waits for it, and for its write.
		c.ask(call("EVAL", "for i = 1, 300000 do end return redis.call('set', 'written', 'x')", "0")+"GET written\r\n", "+OK\r\n$1\r\nx\r\n")
		// One that is answered to nobody.
		c.ask("CLIENT REPLY SKIP\r\n"+call("EVAL", "for i = 1, 300000 do end return redis.call('incr', 'skipped')", "0")+"GET skipped\r\n", "$1\r\n1\r\n")
	})
}

// What the reads of a script look up counts once, so does what it calls, and keymiss is told of once, wherever
// and however often the script is run.
func TestLookupsOfScripts(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c, sub := dial(t, s), dial(t, s)
		c.ask("CONFIG SET notify-keyspace-events Km\r\nSET there x\r\n", "+OK\r\n+OK\r\n")
		sub.ask("PSUBSCRIBE __key*\r\n", "*3\r\n$10\r\npsubscribe\r\n$6\r\n__key*\r\n:1\r\n")
		const look = "redis.call('get', 'there') redis.call('mget', 'none', 'there') "
		const long = "for i = 1, 300000 do end "
		const write = "redis.call('set', 'k', 'v') "
		for _, script := range []string{
			look, look + write, look + write /* taken for a write at once */, write + look,
			look + long, long + look, look + long + write, long + write + look,
			"redis.call('getset', 'there', 'x') redis.call('get', 'there') redis.call('getdel', 'none')",
		} {
			before, calls := s.store.Stats(), s.commands["get"].calls.Load()
			c.ask(call("EVAL", script, "0"), "$-1\r\n")
			sub.expect("*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$19\r\n__keyspace@0__:none\r\n$7\r\nkeymiss\r\n")
			eventually(t, "the lookups to be counted", func() bool {
				after := s.store.Stats()
				return after.Hits-before.Hits == 2 && after.Misses-before.Misses == 1 && s.commands["get"].calls.Load() == calls+1
			})
		}
		c.ask("PUBLISH __key_end x\r\n", ":1\r\n")
		sub.expect("*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$9\r\n__key_end\r\n$1\r\nx\r\n")
	})
}

// A script whose client has gone is ended.
func TestLongScriptOfNobody(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.send(call("EVAL", "while true do end", "0"))
		eventually(t, "the script takes long", func() bool { return s.store.LongScript() != nil })
		_ = c.Close()
		eventually(t, "the script has ended", func() bool { return s.store.LongScript() == nil })
	})
}

// Scripts that write stay with their neighbours in the pipeline, and those that were
// only evaluated here are known to EVALSHA, in the log as well.
func TestScriptsInPipelines(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		const script = "if ARGV[1] == 'w' then return redis.call('incr', KEYS[1]) end return redis.call('get', KEYS[1])"
		c.send(call("EVAL", "return redis.sha1hex(ARGV[1])", "0", script))
		c.expect("$40\r\n")
		sha := strings.TrimSpace(c.line())
		c.ask(call("EVALSHA", sha, "1", "n", "r"), "-NOSCRIPT No matching script. Please use EVAL.\r\n")
		c.ask(call("EVAL", script, "1", "n", "r"), "$-1\r\n") // comes to no write, and into no log
		c.ask(call("EVALSHA", sha, "1", "n", "r"), "$-1\r\n")
		c.ask("MULTI\r\n"+call("EVALSHA", sha, "1", "n", "w")+"EXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
		c.ask("SCRIPT FLUSH\r\n"+call("EVALSHA", sha, "1", "n", "r"), "+OK\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n")
		c.ask(call("EVAL", script, "1", "n", "r"), "$1\r\n1\r\n")
		c.ask(call("EVALSHA", sha, "1", "n", "w"), ":2\r\n")
		var send, want strings.Builder
		for i := range 50 {
			fmt.Fprintf(&send, "%sGET n\r\n%s", call("EVALSHA", sha, "1", "n", "w"), call("EVALSHA", sha, "1", "n", "r"))
			n := fmt.Sprint(i + 3)
			fmt.Fprintf(&want, ":%s\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", n, len(n), n, len(n), n)
		}
		c.ask(send.String(), want.String())
	})
}

// A script that is known to write stands behind reads of the same pipeline, while others
// write: the connection must not hold the store's lock when the script asks for it.
func TestScriptsBehindReads(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		const script, rounds = "return redis.call('incr', KEYS[1])", 300
		evalsha := call("EVALSHA", command.SHA([]byte(script)), "1", "n")
		doneC := make(chan struct{})
		go func() {
			defer close(doneC)
			other := dial(t, s)
			for range rounds {
				other.send(strings.Repeat("SET other x\r\n", 50))
				other.expect(strings.Repeat("+OK\r\n", 50))
			}
		}()
		c := dial(t, s)
		c.ask("RPUSH long"+strings.Repeat(" x", 20_000)+"\r\n"+call("EVAL", script, "1", "n"), ":20000\r\n:1\r\n")
		for i := range rounds {
			c.ask("LPOS long y\r\n"+evalsha, fmt.Sprintf("$-1\r\n:%d\r\n", i+2))
		}
		<-doneC
	})
}
