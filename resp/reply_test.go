package resp

import (
	"math"
	"testing"
)

func TestReplies(t *testing.T) {
	for _, test := range []struct {
		name         string
		write        func(*encoder)
		resp2, resp3 string
	}{
		{"status", func(e *encoder) { e.Status("OK") }, "+OK\r\n", "+OK\r\n"},
		{"status of two lines", func(e *encoder) { e.Status("a\r\nb") }, "+a  b\r\n", "+a  b\r\n"},
		{"error", func(e *encoder) { e.Error("ERR no\nway") }, "-ERR no way\r\n", "-ERR no way\r\n"},
		{"int", func(e *encoder) { e.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"bulk", func(e *encoder) { e.Bulk([]byte("a\r\n\x00")) }, "$4\r\na\r\n\x00\r\n", "$4\r\na\r\n\x00\r\n"},
		{"empty bulk", func(e *encoder) { e.BulkString("") }, "$0\r\n\r\n", "$0\r\n\r\n"},
		{"null", func(e *encoder) { e.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(e *encoder) { e.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(e *encoder) { e.Array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(e *encoder) { e.Map(6) }, "*12\r\n", "%6\r\n"},
		{"set", func(e *encoder) { e.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(e *encoder) { e.Push(2) }, "*2\r\n", ">2\r\n"},
		{"true", func(e *encoder) { e.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(e *encoder) { e.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"big number", func(e *encoder) { e.BigNumber("12345678901234567890") }, "$20\r\n12345678901234567890\r\n", "(12345678901234567890\r\n"},
		{"verbatim", func(e *encoder) { e.Verbatim("txt", "a b") }, "$3\r\na b\r\n", "=7\r\ntxt:a b\r\n"},
	} {
		for _, resp3 := range []bool{false, true} {
			e := &encoder{resp3: resp3}
			test.write(e)
			want := test.resp2
			if resp3 {
				want = test.resp3
			}
			if string(e.buf) != want {
				t.Errorf("%s, RESP3 %v: %q, want %q", test.name, resp3, e.buf, want)
			}
		}
	}
}

// The texts are those of printf("%.17g"), as a redis-server 7.0.15 writes them.
func TestDoubles(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 3.1: "3.1000000000000001", 0.1: "0.10000000000000001", 17: "17", 1e16: "10000000000000000",
		1e17: "1e+17", 123456789012345678: "1.2345678901234568e+17", 1e300: "1.0000000000000001e+300", 1e-4: "0.0001", 1e-5: "1.0000000000000001e-05",
		1e100: "1e+100", 5e-324: "4.9406564584124654e-324", math.MaxFloat64: "1.7976931348623157e+308", 100000: "100000", 0.5: "0.5",
		math.Inf(1): "inf", math.Inf(-1): "-inf", 1.0 / 3: "0.33333333333333331", -2.5e-10: "-2.5000000000000002e-10",
	} {
		if got := string(appendDouble(nil, f)); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
	if got := string(appendDouble(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("-0: %s", got)
	}
	if got := string(appendDouble(nil, math.NaN())); got != "nan" {
		t.Errorf("nan: %s", got)
	}
	e := &encoder{}
	e.Double(2.5)
	e.resp3 = true
	e.Double(2.5)
	if string(e.buf) != "$3\r\n2.5\r\n,2.5\r\n" {
		t.Errorf("%q", e.buf)
	}
}
