package keyspace

import "bytes"

// ScoreRange is an interval of scores.
type ScoreRange struct {
	Min, Max     float64
	MinEx, MaxEx bool // the end itself is outside
}

// LexBound is one end of an interval of members.
type LexBound struct {
	Inf   int // -1: below every member; 1: above every member; 0: at Value
	Value []byte
	Ex    bool // Value itself is outside
}

// LexRange is an interval of members. It means something only for a set whose
// scores are all the same.
type LexRange struct{ Min, Max LexBound }

// compare says whether member is below (-1), at (0) or above (1) the bound.
func (b *LexBound) compare(member []byte) int {
	if b.Inf != 0 {
		return -b.Inf
	}
	return bytes.Compare(member, b.Value)
}

func (r *LexRange) aboveMin(member []byte) bool {
	c := r.Min.compare(member)
	return c > 0 || c == 0 && !r.Min.Ex
}

func (r *LexRange) belowMax(member []byte) bool {
	c := r.Max.compare(member)
	return c < 0 || c == 0 && !r.Max.Ex
}

// empty reports whether nothing can be in the range.
func (r *LexRange) empty() bool {
	if r.Min.Inf != 0 || r.Max.Inf != 0 {
		return r.Min.Inf >= r.Max.Inf
	}
	c := bytes.Compare(r.Min.Value, r.Max.Value)
	return c > 0 || c == 0 && (r.Min.Ex || r.Max.Ex)
}

// count returns how many members stand before the first one that below rejects.
func (z *ZSetView) count(below func(member []byte, score float64) bool) int {
	if z.members == nil {
		_, rank := z.packed.seek(below)
		return rank
	}
	return z.order.count(func(it *scored) bool { return below(stringBytes(it.member), it.score) })
}

// ScoreSpan returns the ranks [lo, hi) of the members in r.
func (z *ZSetView) ScoreSpan(r ScoreRange) (lo, hi int) {
	lo = z.count(func(_ []byte, s float64) bool { return s < r.Min || r.MinEx && s == r.Min })
	hi = z.count(func(_ []byte, s float64) bool { return s < r.Max || !r.MaxEx && s == r.Max })
	return lo, max(lo, hi)
}

// LexSpan returns the ranks [lo, hi) of the members in r, as found from the
// start or, if rev, from the end. Where scores differ the two are not the same,
// and a small set answers as Redis's small one does.
func (z *ZSetView) LexSpan(r LexRange, rev bool) (lo, hi int) {
	n := z.Len()
	if n == 0 || r.empty() {
		return 0, 0
	}
	if z.members != nil {
		lo = z.count(func(m []byte, _ float64) bool { return !r.aboveMin(m) })
		hi = z.count(func(m []byte, _ float64) bool { return r.belowMax(m) })
		return lo, max(lo, hi)
	}
	inside := false
	z.Range(n-1, n, false, func(m []byte, _ float64) bool { inside = r.aboveMin(m); return true })
	if inside {
		z.Range(0, 1, false, func(m []byte, _ float64) bool { inside = r.belowMax(m); return true })
	}
	if !inside {
		return 0, 0
	}
	// Two runs: skip what is outside the near end, take what is inside the far one.
	skipped, taken := 0, 0
	z.Range(0, n, rev, func(m []byte, _ float64) bool {
		near, far := r.aboveMin(m), r.belowMax(m)
		if rev {
			near, far = far, near
		}
		switch {
		case taken == 0 && !near:
			skipped++
		case far:
			taken++
		default:
			return false
		}
		return true
	})
	if rev {
		return n - skipped - taken, n - skipped
	}
	return skipped, skipped + taken
}
