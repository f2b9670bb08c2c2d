package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

// queues is how many lists the workers push to and take from.
const queues = 3

// deliveries is what is known about the elements of the lists.
type deliveries struct {
	mu      sync.Mutex
	pushed  map[string]bool // element -> whether that is certain
	taken   map[string]int  // how often each reached a client
	unknown int             // commands that may have taken something that reached nobody
}

func (d *deliveries) push(element string, o outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o == applied || o == unknown {
		d.pushed[element] = o == applied
	}
}

// pushes pushes numbered elements.
func (w *worker) pushes() {
	w.mode = "READONLY"
	for i := 0; !w.t.stopped(); {
		if !w.connect() {
			continue
		}
		key := fmt.Sprintf("queue:%d", w.rng.IntN(queues))
		element := fmt.Sprintf("%d.%d", w.id, i)
		i++
		_, o := w.do("RPUSH", key, element)
		w.t.lists.push(element, o)
		w.rest(time.Duration(w.rng.IntN(60)) * time.Millisecond)
	}
	w.hangUp()
}

// takes takes elements with commands that block, and leaves now and then while it
// waits.
func (w *worker) takes() {
	w.mode = "READONLY"
	d := &w.t.lists
	for !w.t.stopped() {
		if !w.connect() {
			continue
		}
		pop := []string{"BLPOP", "BLPOP", "BRPOP"}[w.rng.IntN(3)]
		args := []string{pop, fmt.Sprintf("queue:%d", w.rng.IntN(queues)), fmt.Sprintf("queue:%d", w.rng.IntN(queues)), strconv.FormatFloat(0.05+w.rng.Float64()*2, 'f', 3, 64)}
		w.conn.Timeout = clientTimeout
		if w.rng.IntN(5) == 0 {
			w.conn.Timeout = time.Duration(1+w.rng.IntN(1000)) * time.Millisecond // and then it leaves
		}
		reply, o := w.do(args...)
		d.mu.Lock()
		switch pair, ok := reply.([]any); {
		case o == unknown:
			d.unknown++
		case o == applied && ok && len(pair) == 2:
			d.taken[fmt.Sprint(pair[1])]++
		}
		d.mu.Unlock()
		if w.conn != nil {
			w.conn.Timeout = clientTimeout
		}
	}
	w.hangUp()
}

// checkLists accounts for every element when the cluster has healed: it reached one
// client, or is still there; only as many are missing as there are commands whose
// outcome nobody knows.
func (t *torture) checkLists() {
	d := &t.lists
	left := 0
	inverted := 0
	for i := range queues {
		reply, err := cluster.Ask(t.nodes()[0].Addr, "LRANGE", fmt.Sprintf("queue:%d", i), "0", "-1")
		elements, ok := reply.([]any)
		if err != nil || !ok {
			t.fail("cannot read what is left of the lists: %v, %v", reply, err)
			return
		}
		last := map[string]int{}
		for _, e := range elements {
			d.taken[fmt.Sprint(e)]++
			left++
			who, number, _ := strings.Cut(fmt.Sprint(e), ".")
			n, _ := strconv.Atoi(number)
			if n < last[who] {
				inverted++
			}
			last[who] = n
		}
	}
	var missing []string
	for e, certain := range d.pushed {
		if certain && d.taken[e] == 0 {
			missing = append(missing, e)
		}
	}
	slices.Sort(missing)
	for e, n := range d.taken {
		if _, ok := d.pushed[e]; !ok {
			t.fail("%s was taken from a list and never pushed", e)
		}
		if n > 1 {
			t.fail("the element %s of a list was delivered, or is there, %d times", e, n)
		}
	}
	t.log("lists: %d elements pushed, %d still there, %d missing with %d outcomes unknown, %d out of order", len(d.pushed), left, len(missing), d.unknown, inverted)
	if len(missing) > d.unknown {
		t.fail("%d elements of lists are lost, and only %d commands may have taken them: %.500v", len(missing), d.unknown, missing)
	}
	if inverted > d.unknown {
		t.fail("%d elements of lists are out of order, and only %d can have been put back", inverted, d.unknown)
	}
}
