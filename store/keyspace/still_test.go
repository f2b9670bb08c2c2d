package keyspace

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// What is read of a frozen keyspace is what was there, whatever becomes of the living
// one meanwhile.
func TestStill(t *testing.T) {
	ks := everyType(t, 128, 3, 600)
	ks.SetEvents(EventMiss | EventKeyspace)
	look := func(v View) string {
		var b bytes.Buffer
		fmt.Fprintln(&b, v.Len(), v.Expires(), v.NextDeadline())
		for i := range v.Len() {
			key, _ := v.At(i)
			payload, ok := v.Dump(key)
			info, _ := v.Info(key)
			at, _ := v.Expire(key)
			fmt.Fprintf(&b, "%s %v %x %s %d\n", key, ok, payload, info.Encoding, at)
		}
		for _, n := range []int{3, 600} {
			key := func(kind string) []byte { return fmt.Append(nil, kind, n) }
			for i := range n {
				member := fmt.Appendf(nil, "member%d", i)
				set, _ := v.SetAt(key("set"))
				hash, _ := v.HashAt(key("hash"))
				zset, _ := v.ZSetAt(key("zset"))
				value, ok := hash.Get(member)
				score, there := zset.Score(member)
				fmt.Fprintln(&b, set.Has(member), string(value), ok, score, there)
			}
		}
		return b.String()
	}
	want := look(ks.View(0, 1000))
	f := ks.Capture()
	change := func(revision uint64) {
		ks.Begin(revision, 1000)
		db, lim := ks.DB(0), ks.Limits()
		for _, n := range []int{3, 600} {
			key := func(kind string) []byte { return fmt.Append(nil, kind, n) }
			set, _ := db.SetForUpdate(key("set"), false)
			set.Remove([]byte("member1"))
			hash, _ := db.HashForUpdate(key("hash"), false)
			hash.Set([]byte("member2"), fmt.Append(nil, revision), lim)
			hash.Delete([]byte("member1"))
			zset, _ := db.ZSetForUpdate(key("zset"), false)
			zset.Remove([]byte("member1"))
			zset.Put([]byte("member0"), float64(revision), lim)
		}
		db.Set(fmt.Append(nil, "new", revision), []byte("x"), 2000)
	}
	change(10)
	still := f.Still()
	v := still.View(0, 1000)
	if v.Lookup([]byte("none"), false); !slices.Equal(v.Lookups.Missed, []string{"none"}) {
		t.Errorf("missed %q", v.Lookups.Missed)
	}
	if got := look(still.View(0, 1000)); got != want {
		t.Errorf("what is read is not what was there:\n%.2000s", got)
	}
	change(11)
	if got := look(still.View(0, 1000)); got != want {
		t.Error("what was there has changed")
	}
	if v := still.View(1, 1000); v.Len() != 0 {
		t.Error("there are keys in an empty database")
	}
}
