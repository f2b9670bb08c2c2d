package raftnode

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGathering has leaders serve made-up clients in made-up time, and looks at what the
// waits have made of it.
func TestGathering(t *testing.T) {
	const (
		length = 5_000_000
		seed   = 1
	)
	for _, tc := range []struct {
		name    string
		clients []int     // that wait for replies, for each five seconds
		rate    []float64 // of requests that do not, a second
		// What there is to be in the last five seconds but for their first half: of what it is without gathering.
		throughput float64 // at least
		p50, p99   float64 // at most; 0: whatever it is
	}{
		{name: "one client", clients: []int{1}, throughput: 1, p50: 1, p99: 1},
		{name: "7 clients", clients: []int{7}, throughput: 1, p50: 1, p99: 1},
		{name: "50 clients", clients: []int{50}, throughput: 1.15, p50: 0.95},
		{name: "200 clients", clients: []int{200}, throughput: 0.99, p50: 1.02}, // their rounds are full as it is
		{name: "1000 a second", rate: []float64{1000}, throughput: 1, p50: 1.05, p99: 1.15},
		{name: "5000 a second", rate: []float64{5000}, throughput: 0.99, p50: 1.05, p99: 1.15},
		{name: "12000 a second", rate: []float64{12_000}, throughput: 0.99, p50: 1.05, p99: 1.15},
		{name: "20000 a second", rate: []float64{20_000}, throughput: 0.99, p50: 1.05, p99: 1.15},
		{name: "clients leave, arrivals come", clients: []int{50, 0}, rate: []float64{0, 20_000}, throughput: 0.99, p50: 1.05, p99: 1.15},
		{name: "arrivals cease, clients come", clients: []int{0, 0, 50}, rate: []float64{20_000, 10, 0}, throughput: 1.15, p50: 0.95},
		{name: "both", clients: []int{50}, rate: []float64{1000}, throughput: 1.05, p50: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run := func(gather bool) (float64, float64, float64, gathering) {
				l := &gatherLoad{rng: rand.New(rand.NewPCG(seed, 0)), gathers: gather}
				for i := range max(len(tc.clients), len(tc.rate)) {
					clients, rate := 0, 0.0
					if i < len(tc.clients) {
						clients = tc.clients[i]
					}
					if i < len(tc.rate) {
						rate = tc.rate[i]
					}
					l.run(clients, rate, length)
				}
				slices.Sort(l.took)
				n := len(l.took)
				return float64(n), float64(l.took[n/2]), float64(l.took[n*99/100]), l.g
			}
			n0, p50, p99, _ := run(false)
			n1, q50, q99, g := run(true)
			got := fmt.Sprintf("seed %d: %.0f requests instead of %.0f (%.2f), p50 %.0f us instead of %.0f (%.2f), p99 %.0f instead of %.0f (%.2f); %+v",
				seed, n1, n0, n1/n0, q50, p50, q50/p50, q99, p99, q99/p99, g)
			t.Log(got)
			if n1 < tc.throughput*n0 || tc.p50 > 0 && q50 > tc.p50*p50 || tc.p99 > 0 && q99 > tc.p99*p99 {
				t.Error(got)
			}
		})
	}
}

// gatherLoad is a leader and those who write to it. Times are in microseconds.
type gatherLoad struct {
	rng     *rand.Rand
	gathers bool
	g       gathering
	now     int

	events  gatherEvents
	waiting []gatherRequest
	round   []gatherRequest // nil if none is under way
	took    []int
	epoch   int // clients of an earlier run are gone
}

type gatherRequest struct {
	came   int
	client bool
	epoch  int
}

type gatherEvent struct {
	at int
	do func()
}

type gatherEvents []gatherEvent

func (e gatherEvents) Len() int           { return len(e) }
func (e gatherEvents) Less(i, j int) bool { return e[i].at < e[j].at }
func (e gatherEvents) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *gatherEvents) Push(x any)        { *e = append(*e, x.(gatherEvent)) }
func (e *gatherEvents) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (l *gatherLoad) after(us int, do func()) { heap.Push(&l.events, gatherEvent{l.now + us, do}) }

func (l *gatherLoad) run(clients int, rate float64, length int) {
	l.epoch++
	epoch, end := l.epoch, l.now+length
	l.after(500_000, func() { l.took = l.took[:0] }) // learning is left out
	for range clients {
		l.after(l.rng.IntN(1000), func() { l.arrive(true, epoch) })
	}
	var next func()
	next = func() {
		if l.epoch == epoch {
			l.arrive(false, epoch)
			l.after(1+int(l.rng.ExpFloat64()*1e6/rate), next)
		}
	}
	if rate > 0 {
		l.after(1, next)
	}
	var tick func()
	tick = func() {
		if l.epoch == epoch {
			l.g.timeUp(l.g.turn)
			l.g.tick()
			l.seal()
			l.after(50_000+l.rng.IntN(1000), tick)
		}
	}
	l.after(50_000, tick)
	for len(l.events) > 0 && l.events[0].at < end {
		e := heap.Pop(&l.events).(gatherEvent) //nolint:forcetypeassert // there is nothing else in it
		l.now = e.at
		e.do()
	}
	l.now = end
}

func (l *gatherLoad) arrive(client bool, epoch int) {
	if epoch == l.epoch {
		l.waiting = append(l.waiting, gatherRequest{l.now, client, epoch})
		l.seal()
	}
}

// seal begins a round if there is none and the rule lets it.
func (l *gatherLoad) seal() {
	if l.round != nil || len(l.waiting) == 0 || !l.g.enough(len(l.waiting), false) {
		return
	}
	l.round, l.waiting = l.waiting, nil
	if l.gathers {
		l.g.sealed(len(l.round))
	}
	// A round costs the same whoever is in it, and a little for each, and now and then much.
	cost := 700 + l.rng.IntN(300) + 8*len(l.round)
	if l.rng.IntN(500) == 0 {
		cost += l.rng.IntN(5000)
	}
	l.after(cost, l.over)
}

func (l *gatherLoad) over() {
	for i, r := range l.round {
		l.took = append(l.took, l.now-r.came)
		if r.client {
			l.after(3*i+50+l.rng.IntN(150), func() { l.arrive(true, r.epoch) })
		}
	}
	l.round = nil
	l.g.roundOver(len(l.waiting))
	if turn := l.g.turn; l.g.want > 0 {
		l.after(1000+l.rng.IntN(100), func() {
			l.g.timeUp(turn)
			l.seal()
		})
	}
	l.seal()
}
