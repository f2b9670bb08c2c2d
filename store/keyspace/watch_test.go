package keyspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// What Redis 7.0 counts as a change of a watched key, and what not.
func TestUnchanged(t *testing.T) {
	key := []byte("k")
	set := func(ttl int64) func(ks *Keyspace, db *DB) {
		return func(ks *Keyspace, db *DB) {
			at := int64(0)
			if ttl > 0 {
				at = ks.now + ttl
			}
			db.Set(key, []byte("v"), at)
		}
	}
	other := func(ks *Keyspace, db *DB) { db.Set([]byte("other"), nil, 0); db.Delete([]byte("other")) }
	del := func(ks *Keyspace, db *DB) { db.Delete(key) }
	flush := func(ks *Keyspace, db *DB) { db.Flush() }
	swap := func(ks *Keyspace, db *DB) { ks.Swap(0, 1) }
	swapElsewhere := func(ks *Keyspace, db *DB) { ks.Swap(1, 2) }
	setInOther := func(ks *Keyspace, db *DB) { o := ks.DB(1); o.Set(key, nil, 0) }
	setExpiringInOther := func(ks *Keyspace, db *DB) { o := ks.DB(1); o.Set(key, nil, ks.now+5) }
	moveAway := func(ks *Keyspace, db *DB) { o := ks.DB(1); db.Move(key, &o, key) }
	rename := func(ks *Keyspace, db *DB) { db.Move(key, db, key) }
	pass := func(ks *Keyspace, db *DB) { ks.now += 10 }
	expire := func(ks *Keyspace, db *DB) { db.SetExpire(key, ks.now+5) }
	type steps = []func(*Keyspace, *DB)
	for _, x := range []struct {
		name          string
		before, after steps
		unchanged     bool
	}{
		{"nothing", nil, nil, true},
		{"other keys", nil, steps{other, other}, true},
		{"made", nil, steps{set(0)}, false},
		{"made and deleted", nil, steps{set(0), del}, false},
		{"made and flushed", nil, steps{set(0), flush}, false},
		{"made and expired", nil, steps{set(5), pass}, false},
		{"absent, flush of nothing", nil, steps{flush}, true},
		{"absent, flush of others", steps{setInOther, other}, steps{flush}, true},
		{"absent, swap", steps{other}, steps{swap}, true},
		{"absent, swap of others", steps{setInOther}, steps{swapElsewhere}, true},
		{"absent, swap there and back", steps{other}, steps{swap, swap}, true},
		{"absent, swapped in", steps{setInOther}, steps{swap}, false},
		{"absent, swapped in and deleted", steps{setInOther}, steps{swap, del}, false},
		{"absent, swapped in and out", steps{setInOther}, steps{swap, swap}, false},
		{"absent, made elsewhere and swapped in and out", nil, steps{setInOther, swap, swap}, false},
		{"absent, made elsewhere", nil, steps{setInOther}, true},
		{"absent, moved away before", steps{set(0), moveAway}, steps{other}, true},
		{"expired before", steps{set(5), pass}, nil, true},
		{"expired before, removed", steps{set(5), pass}, steps{del}, true},
		{"expired before, flushed", steps{set(5), pass}, steps{flush}, true},
		{"expired before, made again", steps{set(5), pass}, steps{set(0)}, false},
		{"there", steps{set(0)}, steps{other}, true},
		{"overwritten", steps{set(0)}, steps{set(0)}, false},
		{"deleted", steps{set(0)}, steps{del}, false},
		{"deleted and made", steps{set(0)}, steps{del, set(0)}, false},
		{"flushed", steps{set(0)}, steps{flush}, false},
		{"renamed to itself", steps{set(0)}, steps{rename}, true},
		{"moved away", steps{set(0)}, steps{moveAway}, false},
		{"deadline", steps{set(0)}, steps{expire}, false},
		{"expires", steps{set(5)}, steps{pass}, false},
		{"swapped away", steps{set(0)}, steps{swap}, false},
		{"swapped for another", steps{set(0), setInOther}, steps{swap}, false},
		{"swapped away and back", steps{set(0)}, steps{swap, swap}, false},
		{"others swapped", steps{set(0), setInOther}, steps{swapElsewhere}, true},
		{"expired one swapped in and deleted: never let through what might be wrong", steps{setExpiringInOther, pass}, steps{swap, del}, false},
	} {
		ks := New()
		now := int64(0)
		run := func(all steps) {
			for _, f := range all {
				ks.Begin(ks.revision+1, now)
				db := ks.DB(0)
				f(ks, &db)
				now = ks.now
			}
		}
		run(x.before)
		m := ks.Mark(0, key, now)
		run(x.after)
		for _, again := range []bool{false, true} {
			if got := ks.Unchanged(0, key, m, now); got != x.unchanged {
				t.Errorf("%s: unchanged %v, restored %v", x.name, got, again)
			}
			index := ks.revision
			var err error
			if ks, err = Decode(NewDecoder(encode(ks.Capture()))); err != nil {
				t.Fatal(err)
			}
			ks.Begin(index, now)
		}
	}
}

