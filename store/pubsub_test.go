package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ear is a subscriber that writes down what it gets.
type ear struct {
	Subscriber
	mu  sync.Mutex
	all []string
	cut bool
}

func newEar() *ear {
	e := &ear{}
	e.Deliver = func(m *Message) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, string(m.Payload))
	}
	e.Cut = func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.cut = true
	}
	return e
}

func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// confirmed announces, and waits until that is in force.
func confirmed(s *Store) {
	doneC := make(chan struct{})
	s.Announce(func() { close(doneC) })
	<-doneC
}

// TestSubscriptionsInForce: a subscriber gets each message that is published between
// the confirmation of its subscription and its end, once and in the order of the log,
// whatever becomes of requests and leaders; and all members come to count right.
func TestSubscriptionsInForce(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { testSubscriptions(t, seed) })
	}
}

func testSubscriptions(t *testing.T, seed uint64) {
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
		var mu sync.Mutex
		begun := 0
		var published []string // those that are acknowledged, by one client: in order
		var group sync.WaitGroup
		whole := newEar() // subscribes all the time
		members[1].store.Subscribe(&whole.Subscriber, Patterns, []byte("c*"))
		confirmed(members[1].store)
		stopC := make(chan struct{})
		for i := range 3 { // come and go
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			s := members[i].store
			group.Go(func() {
				for {
					select {
					case <-stopC:
						return
					case <-time.After(time.Duration(rnd.IntN(50)) * time.Millisecond):
					}
					e := newEar()
					s.Subscribe(&e.Subscriber, Channels, []byte("c"))
					confirmed(s)
					mu.Lock()
					from := begun + 1
					mu.Unlock()
					time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
					mu.Lock()
					want := slices.Clone(published)
					mu.Unlock()
					// What is acknowledged elsewhere may be on its way here.
					missing := func() (all []string) {
						heard := e.heard()
						for _, m := range want {
							if n, err := strconv.Atoi(m); err != nil || n >= from && !slices.Contains(heard, m) {
								all = append(all, m)
							}
						}
						return all
					}
					for end := time.Now().Add(time.Minute); len(missing()) > 0; time.Sleep(time.Millisecond) {
						if time.Now().After(end) {
							t.Errorf("never heard %q, of those after %d", missing(), from)
							return
						}
					}
					if rnd.IntN(2) == 0 {
						s.Unsubscribe(&e.Subscriber, Channels, "c")
						confirmed(s)
					} else {
						s.Unlisten(&e.Subscriber, true)
					}
					if heard := e.heard(); !slices.Equal(heard, slices.Compact(slices.Clone(heard))) {
						t.Errorf("heard twice: %q", heard)
					}
				}
			})
		}
		group.Go(func() {
			unsettle(log, members, seed, 20)
		})
		c := client{t: t, s: members[0].store}
		for i := range 200 {
			time.Sleep(20 * time.Millisecond)
			mu.Lock()
			begun = i
			mu.Unlock()
			if m := fmt.Sprint(i); c.do("publish c " + m)[0] != '-' {
				mu.Lock()
				published = append(published, m)
				mu.Unlock()
			}
		}
		close(stopC)
		group.Wait()
		log.Faulty(false)
		for _, n := range members {
			eventually(t, "all count right", func() bool {
				return n.store.Subscribers(Patterns, []byte("c*")) == 1 && n.store.CountSubscribed(Channels) == 0
			})
		}
		log.settle()
		heard := whole.heard()
		last := -1
		for _, m := range heard {
			var n int
			if _, err := fmt.Sscan(m, &n); err != nil || n <= last {
				t.Errorf("%s after %d", m, last)
			}
			last = n
		}
		for _, m := range published {
			if !slices.Contains(heard, m) {
				t.Errorf("%s was acknowledged, and not heard", m)
			}
		}
		if len(published) < 50 {
			t.Errorf("only %d messages were acknowledged", len(published))
		}
		for _, n := range members {
			n.stop()
		}
	})
}

// TestSubscribersCut: a subscriber learns that messages are lost to it when a snapshot
// is loaded in place of the entries that have them.
func TestSubscribersCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newCluster(t, 1)
		a, b := log.start(1, 1, Config{}, nil), log.start(2, 1, Config{}, nil)
		defer a.stop()
		defer b.stop()
		eventually(t, "ready", b.store.Ready)
		e := newEar()
		b.store.Subscribe(&e.Subscriber, Channels, []byte("c"))
		confirmed(b.store)
		c := client{t: t, s: a.store}
		if got := c.do("publish c 1"); got != "1" {
			t.Errorf("PUBLISH: %s", got)
		}
		eventually(t, "heard", func() bool { return len(e.heard()) == 1 })
		b.Hold(true)
		c.do("publish c 2")
		snapshot := a.take(t)
		if e.cut {
			t.Error("cut, though nothing is lost")
		}
		if !b.Install(snapshot) {
			t.Fatal("stopped")
		}
		synctest.Wait()
		if !e.cut {
			t.Error("not told of what is lost")
		}
		b.Hold(false)
		b.store.Unlisten(&e.Subscriber, true)
		eventually(t, "nobody is left", func() bool { return a.store.CountSubscribed(Channels) == 0 })
		log.settle()
	})
}
