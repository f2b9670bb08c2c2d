package keyspace

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// bag is the simplest Object there can be.
type bag struct{ d *dict[int] }

func (b *bag) Kind() Kind       { return Set }
func (b *bag) Encoding() string { return "bag" }
func (b *bag) Fork() Object     { return &bag{b.d.fork()} }
func (b *bag) Bytes() int       { return b.d.len() }
func (b *bag) Encode(e *Encoder) {
	e.Uvarint(uint64(b.d.vec.n))
	for i := range b.d.vec.n {
		e.String(b.d.vec.at(i).key)
	}
}

func encode(f *Frozen) []byte {
	var e Encoder
	f.Encode(&e)
	return e.Take()
}

// model is what a keyspace should contain, kept in the plainest way.
type model [Databases]map[string]modelValue

type modelValue struct {
	s      string
	bag    map[string]bool
	expire int64
}

func (m *model) live(db int, key string, now int64) (modelValue, bool) {
	v, ok := m[db][key]
	return v, ok && (v.expire == 0 || v.expire > now)
}

func (m *model) check(t *rapid.T, ks *Keyspace, now int64) {
	for db := range m {
		view := ks.View(db, now)
		n := 0
		for key := range m[db] {
			v, ok := m.live(db, key, now)
			if !ok {
				if view.Exists([]byte(key)) {
					t.Fatalf("db %d: %q is visible after its deadline", db, key)
				}
				continue
			}
			n++
			if at, ok := view.Expire([]byte(key)); !ok || at != v.expire {
				t.Fatalf("db %d %q: deadline %d %v, want %d", db, key, at, ok, v.expire)
			}
			if v.bag == nil {
				if got, ok, err := view.Get([]byte(key)); err != nil || !ok || string(got) != v.s {
					t.Fatalf("db %d %q: %q %v %v, want %q", db, key, got, ok, err, v.s)
				}
				continue
			}
			o, err := view.object([]byte(key), Set)
			if err != nil || o == nil || o.(*bag).d.len() != len(v.bag) {
				t.Fatalf("db %d %q: %v %v, want %v", db, key, o, err, v.bag)
			}
			for member := range v.bag {
				if o.(*bag).d.find([]byte(member)) < 0 {
					t.Fatalf("db %d %q lacks %q", db, key, member)
				}
			}
		}
		visible, expires := 0, 0
		view.Scan(0, 1<<30, func([]byte, Kind) { visible++ })
		if visible != n {
			t.Fatalf("db %d shows %d keys, want %d", db, visible, n)
		}
		for i := range view.d.len() {
			r := view.d.at(i)
			if r.deadline() == 0 {
				continue
			}
			expires++
			if _, ok := view.d.expires.Get(deadline{r.deadline(), view.d.order.at(i)}); !ok {
				t.Fatalf("db %d: deadline of %q is not indexed", db, r.key())
			}
		}
		if sum := sumOfUsed(ks, db); ks.Used() < 0 || ks.UsedBy(db) != sum {
			t.Fatalf("db %d: %d bytes used, the keys need %d", db, ks.UsedBy(db), sum)
		}
		if view.Expires() != expires {
			t.Fatalf("db %d: %d deadlines, want %d", db, view.Expires(), expires)
		}
	}
}

// sumOfUsed adds up what MEMORY USAGE says of each key, the expired ones too.
func sumOfUsed(ks *Keyspace, db int) (sum int64) {
	view := ks.View(db, 0)
	view.Scan(0, 1<<30, func(key []byte, _ Kind) {
		in, _ := view.Info(key)
		sum += int64(in.Bytes)
	})
	return sum
}

