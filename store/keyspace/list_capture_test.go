package keyspace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A capture is encoded by another goroutine, without a lock, while the lists,
// hashes and sets in it go on changing. What it holds must be what was there when
// it was taken; under -race this also proves that nobody writes to what it reads.
func TestCaptureOfCollections(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	ks := New()
	lim := ks.Limits()
	index := uint64(1)
	key := func(kind string) []byte { return fmt.Appendf(nil, "%s%d", kind, rnd.IntN(3)) }
	word := func() []byte { return fmt.Appendf(nil, "word-%d", rnd.IntN(2000)) }
	write := func() {
		index++
		ks.Begin(index, 1000)
		db := ks.DB(0)
		switch rnd.IntN(3) {
		case 0:
			k := key("list")
			l, err := db.ListForUpdate(k, true)
			if err != nil {
				t.Fatal(err)
			}
			for range rnd.IntN(20) + 1 {
				l.PushBack(word(), lim)
				l.PushFront(word(), lim)
			}
			l.Set(rnd.IntN(l.Len()), word(), lim)
			l.Insert(rnd.IntN(l.Len()), word(), lim)
			l.Remove(word(), 2, true, lim)
			for range min(rnd.IntN(20), l.Len()-1) {
				l.PopFront()
			}
			l.Trim(min(5, l.Len()-1), min(l.Len()-min(5, l.Len()-1), 5000))
			if l.Len() == 0 {
				db.Delete(k)
			}
		case 1:
			k := key("hash")
			h, err := db.HashForUpdate(k, true)
			if err != nil {
				t.Fatal(err)
			}
			for range rnd.IntN(20) + 1 {
				h.Set(word(), word(), lim)
				h.Delete(word())
			}
			if h.Len() == 0 {
				db.Delete(k)
			}
		case 2:
			k := key("set")
			s, err := db.SetForUpdate(k, true)
			if err != nil {
				t.Fatal(err)
			}
			for range rnd.IntN(20) + 1 {
				s.Add(word(), lim)
				s.Remove(word())
				s.Add(fmt.Append(nil, rnd.IntN(1000)), lim)
			}
			if s.Len() == 0 {
				db.Delete(k)
			}
		}
		if rnd.IntN(50) == 0 {
			db.Move(key("hash"), &db, key("hash"))
			db.Copy(key("set"), &db, key("set"))
		}
	}
	encode := func(f *Frozen) []byte {
		var e Encoder
		f.Encode(&e)
		return e.Take()
	}
	for range 500 {
		write()
	}
	for range 20 {
		f := ks.Capture()
		want := encode(f)
		encoded := make(chan []byte)
		go func() {
			var got []byte
			for range 3 {
				got = encode(f)
			}
			encoded <- got
		}()
		var got []byte
		for got == nil {
			write()
			select {
			case got = <-encoded:
			default:
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatal("a capture changed while it was encoded")
		}
		restored, err := Decode(NewDecoder(want))
		if err != nil {
			t.Fatal(err)
		}
		if again := encode(restored.Capture()); !bytes.Equal(again, want) {
			t.Fatal("a restored keyspace is not what was captured")
		}
	}
}
