package store

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store/machine"
)

// turned is a clock that a test turns by hand.
type turned struct{ now time.Time }

func (m *turned) clock() *clock         { return newClock(func() time.Time { return m.now }) }
func (m *turned) sleep(d time.Duration) { m.now = m.now.Add(d) }
func at(ms machine.Millis) *turned      { return &turned{time.UnixMilli(int64(ms))} }

const hour = machine.Millis(time.Hour / time.Millisecond)

func TestClockLeader(t *testing.T) {
	m := at(100 * hour)
	c := m.clock()
	if got := c.Stamp(); got != 100*hour {
		t.Errorf("the first leader's stamp is its wall clock, got %d", got)
	}
	m.sleep(time.Second)
	if got := c.Stamp(); got != 100*hour+1000 {
		t.Errorf("a second later: %d", got)
	}

	// A state clock ahead of the wall clock goes on from where it is.
	c = m.clock()
	c.Load(200 * hour)
	first := c.Stamp()
	m.sleep(10 * time.Second)
	if got := c.Stamp() - first; first != 200*hour || got < 9_980 || got > 10_000 {
		t.Errorf("stamp %d, ten seconds later %+d", first, got)
	}
}

// A new leader goes on from the old one's clock, and approaches its own slowly.
func TestClockTakesOverFromLeader(t *testing.T) {
	for _, skew := range []machine.Millis{hour, -hour} {
		m := at(100*hour + skew)
		c := m.clock()
		c.Bracket(100*hour, c.mono())
		m.sleep(10 * time.Second)
		if got := c.Now() - 100*hour; got < 10_000 || got > 10_001 {
			t.Fatalf("skew %d: a follower's estimate after 10 s: %+d", skew, got)
		}
		last := c.Stamp()
		for range 1000 {
			m.sleep(100 * time.Millisecond)
			got := c.Stamp()
			if step := got - last; step < 99 || step > 101 {
				t.Fatalf("skew %d: in 100 ms the clock moved %d ms", skew, step)
			}
			last = got
		}
		drift := last - (100*hour + 110_000)
		if want := skew / hour * 100; drift < want-15 || drift > want+15 {
			t.Errorf("skew %d: in 100 s the clock was steered by %d ms", skew, drift)
		}
		// Not even a day without a write makes it jump.
		m.sleep(24 * time.Hour)
		if got := c.Stamp() - last - 24*hour; got < -1 || got > 1 {
			t.Errorf("skew %d: jumped by %d ms after a day", skew, got)
		}
	}
}

func TestClockFollower(t *testing.T) {
	m := at(300 * hour) // wrong by 200 hours
	c := m.clock()
	if c.Now() != 300*hour {
		t.Error("before any stamp the wall clock has to do")
	}
	sent := c.mono()
	m.sleep(20 * time.Millisecond)
	c.Bracket(100*hour, sent)
	if got := c.Now() - 100*hour; got != 0 {
		t.Fatalf("the first answer corrects it at once: %+d", got)
	}
	// Even if it had to wait for an election.
	waited := m.clock()
	m.sleep(3 * time.Second)
	waited.Bracket(100*hour, 0)
	if got := waited.Now() - 100*hour; got != 0 {
		t.Errorf("off by the %d ms that the request waited", got)
	}
	// Later answers bound it from both sides.
	m = at(200 * hour)
	c = m.clock()
	c.Bracket(100*hour, 0)
	m.sleep(time.Second)
	c.Bracket(100*hour+1015, c.mono())
	if got := c.Now() - 100*hour; got != 1015 {
		t.Errorf("a stamp ahead of the estimate: %+d", got)
	}
	sent = c.mono()
	m.sleep(100 * time.Millisecond)
	c.Bracket(100*hour+1050, sent)
	if got := c.Now() - 100*hour; got != 1115 {
		t.Errorf("a stamp that agrees: %+d", got)
	}
	sent = c.mono()
	m.sleep(10 * time.Millisecond)
	c.Bracket(100*hour+1050, sent)
	if got := c.estimate() - 100*hour; got != 1050 {
		t.Errorf("a stamp that proves it to be ahead: %+d", got)
	}
	m.sleep(time.Second)
	// Time never goes back for readers, although the estimate does.
	before := c.Now()
	c.Bracket(before-5, c.mono())
	if got := c.Now(); got != before {
		t.Errorf("from %d to %d", before, got)
	}
	if got := c.estimate(); got > before-4 {
		t.Errorf("estimate %d", got)
	}
	m.sleep(10 * time.Millisecond)
	if got := c.Now(); got < before+4 || got > before+6 {
		t.Errorf("after 10 ms %+d", got-before)
	}

	// An entry that was long under way tells nearly nothing; one from ahead does.
	est := c.estimate()
	c.Observe(est-10_000, false)
	if got := c.estimate(); est-got > 2 {
		t.Errorf("an old entry moved the estimate by %d", got-est)
	}
	c.Observe(est+777, false)
	if got := c.estimate(); got != est+777 {
		t.Errorf("a stamp from ahead: %+d", got-est)
	}

	// A follower that writes nothing stays with a leader that is being steered
	// down by 1 ms/s.
	leader := c.estimate() * 1000
	for range 1000 {
		m.sleep(100 * time.Millisecond)
		leader += 99_900
		c.Observe(leader/1000, false)
	}
	if got := c.estimate() - leader/1000; got < 0 || got > 2 {
		t.Errorf("%+d ms from the leader", got)
	}
}