// The invariant of value: whatever is written after a capture, the capture
// encodes to what it was. And the keyspace equals a plain model all along.
func TestKeyspaceModelAndCaptures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type picture struct {
			f    *Frozen
			want []byte
		}
		ks, m := New(), &model{}
		for i := range m {
			m[i] = map[string]modelValue{}
		}
		var pictures []picture
		objects := rapid.Bool().Draw(t, "objects")
		index, now := uint64(1), int64(1_000_000)
		ks.Begin(index, now)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			// An entry may carry several commands, and a capture falls between entries.
			if rapid.IntRange(0, 2).Draw(t, "entry") > 0 {
				index++
				now += int64(rapid.IntRange(0, 40).Draw(t, "ms"))
				ks.Begin(index, now)
			}
			a, b := rapid.IntRange(0, 2).Draw(t, "db"), rapid.IntRange(0, 2).Draw(t, "db2")
			db, to := ks.DB(a), ks.DB(b)
			key := fmt.Sprint("k", rapid.IntRange(0, 8).Draw(t, "key"))
			dst := fmt.Sprint("k", rapid.IntRange(0, 8).Draw(t, "dst"))
			data := rapid.StringMatching(`[a-z]{0,12}`).Draw(t, "data")
			v, ok := m.live(a, key, now)
			if !ok {
				v = modelValue{}
			}
			isBag := v.bag != nil
			switch rapid.IntRange(0, 13).Draw(t, "op") {
			case 0, 1:
				expire := int64(0)
				switch rapid.IntRange(0, 3).Draw(t, "ttl") {
				case 0:
					expire = now + int64(rapid.IntRange(1, 200).Draw(t, "in"))
				case 1:
					expire = KeepTTL
				}
				db.Set([]byte(key), []byte(data), expire)
				if expire == KeepTTL {
					expire = v.expire
				}
				m[a][key] = modelValue{s: data, expire: expire}
			case 2, 3:
				n, err := db.Append([]byte(key), []byte(data))
				if isBag != (err != nil) {
					t.Fatalf("append: %v", err)
				}
				if !isBag {
					v.s += data
					m[a][key] = v
					if n != len(v.s) {
						t.Fatalf("append gives %d, want %d", n, len(v.s))
					}
				}
			case 4:
				size := rapid.IntRange(1, 40).Draw(t, "size")
				buf, err := db.StringForUpdate([]byte(key), size)
				if isBag != (err != nil) {
					t.Fatalf("update: %v", err)
				}
				if !isBag {
					s := append([]byte(v.s), make([]byte, max(0, size-len(v.s)))...)
					s[size-1], buf[size-1] = 'X', 'X'
					v.s = string(s)
					m[a][key] = v
				}
			case 5, 6:
				if !objects {
					break
				}
				o, err := db.objectForUpdate([]byte(key), Set, func() Object { return &bag{&dict[int]{}} })
				if (ok && !isBag) != (err != nil) {
					t.Fatalf("bag: %v", err)
				}
				if err != nil {
					break
				}
				members := map[string]bool{data: true}
				for member := range v.bag {
					members[member] = true
				}
				if o.(*bag).d.find([]byte(data)) < 0 {
					o.(*bag).d.add(data, 0)
				}
				m[a][key] = modelValue{bag: members, expire: v.expire}
			case 7:
				at := now + int64(rapid.IntRange(1, 100).Draw(t, "in"))
				if rapid.Bool().Draw(t, "persist") {
					at = 0
				}
				if db.SetExpire([]byte(key), at) != ok {
					t.Fatal("SetExpire")
				}
				if v.expire = at; ok {
					m[a][key] = v
				}
			case 8:
				if db.Delete([]byte(key)) != ok {
					t.Fatal("Delete")
				}
				delete(m[a], key)
			case 9:
				if db.Move([]byte(key), &to, []byte(dst)) != ok {
					t.Fatal("Move")
				}
				if ok {
					delete(m[a], key)
					m[b][dst] = v
				}
			case 10:
				if isBag || a == b && key == dst {
					break
				}
				if db.Copy([]byte(key), &to, []byte(dst)) != ok {
					t.Fatal("Copy")
				}
				if ok {
					m[b][dst] = v
				}
			case 11:
				ks.Swap(a, b)
				m[a], m[b] = m[b], m[a]
			case 12:
				if rapid.IntRange(0, 4).Draw(t, "flush") == 0 {
					db.Flush()
					m[a] = map[string]modelValue{}
				}
			case 13:
				f := ks.Capture()
				pictures = append(pictures, picture{f, encode(f)})
			}
			m.check(t, ks, now)
		}
		for i, p := range pictures {
			if !bytes.Equal(encode(p.f), p.want) {
				t.Fatalf("capture %d of %d has changed", i, len(pictures))
			}
			if objects {
				continue
			}
			again, err := Decode(NewDecoder(p.want))
			if err != nil {
				t.Fatal(err)
			}
			for db := range Databases {
				if again.Used(); again.UsedBy(db) != sumOfUsed(again, db) {
					t.Fatalf("restored db %d: %d bytes used, the keys need %d", db, again.UsedBy(db), sumOfUsed(again, db))
				}
			}
			if !bytes.Equal(encode(again.Capture()), p.want) {
				t.Fatalf("capture %d: encode, decode, encode differs", i)
			}
		}
	})
}

