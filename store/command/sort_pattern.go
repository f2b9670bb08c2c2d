package command

import (
	"bytes"

	"github.com/raftredis/raftredis/store/keyspace"
)

// pattern is what BY and GET take: # for the element itself, else a key with the
// element in place of its first *, and perhaps -> and a field of the hash there.
type pattern struct {
	self           bool
	never          bool // it has no *, and stands for nothing
	prefix, suffix []byte
	field          []byte // nil: the key is a string
	keys           []byte // memory that follow uses again
}

func parsePattern(text []byte) pattern {
	prefix, suffix, ok := bytes.Cut(text, []byte("*"))
	p := pattern{self: string(text) == "#", never: !ok, prefix: prefix, suffix: suffix}
	if i := bytes.Index(suffix, []byte("->")); i >= 0 && i+2 < len(suffix) {
		p.suffix, p.field = suffix[:i], suffix[i+2:]
	}
	return p
}

// follow puts the values that the pattern stands for into values: nil where there
// is none, or one of another type. There are at most MaxAhead elements: what many
// lookups in a row wait for is memory, and so they look ahead together.
func (p *pattern) follow(v *keyspace.View, elements, values [][]byte) {
	if p.self {
		copy(values, elements)
		return
	}
	if p.never {
		clear(values[:len(elements)])
		return
	}
	var room [keyspace.MaxAhead][]byte
	keys := room[:len(elements)]
	p.keys = p.keys[:0]
	for i, e := range elements {
		// Growing leaves the keys before where they are.
		from := len(p.keys)
		p.keys = append(append(append(p.keys, p.prefix...), e...), p.suffix...)
		keys[i] = p.keys[from:]
	}
	v.LookAhead(keys)
	for i, key := range keys {
		values[i] = p.value(v, key)
	}
}

func (p *pattern) value(v *keyspace.View, key []byte) []byte {
	var value []byte
	var ok bool
	if p.field == nil {
		var err error
		if value, ok, err = v.Get(key); err != nil {
			return nil
		}
	} else {
		h, err := v.HashAt(key)
		if h == nil || err != nil {
			return nil
		}
		value, ok = h.Get(p.field)
	}
	if ok && value == nil {
		return []byte{} // it is there
	}
	return value
}
