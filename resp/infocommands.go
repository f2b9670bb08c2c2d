package resp

import (
	"fmt"
	"strings"
)

// commandStats shows what the commands of this node's clients cost this node when
// they were executed. What clients waited for the log is in waitStats.
func (t *infoText) commandStats() {
	t.section("Commandstats")
	t.srv.eachCommand(func(cm *cmd) {
		calls, nanos := cm.calls.Load(), cm.nanos.Load()
		rejected, failed := cm.rejected.Load(), cm.failed.Load()
		if calls == 0 && rejected == 0 && failed == 0 {
			return
		}
		t.line("cmdstat_"+cm.name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, nanos/1000, perCall(nanos, calls), rejected, failed))
	})
}

// perCall is a mean in microseconds.
func perCall(nanos, calls int64) float64 { return float64(nanos) / 1000 / float64(max(calls, 1)) }

// percentiles writes those of latency-tracking-info-percentiles.
func (t *infoText) percentiles(h *histogram) string {
	var b strings.Builder
	for i, p := range t.srv.config().Percentiles {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "p%s=%.3f", formatPercentile(p), h.percentile(p))
	}
	return b.String()
}

// waitStats shows what clients waited for commands that go through the log: from
// when this node proposed them until it had applied them. Redis has nothing like
// it: there the time of a write is that of its execution, as in Commandstats.
func (t *infoText) waitStats() {
	t.section("Waitstats")
	t.srv.eachCommand(func(cm *cmd) {
		calls, nanos := cm.waited.calls.Load(), cm.waited.nanos.Load()
		if calls > 0 {
			t.line("waitstat_"+cm.name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,%s", calls, nanos/1000, perCall(nanos, calls), t.percentiles(&cm.waited.latency)))
		}
	})
}

func (t *infoText) errorStats() {
	t.section("Errorstats")
	codes, counts, _ := t.srv.stats.errorCounts()
	for i, code := range codes {
		t.line("errorstat_"+code, fmt.Sprintf("count=%d", counts[i]))
	}
}

func (t *infoText) latencyStats() {
	t.section("Latencystats")
	t.srv.eachCommand(func(cm *cmd) {
		if cm.latency.total() > 0 {
			t.line("latency_percentiles_usec_"+cm.name, t.percentiles(&cm.latency))
		}
	})
}
