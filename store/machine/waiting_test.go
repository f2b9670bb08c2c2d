package machine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/command"
)

// play applies what members 1 and 2 ask for, a line each: "member: op", where an op
// is a command, which waits if it can, any of "claim", "cancel" and "return" with
// numbers of requests behind it, "give up" a member, "restart", or "ms" that pass. Each is a request of
// its own, and its number is the line's.
func play(t *testing.T, r *run, script string) string {
	t.Helper()
	now := Millis(1_000_000)
	run := map[uint64]uint64{1: 1, 2: 1}
	seq := uint64(0)
	for line := range strings.Lines(strings.TrimSpace(script)) {
		who, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		var origin uint64
		fmt.Sscan(who, &origin)
		seq++
		words := strings.Fields(what)
		data := request(Head{origin, run[origin], seq, 1}, func(q *Request) {
			switch words[0] {
			case "claim", "cancel", "return":
				var all []Settlement
				what := map[string]What{"claim": Claim, "cancel": Cancel, "return": Return}
				var s Settlement
				for _, w := range words {
					if x, ok := what[w]; ok {
						s.What = x
						continue
					}
					fmt.Sscan(w, &s.Seq)
					all = append(all, s)
				}
				q.Settle(all)
			case "give":
				var member uint64
				fmt.Sscan(words[2], &member)
				q.GiveUp(member, run[member])
			case "restart":
			case "ms":
				var ms int64
				fmt.Sscan(words[1], &ms)
				now += Millis(ms)
			default:
				argv := args(what)
				if spec := r.table.Resolve(argv); spec.Block != nil {
					ms, _, _ := spec.Block.Timeout(argv)
					q.Block(0, argv, false, ms)
				} else {
					q.Write(0, argv)
				}
			}
		})
		if words[0] == "restart" {
			run[origin]++
			data = request(Head{origin, run[origin], seq, 1}, func(q *Request) { q.Begin(0) })
		}
		if err := r.apply(Seal(nil, now, 1, [][]byte{data})); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return strings.Join(r.w.events, ", ")
}

func (r *run) list(key string) string {
	var out recorder
	view := r.ks.View(0, int64(r.now))
	call := command.Read{Call: command.Call{Args: args("lrange " + key + " 0 -1"), Now: int64(r.now), Reply: &out}, DB: &view}
	r.table.Lookup([]byte("lrange")).Read(&call)
	return strings.Join(out.out, " ")
}

func TestWaiting(t *testing.T) {
	for _, x := range []struct{ name, script, events, list string }{
		{"served in the order of entering, wherever they are", `
			1: blpop q 0
			2: blpop q 0
			2: rpush q a b c
			2: claim 2
			1: claim 1`, "1.1 served, 2.2 served, 2.2 gets *2 \"q\" \"b\", 1.1 gets *2 \"q\" \"a\"", `*1 "c"`},
		{"returned where it was", `
			1: brpop q 0
			2: rpush q a b
			1: return 1`, "1.1 served, 1.1 is cancelled", `*2 "a" "b"`},
		{"returned to the next", `
			1: blpop q 0
			2: blpop q 0
			2: rpush q a
			1: return 1`, "1.1 served, 1.1 is cancelled, 2.2 served", `*0`},
		{"several returned in their order", `
			1: blmpop 0 1 q LEFT COUNT 2
			1: brpop q 0
			2: rpush q a b c d
			1: return 1 2`, "1.1 served, 1.2 served, 1.2 is cancelled, 1.1 is cancelled", `*4 "a" "b" "c" "d"`},
		{"several returned that were taken from one end", `
			1: blpop q 0
			1: blpop q 0
			1: blpop q 0
			2: rpush q a b c d
			1: return 2 1 3 1`, "1.1 served, 1.2 served, 1.3 served, 1.3 is cancelled, 1.2 is cancelled, 1.1 is cancelled", `*4 "a" "b" "c" "d"`},
		{"claimed twice, and returned after that", `
			1: blpop q 0
			2: rpush q a
			1: claim 1
			1: claim 1
			1: return 1`, "1.1 served, 1.1 gets *2 \"q\" \"a\"", `*0`},
		{"returned and claimed at once: the first counts", `
			1: blpop q 0
			1: blpop q 0
			2: rpush q a b
			1: return 1 claim 1 2 return 2`, "1.1 served, 1.2 served, 1.2 gets *2 \"q\" \"b\", 1.1 is cancelled", `*1 "a"`},
		{"somebody else's", `
			1: blpop q 0
			2: rpush q a
			2: claim 1
			2: return 1`, "1.1 served", `*0`},
		{"a push that is before the cancellation wins", `
			1: blpop q 0
			2: rpush q a
			1: cancel 1
			1: claim 1`, "1.1 served, 1.1 gets *2 \"q\" \"a\"", `*0`},
		{"and one that is behind it loses", `
			1: blpop q 0
			1: cancel 1
			2: rpush q a
			1: claim 1`, "1.1 is cancelled", `*1 "a"`},
		{"times out by the clock of the log", `
			1: blpop q 1
			2: blpop q 2
			2: ms 999
			2: ms 1
			2: rpush q a b`, "1.1 times out, 2.2 served", `*1 "b"`},
		{"a restart puts back what was not claimed", `
			1: blpop q 0
			1: blpop q 0
			1: blpop q 0
			2: rpush q a b
			1: restart`, "1.1 served, 1.2 served, 1.3 is given up, 1.2 is given up, 1.1 is given up", `*2 "a" "b"`},
		{"so does giving up", `
			1: blpop q 0
			1: blpop q 0
			2: blpop q 0
			2: rpush q a
			2: give up 1
			1: claim 1`, "1.1 served, 1.2 is given up, 1.1 is given up, 2.3 served", `*0`},
		{"a run that has ended since is not given up again", `
			1: blpop q 0
			1: restart
			1: blpop q 0
			2: rpush q a`, "1.1 is given up, 1.3 served", `*0`},
		{"what is of another type by now is lost, and nobody else is", `
			1: blpop q 0
			2: rpush q a
			2: zadd q 1 m
			1: return 1
			2: del q
			2: blpop q 0
			2: rpush q b`, "1.1 served, 1.1 is cancelled, 2.6 served", `*0`},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRun(t, 0)
			if got := play(t, r, x.script); got != x.events {
				t.Errorf("got  %s\nwant %s", got, x.events)
			}
			if got := r.list("q"); got != x.list {
				t.Errorf("the list is %s, want %s", got, x.list)
			}
			if len(r.waiting.ready) > 0 {
				t.Error("keys are still ready")
			}
			// What a snapshot restores is the same.
			fresh := restored(t, r.Machine, &watcher{})
			if fresh.Capture().Digest() != r.digest() || len(fresh.waiting.spots) != len(r.waiting.spots) {
				t.Error("restored to another state")
			}
		})
	}
}

