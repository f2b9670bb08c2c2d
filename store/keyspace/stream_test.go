package keyspace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// streamModel is a stream as a plain list.
type streamModel struct {
	ids     []StreamID
	args    [][][]byte
	last    StreamID
	added   int64
	deleted StreamID
	groups  map[string]*groupModel
}

type groupModel struct {
	pending   map[StreamID]Pending
	consumers map[string]int64
}

func (m *streamModel) find(id StreamID) (int, bool) {
	return slices.BinarySearchFunc(m.ids, id, StreamID.Compare)
}

func (m *streamModel) cut(i, n int) {
	m.ids, m.args = slices.Delete(m.ids, i, i+n), slices.Delete(m.args, i, i+n)
}

// text prints all that a stream shows.
func streamText(s *StreamView) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Len(), s.First(), s.Last(), s.Top(), s.MaxDeleted(), s.Added())
	s.Visit(StreamRange{End: MaxStreamID()}, func(e *StreamEntry) bool {
		fmt.Fprint(&b, e.ID)
		e.Each(func(f, v []byte) { fmt.Fprintf(&b, " %q=%q", f, v) })
		fmt.Fprintln(&b)
		return true
	})
	s.EachGroup(func(g GroupView) {
		fmt.Fprintln(&b, "group", g.Name(), g.Pending())
		g.EachPending(StreamID{}, func(p Pending) bool {
			fmt.Fprintln(&b, p)
			return true
		})
		g.EachConsumer(func(c Consumer) {
			fmt.Fprint(&b, c)
			g.EachPendingOf(c.Name, StreamID{}, func(p Pending) bool {
				fmt.Fprint(&b, " ", p.ID)
				return true
			})
			fmt.Fprintln(&b)
		})
	})
	return b.String()
}

func (m *streamModel) text() string {
	var b strings.Builder
	var first, top StreamID
	if len(m.ids) > 0 {
		first, top = m.ids[0], m.ids[len(m.ids)-1]
	}
	fmt.Fprintln(&b, len(m.ids), first, m.last, top, m.deleted, m.added)
	for i, id := range m.ids {
		fmt.Fprint(&b, id)
		for j := 0; j < len(m.args[i]); j += 2 {
			fmt.Fprintf(&b, " %q=%q", m.args[i][j], m.args[i][j+1])
		}
		fmt.Fprintln(&b)
	}
	for _, name := range sortedKeys(m.groups) {
		g := m.groups[name]
		ids := make([]StreamID, 0, len(g.pending))
		for id := range g.pending {
			ids = append(ids, id)
		}
		slices.SortFunc(ids, StreamID.Compare)
		fmt.Fprintln(&b, "group", name, len(ids))
		for _, id := range ids {
			fmt.Fprintln(&b, g.pending[id])
		}
		for _, c := range sortedKeys(g.consumers) {
			var own []StreamID
			for _, id := range ids {
				if g.pending[id].Consumer == c {
					own = append(own, id)
				}
			}
			fmt.Fprint(&b, Consumer{c, g.consumers[c], len(own)})
			for _, id := range own {
				fmt.Fprint(&b, " ", id)
			}
			fmt.Fprintln(&b)
		}
	}
	return b.String()
}

func sortedKeys[T any](m map[string]T) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func objectBytes(o Object) []byte {
	var e Encoder
	o.Encode(&e)
	return e.Take()
}

