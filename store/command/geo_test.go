package command

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/raftredis/raftredis/store/geohash"
)

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
			d := geohash.Distance(0, around, p[0], p[1])
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
