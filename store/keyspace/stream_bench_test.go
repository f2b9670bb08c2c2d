package keyspace

import "testing"

// benchStream returns a stream of n entries of two fields.
func benchStream(b *testing.B, n int) (*StreamObject, *Limits, [][]byte) {
	limits := DefaultLimits()
	s := NewStream()
	args := [][]byte{[]byte("sensor"), []byte("1234"), []byte("temperature"), []byte("19.8")}
	for i := range n {
		if err := s.Add(StreamID{uint64(i + 1), 0}, args, &limits); err != nil {
			b.Fatal(err)
		}
	}
	return s, &limits, args
}

func BenchmarkStreamAdd(b *testing.B) {
	s, limits, args := benchStream(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		id, _ := s.Last().Next()
		if err := s.Add(id, args, limits); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Bytes())/float64(s.Len()), "B/entry")
}

// A write to a big stream right after a snapshot has begun.
func BenchmarkStreamForkAndAdd(b *testing.B) {
	s, limits, args := benchStream(b, 1e6)
	b.ReportAllocs()
	for b.Loop() {
		s = s.Fork().(*StreamObject)
		id, _ := s.Last().Next()
		if err := s.Add(id, args, limits); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStreamTop(b *testing.B) {
	s, _, _ := benchStream(b, 1e5)
	b.ReportAllocs()
	for b.Loop() {
		s.Top()
	}
}

func BenchmarkStreamRead100(b *testing.B) {
	s, _, _ := benchStream(b, 1e5)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r := StreamRange{Start: StreamID{5000, 0}, End: MaxStreamID()}
		left := s.Count(r, 100)
		s.Visit(r, func(e *StreamEntry) bool {
			e.Each(func(f, v []byte) { n += len(f) + len(v) })
			left--
			return left > 0
		})
	}
}

func BenchmarkStreamDeliver(b *testing.B) {
	s, limits, args := benchStream(b, 1)
	s.CreateGroup([]byte("g"), StreamID{}, 0)
	b.ReportAllocs()
	for b.Loop() {
		id, _ := s.Last().Next()
		if err := s.Add(id, args, limits); err != nil {
			b.Fatal(err)
		}
		g, _ := s.GroupForUpdate([]byte("g"))
		g.See([]byte("c"), 1)
		g.Advance(id)
		g.SetPending(Pending{ID: id, Delivered: 1, Count: 1, Consumer: "c"})
		g.Acknowledge(id)
	}
}
