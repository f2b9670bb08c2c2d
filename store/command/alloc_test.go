package command

import (
	"fmt"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// The hot path: GET allocates nothing, SET nothing but the key and the value, and
// to overwrite a value of the same size nothing at all.
func TestAllocations(t *testing.T) {
	table := testTable(t)
	ks := keyspace.New()
	ks.Begin(1, 1000)
	rnd := keyspace.NewRand(1)
	db, view := ks.DB(0), ks.View(0, 1000)
	w := &Write{Call: Call{Now: 1000, Rand: &rnd, Reply: Discard{}}, DB: &db, Space: ks}
	r := &Read{Call: Call{Now: 1000, Rand: &rnd, Reply: Discard{}}, DB: &view}
	value := make([]byte, 64)
	run := func(argv [][]byte) {
		s := table.Lookup(argv[0])
		if s.Read != nil {
			r.Args = argv
			s.Read(r)
		} else {
			w.Args = argv
			s.Write(w)
		}
	}
	call := func(words ...any) func() {
		argv := args(words...)
		return func() { run(argv) }
	}
	const runs = 1000
	fresh := make([][][]byte, 0, 2*runs)
	for i := range cap(fresh) {
		fresh = append(fresh, [][]byte{[]byte("SET"), fmt.Append(nil, "key", i), value})
	}
	next := 0
	for _, c := range []struct {
		name string
		most float64
		f    func()
	}{
		// The vector and the index grow now and then.
		{"SET of a new key", 2.1, func() { run(fresh[next]); next++ }},
		{"SET of the same", 0, func() { run(fresh[0]) }},
		{"GET", 0, call("GET", "key0")},
		{"GET of nothing", 0, call("GET", "nothing")},
		{"EXISTS", 0, call("EXISTS", "key0")},
		{"INCR", 0, call("INCR", "counter")},
		{"APPEND", 0.1, call("APPEND", "log", "entry")},
	} {
		if n := testing.AllocsPerRun(runs, c.f); n > c.most {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	for _, keys := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			ks := keyspace.New()
			ks.Begin(1, 1000)
			db := ks.DB(0)
			w := &Write{Call: Call{Now: 1000, Reply: Discard{}}, DB: &db, Space: ks}
			names := make([][]byte, keys)
			for i := range names {
				names[i] = fmt.Appendf(nil, "key:%012d", i)
			}
			w.Args = [][]byte{nil, nil, make([]byte, 64)}
			i := 0
			for b.Loop() {
				w.Args[1] = names[i*7919%keys]
				set(w)
				i++
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	const keys = 1_000_000
	ks := keyspace.New()
	ks.Begin(1, 1000)
	db := ks.DB(0)
	names := make([][]byte, keys)
	for i := range names {
		names[i] = fmt.Appendf(nil, "key:%012d", i)
		db.Set(names[i], make([]byte, 64), 0)
	}
	view := ks.View(0, 1000)
	r := &Read{Call: Call{Now: 1000, Reply: Discard{}}, DB: &view}
	r.Args = [][]byte{nil, nil}
	i := 0
	for b.Loop() {
		r.Args[1] = names[i*7919%keys]
		get(r)
		i++
	}
}
