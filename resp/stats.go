package resp

import (
	"math/bits"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
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

	mu     sync.Mutex
	errors map[string]int64 // by the error's code
	total  int64
}

func (s *stats) errorReply(line string) {
	code, _, _ := strings.Cut(line, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	if s.errors == nil {
		s.errors = make(map[string]int64)
	}
	// A code is a word of the server's own. The bound is for errors that quote
	// the client in the first word, should there ever be one.
	if _, known := s.errors[code]; known || len(s.errors) < 128 {
		s.errors[code]++
	}
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
	for _, n := range []*atomic.Int64{&s.connections, &s.rejected, &s.commands, &s.netIn, &s.netOut, &s.reads, &s.writes, &s.queryLimit, &s.outputKill} {
		n.Store(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors, s.total = nil, 0
}

// histogram counts durations by powers of two of a microsecond.
type histogram struct {
	buckets [40]atomic.Int64
}

// add counts n durations of nanoseconds each.
func (h *histogram) add(nanoseconds, n int64) {
	usec := uint64(nanoseconds+999) / 1000
	b := 0
	if usec > 1 {
		b = bits.Len64(usec - 1)
	}
	h.buckets[min(b, len(h.buckets)-1)].Add(n)
}

func (h *histogram) reset() {
	for i := range h.buckets {
		h.buckets[i].Store(0)
	}
}

// cumulative returns, for each bucket up to the last used one, its upper bound
// in microseconds and how many durations are not above it.
func (h *histogram) cumulative() (upTo, counts []int64) {
	var total, seen int64
	for i := range h.buckets {
		total += h.buckets[i].Load()
	}
	for i := range h.buckets {
		n := h.buckets[i].Load()
		if n == 0 {
			continue
		}
		seen += n
		upTo = append(upTo, int64(1)<<i)
		counts = append(counts, seen)
		if seen >= total {
			break
		}
	}
	return upTo, counts
}

// percentile returns the upper bound, in microseconds, of the bucket that the
// p-th percentile falls into.
func (h *histogram) percentile(p float64) float64 {
	upTo, counts := h.cumulative()
	if len(counts) == 0 {
		return 0
	}
	want := p / 100 * float64(counts[len(counts)-1])
	for i, n := range counts {
		if float64(n) >= want {
			return float64(upTo[i])
		}
	}
	return float64(upTo[len(upTo)-1])
}
