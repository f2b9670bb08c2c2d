package directive

import "testing"

func TestMemory(t *testing.T) {
	for v, want := range map[string]int64{
		"0": 0, "1": 1, "10b": 10, "1k": 1000, "1kb": 1024, "1KB": 1024, "1Kb": 1024, "2m": 2e6, "2mb": 2 << 20,
		"3g": 3e9, "1gb": 1 << 30, "9223372036854775807": 1<<63 - 1, "8589934591gb": 8589934591 << 30,
	} {
		if got, ok := ParseMemory(v); !ok || got != want {
			t.Errorf("%s: %d, %v", v, got, ok)
		}
	}
	for _, v := range []string{
		"", "mb", "-1", "+1", "-1mb", "1.5gb", "1tb", "1 mb", "1gbb", "1bg", "1gib", "1Gi", "9223372036854775808", "8589934592gb",
		"\u023a", "1\u023a", "1\u212a", "1\u212ab", // their lower case has another length
	} {
		if got, ok := ParseMemory(v); ok {
			t.Errorf("%q is %d", v, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 1: "1", 1000: "1k", 1024: "1kb", 64 << 20: "64mb", 1 << 30: "1gb", 1001: "1001"} {
		if got := FormatMemory(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestValues(t *testing.T) {
	number := Directive{Kind: Number, Min: -1, Max: 5}
	memory := Directive{Kind: Memory, Min: 1024, Max: 4096}
	yesno := Directive{Kind: YesNo}
	enum := Directive{Kind: Enum, Values: []string{"no", "local"}}
	for _, c := range []struct {
		d       *Directive
		v, want string
	}{
		{&number, "5", ""}, {&number, "-1", ""},
		{&number, "6", "argument must be between -1 and 5 inclusive"},
		{&number, "x", "argument couldn't be parsed into an integer"},
		{&memory, "1kb", ""},
		{&memory, "1k", "argument must be between 1024 and 4096 inclusive"},
		{&memory, "x", "argument must be a memory value"},
		{&yesno, "YES", ""}, {&yesno, "no", ""},
		{&yesno, "on", "argument must be 'yes' or 'no'"},
		{&enum, "LOCAL", ""},
		{&enum, "all", "argument(s) must be one of the following: no, local"},
	} {
		var err error
		switch c.d.Kind {
		case YesNo:
			_, err = c.d.Bool(c.v)
		case Enum:
			_, err = c.d.OneOf(c.v)
		default:
			_, err = c.d.Int(c.v)
		}
		if got := errText(err); got != c.want {
			t.Errorf("%s %q: %q", c.d.Kind, c.v, got)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
