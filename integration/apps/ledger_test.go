package apps

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// ledger is what a program has said of its jobs.
type ledger struct {
	acked  map[string]bool
	unsure map[string]string // by job, why
	ran    map[string]int    // by job, how often
	ok     bool
}

func newLedger() *ledger {
	return &ledger{acked: map[string]bool{}, unsure: map[string]string{}, ran: map[string]int{}}
}

// enter takes in one line of a program.
func (l *ledger) enter(t *testing.T, line string) {
	t.Helper()
	event, rest, _ := strings.Cut(line, " ")
	id, why, _ := strings.Cut(rest, " ")
	switch {
	case l.ok:
		t.Errorf("the program said %q after ok", line)
	case event == "ok" && rest == "":
		l.ok = true
	case event == "acked" && id != "":
		l.acked[id] = true
	case event == "unsure" && id != "":
		l.unsure[id] = why
	case event == "ran" && id != "":
		l.ran[id]++
	default:
		t.Errorf("the program said %q", line)
	}
}

// lost returns the jobs that were acked and not done.
func (l *ledger) lost() []string {
	var lost []string
	for id := range l.acked {
		if l.ran[id] == 0 {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	return lost
}

// twice returns the jobs that were done more than once, as often as they were done again.
func (l *ledger) twice() []string {
	var twice []string
	for _, id := range slices.Sorted(maps.Keys(l.ran)) {
		for range l.ran[id] - 1 {
			twice = append(twice, id)
		}
	}
	return twice
}
