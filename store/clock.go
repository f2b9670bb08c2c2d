package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// clock is this node's estimate of the leader's clock, and, on the leader, that
// clock itself.
//
// A deadline is compared with the state clock, which only moves when an entry is
// applied. Between entries time goes on all the same, so reads need an
// estimate: what the last stamp said plus what has passed since. The same
// estimate is what a new leader goes on from. The wall clock of a machine is not
// consulted but for steering the leader's clock slowly towards it: were a leader
// simply to use it, a change of leaders between two machines whose clocks are an
// hour apart would expire every key of the next hour at once, or, in the other
// direction, stop time for an hour, since the state clock never goes back.
//
// All times are microseconds unless said otherwise.
type clock struct {
	source func() time.Time
	start  time.Time

	// offset is what the estimate is ahead of the time since start, hold a time
	// (ms) that Now does not go below, so that correcting the estimate downwards
	// never shows a key again that was hidden. Both are read without a lock.
	offset atomic.Int64
	hold   atomic.Int64

	mu     sync.Mutex // serialises changes
	synced bool       // the estimate comes from a leader's stamp or a vote, not from our wall clock
	last   int64      // when the latest stamp was seen or made
	state  int64      // highest stamp applied, ms
}

const (
	// slewDivisor: a leader's clock may be 1 ms/s faster or slower than real time
	// while it is steered towards the wall clock.
	slewDivisor = 1000
	// followDivisor: an estimate that is ahead of the stamps seen gives way at
	// 2 ms/s, faster than any leader steers.
	followDivisor = 500
	// maxSteer bounds how much time counts for one correction. Without it an idle
	// leader would jump after an hour, and nobody would have followed it.
	maxSteer = int64(time.Second / time.Microsecond)
)

func newClock(source func() time.Time) *clock {
	c := &clock{source: source, start: source()}
	// Until the first stamp there is nothing better than our own wall clock.
	c.offset.Store(c.start.UnixMicro())
	return c
}

// mono is the time since start, by the machine's monotonic clock.
func (c *clock) mono() int64 { return c.source().Sub(c.start).Microseconds() }

// Now is the estimate for readers in ms. It never goes back, but for the first
// stamp of a leader after the process started.
func (c *clock) Now() int64 {
	return max(c.hold.Load(), (c.mono()+c.offset.Load())/1000)
}

// estimate is Now without hold: what Stamp would answer, before steering.
func (c *clock) estimate() int64 { return (c.mono() + c.offset.Load()) / 1000 }

// Stamp is the time in ms for an entry that is being sealed: this node leads.
func (c *clock) Stamp() int64 {
	now := c.source()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := now.Sub(c.start).Microseconds()
	wall := now.UnixMicro()
	if !c.synced {
		c.synced = true
		c.offset.Store(max(wall, c.state*1000) - m)
	} else {
		limit := min(m-c.last, maxSteer) / slewDivisor
		c.shift(m, min(max(wall-m-c.offset.Load(), -limit), limit))
	}
	c.last = m
	return max(c.state, (m+c.offset.Load())/1000)
}

// shift moves the estimate, whose value is at time m.
func (c *clock) shift(m, by int64) {
	if by < 0 {
		c.hold.Store(max(c.hold.Load(), (m+c.offset.Load())/1000))
	}
	if by != 0 {
		c.offset.Add(by)
	}
}

// Observe takes in the stamp (ms) of an entry that is being applied. leading
// says that this node leads: then the stamp was most likely read off this very
// clock some time ago, and must not slow it down.
func (c *clock) Observe(stamp int64, leading bool) {
	m := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = max(c.state, stamp)
	ahead := m + c.offset.Load() - stamp*1000
	switch {
	case ahead < 0:
		c.shift(m, -ahead)
	case c.synced && !leading:
		// Either the entry was long under way or we are ahead of the leader, and
		// nothing tells which: give way slowly.
		c.shift(m, -min(ahead, min(m-c.last, maxSteer)/followDivisor))
	}
	c.last = m
}

// Bracket takes in the stamp of an entry with a request that this node sent at
// time sent (of mono). It is much better than Observe: the leader read its clock
// between then and now, so an estimate outside is known to be wrong.
//
// It is put to the lower end then: sealing to applying is quick, while sending to
// sealing may have waited for an election. And to be behind is the better
// mistake: the next stamp puts it right, and until then nothing is hidden that is
// not due.
func (c *clock) Bracket(stamp, sent int64) {
	m := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	low := stamp * 1000
	high := low + 1000 + m - sent // stamps are cut to whole ms
	est := m + c.offset.Load()
	switch {
	case !c.synced:
		c.adopt(low, m)
	case est > high, est < low:
		c.shift(m, low-est)
	}
	c.last = m
}

// Tell returns the estimate for a member that may be about to lead, or nothing from a
// clock that does not know the leader's. In ms: it costs at most what it is cut by, and
// late is the better mistake.
func (c *clock) Tell() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.synced {
		return nil
	}
	return binary.AppendUvarint(nil, uint64(max(c.state, c.estimate())))
}

// Hear takes in what another member's clock told. Only a clock that knows nothing
// better believes it: what is told is older by the time it travelled.
func (c *clock) Hear(told []byte) error {
	ms, n := binary.Uvarint(told)
	if n <= 0 || ms > math.MaxInt64/1000 {
		return fmt.Errorf("a time of %d bytes: %x", len(told), told)
	}
	m := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.synced {
		c.adopt(max(int64(ms), c.state)*1000, m)
	}
	return nil
}

// adopt replaces our own wall clock, which was all there was, by the leader's clock:
// it shows low at time m. What reads have hidden by the wall clock was never due.
func (c *clock) adopt(low, m int64) {
	c.offset.Store(low - m)
	c.hold.Store(0)
	c.synced = true
	c.last = m
}

// Load takes in the clock of a snapshot, in ms.
func (c *clock) Load(state int64) { c.Observe(state, true) }
