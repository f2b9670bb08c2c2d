package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// blocked is a client that has sent a blocking command.
type blocked struct {
	s     *Store
	w     Wait
	reply recorder
	doneC chan struct{}
}

// block has a client block and be entered at once: see TestGate.
func block(s *Store, line string) *blocked {
	b := arrive(s, line)
	s.openGate()
	return b
}

func arrive(s *Store, line string) *blocked {
	b := &blocked{s: s, doneC: make(chan struct{})}
	argv := args(line)
	s.Block(&b.w, By{}, 0, s.cfg.Table.Resolve(argv), argv, &b.reply, func() { close(b.doneC) })
	return b
}

// got returns the reply, or that there is none so far.
func (b *blocked) got() string {
	select {
	case <-b.doneC:
		return b.reply.String()
	default:
		return "waits"
	}
}

// waitTest runs a test on three members, of which the first leads.
func waitTest(t *testing.T, test func(t *testing.T, log *cluster, members []*member)) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		var members []*member
		for id := uint64(1); id <= 3; id++ {
			members = append(members, log.start(id, 1, Config{ProposalTimeout: 2 * time.Second}, nil))
		}
		for _, n := range members {
			eventually(t, "ready", n.store.Ready)
		}
		test(t, log, members)
		log.settle()
		for _, n := range log.all() {
			n.stop()
		}
	})
}

