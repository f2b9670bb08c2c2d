package raftnode

import "math"

// gathering decides whether a leader waits a moment, after an entry is committed, for
// those that it has just answered, before it makes the next entry.
//
// Clients that wait for their reply before they write again fall into two cohorts: while
// the round of the one is under way, the requests of the other come in, and leave as soon
// as it is over. A round costs the same for 25 requests as for 50, its messages, its
// wake-ups and its syncs, so to let the two cohorts meet is worth a moment. (PostgreSQL's
// commit_delay and commit_siblings are the same idea.) Clients that come when they like
// gain nothing by it, and everybody's latency doubles. Nothing in a request tells which
// clients these are, so it is tried out:
//
//   - A trial is spans of a tick, with waits and without, in turns. It is won if clearly
//     more requests are committed in those with waits. Of arrivals that do not depend on
//     replies as many are committed in both.
//   - A wait that the clock ends was for somebody who did not come. If most of a handful end
//     so, there are no more, whatever the trial would have said. So independent clients have
//     eight waits every ten seconds, and soon every minute.
//   - After a trial that was lost comes a pause, twice as long each time. One that was won is
//     tried again every few seconds.
//
// With few requests about, least of all one, nothing ever waits.
type gathering struct {
	want int    // how many requests the next entry waits for, 0 if it does not
	turn uint64 // counts the waits, for the timer of this one

	on    bool // rounds may be followed by a wait
	waits int  // since the last verdict on them
	late  int  // of these, ended by the clock
	round int  // requests in entries that are in flight
	span  gatherSpan

	trying     bool
	spans      int // of the trial so far
	with, none int // requests committed in those with waits, and in those without
	won        bool
	quiet      ticks // since there was anything to gather
	next       ticks // before the next trial
	pause      ticks // before the one after that, if it is lost again
}

// gatherSpan is what has happened since the last tick.
type gatherSpan struct {
	requests, rounds int // committed
	about            int // sum over the rounds: requests in it and behind it when it was over
}

const (
	minGather   = 8  // requests about
	lateWaits   = 8  // are enough to tell whether those come that are waited for
	cycle       = 4  // spans: with, without, without, with, so that a drift does not count
	minCycles   = 2  // of a trial
	maxCycles   = 4  // of one that is not decided yet
	wonTicks    = 80 // before it is tried again
	minPause    = 20
	vainPause   = 200 // after waits for those who do not come: that is no chance
	maxPause    = 1200
	forgetTicks = 20
	gatherGain  = 1.05 // at least, and 3 times what chance may make of it
)

// sealed notes an entry of n requests.
func (g *gathering) sealed(n int) { g.round += n }

// roundOver notes that nothing is in flight any more, and that so many requests wait
// already: the next entry may have to wait for more.
func (g *gathering) roundOver(waiting int) {
	if g.round == 0 {
		return // seen already
	}
	about := g.round + waiting
	g.span.requests += g.round
	g.span.rounds++
	g.span.about += about
	g.round = 0
	g.judge()
	if g.on && about >= minGather {
		g.want = about - about/8 // the slowest may take the next entry
		g.turn++
		g.waits++
	}
}

// enough reports whether an entry may be made of the requests that wait. full says that
// more would not fit.
func (g *gathering) enough(waiting int, full bool) bool {
	if g.want > 0 && waiting < g.want && !full {
		return false
	}
	g.want = 0
	return true
}

// timeUp ends the wait that began as the turn'th, if it still goes on.
func (g *gathering) timeUp(turn uint64) {
	if g.want == 0 || g.turn != turn {
		return
	}
	g.want = 0
	g.late++
}

// judge gives up waiting if most of the last waits were in vain.
func (g *gathering) judge() {
	if g.waits < lateWaits {
		return
	}
	if 2*g.late > g.waits {
		g.lose(vainPause)
	}
	g.waits, g.late = 0, 0
}

// deposed forgets what only a leader knows.
func (g *gathering) deposed() { *g = gathering{turn: g.turn} }

// tick ends a span.
func (g *gathering) tick() {
	s := g.span
	g.span = gatherSpan{}
	if g.next > 0 {
		g.next--
	}
	if s.rounds == 0 || s.about < minGather*s.rounds {
		// Too little is going on. What was won holds when they are back; what was lost may
		// have been others.
		g.on, g.trying = false, false
		if g.quiet++; g.quiet == forgetTicks && !g.won {
			g.next, g.pause = 0, 0
		}
		return
	}
	g.quiet = 0
	switch {
	case g.trying:
		g.try(s.requests)
	case g.next == 0:
		g.trying, g.spans, g.with, g.none = true, 0, 0, 0
		g.on = true
	default:
		g.on = g.won
	}
}

// try takes in a span of the trial, and decides it or begins the next span.
func (g *gathering) try(requests int) {
	if g.on {
		g.with += requests
	} else {
		g.none += requests
	}
	g.spans++
	if g.spans%cycle == 0 && g.spans >= minCycles*cycle {
		gain := float64(g.with - g.none)
		chance := 3 * math.Sqrt(float64(g.with+g.none))
		switch {
		case gain >= max(chance, (gatherGain-1)*float64(g.none)):
			g.trying, g.won, g.on = false, true, true
			g.next, g.pause = wonTicks, 0
			return
		case gain <= 0 || g.spans == maxCycles*cycle:
			g.lose(minPause)
			return
		}
	}
	at := (g.spans) % cycle
	g.on = at == 0 || at == cycle-1
}

// lose ends the waits for a while, least at first.
func (g *gathering) lose(least ticks) {
	g.trying, g.won, g.on = false, false, false
	g.pause = min(max(2*g.pause, least), maxPause)
	g.next = g.pause
}
