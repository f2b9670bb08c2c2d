package command

import "slices"

// sortPoints puts the first n points in their place; the rest may be in any
// order. Where n is all it is a stable sort. Otherwise it is the quicksort of
// Bentley and McIlroy ("Engineering a Sort Function", 1993), which goes only into
// the parts that reach below n. Redis does the same: so equally distant members
// come out in the same order, and the same ones are left out.
func sortPoints(points []geoPoint, n int, compare func(a, b *geoPoint) int) {
	if n >= len(points) {
		slices.SortStableFunc(points, func(a, b geoPoint) int { return compare(&a, &b) })
		return
	}
	s := pointSort{points, compare}
	s.sort(0, len(points), n)
}

type pointSort struct {
	p       []geoPoint
	compare func(a, b *geoPoint) int
}

func (s pointSort) cmp(i, j int) int { return s.compare(&s.p[i], &s.p[j]) }
func (s pointSort) swap(i, j int)    { s.p[i], s.p[j] = s.p[j], s.p[i] }

func (s pointSort) swapRange(i, j, n int) {
	for k := range n {
		s.swap(i+k, j+k)
	}
}

// median returns which of three is the middle one.
func (s pointSort) median(a, b, c int) int {
	if s.cmp(a, b) < 0 {
		switch {
		case s.cmp(b, c) < 0:
			return b
		case s.cmp(a, c) < 0:
			return c
		default:
			return a
		}
	}
	switch {
	case s.cmp(b, c) > 0:
		return b
	case s.cmp(a, c) < 0:
		return a
	default:
		return c
	}
}

func (s pointSort) pivot(lo, n int) int {
	mid := lo + n/2
	if n == 7 {
		return mid
	}
	first, last := lo, lo+n-1
	if n > 40 {
		d := n / 8
		first = s.median(first, first+d, first+2*d)
		mid = s.median(mid-d, mid, mid+d)
		last = s.median(last-2*d, last-d, last)
	}
	return s.median(first, mid, last)
}

// sort sorts [lo, hi) as far as it is below want.
func (s pointSort) sort(lo, hi, want int) {
	for n := hi - lo; n >= 7; n = hi - lo {
		s.swap(lo, s.pivot(lo, n))
		// Equal ones gather at both ends: [lo, a) and (d, hi).
		a, b := lo+1, lo+1
		c, d := hi-1, hi-1
		for {
			for ; b <= c; b++ {
				r := s.cmp(b, lo)
				if r > 0 {
					break
				}
				if r == 0 {
					s.swap(a, b)
					a++
				}
			}
			for ; b <= c; c-- {
				r := s.cmp(c, lo)
				if r < 0 {
					break
				}
				if r == 0 {
					s.swap(c, d)
					d--
				}
			}
			if b > c {
				break
			}
			s.swap(b, c)
			b++
			c--
		}
		r := min(a-lo, b-a)
		s.swapRange(lo, b-r, r)
		r = min(d-c, hi-1-d)
		s.swapRange(b, hi-r, r)
		if less := b - a; less > 1 {
			s.sort(lo, lo+less, want)
		}
		lo = hi - (d - c)
		if lo >= want {
			return
		}
	}
	for i := lo + 1; i < hi; i++ {
		for j := i; j > lo && s.cmp(j-1, j) > 0; j-- {
			s.swap(j, j-1)
		}
	}
}
