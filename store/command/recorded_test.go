package command

import (
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// everyReply has each kind of reply in it.
func everyReply(r Reply) {
	r.Array(12)
	r.Status("OK")
	r.Error("ERR x")
	r.Int(-7)
	r.Bulk([]byte("a\r\n\x00b"))
	r.Null()
	r.NullArray()
	r.Map(1)
	r.BulkString("k")
	r.Double(1.5)
	r.Set(1)
	r.Decimal("0.1")
	r.Push(1)
	r.Bool(true)
	r.BigNumber("123456789012345678901234567890")
	r.Verbatim("txt", "hello")
	r.Bool(false)
}

func TestRecordedReplays(t *testing.T) {
	for _, resp3 := range []bool{false, true} {
		want := &recorder{resp3: resp3}
		everyReply(want)
		rec := NewRecorded(resp3)
		everyReply(rec)
		loaded, err := LoadRecorded(rec.Bytes(), resp3)
		if err != nil || loaded.RESP3() != resp3 {
			t.Fatal(err)
		}
		got := &recorder{resp3: resp3}
		loaded.Replay(got)
		if got, want := tree(&got.root), tree(&want.root); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for n := range rec.Bytes() {
			_, _ = LoadRecorded(rec.Bytes()[:n], resp3) // cut anywhere, it may be an error and not a panic
		}
	}
	for _, damaged := range []string{"\xff", "\x03\x05abc", "\x0a1234567", "\x02", "\x0e\x01a", "\x0e\x01a\x02\x02"} {
		if _, err := LoadRecorded([]byte(damaged), false); err == nil {
			t.Errorf("%q is taken for a reply", damaged)
		}
	}
}

func tree(n *node) string {
	var b strings.Builder
	b.WriteString(string(rune(n.kind)) + n.text + "(")
	for _, e := range n.elems {
		b.WriteString(tree(e) + ",")
	}
	return b.String() + ")"
}

// What was taken for a client that has gone goes back where it was.
func TestUndo(t *testing.T) {
	for _, x := range []struct{ setup, call, key, want string }{
		{"RPUSH k a b c", "BLPOP q k 0", "k", "lpush k a"},
		{"RPUSH k a b c", "BRPOP k q 0", "k", "rpush k c"},
		{"RPUSH k a b c", "BLMPOP 0 2 q k LEFT COUNT 2", "k", "lpush k b a"},
		{"RPUSH k a b c", "BLMPOP 0 1 k RIGHT COUNT 2", "k", "rpush k b c"},
		{"RPUSH left a b c", "BLMPOP 0 1 left RIGHT", "left", "rpush left c"},
		{"ZADD k 1.5 a 2 b", "BZPOPMIN k 0", "k", "zadd k nx 1.5 a"},
		{"ZADD k 1.5 a 2 b 3 c", "BZMPOP 0 1 k MAX COUNT 2", "k", "zadd k nx 3 c 2 b"},
		{"RPUSH k a b c", "BLMOVE k l LEFT RIGHT 0", "k", ""},
		{"RPUSH k a b c", "BRPOPLPUSH k l 0", "k", ""},
	} {
		for _, resp3 := range []bool{false, true} {
			ks, table, revision := keyspace.New(), testTable(t), uint64(0)
			run := func(line, ready string) (*Spec, *Recorded) {
				argv, rec := words(line), NewRecorded(resp3)
				spec, call := table.Resolve(argv), Call{Args: argv, Reply: rec, MayBlock: true}
				if ready != "" {
					call.Ready = []byte(ready)
				}
				revision++
				ks.Begin(revision, 1000)
				db := ks.DB(0)
				if spec.Read != nil {
					spec.Read(&Read{Call: call, DB: &db.View})
				} else {
					spec.Write(&Write{Call: call, DB: &db, Space: ks})
				}
				return spec, rec
			}
			contents := func() string {
				_, list := run("LRANGE "+x.key+" 0 -1", "")
				_, zset := run("ZRANGE "+x.key+" 0 -1 WITHSCORES", "")
				return string(list.Bytes()) + string(zset.Bytes())
			}
			run(x.setup, "")
			before := contents()
			spec, reply := run(x.call, x.key)
			var undo []string
			if spec.Block.Undo != nil {
				for _, a := range spec.Block.Undo(words(x.call), reply) {
					undo = append(undo, string(a))
				}
			}
			if got := strings.Join(undo, " "); got != x.want {
				t.Errorf("%s: %q, want %q", x.call, got, x.want)
			}
			if x.want == "" {
				continue
			}
			run(x.want, "")
			if after := contents(); after != before {
				t.Errorf("%s: was %q, is %q", x.call, before, after)
			}
		}
	}
	failed := NewRecorded(false)
	failed.Error("WRONGTYPE x")
	for _, name := range []string{"blpop", "bzpopmin"} {
		if undo := testTable(t).Lookup([]byte(name)).Block.Undo(words(name+" k 0"), failed); undo != nil {
			t.Errorf("%s failed, and %q undoes it", name, undo)
		}
	}
}
