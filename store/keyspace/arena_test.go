package keyspace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// Every size has a class that it fits, and that wastes no more than a sixteenth of it or
// seven bytes.
func TestClasses(t *testing.T) {
	for size := 1; size <= maxSmall; size++ {
		room := classBytes(classOf(size))
		if room < size || room > max(size+7, size+size/16+1) {
			t.Fatalf("%d bytes take %d", size, room)
		}
		if size > 1 && classOf(size) < classOf(size-1) {
			t.Fatalf("%d bytes are of an earlier class than %d", size, size-1)
		}
	}
	if c := classOf(maxSmall); c != classes-1 {
		t.Errorf("the largest class is %d of %d", c, classes)
	}
}

// What is allocated keeps its contents until it is released, and the sums are right.
func TestArenaModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a arena
		type piece struct {
			ref
			f   form
			key []byte
		}
		var pieces []piece
		live := int64(0)
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			if len(pieces) > 0 && rapid.IntRange(0, 2).Draw(t, "release") == 0 {
				i := rapid.IntRange(0, len(pieces)-1).Draw(t, "which")
				live -= int64(roomFor(pieces[i].f.size()))
				a.release(pieces[i].ref)
				pieces[i] = pieces[len(pieces)-1]
				pieces = pieces[:len(pieces)-1]
				continue
			}
			key := bytes.Repeat([]byte{byte(len(pieces))}, rapid.SampledFrom([]int{0, 1, 20, 300, 3000, 5000, 70000}).Draw(t, "key"))
			f := form{at: rapid.SampledFrom([]int64{0, 1 << 40}).Draw(t, "at"), boxed: rapid.Bool().Draw(t, "boxed"), key: len(key)}
			if !f.boxed {
				f.str = rapid.IntRange(0, 300).Draw(t, "str")
			}
			r := a.alloc(f.size())
			rec := a.at(r)
			rec.begin(f, key)
			rec.setKind(Hash)
			if f.boxed {
				rec.setBox(uint32(len(key)))
			} else {
				for i := range rec.inline() {
					rec.inline()[i] = byte(f.str)
				}
			}
			live += int64(roomFor(f.size()))
			pieces = append(pieces, piece{r, f, key})
		}
		for _, p := range pieces {
			rec := a.at(p.ref)
			if rec.form() != p.f || rec.size() != p.f.size() || !bytes.Equal(rec.key(), p.key) || rec.kind() != Hash {
				t.Fatalf("%+v of %d bytes is %+v of %d", p.f, p.f.size(), rec.form(), rec.size())
			}
			if p.f.boxed {
				if rec.box() != uint32(len(p.key)) {
					t.Fatal("another box")
				}
			} else if in := rec.inline(); len(in) != p.f.str || bytes.Count(in, []byte{byte(p.f.str)}) != len(in) {
				t.Fatal("another string")
			}
		}
		if a.live != live || a.held < live {
			t.Fatalf("%d bytes live of %d, want %d", a.live, a.held, live)
		}
		for _, p := range pieces {
			a.release(p.ref)
		}
		// A slab of each class may stay.
		if a.live != 0 || a.held > classes*slabBytes {
			t.Fatalf("%d bytes live of %d when nothing is left", a.live, a.held)
		}
	})
}

// Memory of keys that have gone comes back, though others stand between them, and
// these are what they were.
func TestSweep(t *testing.T) {
	const n = 60_000
	rng := rand.New(rand.NewPCG(1, 2))
	ks := New()
	revision := uint64(0)
	begin := func() DB {
		revision++
		ks.Begin(revision, int64(revision))
		return ks.DB(0)
	}
	name := func(i int) []byte { return fmt.Appendf(nil, "key:%d", i) }
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 20+i%100) }
	for i := range n {
		db := begin()
		db.Set(name(i), value(i), int64(i%3)<<40)
	}
	full := ks.dbs[0].arena.held
	left := map[int]bool{}
	for _, i := range rng.Perm(n) {
		if len(left) < n/10 {
			left[i] = true
			continue
		}
		db := begin()
		db.Delete(name(i))
	}
	a := &ks.dbs[0].arena
	for range 10_000 {
		db := begin()
		db.Set([]byte("another"), value(int(revision%2)*60), 0)
	}
	if waste := a.held - a.live; waste > max(sweepFrom, a.held/sweepPart)+slabBytes || a.held > full/4+slabBytes {
		t.Errorf("%d of %d bytes are free, of what were %d", waste, a.held, full)
	}
	db := begin()
	for i := range left {
		if got, ok, err := db.Get(name(i)); err != nil || !ok || !bytes.Equal(got, value(i)) {
			t.Fatalf("%s is %q, %v, %v", name(i), got, ok, err)
		}
		if at, _ := db.Expire(name(i)); at != int64(i%3)<<40 {
			t.Fatalf("%s expires at %d", name(i), at)
		}
	}
	expires := 0
	db.Due(1<<50, func(key []byte, _ int64) bool {
		expires++
		if db.d.find(key) < 0 {
			t.Errorf("%q is to expire and is not there", key)
		}
		return true
	})
	if expires != db.Expires() {
		t.Errorf("%d of %d deadlines", expires, db.Expires())
	}
}

