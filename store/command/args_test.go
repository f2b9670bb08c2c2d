package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
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
