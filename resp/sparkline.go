package resp

import (
	"fmt"
	"strings"
)

// The graph of LATENCY GRAPH: 4 rows of 3 steps each, at most 80 columns at a time,
// and under each column, written downwards, how long ago it was.
const (
	sparkColumns = 80
	sparkRows    = 4
	sparkChars   = "_o#"
)

type sparkSample struct {
	value int64
	label string
}

// sparkline draws samples as Redis does.
func sparkline(samples []sparkSample) string {
	var b strings.Builder
	for from := 0; from < len(samples); from += sparkColumns {
		if from > 0 {
			b.WriteByte('\n')
		}
		sparkPart(&b, samples, samples[from:min(from+sparkColumns, len(samples))])
	}
	return b.String()
}

func sparkPart(b *strings.Builder, all, part []sparkSample) {
	low, high := all[0].value, all[0].value
	for _, s := range all {
		low, high = min(low, s.value), max(high, s.value)
	}
	const steps = int64(len(sparkChars) * sparkRows)
	chars := make([]byte, len(part))
	line := func(char func(sparkSample) byte) {
		for i, s := range part {
			chars[i] = char(s)
		}
		b.Write(chars)
		b.WriteByte('\n')
	}
	for row := range sparkRows {
		line(func(s sparkSample) byte {
			step := min((s.value-low)*steps/max(high-low, 1), steps-1)
			switch at := step - int64((sparkRows-row-1)*len(sparkChars)); {
			case at < 0:
				return ' '
			case at < int64(len(sparkChars)):
				return sparkChars[at]
			default:
				return '|'
			}
		})
	}
	longest := 0
	for _, s := range part {
		longest = max(longest, len(s.label))
	}
	for row := -1; row < longest; row++ { // one line is left free
		line(func(s sparkSample) byte {
			if row < 0 || row >= len(s.label) {
				return ' '
			}
			return s.label[row]
		})
	}
}

func (c *conn) cmdLatencyGraph(argv [][]byte) {
	now := c.srv.now().Unix()
	var text string
	c.srv.latency.each(func(event string, s *latencySeries) {
		if event != string(argv[2]) {
			return
		}
		low, high := s.samples[0].took, s.samples[0].took
		var samples []sparkSample
		for _, sample := range s.samples {
			low, high = min(low, sample.took), max(high, sample.took)
			samples = append(samples, sparkSample{int64(sample.took), ago(now - sample.at)})
		}
		text = fmt.Sprintf("%s - high %d ms, low %d ms (all time high %d ms)\n%s\n%s", event, high, low, s.max, strings.Repeat("-", sparkColumns), sparkline(samples))
	})
	if text == "" {
		c.enc.Error(oneLine(fmt.Sprintf("ERR No samples available for event '%s'", cString(argv[2], len(argv[2])))))
		return
	}
	c.enc.Verbatim("txt", text)
}

// ago says in the largest unit that fits how many seconds ago something was.
func ago(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	default:
		return fmt.Sprintf("%dd", seconds/(24*3600))
	}
}
