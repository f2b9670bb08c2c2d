package keyspace

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// zsetModel is what a sorted set should be: a plain map.
type zsetModel map[string]float64

func (m zsetModel) sorted() []scored {
	var all []scored
	for name, score := range m {
		all = append(all, scored{score, name})
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.member, b.member))
	})
	return all
}

func zsetItems(z *ZSetView, rev bool) []scored {
	var all []scored
	z.Range(0, z.Len(), rev, func(m []byte, s float64) bool {
		all = append(all, scored{s, string(m)})
		return true
	})
	return all
}

func (m zsetModel) check(t interface{ Fatalf(string, ...any) }, z *ZSetObject) {
	want := m.sorted()
	if z.Len() != len(want) {
		t.Fatalf("Len %d, want %d", z.Len(), len(want))
	}
	if got := zsetItems(&z.ZSetView, false); !slices.Equal(got, want) {
		t.Fatalf("members %v, want %v", got, want)
	}
	got := zsetItems(&z.ZSetView, true)
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Fatalf("members backwards %v, want %v", got, want)
	}
	for i, it := range want {
		if rank, ok := z.Rank([]byte(it.member)); !ok || rank != i {
			t.Fatalf("rank of %q is %d, %v, want %d", it.member, rank, ok, i)
		}
		if s, ok := z.Score([]byte(it.member)); !ok || s != it.score {
			t.Fatalf("score of %q is %v, %v, want %v", it.member, s, ok, it.score)
		}
	}
	if z.order != nil {
		checkOrder(t, z.order)
	}
}

// checkOrder verifies the invariants of the tree.
func checkOrder(t interface{ Fatalf(string, ...any) }, o *order) {
	var depth func(k orderKid, lo, hi *scored) int
	depth = func(k orderKid, lo, hi *scored) int {
		nd := k.node
		if nd.count() != k.n || len(nd.items) == 0 || len(nd.items) > orderMax {
			t.Fatalf("node counts %d of %d, %d items", nd.count(), k.n, len(nd.items))
		}
		for i := range nd.items {
			if lo != nil && nd.items[i].compare(lo) < 0 || hi != nil && nd.items[i].compare(hi) >= 0 {
				t.Fatalf("item %v is outside [%v, %v)", nd.items[i], lo, hi)
			}
			lo = &nd.items[i]
		}
		if nd.kids == nil {
			return 1
		}
		if len(nd.kids) != len(nd.items) {
			t.Fatalf("%d bounds for %d children", len(nd.items), len(nd.kids))
		}
		d := 0
		for i, kid := range nd.kids {
			end := hi
			if i+1 < len(nd.items) {
				end = &nd.items[i+1]
			}
			switch at := depth(kid, &nd.items[i], end); {
			case i > 0 && at != d:
				t.Fatalf("leaves at depths %d and %d", at, d)
			default:
				d = at
			}
		}
		return d + 1
	}
	if o.root.n > 0 {
		depth(o.root, nil, nil)
	}
}

func encodeZSet(z *ZSetObject) string {
	var e Encoder
	z.Encode(&e)
	return string(e.Take())
}

// TestZSetModel runs random changes against a map, with forks and
// restorations between them, in both forms.
func TestZSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := DefaultLimits()
		lim.ZSetMaxListpackEntries = rapid.SampledFrom([]int64{0, 4, 128}).Draw(t, "entries")
		lim.ZSetMaxListpackValue = 8
		z, m := &ZSetObject{}, zsetModel{}
		type picture struct {
			z       *ZSetObject
			encoded string
		}
		var frozen []picture
		score := rapid.OneOf(rapid.Float64Range(-3, 3), rapid.SampledFrom([]float64{0, 1, 2, math.Inf(1), math.Inf(-1)}))
		names := rapid.SampledFrom([]int{5, 200, 3000}).Draw(t, "names")
		name := rapid.Map(rapid.IntRange(0, names), func(i int) string { return fmt.Sprintf("m%d", i) })
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); op {
			case 0, 1, 2, 3:
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					n, s := name.Draw(t, "name"), score.Draw(t, "score")
					z.Put([]byte(n), s, &lim)
					m[n] = s
				}
			case 4:
				n := name.Draw(t, "name")
				_, had := m[n]
				if z.Remove([]byte(n)) != had {
					t.Fatalf("Remove %q is %v", n, !had)
				}
				delete(m, n)
			case 5:
				n := z.Len()
				lo := rapid.IntRange(0, n).Draw(t, "lo")
				hi := rapid.IntRange(lo, n).Draw(t, "hi")
				for _, it := range m.sorted()[lo:hi] {
					delete(m, it.member)
				}
				z.RemoveRange(lo, hi)
			case 6:
				live := z.Fork().(*ZSetObject)
				frozen = append(frozen, picture{z, encodeZSet(live)})
				z = live
			case 7:
				before := encodeZSet(z)
				d := NewDecoder([]byte(before))
				z = decodeZSet(d)
				if d.Err() != nil {
					t.Fatalf("decode: %v", d.Err())
				}
				if encodeZSet(z) != before {
					t.Fatalf("decoding and encoding again changed the set")
				}
			case 8:
				r := ScoreRange{Min: score.Draw(t, "min"), Max: score.Draw(t, "max"), MinEx: rapid.Bool().Draw(t, "minex"), MaxEx: rapid.Bool().Draw(t, "maxex")}
				lo, hi := z.ScoreSpan(r)
				in := 0
				for i, it := range m.sorted() {
					if (it.score > r.Min || it.score == r.Min && !r.MinEx) && (it.score < r.Max || it.score == r.Max && !r.MaxEx) {
						if in++; i < lo || i >= hi {
							t.Fatalf("%v is outside [%d, %d) of %+v", it, lo, hi, r)
						}
					}
				}
				if in != hi-lo {
					t.Fatalf("%d members in [%d, %d) of %+v", in, lo, hi, r)
				}
			case 9:
				var members []Member
				for _, it := range m.sorted() {
					members = append(members, Member{[]byte(it.member), it.score})
				}
				built := NewZSet(members, &lim)
				m.check(t, built)
			}
			m.check(t, z)
		}
		for _, f := range frozen {
			if encodeZSet(f.z) != f.encoded {
				t.Fatalf("a frozen set changed")
			}
		}
	})
}

