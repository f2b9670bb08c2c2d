package resp

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// stats are the front's counters, as INFO shows them and CONFIG RESETSTAT
// resets them. Connections add to them once for each run over their input, not
// once for each command.
type stats struct {
	connections, rejected  atomic.Int64
	commands               atomic.Int64
	netIn, netOut          atomic.Int64
	reads, writes          atomic.Int64
	queryLimit, outputKill atomic.Int64 // connections closed for exceeding a buffer limit
	evictedClients         atomic.Int64

	mu     sync.Mutex
	errors map[string]int64 // by the error's code
	total  int64
}

func (s *stats) errorReply(line string) { s.countErrors(command.ErrorCode(line), 1) }

func (s *stats) countErrors(code string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total += n
	if s.errors == nil {
		s.errors = make(map[string]int64)
	}
	// A code is a word of the server's own. The bound is for errors that quote
	// the client in the first word, should there ever be one.
	if _, known := s.errors[code]; known || len(s.errors) < 128 {
		s.errors[code] += n
	}
}

// baseline is what others had counted when CONFIG RESETSTAT was called. They
// count on; INFO shows the difference.
type baseline struct {
	store           store.Stats
	snapshotsSent   uint64
	peerIn, peerOut int64
}

// resetStats is CONFIG RESETSTAT: what Redis resets, and nothing else.
func (s *Server) resetStats() {
	b := &baseline{store: s.store.Stats(), snapshotsSent: s.cluster.Status().SnapshotsSent}
	b.peerIn, b.peerOut = s.opts.PeerTraffic()
	s.base.Store(b)
	s.stats.reset()
	s.rates.reset()
	s.peers.reset()
	s.eachCommand(func(cm *cmd) {
		for _, n := range []*atomic.Int64{&cm.calls, &cm.nanos, &cm.rejected, &cm.failed} {
			n.Store(0)
		}
		cm.latency.reset()
		cm.waited.reset()
	})
}

// tally is the statistics of a run of equal commands of one connection. They are
// added to what all connections share when another command comes, or the run over
// the input ends: a pipeline of one command costs no more than its first.
type tally struct {
	cmd                  *cmd
	calls, failed, nanos int64
	usec                 int64 // inBucket of the calls took so long
	inBucket             int64
}

// add counts n calls that have been executed and took so long together. A
// duration goes into the histogram in whole microseconds, as in Redis.
func (t *tally) add(s *Server, cm *cmd, took, n int64, tracking bool) {
	if t.cmd != cm {
		t.flush(s)
		t.cmd = cm
	}
	t.calls += n
	t.nanos += took
	if !tracking {
		return
	}
	if usec := took / n / 1000; usec != t.usec {
		t.flushBucket()
		t.usec = usec
	}
	t.inBucket += n
}

func (t *tally) flushBucket() {
	if t.inBucket > 0 {
		t.cmd.latency.add(bucketOf(t.usec*1000), t.inBucket)
		t.inBucket = 0
	}
}

func (t *tally) flush(s *Server) {
	if t.calls == 0 {
		return
	}
	t.flushBucket()
	t.cmd.calls.Add(t.calls)
	t.cmd.nanos.Add(t.nanos)
	if t.failed > 0 {
		t.cmd.failed.Add(t.failed)
	}
	s.stats.commands.Add(t.calls)
	t.calls, t.nanos, t.failed = 0, 0, 0
}

// sent is a run of equal commands in a batch, for which their client waits.
type sent struct {
	cmd *cmd
	n   int64
}

// waits is what clients waited for a command whose outcome the log decides, from
// when it was proposed until its reply was there.
type waits struct {
	calls, nanos atomic.Int64
	latency      histogram
}

func (w *waits) add(nanos, n int64) {
	w.calls.Add(n)
	w.nanos.Add(nanos * n)
	w.latency.add(bucketOf(nanos), n)
}

func (w *waits) reset() {
	w.calls.Store(0)
	w.nanos.Store(0)
	w.latency.reset()
}

// errorCounts returns the errors by code, in the order of codes.
func (s *stats) errorCounts() (codes []string, counts []int64, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for code := range s.errors {
		codes = append(codes, code)
	}
	sort.Strings(codes)
	for _, code := range codes {
		counts = append(counts, s.errors[code])
	}
	return codes, counts, s.total
}

func (s *stats) reset() {
	for _, n := range []*atomic.Int64{&s.connections, &s.rejected, &s.commands, &s.netIn, &s.netOut, &s.reads, &s.writes, &s.queryLimit, &s.outputKill, &s.evictedClients} {
		n.Store(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors, s.total = nil, 0
}
