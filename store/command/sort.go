package command

import (
	"bytes"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Sorting declares SORT and SORT_RO.
func Sorting() []*Spec {
	return []*Spec{
		{
			Name: "sort", CountLookups: true, Arity: -2, Flags: DenyOOM | MovableKeys | Dangerous, Keys: []KeySpec{{Flags: "RO ACCESS", Index: 1, Step: 1}, {Flags: "RO ACCESS", Unknown: true}, {Flags: "OW UPDATE", Unknown: true}},
			Group: "generic", ACL: "set sortedset list", Since: "1.0.0", Complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).",
			Summary:  "Sort the elements in a list, set or sorted set",
			Syntax:   "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
			Write:    sortCommand,
			FindKeys: sortKeys,
			Foreign:  func(argv [][]byte) string { return sortForeign(argv, true) },
		},
		{
			Name: "sort_ro", Arity: -2, Flags: MovableKeys | Dangerous, Keys: []KeySpec{{Flags: "RO ACCESS", Index: 1, Step: 1}, {Flags: "RO ACCESS", Unknown: true}},
			Group: "generic", ACL: "set sortedset list", Since: "7.0.0", Complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).",
			Summary:  "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
			Syntax:   "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
			Read:     sortRO,
			FindKeys: sortROKeys,
			Foreign:  func(argv [][]byte) string { return sortForeign(argv, false) },
		},
	}
}

func sortKeys(argv [][]byte) []KeyRef {
	refs := []KeyRef{{Pos: 1, Flags: "RO ACCESS"}}
	for i := 2; i < len(argv); i++ {
		switch {
		case EqualFold(argv[i], "limit"):
			i += 2
		case EqualFold(argv[i], "get"), EqualFold(argv[i], "by"):
			i++
		case EqualFold(argv[i], "store") && i+1 < len(argv):
			refs = append(refs[:1], KeyRef{Pos: i + 1, Flags: "OW UPDATE"}) // the last one counts
			i++
		}
	}
	return refs
}

func sortROKeys([][]byte) []KeyRef { return []KeyRef{{Pos: 1, Flags: "RO ACCESS"}} }

// sorting is what one SORT asks for.
type sorting struct {
	desc, alpha bool
	by          []byte // nil: the elements themselves
	asIs        bool   // BY a pattern without a *: do not sort
	offset      int64
	count       int64 // negative: all
	gets        []pattern
	store       []byte // nil: reply
}

