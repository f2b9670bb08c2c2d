package evict

import (
	"fmt"
	"testing"

	"github.com/raftredis/raftredis/store/keyspace"
)

// newKeyspace returns one with n keys, and that policy.
func newKeyspace(t *testing.T, policy string, n int) *keyspace.Keyspace {
	t.Helper()
	ks := keyspace.New()
	ks.Begin(1, 1000)
	db := ks.DB(0)
	l := *ks.Limits()
	for name, value := range map[string]int64{"maxmemory": 1 << 20, "maxmemory-policy": int64(policyOf(t, policy))} {
		limit, _ := keyspace.FindLimit(name)
		if !limit.Set(&l, value) {
			t.Fatalf("%s %d", name, value)
		}
	}
	db.SetLimits(l)
	db = ks.DB(0)
	for i := range n {
		db.Set(fmt.Appendf(nil, "key:%d", i), []byte("value"), 0)
	}
	return ks
}

func policyOf(t *testing.T, name string) keyspace.Policy {
	t.Helper()
	for p := keyspace.VolatileLRU; p <= keyspace.VolatileLHD; p++ {
		if p.String() == name {
			return p
		}
	}
	t.Fatalf("no policy %s", name)
	return 0
}

// TestChooseByUse: of keys that are read all the time, and others that are not, the
// others go, whichever policy it is that goes by use.
func TestChooseByUse(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-lhd"} {
		t.Run(policy, func(t *testing.T) {
			const n = 1000
			ks := newKeyspace(t, policy, n)
			chance := keyspace.NewRand(1)
			now := int64(1000)
			for range 30 {
				now += 1000
				view := ks.View(0, now)
				view.Chance = &chance
				for i := 0; i < n; i += 2 {
					if _, ok, err := view.Get(fmt.Appendf(nil, "key:%d", i)); err != nil || !ok {
						t.Fatal(ok, err)
					}
				}
			}
			keys := NewChooser(1).Choose(ks, now, 1<<40, n/4)
			wrong := 0
			for _, k := range keys {
				var i int
				if _, err := fmt.Sscanf(k.Name, "key:%d", &i); err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 {
					wrong++
				}
			}
			if len(keys) != n/4 || wrong > n/100 {
				t.Errorf("chosen are %d, %d of which are read all the time", len(keys), wrong)
			}
		})
	}
}

// TestReturned: under LHD a key that was evicted and comes back is one that was used
// before, and what has been learned is worth something to another keyspace of the node.
func TestReturned(t *testing.T) {
	ks := newKeyspace(t, "allkeys-lhd", 1)
	chance := keyspace.NewRand(1)
	view := ks.View(0, 2000)
	view.Chance = &chance
	key := []byte("key:0")
	if _, _, err := view.Get(key); err != nil {
		t.Fatal(err)
	}
	freq := func() uint8 {
		c, _ := ks.FindCandidate(0, key, keyspace.AllKeysLHD, 3000)
		return c.Freq
	}
	before := freq()
	ks.Begin(2, 3000)
	db := ks.DB(0)
	if !db.Evict(key, keyspace.AllKeysLHD) {
		t.Fatal("not evicted")
	}
	db.Set(key, nil, 0)
	if after := freq(); before != 1 || after != 2 {
		t.Errorf("used %d times, and %d times after it came back", before, after)
	}
	if ks.LearnedBytes() == 0 {
		t.Error("nothing has been learned")
	}
	other := newKeyspace(t, "allkeys-lhd", 1)
	other.Inherit(ks)
	if other.LearnedBytes() != ks.LearnedBytes() {
		t.Error("nothing was inherited")
	}
	l := *ks.Limits()
	limit, _ := keyspace.FindLimit("maxmemory-policy")
	limit.Set(&l, int64(keyspace.AllKeysLRU))
	if db.SetLimits(l); ks.LearnedBytes() != 0 {
		t.Error("another policy takes memory for what it does not use")
	}
}
