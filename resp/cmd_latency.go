package resp

import (
	"fmt"
	"sort"
	"strings"

	"github.com/raftredis/raftredis/store/command"
)

func latencyContainer() local {
	const flags = command.Admin | command.NoScript | command.Loading | command.Stale
	sub := func(name string, arity int, since, summary, syntax string, run func(*conn, [][]byte)) local {
		return local{spec: command.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Complexity: "O(1)", Summary: summary, Syntax: syntax}, when: inOrder, run: run}
	}
	return local{
		spec: command.Spec{Name: "latency", Arity: -2, Group: "server", Since: "2.8.13", Complexity: "Depends on subcommand.", Summary: "A container for latency diagnostics commands"},
		subs: []local{
			sub("latest", 2, "2.8.13", "Return the latest latency samples for all events", "", (*conn).cmdLatencyLatest).tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
			sub("history", 3, "2.8.13", "Return timestamp-latency samples for the event", "event", (*conn).cmdLatencyHistory).tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
			sub("graph", 3, "2.8.13", "Return a graph of the event's latency, drawn in text", "event", (*conn).cmdLatencyGraph).tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
			sub("reset", -2, "2.8.13", "Reset latency data for one or more events", "[event [event ...]]", (*conn).cmdLatencyReset).tips("request_policy:all_nodes response_policy:all_succeeded"),
			sub("histogram", -2, "7.0.0", "Return the cumulative distribution of latencies of commands", "[command [command ...]]", (*conn).cmdLatencyHistogram).tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
			sub("doctor", 2, "2.8.13", "Return a latency report in words", "", (*conn).cmdLatencyDoctor).tips("nondeterministic_output request_policy:all_nodes response_policy:special"),
			{spec: *command.Help("latency", "server", "2.8.13",
				"DOCTOR",
				"    Return a human readable latency analysis report.",
				"GRAPH <event>",
				"    Return an ASCII latency graph for the <event> class.",
				"HISTORY <event>",
				"    Return time-latency samples for the <event> class.",
				"LATEST",
				"    Return the latest latency samples for all events.",
				"RESET [<event> ...]",
				"    Reset latency data of one or more <event> classes.",
				"    (default: reset all data for all event classes)",
				"HISTOGRAM [COMMAND ...]",
				"    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
				"    If no commands are specified then all histograms are replied.")},
		},
	}
}

// each calls visit for every event in the order of names.
func (m *latencyMonitor) each(visit func(event string, s *latencySeries)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := make([]string, 0, len(m.events))
	for event := range m.events {
		events = append(events, event)
	}
	sort.Strings(events)
	for _, event := range events {
		visit(event, m.events[event])
	}
}

func (c *conn) cmdLatencyLatest([][]byte) {
	type latest struct {
		event   string
		last    latencySample
		maxEver Millis
	}
	var all []latest
	c.srv.latency.each(func(event string, s *latencySeries) {
		all = append(all, latest{event: event, last: s.samples[len(s.samples)-1], maxEver: s.max})
	})
	c.enc.Array(len(all))
	for _, l := range all {
		c.enc.Array(4)
		c.enc.BulkString(l.event)
		c.enc.Int(l.last.at)
		c.enc.Int(int64(l.last.took))
		c.enc.Int(int64(l.maxEver))
	}
}

func (c *conn) cmdLatencyHistory(argv [][]byte) {
	var samples []latencySample
	c.srv.latency.each(func(event string, s *latencySeries) {
		if event == string(argv[2]) {
			samples = append(samples, s.samples...)
		}
	})
	c.enc.Array(len(samples))
	for _, s := range samples {
		c.enc.Array(2)
		c.enc.Int(s.at)
		c.enc.Int(int64(s.took))
	}
}

func (c *conn) cmdLatencyReset(argv [][]byte) {
	m := &c.srv.latency
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(argv) == 2 {
		c.enc.Int(int64(len(m.events)))
		m.events = nil
		return
	}
	n := 0
	for _, a := range argv[2:] {
		if _, ok := m.events[string(a)]; ok {
			delete(m.events, string(a))
			n++
		}
	}
	c.enc.Int(int64(n))
}

func (c *conn) cmdLatencyHistogram(argv [][]byte) {
	var cmds []*cmd
	if len(argv) == 2 {
		c.srv.eachCommand(func(cm *cmd) { cmds = append(cmds, cm) })
	}
	for _, a := range argv[2:] {
		name, sub, isSub := strings.Cut(strings.ToLower(string(a)), "|")
		words := [][]byte{[]byte(name)}
		if isSub {
			words = append(words, []byte(sub))
		}
		if cm, _ := c.srv.lookup(words); cm != nil {
			cmds = append(cmds, cm)
			cmds = append(cmds, cm.subs...)
		}
	}
	with := cmds[:0]
	for _, cm := range cmds {
		if _, counts := cm.latency.cumulative(); len(counts) > 0 {
			with = append(with, cm)
		}
	}
	c.enc.Map(len(with))
	for _, cm := range with {
		upTo, counts := cm.latency.cumulative()
		c.enc.BulkString(cm.name)
		c.enc.Map(2)
		c.enc.BulkString("calls")
		c.enc.Int(counts[len(counts)-1])
		c.enc.BulkString("histogram_usec")
		c.enc.Map(len(counts))
		for i := range counts {
			c.enc.Int(upTo[i])
			c.enc.Int(counts[i])
		}
	}
}

func (c *conn) cmdLatencyDoctor([][]byte) {
	if c.srv.config().LatencyLimit == 0 {
		c.enc.Verbatim("txt", "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.\n")
		return
	}
	var text strings.Builder
	c.srv.latency.each(func(event string, s *latencySeries) {
		var sum Millis
		for _, sample := range s.samples {
			sum += sample.took
		}
		fmt.Fprintf(&text, "%s: %d latency spikes (average %dms). Worst all time event %dms.\n", event, len(s.samples), sum/Millis(len(s.samples)), s.max)
	})
	if text.Len() == 0 {
		text.WriteString("No latency spike was observed since the node was started or LATENCY RESET was called.\n")
	}
	c.enc.Verbatim("txt", text.String())
}
