package command

import (
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	s := newSpace(t)
	if spec, err := s.find(args(SetLimits, "set-max-intset-entries", 2)); spec != nil || !strings.Contains(err, "unknown command") {
		t.Errorf("a client can call %s: %v", SetLimits, err)
	}
	if s.table.Lookup([]byte(GetLimits)) != nil {
		t.Errorf("a client can see %s", GetLimits)
	}
	do := func(line string) string {
		argv, err := splitArgs(line)
		if err != nil {
			t.Fatal(err)
		}
		spec := s.table.Internal(string(argv[0]))
		if spec == nil {
			return s.do(line)
		}
		s.index++
		a, b := s.run(s.ks, 0, spec, argv).String(), s.run(s.twin, 0, spec, argv).String()
		if a != b {
			t.Errorf("%s: the twin answers differently: %s%s", line, a, b)
		}
		return a
	}
	do("SADD before 1 2 3")
	for _, c := range []struct{ line, want string }{
		{SetLimits + " set-max-intset-entries 2 hash-max-ziplist-entries 1", "OK\n"},
		{SetLimits + " set-max-intset-entries 7 hash-max-listpack-entries x", "(error) " + ErrNotInteger + "\n"},
		{SetLimits + " set-max-intset-entries 7 hash-max-listpack-entries -1", "(error) ERR argument must be between 0 and 9223372036854775807 inclusive\n"},
		{SetLimits + " set-max-intset-entries 7 nope 1", "(error) ERR Unknown limit 'nope'\n"},
		{"SADD after 1 2 3", "(integer) 3\n"},
		{"OBJECT ENCODING before", "\"intset\"\n"}, // a form is sticky
		{"OBJECT ENCODING after", "\"hashtable\"\n"},
		{"HSET h a 1", "(integer) 1\n"},
		{"OBJECT ENCODING h", "\"listpack\"\n"},
		{"HSET h b 1", "(integer) 1\n"},
		{"OBJECT ENCODING h", "\"hashtable\"\n"},
	} {
		if got := do(c.line); got != c.want {
			t.Errorf("%s: %swant %s", c.line, got, c.want)
		}
	}
	s.checkTwin()
	s.restoreTwin() // the limits must come back with a snapshot
	if got := do(GetLimits); !strings.Contains(got, "set-max-intset-entries\"") || s.twin.Limits().SetMaxIntsetEntries != 2 {
		t.Errorf("limits: %s", got)
	}
	for _, d := range AllLimits() {
		l := *s.ks.Limits()
		if !d.Set(&l, d.Default) || d.Get(&l) != d.Default {
			t.Errorf("%s does not take its default", d.Name)
		}
	}
}
