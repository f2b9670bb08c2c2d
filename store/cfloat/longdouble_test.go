package cfloat

import (
	"strings"
	"testing"
)

func TestLongDouble(t *testing.T) {
	for _, x := range []struct{ a, b, want string }{
		{"0.1", "0.2", "0.3"}, {"3", "0", "3"}, {"-0", "0", "0"}, {"1e3", "0x10", "1016"}, {"1.5", "-1.5", "0"},
		{"9223372036854775807", "1", "9223372036854775808"}, {"0x1p-3", "0", "0.125"}, {"1e-18", "0", "0"}, {"-1e-30", "0", "0"},
		{"5.0e3", "2.0e2", "5200"}, {"10.50", "0.1", "10.6"}, {"02.616354517255690e-4951", "1", "1"}, {"-1.9e-4951", "0", "0"},
	} {
		a, aOK := ParseLongDouble([]byte(x.a))
		b, bOK := ParseLongDouble([]byte(x.b))
		if !aOK || !bOK {
			t.Errorf("%s or %s is no number", x.a, x.b)
			continue
		}
		sum, ok := a.Add(b)
		if got := string(sum.Append(nil)); !ok || got != x.want {
			t.Errorf("%s + %s is %s (%v), want %s", x.a, x.b, got, ok, x.want)
		}
	}
	for _, in := range []string{"", " 1", "nan", "1e5000", "1e-5000", "1.8e-4951", "1e-4951", "0x1p-16446", "1e999999999999", "0x1p99999", "1_000", strings.Repeat("9", 6000)} {
		if f, ok := ParseLongDouble([]byte(in)); ok {
			t.Errorf("%.20q is %s", in, f.Append(nil))
		}
	}
	most, _ := ParseLongDouble([]byte("1.1e4932"))
	if sum, ok := most.Add(most); ok {
		t.Errorf("twice the most is %.20s", sum.Append(nil))
	}
	for _, in := range []string{"inf", "-Infinity"} {
		f, ok := ParseLongDouble([]byte(in))
		if _, sums := f.Add(most); !ok || !f.IsInf() || sums {
			t.Errorf("%s: %v, can be added to: %v", in, ok, sums)
		}
	}
}