// Encoding a capture runs beside writers; -race watches.
func TestCaptureWhileWriting(t *testing.T) {
	ks := New()
	ks.Begin(1, 1)
	db := ks.DB(0)
	for i := range 500 {
		db.Set(fmt.Append(nil, i), []byte("value"), 0)
		db.SetObject(fmt.Append(nil, "bag", i), &bag{&dict[int]{}}, 0)
	}
	f := ks.Capture()
	want := encode(f)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			if !bytes.Equal(encode(f), want) {
				t.Error("capture changed")
			}
		}
	})
	for i := range 500 {
		ks.Begin(uint64(i+2), 1)
		key, bagKey := fmt.Append(nil, i), fmt.Append(nil, "bag", i)
		switch i % 4 {
		case 0:
			db.Set(key, []byte("other"), 0)
		case 1:
			if _, err := db.Append(key, []byte("more")); err != nil {
				t.Error(err)
			}
		case 2:
			db.Delete(key)
		case 3:
			buf, err := db.StringForUpdate(key, 3)
			if err != nil {
				t.Error(err)
			}
			buf[0] = 'X'
		}
		for range 2 {
			o, err := db.objectForUpdate(bagKey, Set, nil)
			if err != nil {
				t.Error(err)
				break
			}
			o.(*bag).d.add(fmt.Sprint(o.(*bag).d.len()), 0)
		}
		db.Move(bagKey, &db, fmt.Append(nil, "moved", i))
	}
	wg.Wait()
}

func TestDue(t *testing.T) {
	ks := New()
	ks.Begin(1, 100)
	db := ks.DB(3)
	for i, at := range []int64{150, 120, 0, 180} {
		db.Set(fmt.Append(nil, i), nil, at)
	}
	if got := db.NextDeadline(); got != 120 {
		t.Errorf("next deadline %d", got)
	}
	var due []string
	db.Due(150, func(key []byte, _ int64) bool { due = append(due, string(key)); return true })
	if !slices.Equal(due, []string{"1", "0"}) {
		t.Errorf("due: %v", due)
	}
}

// Overwriting a value by one of the same size reuses its memory, but not while a
// capture may be looking at it.
func TestSetReusesMemory(t *testing.T) {
	ks := New()
	ks.Begin(1, 1)
	db := ks.DB(0)
	key, a, b := []byte("key"), []byte("aaaaaaaa"), []byte("bbbbbbbb")
	db.Set(key, a, 0)
	if n := testing.AllocsPerRun(100, func() { db.Set(key, b, 0) }); n != 0 {
		t.Errorf("%v allocations to overwrite", n)
	}
	f := ks.Capture()
	want := encode(f)
	db.Set(key, a, 0) // still the same entry
	ks.Begin(2, 1)
	db.Set(key, a, 0)
	if !bytes.Equal(encode(f), want) {
		t.Error("the capture saw a later write")
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = db.Get(key) }); n != 0 {
		t.Errorf("%v allocations to get", n)
	}
}
