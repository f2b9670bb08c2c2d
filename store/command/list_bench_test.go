package command

import (
	"fmt"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// bench runs handlers as an applier does, without log, locks or protocol.
type bench struct {
	b     *testing.B
	table *Table
	w     Write
	r     Read
	rnd   keyspace.Rand
}

func newBench(b *testing.B) *bench {
	ks := keyspace.New()
	ks.Begin(1, 1000)
	db, view := ks.DB(0), ks.View(0, 1000)
	s := &bench{b: b, table: testTable(b), rnd: keyspace.NewRand(1)}
	call := Call{Now: 1000, Rand: &s.rnd, Reply: Discard{}}
	s.w, s.r = Write{Call: call, DB: &db, Space: ks}, Read{Call: call, DB: &view}
	return s
}

func (s *bench) run(argv ...[]byte) {
	spec := s.table.Lookup(argv[0])
	if spec.Write != nil {
		s.w.Args = argv
		spec.Write(&s.w)
	} else {
		s.r.Args = argv
		spec.Read(&s.r)
	}
}

// benchNames are keys, elements or fields, as many as redis-benchmark -r draws from.
func benchNames(prefix string, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = fmt.Appendf(nil, "%s:%012d", prefix, i)
	}
	return all
}

// The calls of redis-benchmark: 3 bytes of data, one key.
func BenchmarkCollections(b *testing.B) {
	xxx := []byte("xxx")
	const many = 100_000
	for _, c := range []struct {
		name  string
		setup func(*bench)
		call  func(s *bench, i int)
	}{
		{"LPUSH", nil, func(s *bench, _ int) { s.run([]byte("LPUSH"), []byte("mylist"), xxx) }},
		{"RPUSH", nil, func(s *bench, _ int) { s.run([]byte("RPUSH"), []byte("mylist"), xxx) }},
		{"LPUSH+LPOP", nil, func(s *bench, i int) {
			if i%2 == 0 {
				s.run([]byte("LPUSH"), []byte("mylist"), xxx)
			} else {
				s.run([]byte("LPOP"), []byte("mylist"))
			}
		}},
		{"RPUSH+LPOP of a long list", func(s *bench) {
			for range many {
				s.run([]byte("RPUSH"), []byte("mylist"), xxx)
			}
		}, func(s *bench, i int) {
			if i%2 == 0 {
				s.run([]byte("RPUSH"), []byte("mylist"), xxx)
			} else {
				s.run([]byte("LPOP"), []byte("mylist"))
			}
		}},
		{"LRANGE_100", func(s *bench) {
			for range many {
				s.run([]byte("RPUSH"), []byte("mylist"), xxx)
			}
		}, func(s *bench, _ int) { s.run([]byte("LRANGE"), []byte("mylist"), []byte("0"), []byte("99")) }},
		{"LINDEX of the middle", func(s *bench) {
			for range many {
				s.run([]byte("RPUSH"), []byte("mylist"), xxx)
			}
		}, func(s *bench, _ int) { s.run([]byte("LINDEX"), []byte("mylist"), []byte("50000")) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newBench(b)
			if c.setup != nil {
				c.setup(s)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.call(s, i)
				i++
			}
		})
	}
	members := benchNames("element", many)
	for _, c := range []struct {
		name string
		call func(s *bench, m []byte)
	}{
		{"SADD", func(s *bench, m []byte) { s.run([]byte("SADD"), []byte("myset"), m) }},
		{"HSET", func(s *bench, m []byte) { s.run([]byte("HSET"), []byte("myhash"), m, xxx) }},
		{"HSET of small ones", func(s *bench, m []byte) { s.run([]byte("HSET"), m[:len(m)-2], m[len(m)-2:], xxx) }},
		{"SADD+SPOP", func(s *bench, m []byte) {
			s.run([]byte("SADD"), []byte("myset"), m)
			s.run([]byte("SPOP"), []byte("myset"))
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newBench(b)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.call(s, members[i*7919%many])
				i++
			}
		})
	}
}
