package keyspace

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func listed[T any](v *vec[T]) []T {
	out := []T{}
	for i := range v.n {
		out = append(out, *v.at(i))
	}
	return out
}

// A vec behaves as a slice, and what is frozen or forked from stays as it was
// whatever is written afterwards.
func TestVecModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type picture struct {
			v    *vec[int]
			want []int
		}
		v, model := &vec[int]{}, []int{}
		var pictures []picture
		many := [2]int{2 * chunkLen, 3 * chunkLen * pageLen / 2} // of chunks, of pages
		for i := range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 20).Draw(t, "op"); {
			case op == 0:
				f := v.freeze()
				pictures = append(pictures, picture{&f, slices.Clone(model)})
			case op == 1:
				f := v.fork()
				pictures = append(pictures, picture{v, slices.Clone(model)})
				v = &f
			case op < 4 && len(model) > 0:
				for range min(len(model), rapid.IntRange(1, many[op%2]).Draw(t, "pops")) {
					v.pop()
					model = model[:len(model)-1]
				}
			case op < 8:
				for j := range rapid.IntRange(1, many[op/7]).Draw(t, "pushes") {
					v.push(i*1000 + j)
					model = append(model, i*1000+j)
				}
			case op < 14 && len(model) > 0:
				at := rapid.IntRange(0, len(model)-1).Draw(t, "at")
				*v.mut(at) = -i
				model[at] = -i
			default:
				v.push(i)
				model = append(model, i)
			}
			if got := listed(v); !slices.Equal(got, model) {
				t.Fatalf("step %d: %v, want %v", i, got, model)
			}
		}
		for i, p := range pictures {
			if got := listed(p.v); !slices.Equal(got, p.want) {
				t.Fatalf("picture %d changed: %v, want %v", i, got, p.want)
			}
		}
	})
}
