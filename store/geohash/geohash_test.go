package geohash

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// bigSinCos sums the series with 300 bits.
func bigSinCos(x float64) (sin, cos float64) {
	const prec = 300
	r := new(big.Float).SetPrec(prec).SetFloat64(x)
	square := new(big.Float).SetPrec(prec).Mul(r, r)
	sum := func(term *big.Float, n int64) float64 {
		total := new(big.Float).SetPrec(prec).Set(term)
		for range 60 {
			term.Mul(term, square)
			term.Quo(term, new(big.Float).SetPrec(prec).SetInt64(-(n+1)*(n+2)))
			total.Add(total, term)
			n += 2
		}
		f, _ := total.Float64()
		return f
	}
	return sum(new(big.Float).SetPrec(prec).Set(r), 1), sum(new(big.Float).SetPrec(prec).SetInt64(1), 0)
}

// TestExactTrigonometry compares with the series: every result must be the
// float64 that is nearest to the true one.
func TestExactTrigonometry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64Range(-5, 5), rapid.Float64Range(-1e-5, 1e-5)).Draw(t, "x")
		sin, cos := bigSinCos(x)
		if got := exactSin(x); got != sin {
			t.Fatalf("sin %x is %x, want %x", x, got, sin)
		}
		if got := exactCos(x); got != cos {
			t.Fatalf("cos %x is %x, want %x", x, got, cos)
		}
		// The sine grows with the angle: an arc sine is right if the true one lies
		// between halfway to the neighbours, which the sines of these bracket.
		y := rapid.Float64Range(0, 1).Draw(t, "y")
		a := exactAsin(y)
		if low, _ := bigSinCos(math.Nextafter(a, 0)); low > y {
			t.Fatalf("asin %x is %x: too big", y, a)
		}
		if a < math.Pi/2 {
			if high, _ := bigSinCos(math.Nextafter(a, 2)); high < y {
				t.Fatalf("asin %x is %x: too small", y, a)
			}
		}
	})
}

// TestGrid checks that a position is in its cell, and that neighbours are
// where they should be.
func TestGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		long := rapid.Float64Range(-179.9, 179.9).Draw(t, "long")
		lat := rapid.Float64Range(-85, 85).Draw(t, "lat")
		step := uint(rapid.IntRange(3, steps).Draw(t, "step"))
		b := cellAt(long, lat, LatMax, step)
		c := b.box()
		const slack = 1e-9
		if long < c.minLong-slack || long > c.maxLong+slack || lat < c.minLat-slack || lat > c.maxLat+slack {
			t.Fatalf("(%v, %v) is not in %+v", long, lat, c)
		}
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				if back := b.move(dx, dy).move(-dx, -dy); back != b {
					t.Fatalf("there (%d, %d) and back from %+v is %+v", dx, dy, b, back)
				}
			}
		}
		if n := b.move(1, 0).box(); n.minLong != c.maxLong && n.minLong != -LongMax {
			t.Fatalf("east of %+v is %+v", c, n)
		}
		if n := b.move(0, 1).box(); n.minLat != c.maxLat && n.minLat != -LatMax {
			t.Fatalf("north of %+v is %+v", c, n)
		}
		if a, b := Decode(Encode(long, lat)); math.Abs(a-long) > 1e-5 || math.Abs(b-lat) > 1e-5 {
			t.Fatalf("(%v, %v) comes back as (%v, %v)", long, lat, a, b)
		}
	})
}