// A stream does what a plain list would, whatever the size of its nodes, and no
// fork ever sees what was done to another.
func TestStreamModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := DefaultLimits()
		limits.StreamNodeMaxEntries = rapid.Int64Range(0, 6).Draw(t, "entries")
		limits.StreamNodeMaxBytes = rapid.SampledFrom([]int64{0, 30, 60, 4096}).Draw(t, "bytes")
		s, m := NewStream(), &streamModel{groups: map[string]*groupModel{}}
		type frozen struct {
			o     Object
			image []byte
		}
		var forks []frozen
		anyID := func(t *rapid.T) StreamID {
			return StreamID{rapid.Uint64Range(0, 12).Draw(t, "ms"), rapid.Uint64Range(0, 2).Draw(t, "seq")}
		}
		word := rapid.SampledFrom([]string{"", "f", "g", "12", "-5", "300", "a longer word than the others", "99999999999999999999"})
		group := rapid.SampledFrom([]string{"g", "h"})
		consumer := rapid.SampledFrom([]string{"", "alice", "bob"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := StreamID{m.last.MS + rapid.Uint64Range(0, 2).Draw(t, "ms"), rapid.Uint64Range(0, 4).Draw(t, "seq")}
				var args [][]byte
				for range 2 * rapid.IntRange(1, 3).Draw(t, "fields") {
					args = append(args, []byte(word.Draw(t, "word")))
				}
				err := s.Add(id, args, &limits)
				if (err == nil) != (id.Compare(m.last) > 0) {
					t.Fatal(err)
				}
				if err == nil {
					m.ids, m.args, m.last = append(m.ids, id), append(m.args, args), id
					m.added++
				}
			},
			"delete": func(t *rapid.T) {
				id := anyID(t)
				i, ok := m.find(id)
				if s.Delete(id) != ok {
					t.Fatalf("delete %v: not %v", id, ok)
				}
				if ok {
					m.cut(i, 1)
					if id.Compare(m.deleted) > 0 {
						m.deleted = id
					}
				}
			},
			"trim": func(t *rapid.T) {
				trim := StreamTrim{ByID: rapid.Bool().Draw(t, "by id"), MinID: anyID(t), MaxLen: rapid.Int64Range(0, 10).Draw(t, "length")}
				want := max(0, len(m.ids)-int(trim.MaxLen))
				if trim.ByID {
					want, _ = m.find(trim.MinID)
				}
				would := s.WouldTrim(trim)
				if got := s.Trim(trim); got != want || got > 0 && !would {
					t.Fatalf("%+v removed %d, not %d", trim, got, want)
				}
				m.cut(0, want)
			},
			"trim roughly": func(t *rapid.T) {
				trim := StreamTrim{Approx: true, MaxLen: rapid.Int64Range(0, 10).Draw(t, "length"), Limit: rapid.Int64Range(0, 5).Draw(t, "limit")}
				before, image, would := len(m.ids), objectBytes(s), s.WouldTrim(trim)
				got := s.Trim(trim)
				if got > max(0, before-int(trim.MaxLen)) || trim.Limit > 0 && int64(got) > trim.Limit {
					t.Fatalf("%+v removed %d of %d", trim, got, before)
				}
				if !would && !bytes.Equal(image, objectBytes(s)) {
					t.Fatal("changed although it would not")
				}
				m.cut(0, got)
			},
			"set last": func(t *rapid.T) {
				id := anyID(t)
				if len(m.ids) > 0 && id.Compare(m.ids[len(m.ids)-1]) < 0 {
					t.Skip()
				}
				s.SetLast(id, -1, StreamID{})
				m.last = id
			},
			"range": func(t *rapid.T) {
				r := StreamRange{Start: anyID(t), End: anyID(t), Reverse: rapid.Bool().Draw(t, "reverse")}
				limit := rapid.IntRange(0, 5).Draw(t, "limit")
				var want []StreamID
				for _, id := range m.ids {
					if id.Compare(r.Start) >= 0 && id.Compare(r.End) <= 0 {
						want = append(want, id)
					}
				}
				if r.Reverse {
					slices.Reverse(want)
				}
				if limit > 0 && len(want) > limit {
					want = want[:limit]
				}
				if n := s.Count(r, limit); n != len(want) {
					t.Fatalf("%+v: %d entries, want %v", r, n, want)
				}
				var got []StreamID
				s.Visit(r, func(e *StreamEntry) bool {
					got = append(got, e.ID)
					return limit == 0 || len(got) < limit
				})
				if !slices.Equal(got, want) {
					t.Fatalf("%+v: %v, want %v", r, got, want)
				}
			},
			"group": func(t *rapid.T) {
				name := group.Draw(t, "group")
				g := m.groups[name]
				if g == nil {
					if !s.CreateGroup([]byte(name), StreamID{}, 0) {
						t.Fatal("group exists")
					}
					m.groups[name] = &groupModel{map[StreamID]Pending{}, map[string]int64{}}
					return
				}
				w, _ := s.GroupForUpdate([]byte(name))
				c, now := consumer.Draw(t, "consumer"), rapid.Int64Range(0, 9).Draw(t, "now")
				switch rapid.IntRange(0, 5).Draw(t, "what") {
				default:
					w.See([]byte(c), now)
					g.consumers[c] = now
					p := Pending{anyID(t), now, now, c}
					w.SetPending(p)
					g.pending[p.ID] = p
				case 0, 1:
					id := anyID(t)
					_, ok := g.pending[id]
					if w.Acknowledge(id) != ok {
						t.Fatalf("acknowledge %v: not %v", id, ok)
					}
					delete(g.pending, id)
				case 2:
					_, exists := g.consumers[c]
					_, ok := w.DeleteConsumer([]byte(c))
					if ok != exists {
						t.Fatalf("delete consumer %q: %v", c, ok)
					}
					delete(g.consumers, c)
					for id, p := range g.pending {
						if p.Consumer == c {
							delete(g.pending, id)
						}
					}
				case 3:
					if rapid.IntRange(0, 3).Draw(t, "destroy") == 0 {
						s.DeleteGroup([]byte(name))
						delete(m.groups, name)
					}
				}
			},
			"fork": func(t *rapid.T) {
				forks = append(forks, frozen{s, objectBytes(s)})
				s = s.Fork().(*StreamObject)
			},
			"": func(t *rapid.T) {
				if got, want := streamText(&s.StreamView), m.text(); got != want {
					t.Fatalf("got\n%swant\n%s", got, want)
				}
				for _, f := range forks {
					if !bytes.Equal(objectBytes(f.o), f.image) {
						t.Fatal("a fork has changed")
					}
				}
				d := NewDecoder(objectBytes(s))
				twin := decodeStream(d)
				if d.Err() != nil {
					t.Fatal(d.Err())
				}
				if streamText(&twin.StreamView) != m.text() || twin.Bytes() != s.Bytes() {
					t.Fatalf("restored\n%s%d bytes, not %d", streamText(&twin.StreamView), twin.Bytes(), s.Bytes())
				}
			},
		})
	})
}

