package raftnode

import (
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// lags is how far behind the leader the other members are, in time, for people. It
// looks at the log once a second. Nothing is decided by it.
type lags struct {
	marks []lagMark
	of    map[uint64]*lag
	mute  map[uint64]time.Time // members that do not answer, and since when it is known
}

// lagMark says where the log ended at a time.
type lagMark struct {
	at   time.Time
	last uint64
}

// lagGrain is how fine the memory is: two marks are no farther apart than this part of
// their age needs. So it reaches back as long as it has to with a few hundred of them.
const lagGrain = 16

// lag is a member that is behind.
type lag struct {
	from  uint64    // its match when it fell behind
	match uint64    // and when it was last looked at
	last  uint64    // of the log, then
	at    time.Time // that was
	gains float64   // entries a second that it comes nearer, smoothed
	known bool      // gains is
}

// lagLimit is from when on a member counts as behind: less comes and goes, and a mark is
// a second apart from the next.
const lagLimit = 2 * time.Second

// reset forgets everything: another member leads.
func (l *lags) reset() { *l = lags{} }

// observe looks at the log and at who has how much of it.
func (l *lags) observe(now time.Time, last uint64, followers []follower) {
	kept := l.marks[:0]
	for i, m := range l.marks {
		if i > 0 && i < len(l.marks)-1 && l.marks[i+1].at.Sub(kept[len(kept)-1].at) <= now.Sub(m.at)/lagGrain {
			continue // what is before it and what is behind it tell enough
		}
		kept = append(kept, m)
	}
	l.marks = append(kept, lagMark{now, last})
	if l.of == nil {
		l.of = map[uint64]*lag{}
	}
	for _, f := range followers {
		g := l.of[f.id]
		if l.behind(now, f.match, last) < lagLimit {
			delete(l.of, f.id)
			continue
		}
		if g == nil {
			l.of[f.id] = &lag{from: f.match, match: f.match, last: last, at: now}
			continue
		}
		seconds := now.Sub(g.at).Seconds()
		if seconds <= 0 {
			continue
		}
		gained := (float64(f.match) - float64(g.match) - (float64(last) - float64(g.last))) / seconds
		switch {
		case f.match == g.match && !f.live:
			g.known, g.gains = false, 0
			g.from = f.match // what it gets when it is back is what it has caught up
		case !g.known:
			g.known, g.gains = f.match > g.match, gained
		default:
			g.gains += (gained - g.gains) / 4
		}
		g.match, g.last, g.at = f.match, last, now
	}
}

// hear reports whether a member has fallen silent since the last look, or for how long it
// was silent if it is not any more.
func (l *lags) hear(now time.Time, f follower) (fell bool, back time.Duration) {
	since, mute := l.mute[f.id]
	switch {
	case f.live && mute:
		delete(l.mute, f.id)
		return false, max(now.Sub(since), 1)
	case !f.live && !mute:
		if l.mute == nil {
			l.mute = map[uint64]time.Time{}
		}
		l.mute[f.id] = now
		return true, 0
	}
	return false, 0
}

// behind is how old the first entry is that a member lacks.
func (l *lags) behind(now time.Time, match, last uint64) time.Duration {
	if match >= last || len(l.marks) == 0 {
		return 0
	}
	// The entry behind match was appended after the last mark at which the log ended at
	// match or before.
	at := l.marks[0].at // not earlier than anything that is known
	for _, m := range l.marks {
		if m.last > match {
			break
		}
		at = m.at
	}
	return now.Sub(at)
}

// fill says how far behind a member is.
func (l *lags) fill(p *commit.Progress, id uint64, now time.Time, last uint64) {
	p.Left = -1
	g := l.of[id]
	if g == nil {
		return
	}
	p.Behind = l.behind(now, p.Match, last)
	if !g.known || p.Match <= g.from || last <= g.from {
		return
	}
	p.CatchUp = min(1, float64(p.Match-g.from)/float64(last-g.from))
	if g.gains > 0 && last > p.Match {
		p.Left = time.Duration(float64(last-p.Match) / g.gains * float64(time.Second))
	}
}

// second is how many ticks are one, about.
func (c *core) second() ticks { return max(1, ticks(time.Second/max(1, c.cfg.TickInterval))) }

// measureLags is called every tick.
func (c *core) measureLags() {
	if !c.isLeader() || c.now%c.second() != 0 {
		return
	}
	last, err := c.storage.LastIndex()
	if err != nil {
		return // MemoryStorage cannot fail
	}
	now, followers := c.clock(), c.followers()
	c.lags.observe(now, last, followers)
	for _, f := range followers {
		switch fell, back := c.lags.hear(now, f); {
		case fell:
			c.lg.Warn("a member does not answer: writes go on as long as a majority does; start it again, or RAFT REMOVE it if it is lost for good",
				zap.Uint64("member", c.id), zap.Uint64("of", f.id))
		case back > 0:
			c.lg.Info("a member answers again", zap.Uint64("member", c.id), zap.Uint64("of", f.id), zap.String("after", commit.Span(back)))
		}
	}
}

// rounds measures how long entries of this leader take until they are committed: one
// at a time, so that it costs next to nothing however many there are.
type rounds struct {
	index uint64 // of the entry that is measured, 0: none
	since time.Time
	took  *commit.Histogram
}

// appended notes an entry of this node's that goes into the log.
func (r *rounds) appended(index uint64, clock func() time.Time) {
	if r.index == 0 {
		r.index, r.since = index, clock()
	}
}

// committed notes up to where everything is committed.
func (r *rounds) committed(index uint64, clock func() time.Time) {
	if r.index != 0 && index >= r.index {
		r.took.Observe(clock().Sub(r.since))
		r.index = 0
	}
}

// deposed forgets the entry: whether it will be committed is not for this node to say.
func (r *rounds) deposed() { r.index = 0 }