// model is Redis's bookkeeping: keys that there are, and marks with the flag that
// a change sets.
type watchModel struct {
	dbs   [3]map[string]bool
	marks []watchMark
}

type watchMark struct {
	db      int
	key     string
	mark    Mark
	touched bool
	swaps   bool // since it was taken there was a SWAPDB of its database
	flushes bool // or a FLUSHDB of any
}

func (m *watchModel) touch(db int, key string) {
	for i := range m.marks {
		if w := &m.marks[i]; w.db == db && w.key == key {
			w.touched = true
		}
	}
}

// Random changes, against the flags that Redis would keep. A change is never
// missed, and what is no change aborts only where the journal cannot know.
func TestUnchangedRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		ks := New()
		var m watchModel
		for i := range m.dbs {
			m.dbs[i] = map[string]bool{}
		}
		for step := range 60 {
			ks.Begin(ks.revision+1, 0)
			a, key := rnd.IntN(3), fmt.Sprint(rnd.IntN(3))
			db := ks.DB(a)
			switch rnd.IntN(12) {
			case 0, 1, 2, 3:
				db.Set([]byte(key), nil, 0)
				m.dbs[a][key] = true
				m.touch(a, key)
			case 4, 5, 6, 7:
				if db.Delete([]byte(key)) {
					m.touch(a, key)
				}
				delete(m.dbs[a], key)
			case 8:
				db.Flush()
				for key := range m.dbs[a] {
					m.touch(a, key)
				}
				clear(m.dbs[a])
				for i := range m.marks {
					m.marks[i].flushes = true
				}
			case 9:
				b := rnd.IntN(3)
				if a == b {
					break
				}
				ks.Swap(a, b)
				for _, d := range []int{a, b} {
					for key := range m.dbs[d] {
						m.touch(a, key)
						m.touch(b, key)
					}
				}
				m.dbs[a], m.dbs[b] = m.dbs[b], m.dbs[a]
				for i := range m.marks {
					if w := &m.marks[i]; w.db == a || w.db == b {
						w.swaps = true
					}
				}
			default:
				m.marks = append(m.marks, watchMark{db: a, key: key, mark: ks.Mark(a, []byte(key), 0)})
			}
			for _, w := range m.marks {
				got := ks.Unchanged(w.db, []byte(w.key), w.mark, 0)
				if got && w.touched || !got && !w.touched && !(w.swaps && w.flushes) {
					t.Fatalf("step %d: database %d, key %s, mark %d: unchanged %v, touched %v", step, w.db, w.key, w.mark, got, w.touched)
				}
			}
		}
	}
}

// The journal is bounded, and where it ends a change is suspected rather than
// missed. What it holds survives a snapshot, and so does when it will forget.
func TestJournalForgets(t *testing.T) {
	ks := New()
	step := func() {
		ks.Begin(ks.revision+1, 0)
		db := ks.DB(0)
		db.Set([]byte("churn"), nil, 0)
		db.Delete([]byte("churn"))
	}
	for range journalEvents { // two events each: one more begins a new part
		step()
	}
	old := ks.Mark(0, []byte("k"), 0)
	for range journalEvents / 2 {
		step()
	}
	if !ks.Unchanged(0, []byte("k"), old, 0) {
		t.Error("forgotten too soon")
	}
	again, err := Decode(NewDecoder(encode(ks.Capture())))
	if err != nil {
		t.Fatal(err)
	}
	again.Begin(ks.revision, 0)
	for _, ks := range []*Keyspace{ks, again} {
		for range journalEvents/2 + 1 {
			ks.Begin(ks.revision+1, 0)
			db := ks.DB(0)
			db.Set([]byte("churn"), nil, 0)
			db.Delete([]byte("churn"))
		}
		if ks.Unchanged(0, []byte("k"), old, 0) {
			t.Error("nothing is forgotten")
		}
		if !ks.Unchanged(0, []byte("k"), ks.Mark(0, []byte("k"), 0), 0) {
			t.Error("a mark of now is taken for changed")
		}
	}
	if string(encode(ks.Capture())) != string(encode(again.Capture())) {
		t.Error("a node that was restored has another journal")
	}
	long := make([]byte, journalBytes)
	for range 4 { // keys that are long are held by few events
		ks.Begin(ks.revision+1, 0)
		db := ks.DB(0)
		db.Set(long, nil, 0)
		db.Delete(long)
	}
	if n := len(ks.journal.older.events) + len(ks.journal.newer.events); n > 4 {
		t.Errorf("%d events with long keys", n)
	}
}