// Which of two groups is served first does not depend on what a snapshot has no room
// for.
func TestGroupsAreServedInTheOrderOfClients(t *testing.T) {
	enter := `
		1: xgroup CREATE s g $ MKSTREAM
		1: xgroup CREATE s h $
		1: xreadgroup GROUP g a BLOCK 0 STREAMS s >
		1: xreadgroup GROUP h b BLOCK 0 STREAMS s >
		1: xreadgroup GROUP g c BLOCK 0 STREAMS s >
		1: cancel 3`
	one := newRun(t, 0)
	play(t, one, enter)
	two := &run{t, restored(t, one.Machine, &watcher{}), nil}
	add := Seal(nil, 2_000_000, 1, [][]byte{request(Head{2, 1, 1, 1}, func(q *Request) { q.Write(0, args("xadd s 1-1 f v")) })})
	for _, r := range []*run{one, two} {
		if err := r.apply(add); err != nil {
			t.Fatal(err)
		}
	}
	if one.digest() != two.digest() || len(one.waiting.clients[1].served) != 2 {
		t.Error("the members differ")
	}
}

// Whoever leaves, by whatever way, leaves nothing behind.
func TestWaitingLeavesNothing(t *testing.T) {
	r := newRun(t, 0)
	play(t, r, `
		1: blpop a b a 0
		1: bzpopmin z 1
		1: blpop c 0
		1: blmove d e LEFT LEFT 0
		2: rpush c x
		1: claim 3
		1: cancel 1
		2: ms 2000
		1: restart`)
	ws := &r.waiting
	if len(ws.spots)+len(ws.clients)+ws.deadline.Len() != 0 || ws.line != nil || ws.lineEnd != nil || ws.served != nil || ws.servedEnd != nil {
		t.Errorf("%+v", ws)
	}
}

// A push costs the same whether one client waits or ten thousand.
func TestPushDoesNotLookAtAllWhoWait(t *testing.T) {
	for _, line := range []string{"blpop q 0", "bzpopmin q 0", "xreadgroup GROUP g c BLOCK 0 STREAMS s >"} {
		r := newRun(t, 0)
		seq := uint64(1)
		do := func(build func(q *Request)) {
			t.Helper()
			if err := r.apply(Seal(nil, 1000, 1, [][]byte{request(Head{1, 1, seq, 1}, build)})); err != nil {
				t.Fatal(err)
			}
			seq++
		}
		do(func(q *Request) { q.Write(0, args("xgroup CREATE s g $ MKSTREAM")) })
		for range 10_000 {
			do(func(q *Request) { q.Block(0, args(line), false, 0) })
		}
		before := r.w.commands
		for _, push := range []string{"rpush q a", "del q", "zadd q 1 m", "del q", "xadd s * f v", "set other x"} {
			do(func(q *Request) { q.Write(0, args(push)) })
		}
		if n := r.w.commands - before; n > 6+4 {
			t.Errorf("%s: six writes ran %d commands", line, n)
		}
	}
}
