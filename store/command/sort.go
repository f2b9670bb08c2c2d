package command

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// Sorting returns SORT and SORT_RO, which work on lists, sets and sorted sets.
func Sorting() []*Spec {
	const complexity = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N)."
	return []*Spec{
		{
			Name: "sort", Arity: -2, Group: "generic", Since: "1.0.0",
			Flags:      DenyOOM | MovableKeys | Dangerous,
			ACL:        "set sortedset list",
			Keys:       []KeySpec{{Flags: "RO ACCESS", Index: 1, Step: 1}, {Flags: "RO ACCESS", Unknown: true}, {Flags: "OW UPDATE", Unknown: true}},
			Complexity: complexity,
			Summary:    "Sort the elements in a list, set or sorted set",
			Syntax:     "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
			FindKeys:   sortKeys,
			Write:      sortWrite,
		},
		{
			Name: "sort_ro", Arity: -2, Group: "generic", Since: "7.0.0",
			Flags:      MovableKeys | Dangerous,
			ACL:        "set sortedset list",
			Keys:       []KeySpec{{Flags: "RO ACCESS", Index: 1, Step: 1}, {Flags: "RO ACCESS", Unknown: true}},
			Complexity: complexity,
			Summary:    "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
			Syntax:     "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
			Read:       sortRead,
		},
	}
}

// sortKeys finds the last STORE, which is the one that counts.
func sortKeys(argv [][]byte) []KeyRef {
	refs := []KeyRef{{1, "RO ACCESS"}}
	for i := 2; i < len(argv); i++ {
		switch {
		case EqualFold(argv[i], "limit"):
			i += 2
		case EqualFold(argv[i], "get"), EqualFold(argv[i], "by"):
			i++
		case EqualFold(argv[i], "store") && i+1 < len(argv):
			refs = append(refs[:1], KeyRef{i + 1, "OW UPDATE"})
		}
	}
	return refs
}

// sortOptions are those of SORT.
type sortOptions struct {
	desc, alpha   bool
	offset, count int64
	by            []byte // nil for the elements themselves
	asIs          bool   // BY a constant: the order that they are in
	get           [][]byte
	store         []byte // nil for none
}

