package keyspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestLookAhead looks ahead to keys in every state that a dict can be in, while it
// grows and shrinks, and sees that nothing comes of it but the right answers
// afterwards.
func TestLookAhead(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	ks := New()
	model := map[string]string{}
	var keys [][]byte
	for i := range 3000 {
		key := fmt.Appendf(nil, "key:%d", i)
		if i == 0 {
			key = nil // the empty key is one like any other
		}
		keys = append(keys, key)
	}
	now := int64(1000)
	for step := range 20000 {
		now++
		ks.Begin(uint64(step+1), now)
		db := ks.DB(0)
		key := keys[rng.IntN(1+min(step, len(keys)-1))]
		switch rng.IntN(8) {
		case 0, 1:
			db.Delete(key)
			delete(model, string(key))
		case 2:
			db.SetObject(key, &bag{&dict[int]{}}, 0)
			model[string(key)] = "bag"
		default:
			val := make([]byte, rng.IntN(300))
			db.Set(key, val, 0)
			model[string(key)] = string(val)
		}
		if step%16 != 0 {
			continue
		}
		some := make([][]byte, rng.IntN(MaxAhead+8))
		for i := range some {
			some[i] = keys[rng.IntN(len(keys))]
		}
		view := ks.View(0, now)
		view.LookAhead(some)
		view.RemoveAhead(some)
		for _, k := range some {
			if _, want := model[string(k)]; view.Exists(k) != want {
				t.Fatalf("step %d: key %q exists: %v, want %v", step, k, !want, want)
			}
		}
	}
}

// TestCallsAhead looks ahead to members of collections of all kinds and sizes, and sees
// that nothing comes of it, and that a dict that has stopped growing has one table.
func TestCallsAhead(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	ks := New()
	names := []string{"string", "hash", "set", "ints", "zset", "list", "none"}
	for step := range 30000 {
		ks.Begin(uint64(step+1), 1)
		db := ks.DB(0)
		member := fmt.Append(nil, rng.IntN(1+step/10))
		switch name := names[rng.IntN(len(names))]; name {
		case "string":
			db.Set([]byte(name), member, 0)
		case "hash":
			h, _ := db.HashForUpdate([]byte(name), true)
			h.Set(member, member, ks.Limits())
		case "set":
			s, _ := db.SetForUpdate([]byte(name), true)
			s.Add(append(member, 'x'), ks.Limits())
		case "ints":
			s, _ := db.SetForUpdate([]byte(name), true)
			s.Add(member, ks.Limits())
		case "zset":
			z, _ := db.ZSetForUpdate([]byte(name), true)
			z.Put(member, float64(rng.IntN(10)), ks.Limits())
		case "list":
			l, _ := db.ListForUpdate([]byte(name), true)
			l.PushBack(member, ks.Limits())
		}
		if step%50 == 0 {
			keys, args := make([][]byte, rng.IntN(MaxAhead+8)), make([][2][]byte, MaxAhead+8)
			for i := range keys {
				keys[i] = []byte(names[rng.IntN(len(names))])
				args[i] = [2][]byte{fmt.Append(nil, rng.IntN(1+step/10)), fmt.Append(nil, rng.IntN(1+step/10))}
			}
			view := ks.View(0, 1)
			view.CallsAhead(keys, args)
		}
	}
	ks.Begin(40000, 1)
	db := ks.DB(0)
	h, err := db.HashForUpdate([]byte("hash"), false)
	if err != nil {
		t.Fatal(err)
	}
	for range 1 + len(h.dict.idx.old)/moveAtOnce {
		field, value := h.At(rng.IntN(h.Len()))
		h.Set(field, value, ks.Limits())
	}
	if left := len(h.dict.idx.old); left > 0 {
		t.Errorf("%d slots of a table are left", left)
	}
	for i := range h.Len() {
		field, value := h.At(i)
		if got, ok := h.Get(field); !ok || string(got) != string(value) {
			t.Fatalf("field %q is %q, %v; want %q", field, got, ok, value)
		}
	}
}

// BenchmarkLookAhead looks up random keys of a million, MaxAhead at a time, with
// and without looking ahead.
func BenchmarkLookAhead(b *testing.B) {
	ks := New()
	ks.Begin(1, 1)
	db := ks.DB(0)
	var keys [][]byte
	for i := range 1_000_000 {
		key := fmt.Appendf(nil, "key:%012d", i)
		keys = append(keys, key)
		db.Set(key, make([]byte, 64), 0)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, ahead := range []bool{false, true} {
		b.Run(fmt.Sprint(ahead), func(b *testing.B) {
			view := ks.View(0, 1)
			sum := 0
			for at := 0; b.Loop(); at = (at + MaxAhead) % (len(keys) - MaxAhead) {
				some := keys[at : at+MaxAhead]
				if ahead {
					view.LookAhead(some)
				}
				for _, k := range some {
					v, _, _ := view.Get(k)
					sum += int(v[0])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/MaxAhead, "ns/key")
		})
	}
}

// BenchmarkCallsAhead sets random fields of one hash of a hundred thousand, MaxAhead at a
// time, with and without looking ahead.
func BenchmarkCallsAhead(b *testing.B) {
	ks := New()
	ks.Begin(1, 1)
	db := ks.DB(0)
	h, err := db.HashForUpdate([]byte("h"), true)
	if err != nil {
		b.Fatal(err)
	}
	var args [][2][]byte
	for i := range 100_000 {
		field := fmt.Appendf(nil, "element:%012d", i)
		args = append(args, [2][]byte{field, []byte("VXK")})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(args), func(i, j int) { args[i], args[j] = args[j], args[i] })
	for _, a := range args {
		h.Set(a[0], a[1], ks.Limits())
	}
	rng.Shuffle(len(args), func(i, j int) { args[i], args[j] = args[j], args[i] })
	keys := make([][]byte, MaxAhead)
	for i := range keys {
		keys[i] = []byte("h")
	}
	for _, ahead := range []bool{false, true} {
		b.Run(fmt.Sprint(ahead), func(b *testing.B) {
			view := ks.View(0, 1)
			some := make([][2][]byte, MaxAhead)
			arena := make([]byte, 0, MaxAhead*len(args[0][0]))
			for at := 0; b.Loop(); at = (at + MaxAhead) % (len(args) - MaxAhead) {
				arena = arena[:0] // arguments stand one after the other in an entry
				for i := range some {
					arena = append(arena, args[at+i][0]...)
					some[i] = [2][]byte{arena[len(arena)-len(args[0][0]):], args[0][1]}
				}
				if ahead {
					view.CallsAhead(keys, some)
				}
				for _, a := range some {
					h.Set(a[0], a[1], ks.Limits())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/MaxAhead, "ns/key")
		})
	}
}