// The leader's own entries come back to it later than they were stamped, which
// must not slow its clock.
func TestClockLeaderIsNotDragged(t *testing.T) {
	m := at(100 * hour)
	c := m.clock()
	for range 10_000 {
		stamp, sent := c.Stamp(), c.mono()
		m.sleep(3 * time.Millisecond)
		c.Observe(stamp, true)
		c.Bracket(stamp, sent)
	}
	if got := c.Stamp() - 100*hour - 30_000; got < -1 || got > 1 {
		t.Errorf("after 30 s of writes it is off by %d ms", got)
	}
}

// A member that has only just started takes the time from a vote, even if its wall
// clock is hours ahead or behind; one that has an estimate keeps it.
func TestClockFromAVote(t *testing.T) {
	for name, wall := range map[string]machine.Millis{"ahead": 103 * hour, "behind": 97 * hour} {
		m := at(100 * hour)
		voter := m.clock()
		if told := voter.Tell(); told != nil {
			t.Errorf("a clock that knows nothing tells %x", told)
		}
		voter.Stamp()
		m.sleep(20 * time.Second)
		told := voter.Tell()

		mine := at(wall)
		c := mine.clock()
		c.Load(100*hour + 5000) // what it has applied before it was restarted
		if err := c.Hear(told, false); err != nil {
			t.Fatal(err)
		}
		mine.sleep(time.Second)
		if got := c.Now(); got != 100*hour+21_000 {
			t.Errorf("%s: a second later it shows %+d", name, got-100*hour)
		}
		if got := c.Stamp(); got < 100*hour+20_998 || got > 100*hour+21_002 {
			t.Errorf("%s: its first stamp is %+d", name, got-100*hour)
		}
		before := c.Now()
		if err := c.Hear(binary.AppendUvarint(nil, uint64(200*hour)), false); err != nil || c.Now() != before {
			t.Errorf("%s: it was told again and shows %+d, %v", name, c.Now()-before, err)
		}
	}
	c := at(100 * hour).clock()
	for _, bad := range [][]byte{nil, {0x80}, binary.AppendUvarint(nil, math.MaxUint64)} {
		if err := c.Hear(bad, false); err == nil || c.synced {
			t.Errorf("%x is taken for a time", bad)
		}
	}
	// What it has applied is never in the future.
	c.Load(101 * hour)
	if err := c.Hear(binary.AppendUvarint(nil, uint64(100*hour)), false); err != nil || c.Now() != 101*hour {
		t.Errorf("time went back to %+d, %v", c.Now()-101*hour, err)
	}
}

// Leadership goes to a member whose estimate is late, because it was slow to apply, and back
// to the first, whose own is ahead by that: no deadline comes early, and readers see no
// key again that was hidden.
func TestClockIsHandedOver(t *testing.T) {
	m := at(100 * hour)
	first, second := m.clock(), m.clock()
	stamp := first.Stamp()
	second.Bracket(stamp, second.mono())
	m.sleep(20 * time.Second)
	sent := second.mono()
	stamp = first.Stamp()
	m.sleep(3 * time.Second)
	second.ahead.Store(int64(stampedAt(stamp)) - int64(second.mono()) - 5_000_000) // it knows no better
	second.Bracket(stamp, sent)
	if late := first.Now() - second.Now(); late < 2900 {
		t.Fatalf("the second is late by %d ms", late)
	}

	// As it was when leadership went over without a word, and for who does not say any.
	began := second.Stamp()
	shown := first.Now()
	told := second.Tell()
	m.sleep(40 * time.Millisecond)
	if err := first.Hear(told, true); err != nil {
		t.Fatal(err)
	}
	if now := first.Now(); now < shown {
		t.Errorf("readers are taken back by %d ms", shown-now)
	}
	m.sleep(10 * time.Millisecond)
	if got := first.Stamp() - began; got < 9 || got > 11 {
		t.Errorf("50 ms later the first stamps %d ms later", got)
	}

	// And forth: what it is told puts a late one right.
	first.ahead.Add(1_000_000)
	if err := second.Hear(first.Tell(), true); err != nil {
		t.Fatal(err)
	}
	if got := first.Stamp() - second.Stamp(); got < 0 || got > 2 {
		t.Errorf("the second is late by %d ms", got)
	}

	// The leader's clock is never behind what it has sealed.
	second.Load(101 * hour)
	if err := second.Hear(told, true); err != nil || second.Stamp() < 101*hour {
		t.Errorf("the state clock went back: %v", err)
	}
}