func parseSort(c *Call, withStore bool) (o sortOptions, ok bool) {
	o.count = -1
	for i := 2; i < len(c.Args); i++ {
		left := len(c.Args) - i - 1
		switch {
		case c.Is(i, "asc"):
			o.desc = false
		case c.Is(i, "desc"):
			o.desc = true
		case c.Is(i, "alpha"):
			o.alpha = true
		case c.Is(i, "limit") && left >= 2:
			if o.offset, ok = c.Int(i + 1); !ok {
				return o, false
			}
			if o.count, ok = c.Int(i + 2); !ok {
				return o, false
			}
			i += 2
		case withStore && c.Is(i, "store") && left >= 1:
			i++
			o.store = c.Args[i]
		case c.Is(i, "by") && left >= 1:
			i++
			o.by = c.Args[i]
			o.asIs = o.asIs || bytes.IndexByte(o.by, '*') < 0
		case c.Is(i, "get") && left >= 1:
			i++
			o.get = append(o.get, c.Args[i])
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// sortItem is an element and what it is compared by.
type sortItem struct {
	elem   []byte
	weight float64
	by     []byte // nil if there is no such key
}

func sortRead(r *Read) {
	o, ok := parseSort(&r.Call, false)
	if !ok {
		return
	}
	if items, ok := sortItems(&r.Call, r.DB, o); ok {
		replySorted(r.Reply, r.DB, o, items)
	}
}

func sortWrite(w *Write) {
	o, ok := parseSort(&w.Call, true)
	if !ok {
		return
	}
	items, ok := sortItems(&w.Call, &w.DB.View, o)
	switch {
	case !ok:
		return
	case o.store == nil:
		replySorted(w.Reply, &w.DB.View, o, items)
		return
	case len(items) == 0:
		w.DB.Delete(o.store)
		w.Reply.Int(0)
		return
	}
	// The list is complete before it replaces what may be what was sorted, or a
	// key that a pattern names.
	list := &keyspace.ListObject{}
	eachSorted(&w.DB.View, o, items, func(value []byte, _ bool) {
		list.PushBack(value, w.DB.Limits())
	})
	w.DB.SetObject(o.store, list, 0)
	w.Reply.Int(int64(list.Len()))
}

func replySorted(reply Reply, v *keyspace.View, o sortOptions, items []sortItem) {
	reply.Array(len(items) * max(1, len(o.get)))
	eachSorted(v, o, items, func(value []byte, ok bool) {
		if ok {
			reply.Bulk(value)
		} else {
			reply.Null()
		}
	})
}

// eachSorted calls visit for what is to be returned of each item: the element, or
// what the GET patterns name.
func eachSorted(v *keyspace.View, o sortOptions, items []sortItem, visit func(value []byte, ok bool)) {
	for _, it := range items {
		if len(o.get) == 0 {
			visit(it.elem, true)
		}
		for _, pattern := range o.get {
			visit(lookupPattern(v, pattern, it.elem))
		}
	}
}

// sortItems returns the elements at the key, in order and within the limit. If it
// cannot, it has written the error.
func sortItems(c *Call, v *keyspace.View, o sortOptions) (items []sortItem, ok bool) {
	items, kind, err := elements(v, c.Args[1])
	if err != nil {
		c.Fail(err)
		return nil, false
	}
	if o.asIs && kind == keyspace.Set && o.store != nil {
		o.asIs, o.alpha, o.by = false, true, nil // what is stored must have an order
	}
	switch {
	case o.asIs:
		if o.desc && kind != keyspace.Set {
			slices.Reverse(items)
		}
	case !weigh(v, o, items):
		c.Reply.Error("ERR One or more scores can't be converted into double")
		return nil, false
	default:
		// Stable, and from an order that is state: equal items are in the same order on
		// every node.
		slices.SortStableFunc(items, func(a, b sortItem) int {
			if o.desc {
				return compareItems(b, a, o.alpha)
			}
			return compareItems(a, b, o.alpha)
		})
	}
	n := int64(len(items))
	start := min(max(o.offset, 0), n)
	end := n
	if o.count >= 0 {
		end = min(start+min(o.count, n), n)
	}
	return items[start:end], true
}

// elements returns what is at key in the order in which it is kept.
func elements(v *keyspace.View, key []byte) (items []sortItem, kind keyspace.Kind, err error) {
	add := func(elem []byte) { items = append(items, sortItem{elem: bytes.Clone(elem)}) }
	switch kind = v.Kind(key); kind {
	case keyspace.None:
	case keyspace.List:
		list, err := v.ListAt(key)
		if err != nil {
			return nil, kind, err
		}
		for elem := range list.From(0) {
			add(elem)
		}
	case keyspace.Set:
		set, err := v.SetAt(key)
		if err != nil {
			return nil, kind, err
		}
		for member := range set.All() {
			add(member)
		}
	case keyspace.ZSet:
		zset, err := v.ZSetAt(key)
		if err != nil {
			return nil, kind, err
		}
		zset.Range(0, zset.Len(), false, func(member []byte, _ float64) bool {
			add(member)
			return true
		})
	default:
		return nil, kind, keyspace.ErrWrongType
	}
	return items, kind, nil
}

// weigh fills in what items are compared by, and reports whether all of it is
// numbers where it has to be.
func weigh(v *keyspace.View, o sortOptions, items []sortItem) bool {
	for i := range items {
		it := &items[i]
		by, ok := it.elem, true
		if o.by != nil {
			by, ok = lookupPattern(v, o.by, it.elem)
		}
		if ok {
			it.by = by
			if it.by == nil {
				it.by = []byte{}
			}
		}
		if !o.alpha && ok {
			if it.weight, ok = parseWeight(by); !ok {
				return false
			}
		}
	}
	return true
}

// parseWeight parses a number as SORT does, which asks C's strtod only whether it
// liked all of it: the empty string is 0, and spaces may stand in front.
func parseWeight(b []byte) (float64, bool) {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	if len(b) == 0 {
		return 0, true
	}
	return ParseFloat(bytes.TrimLeft(b, " \t\n\v\f\r"))
}

func compareItems(a, b sortItem, alpha bool) int {
	if !alpha {
		return cmp.Or(cmp.Compare(a.weight, b.weight), bytes.Compare(a.elem, b.elem))
	}
	switch {
	case a.by == nil && b.by == nil:
		return 0
	case a.by == nil:
		return -1
	case b.by == nil:
		return 1
	default:
		return bytes.Compare(a.by, b.by)
	}
}

// lookupPattern returns the value that a pattern of BY or GET names for an
// element: the string at the pattern with its first * replaced, or behind -> the
// field of the hash there. "#" is the element itself.
func lookupPattern(v *keyspace.View, pattern, elem []byte) ([]byte, bool) {
	if string(pattern) == "#" {
		return elem, true
	}
	before, after, ok := bytes.Cut(pattern, []byte("*"))
	if !ok {
		return nil, false
	}
	after, field, isHash := bytes.Cut(after, []byte("->"))
	if isHash && len(field) == 0 { // then the arrow is part of the key
		after, isHash = pattern[len(before)+1:], false
	}
	key := slices.Concat(before, elem, after)
	if !isHash {
		s, ok, err := v.Get(key)
		return s, ok && err == nil
	}
	hash, err := v.HashAt(key)
	if err != nil || hash == nil {
		return nil, false
	}
	return hash.Get(field)
}
