package command

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Redis takes for an integer exactly what it would print.
func FuzzParseInt(f *testing.F) {
	for _, s := range []string{"0", "-0", "1", "-1", "01", "+1", " 1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999", "", "-", "1e3"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := ParseInt(b)
		want, err := strconv.ParseInt(string(b), 10, 64)
		if valid := err == nil && strconv.FormatInt(want, 10) == string(b); ok != valid || ok && n != want {
			t.Fatalf("%q: %d %v", b, n, ok)
		}
	})
}

func TestParseFloat(t *testing.T) {
	for in, want := range map[string]float64{
		"0": 0, "-0": math.Copysign(0, -1), "1.5": 1.5, "+1.5": 1.5, ".5": .5, "5.": 5, "1e3": 1000, "1E-3": .001, "inf": math.Inf(1), "-Infinity": math.Inf(-1),
		"+INF": math.Inf(1), "0x10": 16, "0x1.8p1": 3, "-0X.8": -.5, "0e999999": 0, "1e308": 1e308, "5e-324": 5e-324, "007": 7,
	} {
		if got, ok := ParseFloat([]byte(in)); !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: %v %v, want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", " 1", "1 ", "nan", "-nan", "1e", "e1", ".", "-", "0x", "0xg", "1e309", "1e-400", "1_0", "1,5", "1\x00", "infinit", "0b1", "--1", strings.Repeat("1", 6000)} {
		if got, ok := ParseFloat([]byte(in)); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestAppendFloat(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "-0", 1: "1", -1.5: "-1.5", .1: "0.10000000000000001", 1e17: "1e+17", 1e16: "10000000000000000",
		1e-5: "1.0000000000000001e-05", 3.0000000000000004: "3.0000000000000004", 1e300: "1.0000000000000001e+300", math.Inf(1): "inf", math.Inf(-1): "-inf",
	} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

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

func TestSyntax(t *testing.T) {
	print := func(args []Argument) string { return fmt.Sprintf("%+v", args) }
	for syntax, want := range map[string]string{
		"key [EX seconds | KEEPTTL]":                         "[{Name:key Type:key Token: Optional:false Multiple:false MultipleToken:false Arguments:[]} {Name:seconds_keepttl Type:oneof Token: Optional:true Multiple:false MultipleToken:false Arguments:[{Name:seconds Type:integer Token:EX Optional:false Multiple:false MultipleToken:false Arguments:[]} {Name:keepttl Type:pure-token Token:KEEPTTL Optional:false Multiple:false MultipleToken:false Arguments:[]}]}]",
		"[GET pattern [GET pattern ...]]":                    "[{Name:pattern Type:pattern Token:GET Optional:true Multiple:true MultipleToken:true Arguments:[]}]",
		"key value [key value ...]":                          "[{Name:key_value Type:block Token: Optional:false Multiple:true MultipleToken:false Arguments:[{Name:key Type:key Token: Optional:false Multiple:false MultipleToken:false Arguments:[]} {Name:value Type:string Token: Optional:false Multiple:false MultipleToken:false Arguments:[]}]}]",
		"AGGREGATE <SUM | MIN> by:double":                    "[{Name:sum_min Type:oneof Token:AGGREGATE Optional:false Multiple:false MultipleToken:false Arguments:[{Name:sum Type:pure-token Token:SUM Optional:false Multiple:false MultipleToken:false Arguments:[]} {Name:min Type:pure-token Token:MIN Optional:false Multiple:false MultipleToken:false Arguments:[]}]} {Name:by Type:double Token: Optional:false Multiple:false MultipleToken:false Arguments:[]}]",
		"[LIMIT offset count] [WEIGHTS weight [weight ...]]": "[{Name:limit Type:block Token:LIMIT Optional:true Multiple:false MultipleToken:false Arguments:[{Name:offset Type:integer Token: Optional:false Multiple:false MultipleToken:false Arguments:[]} {Name:count Type:integer Token: Optional:false Multiple:false MultipleToken:false Arguments:[]}]} {Name:weight Type:integer Token:WEIGHTS Optional:true Multiple:true MultipleToken:false Arguments:[]}]",
	} {
		args, err := (&Spec{Syntax: syntax}).Arguments()
		if err != nil || print(args) != want {
			t.Errorf("%s: %v\n%s\n%s", syntax, err, print(args), want)
		}
	}
	for _, syntax := range []string{"[", "]", "key [", "[a | ]", "<a", "a >", "[...]", "[a ...]", "a [a ... | b]", "<a]"} {
		if args, err := (&Spec{Syntax: syntax}).Arguments(); err == nil {
			t.Errorf("%s: %s", syntax, print(args))
		}
	}
}
