package cfloat

import (
	"math"
	"testing"
)

// The texts are those of printf("%.17g"), as a redis-server 7.0.15 writes them.
func TestAppendDouble(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 3.1: "3.1000000000000001", 0.1: "0.10000000000000001", 17: "17", 1e16: "10000000000000000",
		1e17: "1e+17", 123456789012345678: "1.2345678901234568e+17", 1e300: "1.0000000000000001e+300", 1e-4: "0.0001", 1e-5: "1.0000000000000001e-05",
		1e100: "1e+100", 5e-324: "4.9406564584124654e-324", math.MaxFloat64: "1.7976931348623157e+308", 100000: "100000", 0.5: "0.5",
		math.Inf(1): "inf", math.Inf(-1): "-inf", 1.0 / 3: "0.33333333333333331", -2.5e-10: "-2.5000000000000002e-10",
	} {
		if got := string(AppendDouble(nil, f)); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
	if got := string(AppendDouble(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("-0: %s", got)
	}
	if got := string(AppendDouble(nil, math.NaN())); got != "nan" {
		t.Errorf("nan: %s", got)
	}
}
