package lua

import (
	"math"
	"math/big"
)

// The functions of package math are not the same on every machine: some have
// assembly, and the compiler joins a multiplication and an addition where the
// machine can. Two nodes could differ in a last digit. So what is not exact by
// IEEE 754 is computed here to many more digits and rounded once, which is also
// what C's library nearly always has.

const realPrec = 200 // bits

// realSteps is what one of these costs.
const realSteps = 300

func real(prec uint, f float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(f) }
func newReal(prec uint) *big.Float         { return new(big.Float).SetPrec(prec) }

func rounded(x *big.Float) float64 {
	f, _ := x.Float64()
	return f
}

// constants at a precision.

// realAtanInverse is atan(1/n).
func realAtanInverse(prec uint, n int64) *big.Float {
	term := newReal(prec).Quo(real(prec, 1), newReal(prec).SetInt64(n))
	square := newReal(prec).SetInt64(n * n)
	sum := newReal(prec).Set(term)
	for k := int64(3); ; k += 2 {
		term.Quo(term, square)
		t := newReal(prec).Quo(term, newReal(prec).SetInt64(k))
		if t.Sign() == 0 || t.MantExp(nil) < -int(prec)-8 {
			return sum
		}
		if k%4 == 3 {
			sum.Sub(sum, t)
		} else {
			sum.Add(sum, t)
		}
	}
}

// realPi is Machin's.
func realPi(prec uint) *big.Float {
	a := realAtanInverse(prec, 5)
	b := realAtanInverse(prec, 239)
	a.Mul(a, real(prec, 16))
	return a.Sub(a, b.Mul(b, real(prec, 4)))
}

// realLn2 is 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749).
func realLn2(prec uint) *big.Float {
	atanh := func(n, times int64) *big.Float {
		term := newReal(prec).Quo(real(prec, 1), newReal(prec).SetInt64(n))
		square := newReal(prec).SetInt64(n * n)
		sum := newReal(prec).Set(term)
		for k := int64(3); ; k += 2 {
			term.Quo(term, square)
			t := newReal(prec).Quo(term, newReal(prec).SetInt64(k))
			if t.MantExp(nil) < -int(prec)-8 {
				return sum.Mul(sum, newReal(prec).SetInt64(times))
			}
			sum.Add(sum, t)
		}
	}
	s := atanh(26, 18)
	s.Sub(s, atanh(4801, 2))
	return s.Add(s, atanh(8749, 8))
}

