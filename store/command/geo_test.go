package command

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
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

// TestGeoGrid checks that a position is in its cell, and that neighbours are
// where they should be.
func TestGeoGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		long := rapid.Float64Range(-179.9, 179.9).Draw(t, "long")
		lat := rapid.Float64Range(-85, 85).Draw(t, "lat")
		step := uint(rapid.IntRange(3, geoSteps).Draw(t, "step"))
		b := geoEncode(long, lat, geoLatMax, step)
		c := b.cell()
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
		if n := b.move(1, 0).cell(); n.minLong != c.maxLong && n.minLong != -geoLongMax {
			t.Fatalf("east of %+v is %+v", c, n)
		}
		if n := b.move(0, 1).cell(); n.minLat != c.maxLat && n.minLat != -geoLatMax {
			t.Fatalf("north of %+v is %+v", c, n)
		}
		if a, b := geoDecode(geoEncode(long, lat, geoLatMax, geoSteps).score()); math.Abs(a-long) > 1e-5 || math.Abs(b-lat) > 1e-5 {
			t.Fatalf("(%v, %v) comes back as (%v, %v)", long, lat, a, b)
		}
	})
}

// TestGeoSearchFindsAll compares a search, which looks at nine cells, with a look
// at every member.
func TestGeoSearchFindsAll(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newSpace(outer)
		var all [][2]float64
		wide := rapid.SampledFrom([]float64{0.01, 1, 60}).Draw(t, "wide")
		around := rapid.SampledFrom([]float64{0, 40, -70}).Draw(t, "around")
		for i := range rapid.IntRange(1, 40).Draw(t, "n") {
			long := rapid.Float64Range(-wide, wide).Draw(t, "long")
			lat := min(around+rapid.Float64Range(-wide/4, wide/4).Draw(t, "lat"), 85)
			s.do(fmt.Sprintf("GEOADD g %v %v %d", long, lat, i))
			all = append(all, [2]float64{long, lat})
		}
		radius := rapid.Float64Range(0, wide*100).Draw(t, "km")
		found := s.call(0, args("GEOSEARCH", "g", "FROMLONLAT", 0, around, "BYRADIUS", radius, "km")...)
		var got []string
		for _, e := range found.elems {
			got = append(got, e.text)
		}
		for i, p := range all {
			d := geoDistance(0, around, p[0], p[1])
			near, far := d < radius*1000-1, d > radius*1000+1 // members are rounded to their cell
			switch in := slices.Contains(got, fmt.Sprint(i)); {
			case near && !in:
				t.Fatalf("%d at %v m is not within %v km", i, d, radius)
			case far && in:
				t.Fatalf("%d at %v m is within %v km", i, d, radius)
			}
		}
	})
}

// TestSortPoints checks that the first n are the n smallest, in order.
func TestSortPoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var points []geoPoint
		var want []float64
		for _, d := range rapid.SliceOf(rapid.Map(rapid.IntRange(0, 30), func(i int) float64 { return float64(i) })).Draw(t, "distances") {
			points, want = append(points, geoPoint{dist: d}), append(want, d)
		}
		slices.Sort(want)
		n := rapid.IntRange(0, len(points)).Draw(t, "n")
		sortPoints(points, n, func(a, b *geoPoint) int { return cmp.Compare(a.dist, b.dist) })
		for i := range n {
			if points[i].dist != want[i] {
				t.Fatalf("point %d is at %v, want %v", i, points[i].dist, want[i])
			}
		}
	})
}
