package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raftredis/raftredis/store/machine"
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
// The state clock counts in machine.Millis; what is this node's own counts in micros.
type clock struct {
	source func() time.Time
	real   bool // source is the machine's own clock
	start  time.Time

	// ahead is what the estimate is ahead of the time since start (micros), hold a
	// time (machine.Millis) that Now does not go below, so that correcting the
	// estimate downwards never shows a key again that was hidden. Both are read
	// without a lock.
	ahead atomic.Int64
	hold  atomic.Int64

	mu     sync.Mutex     // serialises changes
	synced bool           // the estimate comes from a leader's stamp or a vote, not from our wall clock
	last   micros         // when the latest stamp was seen or made
	state  machine.Millis // highest stamp applied
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
	maxSteer = micros(time.Second / time.Microsecond)
)

// micros is a time of this node's own, or a span of it. Times are since the store
// was made, by the machine's monotonic clock (clock.mono), so that deadlines and
// pauses do not move with the wall clock; estimates of the leader's clock are since
// 1970. Neither means anything to another node: only machine.Millis gets into the
// log.
type micros int64

// microsOf returns a span of Go's.
func microsOf(d time.Duration) micros { return micros(d.Microseconds()) }

// span is the way back.
func (m micros) span() time.Duration { return time.Duration(m) * time.Microsecond }

// millis cuts an estimate of the leader's clock to what it would stamp.
func (m micros) millis() machine.Millis { return machine.Millis(m / 1000) }

// stampedAt is the earliest time at which a leader's clock made a stamp.
func stampedAt(stamp machine.Millis) micros { return micros(stamp) * 1000 }

// newClock returns a clock that goes by source or, if that is nil, by the machine's.
func newClock(source func() time.Time) *clock {
	c := &clock{source: source, real: source == nil}
	if c.real {
		c.source = time.Now //nolint:forbidigo // the one place where the wall clock comes in
	}
	c.start = c.source()
	// Until the first stamp there is nothing better than our own wall clock.
	c.ahead.Store(c.start.UnixMicro())
	return c
}

// mono is the time since start, by the machine's monotonic clock.
func (c *clock) mono() micros {
	if c.real {
		return microsOf(time.Since(c.start)) // without asking for the wall clock, too
	}
	return microsOf(c.source().Sub(c.start))
}

// offset is ahead as what it is.
func (c *clock) offset() micros { return micros(c.ahead.Load()) }

// Now is the estimate for readers. It never goes back, but for the first
// stamp of a leader after the process started.
func (c *clock) Now() machine.Millis {
	return max(machine.Millis(c.hold.Load()), c.estimate())
}

// estimate is Now without hold: what Stamp would answer, before steering.
func (c *clock) estimate() machine.Millis { return (c.mono() + c.offset()).millis() }

// Stamp is the time for an entry that is being sealed: this node leads.
func (c *clock) Stamp() machine.Millis {
	now := c.source()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := microsOf(now.Sub(c.start))
	wall := micros(now.UnixMicro())
	if !c.synced {
		c.synced = true
		c.ahead.Store(int64(max(wall, stampedAt(c.state)) - m))
	} else {
		limit := min(m-c.last, maxSteer) / slewDivisor
		c.shift(m, min(max(wall-m-c.offset(), -limit), limit))
	}
	c.last = m
	return max(c.state, (m + c.offset()).millis())
}

// shift moves the estimate, whose value is at time m.
func (c *clock) shift(m, by micros) {
	if by < 0 {
		c.hold.Store(max(c.hold.Load(), int64((m + c.offset()).millis())))
	}
	if by != 0 {
		c.ahead.Add(int64(by))
	}
}

// Observe takes in the stamp of an entry that is being applied. leading
// says that this node leads: then the stamp was most likely read off this very
// clock some time ago, and must not slow it down.
func (c *clock) Observe(stamp machine.Millis, leading bool) {
	m := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = max(c.state, stamp)
	ahead := m + c.offset() - stampedAt(stamp)
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
func (c *clock) Bracket(stamp machine.Millis, sent micros) {
	m := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	low := stampedAt(stamp)
	high := low + 1000 + m - sent // stamps are cut to whole ms
	est := m + c.offset()
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

// Hear takes in what another member's clock told. What is told is older by the time it
// travelled, so only a clock that knows nothing better believes it, unless it is the
// leader (leads), who hands over: then it is the clock that this one estimates. To go on
// from there is late by that time and never early, while an estimate may be ahead: of a
// leader that had only an estimate itself when it was elected, and a late one.
func (c *clock) Hear(told []byte, leads bool) error {
	ms, n := binary.Uvarint(told)
	if n <= 0 || ms > math.MaxInt64/1000 {
		return fmt.Errorf("a time of %d bytes: %x", len(told), told)
	}
	m := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	low := stampedAt(max(machine.Millis(ms), c.state))
	switch {
	case !c.synced:
		c.adopt(low, m)
	case leads:
		c.shift(m, low-(m+c.offset()))
		c.last = m
	}
	return nil
}

// adopt replaces our own wall clock, which was all there was, by the leader's clock:
// it shows low at time m. What reads have hidden by the wall clock was never due.
func (c *clock) adopt(low, m micros) {
	c.ahead.Store(int64(low - m))
	c.hold.Store(0)
	c.synced = true
	c.last = m
}

// Load takes in the clock of a snapshot.
func (c *clock) Load(state machine.Millis) { c.Observe(state, true) }
