package keyspace

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func dictKeys(d *dict[int]) []string {
	var keys []string
	for i := range d.len() {
		keys = append(keys, d.at(i).key)
	}
	return keys
}

// A dict behaves as a map with an order that depends on the operations alone,
// while it grows and shrinks through several sizes of its index.
func TestDictModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type picture struct {
			d    *dict[int]
			keys []string
			vals []int
		}
		d := &dict[int]{}
		order, vals := []string(nil), map[string]int{}
		var pictures []picture
		add := func(key string, v int) {
			if pos := d.find([]byte(key)); pos >= 0 {
				d.mut(pos).val = v
			} else if pos := d.add(key, v); pos != len(order) {
				t.Fatalf("added at %d, want %d", pos, len(order))
			} else {
				order = append(order, key)
			}
			vals[key] = v
		}
		remove := func(key string) {
			pos, want := d.find([]byte(key)), slices.Index(order, key)
			if pos != want {
				t.Fatalf("%q at %d, want %d", key, pos, want)
			}
			if pos < 0 {
				return
			}
			d.remove(pos)
			order[pos] = order[len(order)-1]
			order = order[:len(order)-1]
			delete(vals, key)
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, 1500).Draw(t, "key"))
			switch rapid.IntRange(0, 6).Draw(t, "op") {
			case 0: // a burst, to get from one size of the index to the next
				from := rapid.IntRange(0, 1500).Draw(t, "from")
				for j := range rapid.IntRange(1, 300).Draw(t, "burst") {
					add(fmt.Sprint(from+j), i)
				}
			case 1:
				for range rapid.IntRange(1, 400).Draw(t, "removals") {
					if len(order) == 0 {
						break
					}
					remove(order[(i*7919)%len(order)])
				}
			case 2:
				remove(key)
			case 3:
				p := picture{d: d, keys: slices.Clone(order)}
				for _, k := range order {
					p.vals = append(p.vals, vals[k])
				}
				pictures, d = append(pictures, p), d.fork()
			default:
				add(key, i)
			}
			if got := dictKeys(d); !slices.Equal(got, order) {
				t.Fatalf("order %v, want %v", got, order)
			}
			for pos, key := range order {
				if got := d.find([]byte(key)); got != pos || d.at(pos).val != vals[key] {
					t.Fatalf("%q: found at %d, want %d", key, got, pos)
				}
			}
			if d.find([]byte("absent")) >= 0 {
				t.Fatal("found an absent key")
			}
		}
		for _, p := range pictures {
			if got := dictKeys(p.d); !slices.Equal(got, p.keys) {
				t.Fatalf("forked-from dict changed: %v, want %v", got, p.keys)
			}
			for i, v := range p.vals {
				if p.d.at(i).val != v {
					t.Fatalf("forked-from dict changed at %d", i)
				}
			}
		}
	})
}

// Every item that is there throughout a scan is visited, whatever else is added
// and removed between the calls.
func TestDictScanGuarantee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &dict[int]{}
		n := rapid.IntRange(0, 300).Draw(t, "n")
		for i := range n {
			d.add(fmt.Sprint("k", i), i)
		}
		stay := map[string]bool{}
		for i := range n {
			stay[fmt.Sprint("k", i)] = true
		}
		seen := map[string]bool{}
		cursor, fresh := uint64(0), 0
		for calls := 0; ; calls++ {
			cursor = d.scan(cursor, rapid.IntRange(1, 40).Draw(t, "count"), func(it *item[int]) { seen[it.key] = true })
			if cursor == 0 {
				break
			}
			for range rapid.IntRange(0, 30).Draw(t, "changes") {
				if d.len() > 0 && rapid.Bool().Draw(t, "remove") {
					pos := rapid.IntRange(0, d.len()-1).Draw(t, "pos")
					delete(stay, d.at(pos).key)
					d.remove(pos)
				} else if calls < 50 {
					fresh++
					d.add(fmt.Sprint("fresh", fresh), 0)
				}
			}
		}
		for key := range stay {
			if !seen[key] {
				t.Fatalf("scan missed %q", key)
			}
		}
	})
}

// A snapshot reads a dict without a lock while the store forks it and goes on
// writing: with -race this proves that fork writes to nothing that is read.
func TestDictForkWhileRead(t *testing.T) {
	d := &dict[int]{}
	for i := range 1000 {
		d.add(fmt.Sprint(i), i)
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	wg.Go(func() {
		close(start)
		for range 50 {
			for i := range d.vec.n {
				if it := d.vec.at(i); it.key != fmt.Sprint(i) || it.val != i {
					t.Errorf("item %d is %q %d", i, it.key, it.val)
					return
				}
			}
		}
	})
	<-start
	live := d.fork()
	for i := range 1000 {
		live.mut(i).val = -1
		live.add(fmt.Sprint("new", i), i)
	}
	for live.len() > 0 {
		live.remove(0)
	}
	wg.Wait()
}
