package keyspace

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// element draws short strings often, so that searches find something, and now
// and then one whose length needs more than a byte.
func element() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "c"))}, rapid.IntRange(100, 300).Draw(t, "long"))
		case 1:
			return bytes.Repeat([]byte("x"), rapid.SampledFrom([]int{125, 126, 127, 128, 16381, 16382, 16383, 16384, 20000}).Draw(t, "edge"))
		default:
			return fmt.Appendf(nil, "%d", rapid.IntRange(0, 30).Draw(t, "n"))
		}
	})
}

func limitsForTest() *rapid.Generator[*Limits] {
	return rapid.Custom(func(t *rapid.T) *Limits {
		l := DefaultLimits()
		l.ListMaxListpackSize = int64(rapid.SampledFrom([]int{-2, -1, 0, 1, 2, 3, 5, 128}).Draw(t, "list-max-listpack-size"))
		l.HashMaxListpackEntries = int64(rapid.SampledFrom([]int{0, 1, 4, 512}).Draw(t, "hash-max-listpack-entries"))
		l.HashMaxListpackValue = int64(rapid.SampledFrom([]int{0, 2, 64, 1 << 20}).Draw(t, "hash-max-listpack-value"))
		l.SetMaxIntsetEntries = int64(rapid.SampledFrom([]int{0, 1, 4, 512}).Draw(t, "set-max-intset-entries"))
		return &l
	})
}

func collect(l *ListView) [][]byte {
	all := [][]byte{}
	for b := range l.From(0) {
		all = append(all, bytes.Clone(b))
	}
	return all
}

// checkList compares every way to read a list with the model.
func checkList(t *rapid.T, l *ListObject, model [][]byte) {
	t.Helper()
	if l.Len() != len(model) {
		t.Fatalf("length %d, want %d", l.Len(), len(model))
	}
	if got := collect(&l.ListView); !slices.EqualFunc(got, model, bytes.Equal) {
		t.Fatalf("forwards %q\nwant %q", got, model)
	}
	back := [][]byte{}
	for b := range l.Back(l.Len() - 1) {
		back = append(back, bytes.Clone(b))
	}
	slices.Reverse(back)
	if !slices.EqualFunc(back, model, bytes.Equal) {
		t.Fatalf("backwards %q\nwant %q", back, model)
	}
	size := 0
	for i, want := range model {
		if got := l.Index(i); !bytes.Equal(got, want) {
			t.Fatalf("element %d is %q, want %q", i, got, want)
		}
		size += entrySize(len(want))
	}
	if l.size != size {
		t.Fatalf("size %d, want %d", l.size, size)
	}
	for i := range l.dir.len() {
		if n := l.dir.at(i); n.n == 0 {
			t.Fatalf("node %d of %d is empty", i, l.dir.len())
		}
	}
}

// reencode decodes what o encodes to, and checks that this encodes to the same
// and that the estimates of memory agree.
func reencode(t interface {
	Fatalf(string, ...any)
}, o Object) Object {
	var e Encoder
	o.Encode(&e)
	first := e.Take()
	d := NewDecoder(first)
	c := decodeObject(o.Kind(), d)
	if d.Err() != nil {
		t.Fatalf("decode: %v", d.Err())
	}
	c.Encode(&e)
	if second := e.Take(); !bytes.Equal(first, second) {
		t.Fatalf("encoded anew: %q\nwas %q", second, first)
	}
	if o.Bytes() != c.Bytes() || o.Encoding() != c.Encoding() {
		t.Fatalf("a restored %s of %d bytes was a %s of %d", c.Encoding(), c.Bytes(), o.Encoding(), o.Bytes())
	}
	return c
}

// frozen is an object that was forked, with what it must go on encoding to.
type frozen struct {
	o    Object
	want []byte
}

func freeze(o Object) frozen {
	var e Encoder
	o.Encode(&e)
	return frozen{o, e.Take()}
}

func (f frozen) check(t *rapid.T) {
	t.Helper()
	var e Encoder
	f.o.Encode(&e)
	if got := e.Take(); !bytes.Equal(got, f.want) {
		t.Fatalf("a frozen object changed to %q\nfrom %q", got, f.want)
	}
}

func TestListModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := limitsForTest().Draw(t, "limits")
		l, model, pictures := &ListObject{}, [][]byte{}, []frozen{}
		at := func(name string) int { return rapid.IntRange(0, len(model)-1).Draw(t, name) }
		nonEmpty := func(f func()) func(*rapid.T) {
			return func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				f()
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				checkList(t, l, model)
				for _, p := range pictures {
					p.check(t)
				}
			},
			"PushFront": func(t *rapid.T) {
				for _, b := range rapid.SliceOfN(element(), 1, 20).Draw(t, "b") {
					l.PushFront(b, lim)
					model = slices.Insert(model, 0, b)
				}
			},
			"PushBack": func(t *rapid.T) {
				for _, b := range rapid.SliceOfN(element(), 1, 20).Draw(t, "b") {
					l.PushBack(b, lim)
					model = append(model, b)
				}
			},
			"PopFront": nonEmpty(func() {
				if got := l.PopFront(); !bytes.Equal(got, model[0]) {
					t.Fatalf("popped %q, want %q", got, model[0])
				}
				model = model[1:]
			}),
			"PopBack": nonEmpty(func() {
				if got := l.PopBack(); !bytes.Equal(got, model[len(model)-1]) {
					t.Fatalf("popped %q, want %q", got, model[len(model)-1])
				}
				model = model[:len(model)-1]
			}),
			"Set": nonEmpty(func() {
				i, b := at("i"), element().Draw(t, "b")
				l.Set(i, b, lim)
				model = slices.Clone(model)
				model[i] = b
			}),
			"Insert": func(t *rapid.T) {
				i, b := rapid.IntRange(0, len(model)).Draw(t, "i"), element().Draw(t, "b")
				l.Insert(i, b, lim)
				model = slices.Insert(slices.Clone(model), i, b)
			},
			"Remove": nonEmpty(func() {
				b, count := element().Draw(t, "b"), rapid.IntRange(0, 4).Draw(t, "count")
				back := rapid.Bool().Draw(t, "from tail")
				model = slices.Clone(model)
				if back {
					slices.Reverse(model)
				}
				want := 0
				model = slices.DeleteFunc(model, func(e []byte) bool {
					if bytes.Equal(e, b) && (count == 0 || want < count) {
						want++
						return true
					}
					return false
				})
				if back {
					slices.Reverse(model)
				}
				if got := l.Remove(b, count, back, lim); got != want {
					t.Fatalf("removed %d, want %d", got, want)
				}
			}),
			"Trim": nonEmpty(func() {
				i := at("i")
				count := rapid.IntRange(0, len(model)-i).Draw(t, "count")
				l.Trim(i, count)
				model = model[i : i+count]
			}),
			"From": nonEmpty(func() {
				i := at("i")
				k := i
				for b := range l.From(i) {
					if !bytes.Equal(b, model[k]) {
						t.Fatalf("element %d is %q, want %q", k, b, model[k])
					}
					k++
				}
				k = i
				for b := range l.Back(i) {
					if !bytes.Equal(b, model[k]) {
						t.Fatalf("element %d is %q, want %q", k, b, model[k])
					}
					k--
				}
			}),
			"Fork": nonEmpty(func() {
				pictures = append(pictures, freeze(l))
				l = l.Fork().(*ListObject)
			}),
			"Restore": nonEmpty(func() { l = reencode(t, l).(*ListObject) }),
		})
	})
}

// A list that is used as a queue must not keep what has left it.
func TestListQueueMemory(t *testing.T) {
	l, lim := &ListObject{}, DefaultLimits()
	b := bytes.Repeat([]byte("q"), 1000)
	for i := range 100000 {
		l.PushBack(b, &lim)
		if i >= 50 {
			l.PopFront()
		}
	}
	if l.Len() != 50 || cap(l.dir.nodes) > 200 {
		t.Fatalf("%d elements in a directory of %d, room for %d", l.Len(), l.dir.len(), cap(l.dir.nodes))
	}
}

func TestListDecodeRefuses(t *testing.T) {
	for _, in := range []string{"", "\x00", "\x02\x01a"} {
		d := NewDecoder([]byte(in))
		if decodeList(d); d.Err() == nil {
			t.Errorf("%q was taken for a list", in)
		}
	}
}
