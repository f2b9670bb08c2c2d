package glob

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A pattern without magic matches itself alone; and no pattern takes longer than
// its length times that of the string.
func TestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-c]{1,6}`).Draw(t, "s")
		other := rapid.StringMatching(`[a-c]{1,6}`).Draw(t, "other")
		if Match([]byte(s), []byte(other), false) != (s == other) {
			t.Fatalf("%q, %q", s, other)
		}
		at := rapid.IntRange(0, len(s)).Draw(t, "at")
		pattern := s[:at] + "*"
		if Match([]byte(pattern), []byte(other), false) != strings.HasPrefix(other, s[:at]) {
			t.Fatalf("%q, %q", pattern, other)
		}
		if !Match([]byte(strings.ToUpper(pattern)), []byte(s), true) {
			t.Fatalf("%q, %q without case", pattern, s)
		}
	})
	for _, m := range []struct {
		pattern, s   string
		exact, folds bool
	}{
		{"h?llo", "hello", true, true}, {"h[ae]llo", "hallo", true, true}, {"h[^e]llo", "hello", false, false}, {"h[z-a]llo", "hello", true, true},
		{"H*O", "hello", false, true}, {"[A-C]", "b", false, true}, {"[abc", "b", true, true}, {`\*`, "*", true, true}, {`\`, `\`, true, true},
		{`[\]]`, "]", true, true}, {"[^", "x", true, true}, {"*", "", false, false}, {"", "", true, true}, {"**", "x", true, true},
	} {
		if Match([]byte(m.pattern), []byte(m.s), false) != m.exact || Match([]byte(m.pattern), []byte(m.s), true) != m.folds {
			t.Errorf("%q, %q: want %v and %v", m.pattern, m.s, m.exact, m.folds)
		}
	}
	Match(bytes.Repeat([]byte("a*"), 5000), bytes.Repeat([]byte("a"), 20000), false) // would take for ever if exponential
}