func TestBlockedClients(t *testing.T) {
	waitTest(t, func(t *testing.T, log *cluster, members []*member) {
		push := client{t: t, s: members[0].store}
		at := members[1].store
		check := func(what string, b *blocked, want string) {
			t.Helper()
			synctest.Wait()
			if got := b.got(); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		a := block(at, "blpop q 0")
		check("nothing there", a, "waits")
		b := block(members[2].store, "blpop q 0")
		check("nothing there", b, "waits")
		if at.Blocked() != 1 {
			t.Errorf("%d are blocked", at.Blocked())
		}
		push.do("rpush q v")
		check("first", a, `*2 "q" "v"`)
		check("second", b, "waits")
		if !members[2].store.Unblock(&b.w, "ERR x") || members[2].store.Unblock(&b.w, "") {
			t.Error("unblocked not once")
		}
		check("unblocked", b, "-ERR x")
		check("there already", block(at, "blpop nosuch q 0"), "waits")
		push.do("rpush l v")
		check("there already", block(at, "blpop l q 0"), `*2 "l" "v"`)
		check("wrong", block(at, "blpop l nonsense"), "-ERR timeout is not a float or out of range")

		c := block(at, "blpop t 1.5")
		time.Sleep(1500 * time.Millisecond)
		check("not yet", c, "waits")
		time.Sleep(waitSlack + time.Millisecond)
		check("timed out", c, "nilarray")
		d, e := block(at, "blpop t 3"), block(at, "blpop t 4")
		time.Sleep(3 * time.Second)
		push.do("set other v") // moves the clock of the log
		check("timed out by another's entry", d, "nilarray")
		log.Elect(0)
		time.Sleep(time.Second + waitSlack)
		check("without a leader", e, "waits")
		time.Sleep(3 * time.Second)
		check("without a leader for long", e, "nilarray")
		log.Elect(1)
		push.do("rpush t x")
		if got := get(push.s, 0, "lrange t 0 -1"); got != `*1 "x"` {
			t.Errorf("what came for one who has timed out: %s", got)
		}
	})
}

func TestClientThatHasGone(t *testing.T) {
	waitTest(t, func(t *testing.T, log *cluster, members []*member) {
		push, at := client{t: t, s: members[0].store}, members[1]
		list := func(want string) {
			t.Helper()
			eventually(t, "the list is "+want, func() bool { return get(push.s, 0, "lrange q 0 -1") == want })
			push.do("del q")
		}
		// Before anything comes.
		a := block(at.store, "blpop q 0")
		synctest.Wait()
		at.store.Leave(&a.w)
		synctest.Wait()
		push.do("rpush q v w")
		list(`*2 "v" "w"`)

		// While its command is on its way.
		log.Elect(0)
		b := block(at.store, "blpop q 0")
		at.store.Leave(&b.w)
		log.Elect(1)
		synctest.Wait()
		push.do("rpush q v w")
		list(`*2 "v" "w"`)

		// When something was taken for it, and its node does not know that yet.
		c := block(at.store, "blpop q 0")
		synctest.Wait()
		at.Hold(true)
		push.do("rpush q v w")
		at.store.Leave(&c.w)
		at.Hold(false)
		list(`*2 "v" "w"`)

		// When that is claimed already.
		d := block(at.store, "brpop q 0")
		synctest.Wait()
		at.Hold(true)
		push.do("rpush q v w")
		log.Elect(0)
		at.Hold(false)
		synctest.Wait()
		at.store.Leave(&d.w)
		log.Elect(1)
		list(`*2 "v" "w"`)

		// When there is something at once.
		push.do("rpush q v w")
		log.Elect(0)
		e := block(at.store, "blpop q 0")
		at.store.Leave(&e.w)
		log.Elect(1)
		list(`*2 "v" "w"`)

		eventually(t, "nobody is blocked", func() bool { return at.store.Blocked() == 0 })
	})
}

// A member that is cut off is given up; its clients wait on when it is back, and
// nothing is lost or doubled.
func TestGivenUpMember(t *testing.T) {
	waitTest(t, func(t *testing.T, log *cluster, members []*member) {
		push, at := client{t: t, s: members[0].store}, members[1]
		a, b := block(at.store, "blpop q 0"), block(at.store, "blpop q 60")
		synctest.Wait()
		other := block(members[2].store, "blpop q 0")
		synctest.Wait()
		at.Hold(true)
		push.do("rpush q 1")
		synctest.Wait()
		if other.got() != "waits" {
			t.Errorf("the third in line: %s", other.got())
		}
		time.Sleep((giveUpAfter + 2) * giveUpEvery)
		synctest.Wait()
		if got := other.got(); got != `*2 "q" "1"` {
			t.Errorf("after giving up: %s", got)
		}
		at.Hold(false)
		synctest.Wait()
		if a.got() != "waits" || b.got() != "waits" {
			t.Errorf("%s, %s", a.got(), b.got())
		}
		push.do("rpush q 2 3")
		synctest.Wait()
		got := a.got() + b.got()
		if got != `*2 "q" "2"*2 "q" "3"` && got != `*2 "q" "3"*2 "q" "2"` {
			t.Errorf("entered once more: %s", got)
		}
	})
}

// A restart of a node ends its clients, and puts back what they had not claimed.
func TestRestartWithBlockedClients(t *testing.T) {
	waitTest(t, func(t *testing.T, log *cluster, members []*member) {
		push, at := client{t: t, s: members[0].store}, members[1]
		block(at.store, "blpop q 0")
		block(at.store, "blpop q 0")
		synctest.Wait()
		at.Hold(true)
		push.do("rpush q 1")
		at.stop()
		log.start(2, 2, Config{}, nil)
		eventually(t, "what was taken is back", func() bool { return get(push.s, 0, "lrange q 0 -1") == `*1 "1"` })
	})
}

// A snapshot in place of entries: what has happened to the clients in those is found
// out.
func TestSnapshotWithBlockedClients(t *testing.T) {
	waitTest(t, func(t *testing.T, log *cluster, members []*member) {
		n, m := members[0], members[1]
		push := client{t: t, s: n.store}
		served, waits, gone, late := block(m.store, "blpop q 0"), block(m.store, "blpop r 0"), block(m.store, "blpop s 0"), block(m.store, "blpop t 2")
		read := block(m.store, "xread BLOCK 0 STREAMS x $")
		synctest.Wait()
		m.Hold(true)
		push.do("rpush q 1", "rpush s 2", "xadd x 1-1 f v")
		m.store.Leave(&gone.w)
		time.Sleep(2 * time.Second)
		push.do("set other v")
		snapshot := n.take(t)
		if !m.Install(snapshot) {
			t.Fatal("stopped")
		}
		m.Hold(false)
		synctest.Wait()
		if got := served.got(); got != `*2 "q" "1"` {
			t.Errorf("served in what was skipped: %s", got)
		}
		if got := late.got(); got != "nilarray" {
			t.Errorf("timed out in what was skipped: %s", got)
		}
		if got := read.got(); !strings.Contains(got, `"1-1"`) {
			t.Errorf("a read: %s", got)
		}
		if got := get(n.store, 0, "lrange s 0 -1"); got != `*1 "2"` {
			t.Errorf("what was taken for one who has gone: %s", got)
		}
		push.do("rpush r 3")
		synctest.Wait()
		if got := waits.got(); got != `*2 "r" "3"` {
			t.Errorf("still waiting: %s", got)
		}
	})
}

func TestBlockedReads(t *testing.T) {
	waitTest(t, func(t *testing.T, _ *cluster, members []*member) {
		push, at := client{t: t, s: members[0].store}, members[1].store
		a, b := block(at, "xread BLOCK 0 STREAMS x y $ $"), block(at, "xread BLOCK 0 STREAMS y $")
		c, d, e := block(at, "xread BLOCK 20 STREAMS x $"), block(at, "xread BLOCK 0 STREAMS x $"), block(at, "xread BLOCK 0 STREAMS x $")
		if at.Blocked() != 5 {
			t.Errorf("%d are blocked", at.Blocked())
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if c.got() != "nilarray" {
			t.Errorf("timed out: %s", c.got())
		}
		at.Leave(&d.w)
		if !at.Unblock(&e.w, "ERR x") || at.Unblock(&e.w, "") || e.got() != "-ERR x" {
			t.Errorf("unblocked: %s", e.got())
		}
		push.do("xadd y 1-1 f v", "xdel y 1-1")
		synctest.Wait()
		for _, x := range []*blocked{a, b} {
			if got := x.got(); got != `%1 "y" *1 *2 "1-1" *2 "f" "v"` {
				t.Errorf("%s", got)
			}
		}
		if at.Blocked() != 0 || len(at.reads.keys) != 0 || d.got() != "waits" {
			t.Errorf("%d are blocked, for %d keys", at.Blocked(), len(at.reads.keys))
		}
	})
}

// Clients that take, time out and leave, on members that are cut off and leaders
// that come and go, over a network that loses and doubles requests: every element
// reaches one client, or is still there, or was on its way to one whose outcome is
// unknown.
func TestEveryElementOnce(t *testing.T) {
	for _, seed := range []uint64{1, 2, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { testEveryElementOnce(t, seed) })
	}
}

func testEveryElementOnce(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, seed)
		log.Faulty(true)
		var members []*member
		for id := uint64(1); id <= 3; id++ {
			members = append(members, log.start(id, 1, Config{ProposalTimeout: time.Second}, nil))
		}
		for _, n := range members {
			eventually(t, "ready", n.store.Ready)
		}
		const takers, elements = 9, 400
		var mu sync.Mutex
		got := map[string]int{}
		pushed := map[string]bool{}
		unknown, left := 0, 0
		stopC := make(chan struct{})
		var takersDone, rest sync.WaitGroup
		for i := range takers {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			s := members[i%3].store
			takersDone.Go(func() {
				for {
					select {
					case <-stopC:
						return
					default:
					}
					b := block(s, fmt.Sprintf("%s q%d q%d %g", []string{"blpop", "brpop"}[rnd.IntN(2)], rnd.IntN(3), rnd.IntN(3), float64(1+rnd.IntN(3000))/1000))
					leave := time.Hour
					if rnd.IntN(4) == 0 {
						leave = time.Duration(rnd.IntN(1500)) * time.Millisecond
					}
					select {
					case <-b.doneC:
						mu.Lock()
						switch reply := b.reply.String(); {
						case strings.HasPrefix(reply, "*2 "):
							got[strings.Trim(strings.Fields(reply)[2], `"`)]++
						case strings.HasPrefix(reply, "-UNKNOWN"):
							unknown++
						}
						mu.Unlock()
					case <-time.After(leave):
						s.Leave(&b.w)
						mu.Lock()
						left++
						mu.Unlock()
					}
				}
			})
		}
		rest.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 100))
			c := client{t: t, s: members[0].store}
			for e := range elements {
				time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
				if reply := c.do(fmt.Sprintf("rpush q%d e%d", rnd.IntN(3), e)); !strings.HasPrefix(reply, "-") {
					mu.Lock()
					pushed[fmt.Sprintf("e%d", e)] = true
					mu.Unlock()
				}
			}
		})
		rest.Go(func() { // leaders come and go, members are cut off
			unsettle(log, members, seed, 40)
		})
		rest.Wait()
		close(stopC)
		takersDone.Wait()
		log.Faulty(false)
		time.Sleep(20 * time.Second) // whatever is to be put back is back
		log.settle()
		for i := range 3 {
			for _, e := range strings.Fields(get(members[1].store, 0, fmt.Sprintf("lrange q%d 0 -1", i)))[1:] {
				got[strings.Trim(e, `"`)]++
			}
		}
		missing := 0
		for e := range pushed {
			switch n := got[e]; {
			case n > 1:
				t.Errorf("%s is there %d times", e, n)
			case n == 0:
				missing++
			}
		}
		t.Logf("%d pushed, %d missing, %d outcomes unknown, %d clients left", len(pushed), missing, unknown, left)
		if missing > unknown+left {
			t.Errorf("%d are missing, and %d outcomes unknown", missing, unknown)
		}
		if len(pushed) < elements/2 {
			t.Errorf("only %d of %d were pushed", len(pushed), elements)
		}
		for _, n := range members {
			if n.store.Blocked() != 0 {
				t.Errorf("member %d has %d who wait", n.ID(), n.store.Blocked())
			}
			n.stop()
		}
	})
}

// unsettle has leaders come and go, and members be cut off, so many times at random, and
// heals all that in the end.
func unsettle(log *cluster, members []*member, seed uint64, times int) {
	rnd := rand.New(rand.NewPCG(seed, 101))
	for range times {
		time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
		switch n := members[rnd.IntN(3)]; rnd.IntN(4) {
		case 0:
			log.Elect(uint64(rnd.IntN(4)))
		case 1:
			n.Hold(true)
		default:
			n.Hold(false)
		}
	}
	log.Elect(1)
	for _, n := range members {
		n.Hold(false)
	}
}