// A snapshot of a stream is encoded while the stream goes on changing.
func TestStreamForkConcurrently(t *testing.T) {
	limits := DefaultLimits()
	s := NewStream()
	grow := func(n int) {
		for range n {
			id, _ := s.Last().Next()
			if err := s.Add(id, [][]byte{[]byte("f"), []byte("v")}, &limits); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(1000)
	s.CreateGroup([]byte("g"), StreamID{}, 0)
	want := objectBytes(s)
	frozen := s
	s = s.Fork().(*StreamObject)
	got := make(chan []byte)
	go func() { got <- objectBytes(frozen) }()
	grow(1000)
	g, _ := s.GroupForUpdate([]byte("g"))
	g.See([]byte("c"), 1)
	s.Visit(StreamRange{End: MaxStreamID()}, func(e *StreamEntry) bool {
		g.SetPending(Pending{ID: e.ID, Consumer: "c"})
		return true
	})
	s.Trim(StreamTrim{MaxLen: 50})
	if !bytes.Equal(<-got, want) {
		t.Fatal("the fork has changed")
	}
}

func TestStreamDecodeRefuses(t *testing.T) {
	limits := DefaultLimits()
	good := func() *StreamObject {
		s := NewStream()
		for ms := range uint64(5) {
			if err := s.Add(StreamID{ms, 1}, [][]byte{[]byte("f"), []byte("v")}, &limits); err != nil {
				t.Fatal(err)
			}
		}
		s.CreateGroup([]byte("g"), StreamID{}, 0)
		return s
	}
	for name, spoil := range map[string]func(*StreamObject){
		"length":     func(s *StreamObject) { s.length++ },
		"last":       func(s *StreamObject) { s.last = StreamID{2, 0} },
		"live count": func(s *StreamObject) { s.tail.lp[lpHeader]++ },
		"flags":      func(s *StreamObject) { s.tail.mark([]int{len(s.tail.lp) - 11}); s.length-- },
		"end":        func(s *StreamObject) { s.tail.lp[len(s.tail.lp)-1] = 0 },
		"node":       func(s *StreamObject) { s.tail.id = StreamID{3, 0} },
	} {
		s := good()
		spoil(s)
		d := NewDecoder(objectBytes(s))
		if decodeStream(d); d.Err() == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func TestListpack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want [][]byte
		lp := newListpack(0)
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			var b []byte
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				b = fmt.Append(nil, rapid.Int64().Draw(t, "n")>>rapid.IntRange(0, 63).Draw(t, "shift"))
			case 1:
				b = bytes.Repeat([]byte("x"), rapid.SampledFrom([]int{0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16380, 16381, 16382, 16383, 20000}).Draw(t, "size"))
			default:
				b = rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
			}
			want = append(want, b)
			lp = lp.open().addString(b).shut(1)
		}
		check := func() {
			if n, ok := validateListpack(lp); !ok || n != len(want) {
				t.Fatalf("%d elements, %v", n, ok)
			}
			i := 0
			for pos := lpHeader; !lp.end(pos); pos = lp.next(pos) {
				if got := lp.bytes(pos, nil); !bytes.Equal(got, want[i]) {
					t.Fatalf("element %d is %q, not %q", i, got, want[i])
				}
				i++
			}
		}
		check()
		if len(want) > 0 {
			i, v := rapid.IntRange(0, len(want)-1).Draw(t, "i"), rapid.Int64().Draw(t, "v")
			want[i] = fmt.Append(nil, v)
			lp = lp.setInt(lp.skip(lpHeader, i), v)
			check()
		}
		// Whatever one byte becomes, walking stays within bounds.
		spoiled := bytes.Clone(lp)
		spoiled[rapid.IntRange(0, len(lp)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if _, ok := validateListpack(spoiled); ok {
			l := listpack(spoiled)
			for pos := lpHeader; !l.end(pos); pos = l.next(pos) {
				l.bytes(pos, nil)
			}
		}
	})
}
