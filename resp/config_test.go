package resp

import (
	"math"
	"regexp"
	"testing"

	"github.com/raftredis/raftredis/resp/directive"
)

// TestReached: no limit that CONFIG SET takes overflows on the way to nanoseconds.
func TestReached(t *testing.T) {
	for _, c := range []struct {
		limit          int64
		ns             int64
		micros, millis bool
	}{
		{-1, 1e9, false, false},
		{0, 0, true, false}, // 0 logs every command, and watches for no event
		{1, 999, false, false},
		{1, 1000, true, false},
		{1, 999_999, true, false},
		{1, 1e6, true, true},
		{math.MaxInt64, math.MaxInt64, false, false},
		{math.MaxInt64/1000 + 1, 1e6, false, false},
	} {
		if got := Micros(c.limit).reached(c.ns); got != c.micros {
			t.Errorf("%d ns are slow by %d us: %v", c.ns, c.limit, got)
		}
		if got := Millis(c.limit).reached(c.ns); got != c.millis {
			t.Errorf("%d ns are an event by %d ms: %v", c.ns, c.limit, got)
		}
	}
}

func TestPercentiles(t *testing.T) {
	s, _ := newServer(t, nil)
	c := dial(t, s)
	c.ask("CONFIG SET latency-tracking-info-percentiles \"0 12.5 100\"\r\n", "+OK\r\n")
	c.send("INFO latencystats\r\nQUIT\r\n")
	text := string(c.expectEOF())
	if !regexp.MustCompile(`latency_percentiles_usec_config\|set:p0=[0-9.]+,p12\.5=[0-9.]+,p100=[0-9.]+\r\n`).MatchString(text) {
		t.Errorf("%q", text)
	}
}

// What is so anyway may be asked for, and is not written to the configuration file.
func TestConfigSetWhatIsSo(t *testing.T) {
	s, _ := newServer(t, func(o *Options) {
		o.Settings = []Setting{{
			Directive: directive.Directive{Name: "save", Owner: directive.Nobody, Immutable: true, Is: []string{""}},
			Get:       func() string { return "" },
		}}
	})
	c := dial(t, s)
	c.ask("CONFIG SET save \"\" timeout 3\r\nCONFIG SET SAVE \"\"\r\n", "+OK\r\n+OK\r\n")
	c.ask("CONFIG SET timeout 4 save \"900 1\"\r\n", "-ERR CONFIG SET failed (possibly related to argument 'save') - can't set immutable config\r\n")
	c.ask("CONFIG GET timeout\r\n", "*2\r\n$7\r\ntimeout\r\n$1\r\n3\r\n")
	if _, changed := s.changed["save"]; changed {
		t.Error("it counts as changed")
	}
}
