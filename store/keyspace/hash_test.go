package keyspace

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type hashPair struct{ field, value string }

// checkHash compares every way to read a hash with the model. In the big form a
// deletion moves the last field, so there the model says how, too.
func checkHash(t *rapid.T, h *HashObject, model []hashPair) {
	t.Helper()
	if h.Len() != len(model) {
		t.Fatalf("length %d, want %d", h.Len(), len(model))
	}
	var got []hashPair
	for field, value := range h.All() {
		got = append(got, hashPair{string(field), string(value)})
	}
	if !slices.Equal(got, model) {
		t.Fatalf("fields %q\nwant %q", got, model)
	}
	pick := h.Picker()
	size := 0
	for i, want := range model {
		if value, ok := h.Get([]byte(want.field)); !ok || string(value) != want.value {
			t.Fatalf("field %q is %q, want %q", want.field, value, want.value)
		}
		for _, at := range []func(int) ([]byte, []byte){h.At, pick} {
			if field, value := at(i); string(field) != want.field || string(value) != want.value {
				t.Fatalf("field %d is %q %q, want %q", i, field, value, want)
			}
		}
		size += len(want.field) + len(want.value)
	}
	if h.dict != nil && h.size != size {
		t.Fatalf("size %d, want %d", h.size, size)
	}
}

func TestHashModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := limitsForTest().Draw(t, "limits")
		h, model, big, pictures := &HashObject{}, []hashPair{}, false, []frozen{}
		find := func(field string) int {
			return slices.IndexFunc(model, func(p hashPair) bool { return p.field == field })
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				checkHash(t, h, model)
				for _, p := range pictures {
					p.check(t)
				}
				if want := map[bool]string{true: "hashtable", false: "listpack"}[big]; h.Encoding() != want {
					t.Fatalf("encoding %s, want %s", h.Encoding(), want)
				}
			},
			"Set": func(t *rapid.T) {
				field, value := element().Draw(t, "field"), element().Draw(t, "value")
				model = slices.Clone(model)
				i := find(string(field))
				if i < 0 {
					model = append(model, hashPair{string(field), string(value)})
				} else {
					model[i].value = string(value)
				}
				if created := h.Set(field, value, lim); created != (i < 0) {
					t.Fatalf("created is %v", created)
				}
				big = big || int64(max(len(field), len(value))) > lim.HashMaxListpackValue || int64(len(model)) > lim.HashMaxListpackEntries
				clear(field) // arguments are the caller's
				clear(value)
			},
			"Delete": func(t *rapid.T) {
				field := element().Draw(t, "field")
				i := find(string(field))
				if h.Delete(field) != (i >= 0) {
					t.Fatalf("deleted is %v", i < 0)
				}
				switch {
				case i < 0:
				case big:
					model = slices.Clone(model)
					model[i] = model[len(model)-1]
					model = model[:len(model)-1]
				default:
					model = slices.Delete(slices.Clone(model), i, i+1)
				}
			},
			"Get": func(t *rapid.T) {
				field := element().Draw(t, "field")
				if _, ok := h.Get(field); ok != (find(string(field)) >= 0) {
					t.Fatalf("there is %v", ok)
				}
			},
			"Fork": func(t *rapid.T) {
				pictures = append(pictures, freeze(h))
				h = h.Fork().(*HashObject)
			},
			"Restore": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("an empty hash has no snapshot")
				}
				h = reencode(t, h).(*HashObject)
			},
		})
	})
}

// Whatever is there from the first call of a scan to the last is visited.
func TestHashScanGuarantee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := &Limits{}
		h := &HashObject{}
		key := func(i int) []byte { return []byte{byte(i), byte(i >> 8)} }
		n := rapid.IntRange(1, 200).Draw(t, "n")
		for i := range n {
			h.Set(key(i), nil, lim)
		}
		stays := map[int]bool{}
		for i := range n {
			stays[i] = true
		}
		seen := map[int]bool{}
		for cursor := uint64(0); ; {
			cursor = h.Scan(cursor, rapid.IntRange(1, 20).Draw(t, "count"), func(field, _ []byte) {
				seen[int(field[0])|int(field[1])<<8] = true
			})
			if cursor == 0 {
				break
			}
			for range rapid.IntRange(0, 5).Draw(t, "writes") {
				i := rapid.IntRange(0, 2*n).Draw(t, "i")
				if rapid.Bool().Draw(t, "delete") {
					h.Delete(key(i))
					delete(stays, i)
				} else {
					h.Set(key(i), nil, lim)
				}
			}
		}
		for i := range stays {
			if !seen[i] {
				t.Fatalf("field %d was there all the time and not visited", i)
			}
		}
	})
}

func TestHashDecodeRefuses(t *testing.T) {
	for _, in := range []string{"", "\x02\x00", "\x00\x00", "\x01\x00", "\x00\x01\x01a", "\x01\x02\x01a\x00\x01a\x00"} {
		d := NewDecoder([]byte(in))
		if decodeHash(d); d.Err() == nil {
			t.Errorf("%q was taken for a hash", in)
		}
	}
}

// An entry of every length around those where its frame grows.
func TestPackLengths(t *testing.T) {
	var p pack
	var want [][]byte
	for _, n := range []int{0, 1, 125, 126, 127, 128, 129, 16380, 16381, 16382, 16383, 16384, 16385, 1 << 20, 1<<21 - 4, 1<<21 - 1, 1 << 21} {
		b := bytes.Repeat([]byte{byte(n)}, n)
		want = append(want, b)
		p.insert(p.end(), b)
	}
	size := 0
	for _, b := range want {
		size += entrySize(len(b))
	}
	if p.size() != size {
		t.Errorf("size %d, want %d", p.size(), size)
	}
	i := 0
	for b := range p.all(p.start()) {
		if !bytes.Equal(b, want[i]) {
			t.Errorf("entry %d forwards has %d bytes, want %d", i, len(b), len(want[i]))
		}
		i++
	}
	for pos := p.end(); pos > p.start(); {
		i--
		pos = p.before(pos)
		if b, _ := p.at(pos); !bytes.Equal(b, want[i]) {
			t.Errorf("entry %d backwards has %d bytes, want %d", i, len(b), len(want[i]))
		}
	}
	if i != 0 {
		t.Errorf("%d entries were not found backwards", i)
	}
}