// parseSorting parses the options. If they are wrong, it has written the error.
func (c *Call) parseSorting(mayStore bool) (o sorting, ok bool) {
	o.count = -1
	for i := 2; i < len(c.Args); i++ {
		rest := len(c.Args) - i - 1
		switch {
		case c.Is(i, "asc"):
			o.desc = false
		case c.Is(i, "desc"):
			o.desc = true
		case c.Is(i, "alpha"):
			o.alpha = true
		case c.Is(i, "limit") && rest >= 2:
			if o.offset, ok = c.Int(i + 1); !ok {
				return o, false
			}
			if o.count, ok = c.Int(i + 2); !ok {
				return o, false
			}
			i += 2
		case c.Is(i, "store") && mayStore && rest >= 1:
			i++
			o.store = c.Args[i]
		case c.Is(i, "by") && rest >= 1:
			i++
			o.by = c.Args[i]
			o.asIs = o.asIs || !bytes.Contains(o.by, []byte("*"))
		case c.Is(i, "get") && rest >= 1:
			i++
			o.gets = append(o.gets, parsePattern(c.Args[i]))
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// sortForeign is Spec.Foreign of SORT, which may have STORE, and of SORT_RO.
func sortForeign(argv [][]byte, store bool) string {
	for i := 2; i < len(argv); i++ {
		rest := len(argv) - i - 1
		switch {
		case EqualFold(argv[i], "asc"), EqualFold(argv[i], "desc"), EqualFold(argv[i], "alpha"):
		case EqualFold(argv[i], "limit") && rest >= 2:
			_, ok1 := ParseInt(argv[i+1])
			_, ok2 := ParseInt(argv[i+2])
			if !ok1 || !ok2 {
				return ""
			}
			i += 2
		case EqualFold(argv[i], "store") && store && rest >= 1:
			i++
		case EqualFold(argv[i], "by") && rest >= 1:
			if i++; bytes.Contains(argv[i], []byte("*")) {
				return "ERR BY option of SORT denied due to insufficient ACL permissions."
			}
		case EqualFold(argv[i], "get") && rest >= 1:
			return "ERR GET option of SORT denied due to insufficient ACL permissions."
		default:
			return ""
		}
	}
	return ""
}

func sortCommand(w *Write) {
	o, ok := w.parseSorting(true)
	if !ok {
		return
	}
	elements, ok := sorted(w.View(), &o)
	switch {
	case !ok:
	case o.store == nil:
		replySorted(w.View(), &o, elements)
	default:
		storeSorted(w, &o, elements)
	}
}

func sortRO(r *Read) {
	o, ok := r.parseSorting(false)
	if !ok {
		return
	}
	if elements, ok := sorted(r, &o); ok {
		replySorted(r, &o, elements)
	}
}

func replySorted(r *Read, o *sorting, elements [][]byte) {
	r.Reply.Array(len(elements) * max(len(o.gets), 1))
	o.results(r.DB, elements, func(value []byte, ok bool) {
		if ok {
			r.Reply.Bulk(value)
		} else {
			r.Reply.Null()
		}
	})
}

func storeSorted(w *Write, o *sorting, elements [][]byte) {
	l := &keyspace.ListObject{}
	o.results(&w.DB.View, elements, func(value []byte, _ bool) {
		l.PushBack(value, w.DB.Limits()) // what is not there is stored empty
	})
	if l.Len() == 0 {
		w.remove(o.store)
	} else {
		w.DB.SetObject(o.store, l, 0)
		w.event(keyspace.EventList, "sortstore", o.store)
	}
	w.Reply.Int(int64(l.Len()))
}

// results visits what SORT yields: the elements, or what each GET says of each.
func (o *sorting) results(v *keyspace.View, elements [][]byte, visit func(value []byte, ok bool)) {
	if o.gets == nil {
		for _, e := range elements {
			visit(e, true)
		}
		return
	}
	found := make([][]byte, len(o.gets)*keyspace.MaxAhead)
	for block := range slices.Chunk(elements, keyspace.MaxAhead) {
		for i := range o.gets {
			o.gets[i].follow(v, block, found[i*len(block):])
		}
		for j := range block {
			for i := range o.gets {
				value := found[i*len(block)+j]
				visit(value, value != nil)
			}
		}
	}
}

// sorted returns the elements of the key at argument 1, in order and within the
// limits. If that cannot be, it has written the error.
func sorted(r *Read, o *sorting) (elements [][]byte, ok bool) {
	switch r.DB.Kind(r.Args[1]) {
	case keyspace.Set:
		if o.asIs && (o.store != nil || r.InScript) {
			// A set has no order that Redis would want to store, or to show to a script.
			o.asIs, o.alpha, o.by = false, true, nil
		}
	case keyspace.List, keyspace.ZSet:
	case keyspace.None:
		r.DB.Lookup(r.Args[1], false)
	default:
		r.DB.Lookup(r.Args[1], true)
		r.Reply.Error(ErrWrongType)
		return nil, false
	}
	elements, err := o.elements(r.DB, r.Args[1])
	if err != nil {
		r.Fail(err)
		return nil, false
	}
	if o.asIs {
		return elements, true
	}
	if elements, ok = o.sort(r, elements); !ok {
		return nil, false
	}
	from, to := o.clip(len(elements))
	return elements[from:to], true
}

// clip applies LIMIT to n elements.
func (o *sorting) clip(n int) (from, to int) {
	from = int(min(max(o.offset, 0), int64(n)))
	if o.count < 0 {
		return from, n
	}
	return from, from + int(min(o.count, int64(n-from)))
}

// elements returns the elements of a list, set or sorted set; none if there is
// no such key. If they are to stay as they are, those within the limits alone, and
// lists and sorted sets backwards for DESC: that is all that it means then. They
// are valid until the keyspace is next changed.
func (o *sorting) elements(v *keyspace.View, key []byte) ([][]byte, error) {
	var out [][]byte
	window := func(n int) (from, to int) {
		to = n
		if o.asIs {
			from, to = o.clip(n)
		}
		out = make([][]byte, 0, to-from)
		return from, to
	}
	take := func(e []byte) bool {
		out = append(out, e)
		return len(out) < cap(out)
	}
	backwards := o.asIs && o.desc
	switch v.Kind(key) {
	case keyspace.List:
		l, err := v.ListAt(key)
		if err != nil {
			return nil, err
		}
		from, to := window(l.Len())
		switch {
		case from == to:
		case backwards:
			l.Back(l.Len() - 1 - from)(take)
		default:
			l.From(from)(take)
		}
	case keyspace.Set:
		s, err := v.SetAt(key)
		if err != nil {
			return nil, err
		}
		// A member is valid until the next one only.
		var a arena
		from, to := window(s.Len())
		for i := from; i < to; i++ {
			take(a.copy(s.At(i)))
		}
	case keyspace.ZSet:
		z, err := v.ZSetAt(key)
		if err != nil {
			return nil, err
		}
		var a arena
		from, to := window(z.Len())
		if backwards {
			from, to = z.Len()-to, z.Len()-from
		}
		z.Range(from, to, backwards, func(member []byte, _ float64) bool { return take(a.copy(member)) })
	}
	return out, nil
}

// arena is memory for many small copies.
type arena []byte

const arenaBytes = 64 << 10

// copy returns a copy of b, not nil.
func (a *arena) copy(b []byte) []byte {
	if len(b) > cap(*a)-len(*a) {
		*a = make([]byte, 0, max(len(b), arenaBytes))
	}
	from := len(*a)
	*a = append(*a, b...)
	return (*a)[from:len(*a):len(*a)]
}
