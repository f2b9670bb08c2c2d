package integration

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestBlockingPops: clients on all nodes wait for elements that clients on all
// nodes push, while leadership moves. Every element goes to exactly one of them.
func TestBlockingPops(t *testing.T) {
	c := start(t, 3)
	const producers, consumers, each = 3, 9, 150
	var mu sync.Mutex
	got := map[string]int{}
	var waiting, pushing sync.WaitGroup
	for i := range consumers {
		conn := connect(t, c.Nodes[i%3].Addr)
		waiting.Go(func() {
			for {
				v, err := conn.Do("BLPOP", "queue:a", "queue:b", "0")
				if err != nil {
					t.Errorf("consumer %d: %v", i, err)
					return
				}
				if v.IsError() {
					t.Logf("consumer %d: %s", i, v.Str) // UNKNOWN: the element may be gone
					mu.Lock()
					got["unknown"]++
					mu.Unlock()
					continue
				}
				element := v.Elems[1].Str
				if element == "end" {
					return
				}
				mu.Lock()
				got[element]++
				mu.Unlock()
			}
		})
	}
	stopC := make(chan struct{})
	movedC := make(chan struct{})
	go func() {
		defer close(movedC)
		for {
			select {
			case <-stopC:
				return
			case <-time.After(200 * time.Millisecond):
			}
			if leader := c.Leader(); leader != nil {
				_, _ = ask(leader.Addr, "RAFT", "TRANSFER") // another one may lead by now
			}
		}
	}()
	for i := range producers {
		conn := connect(t, c.Nodes[i].Addr)
		pushing.Go(func() {
			for j := range each {
				key := []string{"queue:a", "queue:b"}[j%2]
				v, err := conn.Do("RPUSH", key, fmt.Sprintf("%d-%d", i, j))
				if err != nil || v.IsError() {
					t.Errorf("producer %d: %s, %v", i, v, err)
					return
				}
			}
		})
	}
	pushing.Wait()
	close(stopC)
	<-movedC
	conn := connect(t, c.Nodes[0].Addr)
	eventually(t, "empty queues", func() error {
		v, err := conn.Do("EXISTS", "queue:a", "queue:b")
		if err == nil && v.Str != "0" {
			err = fmt.Errorf("%s are left", v)
		}
		return err
	})
	for range consumers {
		must(t, conn, "RPUSH", "queue:a", "end")
	}
	waiting.Wait()
	missing := 0
	for i := range producers {
		for j := range each {
			element := fmt.Sprintf("%d-%d", i, j)
			switch n := got[element]; {
			case n > 1:
				t.Errorf("%s was delivered %d times", element, n)
			case n == 0:
				missing++
			}
		}
	}
	if missing > got["unknown"] {
		t.Errorf("%d elements reached nobody, and only %d outcomes are unknown", missing, got["unknown"])
	}
	c.sameDigests()
}
