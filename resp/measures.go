package resp

import (
	"time"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// Measures is what the front has counted, for those who do not read INFO: /metrics and
// the page. CONFIG RESETSTAT takes the counters back to 0, but for those of Errors.
type Measures struct {
	Families []FamilyMeasures // of those of which a command was called
	Commands []CommandMeasures
	Errors   map[string]int64 // replies, by the error's code

	Clients, BlockedClients, PausedClients, TrackingClients, MaxClients int

	Connections, RejectedConnections int64 // since the start
	NetIn, NetOut                    int64 // bytes from and to clients
	InputBuffers, OutputBuffers      int64 // bytes that connections hold now
	Disconnected                     int64 // clients that were cut off because a buffer had grown too large

	MemoryUsed, MemoryLimit, MemoryRSS, MemoryPeak int64
}

// FamilyMeasures is about the commands of one group of Redis's: "string", "hash", ...
type FamilyMeasures struct {
	Family string
	// Executions is how long this node took to execute them for its clients, as INFO
	// latencystats has it; and Waits how long clients waited for those that go through
	// the log, as in INFO waitstats. While latency-tracking is off the former has sums only.
	Executions, Waits commit.Durations
}

// CommandMeasures is a line of INFO commandstats.
type CommandMeasures struct {
	Name, Family            string
	Calls, Rejected, Failed int64
	Took                    time.Duration
}

// Measures returns them. It looks at every client, and takes about as long as INFO.
func (s *Server) Measures() Measures {
	m := Measures{
		MaxClients: s.config().MaxClients, BlockedClients: s.store.Blocked(), TrackingClients: s.store.TrackingStats().Clients,
		Connections: s.stats.connections.Load(), RejectedConnections: s.stats.rejected.Load(),
		NetIn: s.stats.netIn.Load(), NetOut: s.stats.netOut.Load(),
		Disconnected: s.stats.queryLimit.Load() + s.stats.outputKill.Load(),
		Errors:       map[string]int64{},
	}
	mem := s.memoryUse()
	m.MemoryUsed, m.MemoryLimit, m.MemoryRSS, m.MemoryPeak = mem.used, s.store.Memory().Limit, mem.rss, mem.peak
	codes, counts, _ := s.stats.errorCounts()
	for i, code := range codes {
		m.Errors[code] = counts[i]
	}
	s.eachClient(func(c *conn) {
		m.Clients++
		obl, _, omem := c.pending()
		c.face.mu.Lock()
		defer c.face.mu.Unlock()
		m.InputBuffers += int64(c.face.qbuf + c.face.qbufFree + c.face.multiMem)
		m.OutputBuffers += int64(c.face.output) + obl + omem
		if c.face.paused {
			m.PausedClients++
		}
	})
	at := map[string]int{}
	s.eachCommand(func(cm *cmd) {
		is := CommandMeasures{
			Name: cm.name, Family: cm.spec.Group, Calls: cm.calls.Load(), Rejected: cm.rejected.Load(), Failed: cm.failed.Load(),
			Took: time.Duration(cm.nanos.Load()),
		}
		if is.Calls == 0 && is.Rejected == 0 && is.Failed == 0 {
			return
		}
		m.Commands = append(m.Commands, is)
		i, known := at[is.Family]
		if !known {
			i = len(m.Families)
			at[is.Family] = i
			m.Families = append(m.Families, FamilyMeasures{Family: is.Family, Executions: buckets(11, 2), Waits: buckets(16, 1)})
		}
		f := &m.Families[i]
		f.Executions.Sum += is.Took
		cm.latency.durations(&f.Executions)
		f.Waits.Sum += time.Duration(cm.waited.nanos.Load())
		cm.waited.latency.durations(&f.Waits)
	})
	return m
}

// buckets makes those of every step-th power of two of a nanosecond, up to half a second.
func buckets(from, step int) (d commit.Durations) {
	for i := from; i < 30; i += step {
		d.Buckets = append(d.Buckets, commit.Bucket{UpTo: time.Duration(1) << i})
	}
	return d
}