// What dies while a capture lives is freed when that is released, and not before.
func TestGraves(t *testing.T) {
	ks := New()
	ks.Begin(1, 1)
	db := ks.DB(0)
	const n = 5000
	for i := range n {
		db.Set(fmt.Append(nil, i), make([]byte, 64), 0)
	}
	f := ks.Capture()
	want := encode(f)
	for round := range 3 {
		for i := range n {
			ks.Begin(uint64(2+round*n+i), 1)
			db := ks.DB(0)
			db.Set(fmt.Append(nil, i), bytes.Repeat([]byte{byte(round)}, 64), 0)
		}
	}
	a := &ks.dbs[0].arena
	if !bytes.Equal(encode(f), want) {
		t.Fatal("the capture has changed")
	}
	if both := a.live; both < 2*n*64 || both > 3*n*128 {
		t.Errorf("%d bytes for two states", both)
	}
	f.Release()
	for i := range 2 * n / digMost {
		ks.Begin(uint64(1<<20+i), 1)
	}
	if one := a.live; one > n*128 || ks.digging || len(ks.dbs[0].graves) > 0 {
		t.Errorf("%d bytes for one state, and %d graves", one, len(ks.dbs[0].graves))
	}
}

// Of a capture that is written once, what is written may change in place.
func TestOnce(t *testing.T) {
	ks := New()
	ks.Begin(1, 1)
	db := ks.DB(0)
	const n = 1000
	for i := range n {
		db.Set(fmt.Append(nil, i), []byte("before"), 0)
	}
	f := ks.Capture()
	want := encode(f)
	f.Once()
	changed := false
	e := Encoder{}
	passed := f.dbs[0].passed
	e.Flush = nil
	before := ks.dbs[0].arena.live
	f.Encode(&e)
	if got := e.Take(); !bytes.Equal(got, want) {
		t.Fatal("it is written otherwise")
	}
	if passed.Load() == 0 {
		t.Fatal("nobody knows how far it was written")
	}
	for i := range int(passed.Load()) {
		ks.Begin(uint64(2+i), 1)
		db := ks.DB(0)
		db.Set(fmt.Append(nil, i), []byte("behind"), 0)
		changed = true
	}
	if !changed || ks.dbs[0].arena.live != before {
		t.Errorf("%d bytes, before %d", ks.dbs[0].arena.live, before)
	}
}

// Small collections stand in records between two units, whatever becomes of them.
func TestCompact(t *testing.T) {
	ks := New()
	lim := ks.Limits()
	unit := uint64(0)
	do := func(f func(db *DB)) {
		unit++
		ks.Begin(unit, 1)
		db := ks.DB(0)
		f(&db)
		ks.Used()
	}
	in := func(key string) (boxed bool) { return ks.dbs[0].at(ks.dbs[0].find([]byte(key))).has(flagBoxed) }
	do(func(db *DB) {
		h, _ := db.HashForUpdate([]byte("hash"), true)
		h.Set([]byte("f"), []byte("v"), lim)
		l, _ := db.ListForUpdate([]byte("list"), true)
		l.PushBack([]byte("e"), lim)
		z, _ := db.ZSetForUpdate([]byte("zset"), true)
		z.Put([]byte("m"), 1, lim)
		s, _ := db.SetForUpdate([]byte("set"), true)
		s.Add([]byte("m"), lim)
	})
	for _, key := range []string{"hash", "list", "zset", "set"} {
		if in(key) {
			t.Errorf("the %s is in a box", key)
		}
	}
	do(func(db *DB) {
		l, _ := db.ListForUpdate([]byte("list"), false)
		for l.size <= maxCompact {
			l.PushBack([]byte("element"), lim)
		}
	})
	if !in("list") {
		t.Error("a long list is in its record")
	}
	do(func(db *DB) {
		l, _ := db.ListForUpdate([]byte("list"), false)
		for l.n > 1 {
			l.PopBack()
		}
	})
	if in("list") || ks.dbs[0].boxes.vec.n != len(ks.dbs[0].boxes.free) {
		t.Error("a short list is in a box")
	}
	// The box is used by another key in the same unit, the key is renamed, and gone.
	do(func(db *DB) {
		h, _ := db.HashForUpdate([]byte("hash"), false)
		h.Set([]byte("g"), []byte("w"), lim)
		db.Move([]byte("hash"), db, []byte("other"))
		z, _ := db.ZSetForUpdate([]byte("zset"), false)
		z.Put([]byte("n"), 2, lim)
		db.Delete([]byte("zset"))
		db.SetExpire([]byte("other"), 1<<40)
	})
	view := ks.View(0, 1)
	for _, key := range []string{"other", "list", "set"} {
		r := ks.dbs[0].at(ks.dbs[0].find([]byte(key)))
		if n, ok := compactBytes(objectOf(r, &ks.dbs[0].boxes.vec)); !ok || n != r.strLen() {
			t.Errorf("the %s takes %d bytes, not %d", key, r.strLen(), n)
		}
	}
	h, err := view.HashAt([]byte("other"))
	if err != nil || h.Len() != 2 || in("other") || ks.Used() != sumOfUsed(ks, 0) {
		t.Errorf("%v %v, %d bytes used, %d needed", h, err, ks.Used(), sumOfUsed(ks, 0))
	}
}
