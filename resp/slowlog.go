package resp

import (
	"fmt"
	"sync"
	"time"

	"github.com/raftredis/raftredis/store/command"
)

// slowlog keeps the latest commands of this node's clients that took long to run.
// The time that a write spends in the log and on other nodes is not part of it.
type slowlog struct {
	mu      sync.Mutex
	entries []slowEntry // the latest last
	nextID  int64
}

type slowEntry struct {
	id         int64
	at         time.Time
	took       Micros
	argv       []string
	addr, name string
}

// As Redis, keep entries small whatever the command was.
const (
	slowArgs   = 32
	slowArgLen = 128
)

// slow reports whether a command that took so many nanoseconds is to be logged
// or remembered.
func (c *Config) slow(ns int64) bool {
	return c.SlowlogSlower.reached(ns) || c.LatencyLimit.reached(ns)
}

// observeSlow notes a command for which Config.slow is true.
func (s *Server) observeSlow(c *conn, cm *cmd, argv [][]byte, ns int64) {
	cfg, l := s.config(), &s.slowlog
	if cfg.LatencyLimit.reached(ns) {
		event := "command"
		if cm.flags&command.Fast != 0 {
			event = "fast-command"
		}
		s.latency.add(event, s.now(), millisOf(ns))
	}
	if !cfg.SlowlogSlower.reached(ns) || cm.flags&command.SkipSlowlog != 0 {
		return
	}
	e := slowEntry{at: s.now(), took: microsOf(ns), addr: c.addr, name: c.name}
	for i, a := range argv {
		if i == slowArgs-1 && len(argv) > slowArgs {
			e.argv = append(e.argv, fmt.Sprintf("... (%d more arguments)", len(argv)-slowArgs+1))
			break
		}
		switch {
		case cm.hides(argv, i):
			e.argv = append(e.argv, "(redacted)")
		case len(a) > slowArgLen:
			e.argv = append(e.argv, fmt.Sprintf("%s... (%d more bytes)", a[:slowArgLen], len(a)-slowArgLen))
		default:
			e.argv = append(e.argv, string(a))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.nextID
	l.nextID++
	l.entries = append(l.entries, e)
	l.trim(int(cfg.SlowlogMaxLen))
}

func (l *slowlog) trim(keep int) {
	if n := len(l.entries) - keep; n > 0 {
		l.entries = append(l.entries[:0:0], l.entries[n:]...)
	}
}

// latest returns up to n entries, the latest first; n < 0: all.
func (l *slowlog) latest(n int) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > len(l.entries) {
		n = len(l.entries)
	}
	out := make([]slowEntry, 0, n)
	for i := range n {
		out = append(out, l.entries[len(l.entries)-1-i])
	}
	return out
}

func (l *slowlog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *slowlog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

// latencyMonitor remembers events that took longer than
// latency-monitor-threshold.
type latencyMonitor struct {
	mu     sync.Mutex
	events map[string]*latencySeries
}

type latencySeries struct {
	samples []latencySample // the latest last
	max     Millis
}

type latencySample struct {
	at   int64 // seconds since 1970
	took Millis
}

// latencyKeep is how many samples an event keeps, as in Redis.
const latencyKeep = 160

func (m *latencyMonitor) add(event string, at time.Time, took Millis) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.events == nil {
		m.events = make(map[string]*latencySeries)
	}
	s := m.events[event]
	if s == nil {
		s = &latencySeries{}
		m.events[event] = s
	}
	s.max = max(s.max, took)
	// One sample a second: the worst of it.
	if n := len(s.samples); n > 0 && s.samples[n-1].at == at.Unix() {
		s.samples[n-1].took = max(s.samples[n-1].took, took)
		return
	}
	s.samples = append(s.samples, latencySample{at.Unix(), took})
	if n := len(s.samples) - latencyKeep; n > 0 {
		s.samples = append(s.samples[:0:0], s.samples[n:]...)
	}
}

// rates are the instantaneous figures of INFO: means over the last samples.
type rates struct {
	mu   sync.Mutex
	ring [16]rateSample
	next int
}

type rateSample struct{ at, commands, in, out int64 }

func (r *rates) sample(at, commands, in, out int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.next%len(r.ring)] = rateSample{at, commands, in, out}
	r.next++
}

func (r *rates) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = 0
}

// perSecond returns commands, and bytes in and out, per second.
func (r *rates) perSecond() (commands, in, out float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next < 2 {
		return 0, 0, 0
	}
	newest := r.ring[(r.next-1)%len(r.ring)]
	oldest := r.ring[max(0, r.next-len(r.ring))%len(r.ring)]
	seconds := float64(newest.at-oldest.at) / 1000
	if seconds <= 0 {
		return 0, 0, 0
	}
	rate := func(a, b int64) float64 { return max(0, float64(b-a)/seconds) }
	return rate(oldest.commands, newest.commands), rate(oldest.in, newest.in), rate(oldest.out, newest.out)
}
