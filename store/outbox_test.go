package store

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/raftnode/commit/committest"
	"github.com/raftredis/raftredis/store/command"
)

// Acknowledged increments are there exactly once, whatever the network does to
// requests, and whoever leads.
func TestNothingIsAppliedTwice(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { testNothingIsAppliedTwice(t, seed) })
	}
}

func testNothingIsAppliedTwice(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		const clients, each = 8, 60
		log := newCluster(t, seed)
		log.Faulty(true)
		var members []*member
		for id := uint64(1); id <= 3; id++ {
			members = append(members, log.start(id, 1, Config{ProposalTimeout: time.Second}, nil))
		}
		var acked, unknown [clients]int
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				c := client{t: t, s: members[i%3].store}
				for range each {
					switch got := c.do(fmt.Sprintf("incr n%d", i)); {
					case !strings.HasPrefix(got, "-"):
						acked[i]++
						// Every reply says what was there: a doubled or lost one shows.
						if n := 0; unknown[i] == 0 {
							if fmt.Sscan(got, &n); n != acked[i] {
								t.Errorf("client %d: reply %s to increment %d", i, got, acked[i])
							}
						}
					case strings.HasPrefix(got, "-UNKNOWN"):
						unknown[i]++
					case strings.HasPrefix(got, "-CLUSTERDOWN"):
					default:
						t.Errorf("client %d: %s", i, got)
					}
				}
			})
		}
		stopC := make(chan struct{})
		var churn sync.WaitGroup
		churn.Go(func() { // leaders come and go, some for long
			for i := 0; ; i++ {
				select {
				case <-stopC:
					log.Elect(1)
					return
				case <-time.After(time.Duration(50+i%7*40) * time.Millisecond):
				}
				log.Elect(uint64(i*7) % 4)
			}
		})
		wg.Wait()
		close(stopC)
		churn.Wait()
		log.Faulty(false)
		c := client{t: t, s: members[1].store}
		c.do("incr done") // behind everything that was acknowledged
		total := 0
		for i := range clients {
			n := 0
			fmt.Sscanf(get(c.s, 0, fmt.Sprintf("get n%d", i)), `"%d"`, &n)
			if n < acked[i] || n > acked[i]+unknown[i] {
				t.Errorf("client %d: %d increments, %d acknowledged, %d unknown", i, n, acked[i], unknown[i])
			}
			total += acked[i]
		}
		log.settle()
		st := members[1].store.Stats()
		t.Logf("%d acknowledged; member 2: %+v", total, st)
		if total < clients*each/2 {
			t.Errorf("only %d of %d increments were acknowledged", total, clients*each)
		}
		for _, n := range members {
			n.stop()
		}
	})
}

func TestThreeOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{ProposalTimeout: 2 * time.Second}, nil)
		defer n.stop()
		c := client{t: t, s: n.store}

		if got := c.do("incr n"); got != "1" {
			t.Errorf("applied: %s", got)
		}

		// Nobody takes it: definitely not applied, after the whole time and no later.
		log.Elect(0)
		started := time.Now()
		got := c.do("get n", "incr n", "ping", "get n", "incr n")
		if want := `"1" -` + string(ErrNoLeader) + ` ping "1" -` + string(ErrNoLeader); got != want {
			t.Errorf("not applied: %s", got)
		}
		if took := time.Since(started); took < 2*time.Second || took > 2*time.Second+2*retryEvery {
			t.Errorf("took %v", took)
		}
		// And it stays so: a leader that comes later does not bring it back.
		log.Elect(1)
		if got := c.do("incr n"); got != "2" {
			t.Errorf("what was given up came true: %s", got)
		}

		// Taken, and then no word of it.
		n.Hold(true)
		if got := c.do("incr n", "ping"); got != "-"+string(ErrUnknown)+" ping" {
			t.Errorf("unknown: %s", got)
		}
		n.Hold(false)
		if got := c.do("incr n"); got != "4" {
			t.Errorf("the unknown one was in the log, so this is the fourth: %s", got)
		}
		st := n.store.Stats()
		if st.Refused == 0 || st.Unknown != 1 || st.Pending != 0 || st.PendingBytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A batch keeps the memory of its request, unless the request may be on its way once more.
func TestRequestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		defer n.stop()
		eventually(t, "ready", n.store.Ready)
		kept := func(lose bool) bool {
			var b Batch
			b.Write(0, nil, [][]byte{[]byte("set"), []byte("k"), make([]byte, 2*arenaMax)})
			log.Lose(lose)
			doneC := make(chan struct{})
			n.store.Submit(&b, command.Discard{}, func() { close(doneC) })
			synctest.Wait()
			log.Lose(false)
			<-doneC
			if b.Err() != "" {
				t.Fatal(b.Err())
			}
			return !b.request.Empty()
		}
		if !kept(false) {
			t.Error("the memory of a request that was applied at once is given up")
		}
		if kept(true) {
			t.Error("the memory of a request that was sent twice is used again")
		}
	})
}

// A request that was given up, and that the network delivers after the client
// went on, must not come true any more.
func TestGivenUpAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{ProposalTimeout: time.Second}, nil)
		defer n.stop()
		c := client{t: t, s: n.store}
		c.do("set k a")

		// The network keeps it for long: what a follower's forwarding to a dead
		// leader looks like.
		lateC := make(chan []byte, 1)
		log.Elect(0)
		go func() {
			synctest.Wait()
			for _, p := range log.Withheld() {
				if ok, _ := p.Take(); ok {
					lateC <- p.Data
				}
			}
		}()
		if got := c.do("append k late"); got != "-"+string(ErrUnknown) {
			t.Fatal(got)
		}
		log.Withheld() // what was sent again is lost for good
		log.Elect(1)
		if got := c.do("append k b"); got != "2" {
			t.Fatal(got)
		}
		log.Append(n.store.Seal(nil, [][]byte{<-lateC}))
		log.settle()
		if got := get(n.store, 0, "get k"); got != `"ab"` {
			t.Errorf("a request that was given up came true behind a later one: %s", got)
		}

		// The same for a request of an earlier run of this member.
		old := request(head(1, 0, 99, 99), func(b *Batch) { b.Write(0, nil, args("append k old")) })
		log.Append(n.store.Seal(nil, [][]byte{old}))
		log.settle()
		if got := get(n.store, 0, "get k"); got != `"ab"` {
			t.Errorf("a request of an earlier run came true: %s", got)
		}
	})
}

func TestLostRequestsAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{}, nil)
		m := log.start(2, 1, Config{}, nil)
		defer n.stop()
		defer m.stop()
		for _, n := range []*member{n, m} {
			eventually(t, "ready", n.store.Ready)
		}
		c := client{t: t, s: n.store}

		// Under the same leader: after a while, a longer one if we are the leader.
		for i, leader := range []uint64{2, 1} {
			log.Elect(leader)
			c.do("set k v")
			time.Sleep(time.Second)
			log.Lose(true)
			go func() { synctest.Wait(); log.Lose(false) }()
			started := time.Now()
			if got := c.do("incr n"); got != fmt.Sprint(i+1) {
				t.Error(got)
			}
			want := firstResend
			if leader == 1 {
				want *= leaderPatience
			}
			if took := time.Since(started); took < want || took > want+2*retryEvery {
				t.Errorf("leader %d: sent again after %v", leader, took)
			}
		}

		// Under a new leader: at once.
		log.Lose(true)
		go func() { synctest.Wait(); log.Lose(false); log.Elect(2) }()
		started := time.Now()
		if got := c.do("incr n"); got != "3" {
			t.Error(got)
		}
		if took := time.Since(started); took > 2*retryEvery {
			t.Errorf("sent to the new leader after %v", took)
		}
	})
}

func TestTooMuchPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		n := log.start(1, 1, Config{MaxPendingBytes: 10_000, ProposalTimeout: time.Second}, nil)
		defer n.stop()
		eventually(t, "ready", n.store.Ready)
		c := client{t: t, s: n.store}
		big := strings.Repeat("x", 100_000)
		if got := c.do("set k " + big); got != "OK" {
			t.Errorf("a single request of any size passes: %s", got)
		}
		n.Hold(true)
		var wg sync.WaitGroup
		var busy, unknown atomic.Int64
		for range 40 {
			wg.Go(func() {
				c := client{t: t, s: n.store}
				switch got := c.do("append k " + strings.Repeat("x", 500)); got {
				case "-" + string(ErrBusy):
					busy.Add(1)
				case "-" + string(ErrUnknown):
					unknown.Add(1)
				default:
					t.Error(got)
				}
			})
		}
		wg.Wait()
		if u := unknown.Load(); u < 10 || u > 15 || busy.Load() != 40-u {
			t.Errorf("%d refused, %d let in", busy.Load(), u)
		}
		n.Hold(false)
	})
}

// Nobody waits for proposeC, however long raft does not receive from it.
func TestSubmitDoesNotBlock(t *testing.T) {
	proposeC := make(chan *commit.Proposal)
	s := New(Config{Table: testTable(t), Member: 1}, proposeC)
	s.Start(committest.New(1).Join(1, 1, nil), nil, nil)
	spec := s.cfg.Table.Lookup([]byte("incr"))
	var outcomes atomic.Int64
	replies := make([]recorder, 500)
	for i := range replies {
		var b Batch
		b.Write(0, spec, args("incr n"))
		s.Submit(&b, &replies[i], func() { outcomes.Add(1) })
	}
	for range 100 {
		<-proposeC // they do arrive, though
	}
	s.Close()
	if outcomes.Load() != 500 {
		t.Errorf("%d of 500 were answered", outcomes.Load())
	}
	for i := range replies {
		if got := replies[i].String(); got != "-"+string(ErrStopped) {
			t.Fatalf("never taken by raft: %s", got)
		}
	}
	select {
	case <-proposeC:
		t.Error("sent after Close")
	default:
	}
}

func TestClosedAndNotStarted(t *testing.T) {
	s := New(Config{Table: testTable(t), Member: 1}, nil)
	c := client{t: t, s: s}
	if got := c.do("get k", "incr n"); got != "nil -"+string(ErrNoLeader) {
		t.Errorf("before Start: %s", got)
	}
	log := newCluster(t, 1)
	n := log.start(1, 1, Config{}, nil)
	c.s = n.store
	c.do("incr n")
	n.stop()
	if got := c.do("get n", "incr n"); got != `"1" -`+string(ErrStopped) {
		t.Errorf("after Close: %s", got)
	}
	if got := c.do("get n", "ping"); got != `"1" ping` {
		t.Errorf("a batch without writes: %s", got)
	}
}

func TestInflightRing(t *testing.T) {
	f := newInflight()
	bs := make([]Batch, 5*minRing*20)
	for i := range bs {
		f.add(&bs[i])
		// All but every 50th get their outcome at once.
		if i%50 != 0 && f.take(bs[i].seq) != &bs[i] {
			t.Fatal("lost a batch")
		}
	}
	if f.floor != 1 || f.open != len(bs)/50 {
		t.Errorf("floor %d, %d open", f.floor, f.open)
	}
	n := 0
	f.each(func(b *Batch) {
		if b != &bs[n*50] || f.take(b.seq) != b || f.take(b.seq) != nil {
			t.Fatalf("visited %d", b.seq)
		}
		n++
		if want := uint64(n*50 + 1); f.open > 0 && f.floor != want {
			t.Fatalf("floor %d, want %d", f.floor, want)
		}
	})
	if f.open != 0 || f.floor != f.next || len(f.ring) != minRing || f.bytes != 0 {
		t.Errorf("%d open, %d to %d, ring of %d", f.open, f.floor, f.next, len(f.ring))
	}
	if f.take(0) != nil || f.take(f.next) != nil {
		t.Error("took what never was")
	}
}

// TestTooBig: what can never be replicated is refused at once, and clearly.
func TestTooBig(t *testing.T) {
	var b Batch
	b.Write(0, nil, [][]byte{make([]byte, commit.MaxRequestBytes)})
	if got := new(outbox).propose(&b); got != ErrTooBig {
		t.Fatalf("%q, want %q", got, ErrTooBig)
	}
}
