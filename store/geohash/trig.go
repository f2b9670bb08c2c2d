package geohash

import "math"

// Distances can become scores (STOREDIST), so that every node must compute the
// same, and the same as Redis does with the C library. Go's math.Sin promises
// neither: its last bit depends on the processor. What follows computes with
// twice the precision of a float64 and rounds once. That is what a good C
// library's result amounts to, but for the last bit of one in a thousand, which
// glibc itself computes differently on different processors.

// wide is an unevaluated sum of two floats, the second far smaller.
type wide struct{ hi, lo float64 }

func fastTwoSum(a, b float64) wide {
	s := a + b
	return wide{s, b - (s - a)}
}

func twoSum(a, b float64) wide {
	s := a + b
	t := s - a
	return wide{s, (a - (s - t)) + (b - t)}
}

func twoProduct(a, b float64) wide {
	p := float64(a * b)
	return wide{p, math.FMA(a, b, -p)}
}

func (x wide) add(y wide) wide {
	s := twoSum(x.hi, y.hi)
	return fastTwoSum(s.hi, s.lo+(x.lo+y.lo))
}

func (x wide) neg() wide { return wide{-x.hi, -x.lo} }

func (x wide) mul(y wide) wide {
	p := twoProduct(x.hi, y.hi)
	return fastTwoSum(p.hi, p.lo+(float64(x.hi*y.lo)+float64(x.lo*y.hi)))
}

func (x wide) div(d float64) wide {
	q := x.hi / d
	p := twoProduct(q, d)
	return fastTwoSum(q, ((x.hi-p.hi)-p.lo+x.lo)/d)
}

func (x wide) value() float64 { return x.hi + x.lo }

// Pi/2 in three parts, of which the first two have short mantissas: small
// multiples of them are exact.
const (
	halfPi1 = 0x1.921fb544p+0
	halfPi2 = 0x1.0b4611a6p-34
	halfPi3 = 0x1.3198a2e037073p-69
)

// sinCos returns sine and cosine of x, which must be moderate: in a search they
// are of angles on the globe.
func sinCos(x wide) (sin, cos wide) {
	k := math.RoundToEven(x.hi * (2 / math.Pi))
	r := twoSum(x.hi, -float64(k*halfPi1))
	r = r.add(wide{-float64(k * halfPi2), 0})
	r = r.add(wide{-float64(k * halfPi3), x.lo})
	sin, cos = taylor(r, 1), taylor(r, 0)
	switch int64(k) & 3 {
	case 1:
		return cos, sin.neg()
	case 2:
		return sin.neg(), cos.neg()
	case 3:
		return cos.neg(), sin
	default:
		return sin, cos
	}
}

// taylor sums the series of the sine (first 1) or cosine (first 0) for at most
// pi/4, from the smallest term to the largest by Horner's rule:
// 1 - r²/(n(n+1)) * (1 - r²/...).
func taylor(r wide, first int) wide {
	square := r.mul(r)
	sum := wide{1, 0}
	for n := first + 26; n > first; n -= 2 {
		sum = fastTwoSum(1, 0).add(sum.mul(square).div(float64(n * (n - 1))).neg())
	}
	if first == 1 {
		return sum.mul(r)
	}
	return sum
}

// maxAngle bounds the angles that exactSin and exactCos are made for. Beyond,
// only the search in a circle larger than the world asks, and ignores the
// answer.
const maxAngle = 100

func exactSin(x float64) float64 {
	if !(math.Abs(x) < maxAngle) {
		return math.Sin(x)
	}
	if x == 0 {
		return x
	}
	sin, _ := sinCos(wide{x, 0})
	return sin.value()
}

func exactCos(x float64) float64 {
	if !(math.Abs(x) < maxAngle) {
		return math.Cos(x)
	}
	_, cos := sinCos(wide{x, 0})
	return cos.value()
}

// exactAsin returns the arc sine of x in [0, 1], NaN above.
func exactAsin(x float64) float64 {
	if !(x > 0 && x < 1) {
		return math.Asin(x)
	}
	if x <= 0.7 {
		return refineAsin(wide{x, 0}).value()
	}
	// asin x = pi/2 - 2 asin sqrt((1-x)/2): near 1 the sine is too flat to start
	// from. 1-x is exact here.
	t := (1 - x) / 2
	q := math.Sqrt(t)
	root := fastTwoSum(q, math.FMA(-q, q, t)/(2*q))
	a := refineAsin(root)
	halfPi := wide{math.Pi / 2, 6.123233995736766e-17}
	return halfPi.add(wide{-2 * a.hi, -2 * a.lo}).value()
}

// refineAsin improves on math.Asin by one step of Newton's method, which doubles
// its good digits.
func refineAsin(x wide) wide {
	y := math.Asin(x.hi)
	sin, cos := sinCos(wide{y, 0})
	rest := x.add(sin.neg())
	return fastTwoSum(y, rest.hi/cos.hi)
}