// realExp is e^x for |x| < 1100.
func realExp(x *big.Float) *big.Float {
	prec := x.Prec()
	ln2 := realLn2(prec)
	k, _ := newReal(prec).Quo(x, ln2).Float64()
	n := int64(math.Round(k))
	r := newReal(prec).Sub(x, newReal(prec).Mul(ln2, newReal(prec).SetInt64(n)))
	const halvings = 8
	r.SetMantExp(r, -halvings)
	sum, term := real(prec, 1), real(prec, 1)
	for i := int64(1); ; i++ {
		term.Mul(term, r)
		term.Quo(term, newReal(prec).SetInt64(i))
		if term.Sign() == 0 || term.MantExp(nil) < -int(prec)-8 {
			break
		}
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum.SetMantExp(sum, int(n))
}

// realLog is the logarithm of x > 0.
func realLog(x *big.Float) *big.Float {
	prec := x.Prec()
	m := newReal(prec)
	e := x.MantExp(m) // x = m * 2^e, m in [0.5, 1)
	f, _ := m.Float64()
	y := real(prec, math.Log(f)) // a guess; what is made of it is exact
	for range 2 {
		// Halley's: y + 2 (m - e^y) / (m + e^y), three times the digits.
		ey := realExp(y)
		d := newReal(prec).Sub(m, ey)
		d.Quo(d.Add(d, d), ey.Add(ey, m))
		y.Add(y, d)
	}
	return y.Add(y, newReal(prec).Mul(realLn2(prec), newReal(prec).SetInt64(int64(e))))
}

func exp(f float64) float64 {
	switch {
	case f != f, math.IsInf(f, 0), f == 0, f > 710, f < -750:
		return math.Exp(f)
	}
	return rounded(realExp(real(realPrec, f)))
}

func log(f float64) float64 {
	if f != f || math.IsInf(f, 0) || f <= 0 || f == 1 {
		return math.Log(f)
	}
	return rounded(realLog(real(realPrec, f)))
}

func log10(f float64) float64 {
	if f != f || math.IsInf(f, 0) || f <= 0 || f == 1 {
		return math.Log10(f)
	}
	return rounded(new(big.Float).Quo(realLog(real(realPrec, f)), realLog(real(realPrec, 10))))
}

// power is x^y.
func power(x, y float64) float64 {
	switch {
	case x != x, y != y, math.IsInf(x, 0), math.IsInf(y, 0), x == 0, y == 0, x == 1, x == -1, x < 0 && y != math.Trunc(y):
		return math.Pow(x, y) // what IEEE 754 says of it, not a computation
	case y == 1:
		return x
	case y == 0.5:
		return math.Sqrt(x)
	}
	if r, ok := integerPower(x, y); ok {
		return r
	}
	l := realLog(real(realPrec+64, math.Abs(x)))
	l.Mul(l, real(realPrec+64, y))
	e, _ := l.Float64()
	var r float64
	switch {
	case e > 720:
		r = math.Inf(1)
	case e > -760:
		r = rounded(realExp(l))
	}
	if x < 0 && math.Mod(y, 2) != 0 {
		r = -r
	}
	return r
}

// integerPower multiplies as long as each product is exact.
func integerPower(x, y float64) (float64, bool) {
	if y < 0 || y > 64 || y != math.Trunc(y) || x != math.Trunc(x) {
		return 0, false
	}
	r := 1.0
	for range int(y) {
		if r *= x; r > 1<<53 || r < -(1<<53) {
			return 0, false
		}
	}
	return r, true
}

// realSinCos is of any finite x.
func realSinCos(f float64) (sin, cos *big.Float) {
	prec := uint(realPrec)
	if e := real(prec, f).MantExp(nil); e > 0 {
		prec += uint(e)
	}
	half := realPi(prec)
	half.SetMantExp(half, -1)
	x := real(prec, f)
	q := newReal(prec).Quo(x, half)
	q.Add(q, real(prec, math.Copysign(0.5, f)))
	n, _ := q.Int(nil)
	r := newReal(prec).Sub(x, newReal(prec).Mul(half, newReal(prec).SetInt(n)))
	sin, cos = newReal(prec).Set(r), real(prec, 1)
	square := newReal(prec).Mul(r, r)
	ts, tc := newReal(prec).Set(r), real(prec, 1)
	for i := int64(1); ; i += 2 {
		tc.Quo(tc.Mul(tc, square), newReal(prec).SetInt64(i*(i+1))).Neg(tc)
		ts.Quo(ts.Mul(ts, square), newReal(prec).SetInt64((i+1)*(i+2))).Neg(ts)
		if ts.Sign() == 0 || tc.MantExp(nil) < -realPrec && ts.MantExp(nil) < r.MantExp(nil)-realPrec {
			break
		}
		cos.Add(cos, tc)
		sin.Add(sin, ts)
	}
	switch new(big.Int).And(n, big.NewInt(3)).Int64() { // of a negative n too: two's complement
	case 1:
		sin, cos = cos, sin.Neg(sin)
	case 2:
		sin.Neg(sin)
		cos.Neg(cos)
	case 3:
		sin, cos = cos.Neg(cos), sin
	}
	return sin, cos
}

func sin(f float64) float64 {
	if f != f || math.IsInf(f, 0) || f == 0 {
		return math.Sin(f)
	}
	s, _ := realSinCos(f)
	return rounded(s)
}

func cos(f float64) float64 {
	if f != f || math.IsInf(f, 0) || f == 0 {
		return math.Cos(f)
	}
	_, c := realSinCos(f)
	return rounded(c)
}

func tan(f float64) float64 {
	if f != f || math.IsInf(f, 0) || f == 0 {
		return math.Tan(f)
	}
	s, c := realSinCos(f)
	return rounded(s.Quo(s, c))
}

// realAtan is of any x.
func realAtan(x *big.Float) *big.Float {
	prec := x.Prec()
	r := newReal(prec).Set(x)
	const halvings = 6
	for range halvings { // atan x = 2 atan(x / (1 + sqrt(1 + x^2)))
		s := newReal(prec).Mul(r, r)
		s.Sqrt(s.Add(s, real(prec, 1)))
		r.Quo(r, s.Add(s, real(prec, 1)))
	}
	square := newReal(prec).Mul(r, r)
	sum, term := newReal(prec).Set(r), newReal(prec).Set(r)
	for k := int64(3); ; k += 2 {
		term.Mul(term, square).Neg(term)
		t := newReal(prec).Quo(term, newReal(prec).SetInt64(k))
		if t.Sign() == 0 || t.MantExp(nil) < r.MantExp(nil)-realPrec {
			break
		}
		sum.Add(sum, t)
	}
	return sum.SetMantExp(sum, halvings)
}

func atan(f float64) float64 {
	if f != f || f == 0 {
		return f
	}
	if math.IsInf(f, 0) {
		return math.Copysign(math.Pi/2, f)
	}
	return rounded(realAtan(real(realPrec, f)))
}

func atan2(y, x float64) float64 {
	if y != y || x != x || y == 0 || x == 0 || math.IsInf(y, 0) || math.IsInf(x, 0) {
		return math.Atan2(y, x) // constants
	}
	q := real(realPrec, y)
	a := realAtan(q.Quo(q, real(realPrec, x)))
	if x < 0 {
		pi := realPi(realPrec)
		if y < 0 {
			pi.Neg(pi)
		}
		a.Add(a, pi)
	}
	return rounded(a)
}

// realAsin is of |x| < 1.
func realAsin(f float64) *big.Float {
	x := real(realPrec, f)
	c := newReal(realPrec).Mul(x, x)
	c.Sqrt(c.Sub(real(realPrec, 1), c))
	return realAtan(x.Quo(x, c))
}

func asin(f float64) float64 {
	if !(f > -1 && f < 1) || f == 0 {
		return math.Asin(f)
	}
	return rounded(realAsin(f))
}

func acos(f float64) float64 {
	if !(f > -1 && f < 1) {
		return math.Acos(f)
	}
	half := realPi(realPrec)
	half.SetMantExp(half, -1)
	return rounded(half.Sub(half, realAsin(f)))
}

// hyperbolic returns e^f and e^-f, or !ok where f is so large or small that there is nothing to compute.
func hyperbolic(f float64) (a, b *big.Float, ok bool) {
	if f != f || f == 0 || f > 711 || f < -711 {
		return nil, nil, false
	}
	prec := uint(realPrec + 1100) // of e^f - e^-f, tiny f cancels most
	if f > 1e-3 || f < -1e-3 {
		prec = realPrec
	}
	a = realExp(real(prec, f))
	return a, newReal(prec).Quo(real(prec, 1), a), true
}

func sinh(f float64) float64 {
	a, b, ok := hyperbolic(f)
	if !ok {
		return math.Sinh(f)
	}
	a.Sub(a, b)
	return rounded(a.SetMantExp(a, -1))
}

func cosh(f float64) float64 {
	a, b, ok := hyperbolic(f)
	if !ok {
		return math.Cosh(f)
	}
	a.Add(a, b)
	return rounded(a.SetMantExp(a, -1))
}

func tanh(f float64) float64 {
	a, b, ok := hyperbolic(f)
	if !ok {
		return math.Tanh(f)
	}
	d := newReal(a.Prec()).Sub(a, b)
	return rounded(d.Quo(d, a.Add(a, b)))
}
