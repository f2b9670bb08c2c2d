package keyspace

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// member draws what may or may not go into an intset.
func member() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		switch rapid.IntRange(0, 19).Draw(t, "kind") {
		case 0:
			return element().Draw(t, "element")
		case 1:
			return rapid.SampledFrom([][]byte{[]byte(""), []byte("-0"), []byte("01"), []byte("+1"), []byte("-"), []byte("9223372036854775808")}).Draw(t, "odd")
		case 2:
			return strconv.AppendInt(nil, rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, math.MinInt16, math.MaxInt16, math.MaxInt16 + 1, math.MinInt32 - 1, math.MaxInt32}).Draw(t, "edge"), 10)
		default:
			return fmt.Appendf(nil, "%d", rapid.IntRange(-10, 20).Draw(t, "n"))
		}
	})
}

func TestSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := limitsForTest().Draw(t, "limits")
		s, model, form, pictures := &SetObject{}, []string{}, formSmall, []frozen{}
		isInt := func(m string) bool {
			n, err := strconv.ParseInt(m, 10, 64)
			return err == nil && strconv.FormatInt(n, 10) == m
		}
		sorted := func() { // as an intset is
			slices.SortFunc(model, func(a, b string) int {
				x, _ := strconv.ParseInt(a, 10, 64)
				y, _ := strconv.ParseInt(b, 10, 64)
				return map[bool]int{true: -1, false: 1}[x < y]
			})
		}
		removeAt := func(i int) {
			model = slices.Clone(model)
			if form == formBig {
				model[i] = model[len(model)-1]
				model = model[:len(model)-1]
			} else {
				model = slices.Delete(model, i, i+1)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if want := map[bool]string{true: "intset", false: "hashtable"}[form == formSmall]; s.Encoding() != want {
					t.Fatalf("encoding %s, want %s", s.Encoding(), want)
				}
				got, size := []string{}, 0
				for m := range s.All() {
					got = append(got, string(m))
					size += len(m)
				}
				if !slices.Equal(got, model) {
					t.Fatalf("members %q\nwant %q", got, model)
				}
				if (s.dict != nil) != (form == formBig) {
					t.Fatalf("a dict with %d members", len(model))
				}
				if form == formBig && s.size != size {
					t.Fatalf("size %d, want %d", s.size, size)
				}
				for i, m := range model {
					if string(s.At(i)) != m || !s.Has([]byte(m)) {
						t.Fatalf("member %d is %q, want %q", i, s.At(i), m)
					}
				}
				for _, p := range pictures {
					p.check(t)
				}
			},
			"Add": func(t *rapid.T) {
				for range rapid.IntRange(1, 6).Draw(t, "members") {
					b := member().Draw(t, "member")
					m := string(b)
					fresh := !slices.Contains(model, m)
					if s.Add(b, lim) != fresh {
						t.Fatalf("added %q is %v", m, !fresh)
					}
					clear(b)
					expand := func() {
						form = formPacked
						if len(model) > packedMembers {
							form = formBig
						}
					}
					if form == formSmall && !isInt(m) {
						expand() // before m is added: what was there stays sorted
					}
					if fresh {
						model = append(slices.Clone(model), m)
						switch {
						case form == formSmall:
							sorted()
							if int64(len(model)) > lim.SetMaxIntsetEntries {
								expand()
							}
						case len(model) > packedMembers || len(m) > packedMember:
							form = formBig
						}
					}
				}
			},
			"Remove": func(t *rapid.T) {
				b := member().Draw(t, "member")
				i := slices.Index(model, string(b))
				if s.Remove(b) != (i >= 0) {
					t.Fatalf("removed is %v", i < 0)
				}
				if i >= 0 {
					removeAt(i)
				}
			},
			"RemoveAt": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
				s.RemoveAt(i)
				removeAt(i)
			},
			"Has": func(t *rapid.T) {
				b := member().Draw(t, "member")
				if s.Has(b) != slices.Contains(model, string(b)) {
					t.Fatalf("has %q is %v", b, s.Has(b))
				}
			},
			"Fork": func(t *rapid.T) {
				pictures = append(pictures, freeze(s))
				s = s.Fork().(*SetObject)
			},
			"Restore": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("an empty set has no snapshot")
				}
				s = reencode(t, s).(*SetObject)
			},
		})
	})
}

func TestSetDecodeRefuses(t *testing.T) {
	for _, in := range []string{"", "\x02\x00", "\x03\x00", "\x00\x00", "\x01\x00", "\x00\x01\x01a", "\x01\x02\x01a\x01a", "\x00\x02\x011\x011", "\x01\x02\x01a", "\x02\x02\x01a\x01a", "\x02\x01A" + strings.Repeat("x", 65), "\x03\x01\x01a"} {
		d := NewDecoder([]byte(in))
		if decodeSet(d); d.Err() == nil {
			t.Errorf("%q was taken for a set", in)
		}
	}
}