// TestZSetLex checks ranges of members where all scores are equal.
func TestZSetLex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := DefaultLimits()
		lim.ZSetMaxListpackEntries = rapid.SampledFrom([]int64{0, 128}).Draw(t, "entries")
		word := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 'c'}), 0, 3, -1)
		z, m := &ZSetObject{}, zsetModel{}
		for _, w := range rapid.SliceOf(word).Draw(t, "words") {
			z.Put([]byte(w), 0, &lim)
			m[w] = 0
		}
		bound := func(label string) LexBound {
			return LexBound{
				Inf:   rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, label+"inf"),
				Value: []byte(word.Draw(t, label)), Ex: rapid.Bool().Draw(t, label+"ex"),
			}
		}
		r := LexRange{bound("min"), bound("max")}
		rev := rapid.Bool().Draw(t, "rev")
		lo, hi := z.LexSpan(r, rev)
		in := 0
		for i, it := range m.sorted() {
			if r.aboveMin([]byte(it.member)) && r.belowMax([]byte(it.member)) {
				if in++; i < lo || i >= hi {
					t.Fatalf("%v is outside [%d, %d)", it, lo, hi)
				}
			}
		}
		if in != hi-lo {
			t.Fatalf("%d members in [%d, %d)", in, lo, hi)
		}
	})
}

// TestZSetDecodeRefuses feeds damaged encodings.
func TestZSetDecodeRefuses(t *testing.T) {
	encode := func(form byte, members ...scored) []byte {
		var e Encoder
		e.Byte(form)
		e.Uvarint(uint64(len(members)))
		for _, m := range members {
			e.String(m.member)
			e.Float(m.score)
		}
		return e.Take()
	}
	for name, b := range map[string][]byte{
		"form":      encode(2),
		"nan":       encode(0, scored{math.NaN(), "a"}),
		"order":     encode(0, scored{2, "a"}, scored{1, "b"}),
		"small dup": encode(0, scored{1, "a"}, scored{1, "a"}),
		"big dup":   encode(1, scored{1, "a"}, scored{2, "a"}),
		"short":     encode(1, scored{1, "a"})[:5],
	} {
		d := NewDecoder(b)
		if decodeZSet(d); d.Err() == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func BenchmarkZSetPut(b *testing.B) {
	lim := DefaultLimits()
	for _, size := range []int{100, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			z := &ZSetObject{}
			r := NewRand(1)
			names := make([][]byte, size)
			for i := range names {
				names[i] = fmt.Appendf(nil, "element:%012d", i)
			}
			for b.Loop() {
				z.Put(names[r.Intn(size)], r.Float64(), &lim)
			}
		})
	}
}

// TestPackedScores: every score comes back as it was, but for the sign of zero, and most of
// them take little room.
func TestPackedScores(t *testing.T) {
	for _, x := range []struct {
		score float64
		bytes int
	}{
		{0, 1}, {math.Copysign(0, -1), 1}, {1, 2}, {-1, 2}, {127, 2}, {128, 3}, {-128, 2}, {1.7e9, 5}, {1 << 53, 8}, {-1 << 53, 8},
		{1<<53 + 2, 9}, {0.5, 9}, {-1e-300, 9}, {1e300, 9}, {math.Inf(1), 9}, {math.Inf(-1), 9}, {math.MaxFloat64, 9}, {math.SmallestNonzeroFloat64, 9},
	} {
		var p packed
		p.insert([]byte("m"), x.score)
		if m, score, next := p.entry(0); string(m) != "m" || score != x.score || math.Signbit(score) != (x.score < 0) || next != len(p.buf) {
			t.Errorf("%v: %q, %v, ends at %d of %d", x.score, m, score, next, len(p.buf))
		}
		if len(p.buf) != x.bytes+2 || p.plainSize() != 8+2 {
			t.Errorf("%v takes %d bytes, plain %d", x.score, len(p.buf)-2, p.plainSize())
		}
	}
}
