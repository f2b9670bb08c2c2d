package keyspace

import "testing"

// A command uses a key once, whether it reads it, writes it, or both.
func TestCountedOnce(t *testing.T) {
	ks := New()
	ks.Begin(1, 1000)
	db := ks.DB(0)
	l := *ks.Limits()
	l.MaxMemoryPolicy, l.LFULogFactor = int64(AllKeysLFU), 0 // each use counts one
	db.SetLimits(l)
	key := []byte("key")
	db.Set(key, []byte("1"), 0)
	hits := func() uint8 {
		_, n := ks.dbs[0].at(ks.dbs[0].find(key)).accessed()
		return n
	}
	if hits() != newHits {
		t.Fatalf("%d uses of a new key", hits())
	}
	for i, command := range []func(db *DB){
		func(db *DB) { _, _, _ = db.Get(key) },
		func(db *DB) { db.Set(key, []byte("2"), 0) },
		func(db *DB) { _, _, _ = db.Get(key); db.Set(key, []byte("3"), KeepTTL) },
		func(db *DB) { _, _ = db.Append(key, []byte("4")); db.SetExpire(key, 5000) },
	} {
		ks.Begin(uint64(2+i), 1000)
		db := ks.DB(0)
		before := hits()
		if command(&db); hits() != before+1 {
			t.Errorf("command %d: %d uses", i, hits()-before)
		}
	}
	// What is applied must not see it: another member may have seen other reads.
	db = ks.DB(0)
	if in, _ := db.Info(key); in.Freq != newHits || in.Idle != 0 {
		t.Errorf("an entry can tell how often a key was used: %+v", in)
	}
}

// Whoever reads what was frozen is told of no use of a key that has gone since, and a key is
// never taken for one that has, whenever and however often it was used.
func TestDead(t *testing.T) {
	ks := New()
	ks.Begin(1, 1000)
	db := ks.DB(0)
	key := []byte("key")
	db.Set(key, []byte("1"), 0)
	f := ks.Capture()
	defer f.Release()
	ks.Begin(2, 1000)
	db = ks.DB(0)
	db.Delete(key)
	still := f.Still()
	v := still.View(0, 1000)
	if in, ok := v.Info(key); !ok || in.Freq != newHits || in.Idle != 0 {
		t.Errorf("a key that has gone since: %+v, %v", in, ok)
	}
	var r record
	if r.setAccessed(1<<stampBits-1, 255); r.dead() {
		t.Error("a key that was used is dead")
	}
}
