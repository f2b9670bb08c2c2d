package command

import (
	"bytes"
	"math"
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
		},
		{
			Name: "sort_ro", Arity: -2, Flags: MovableKeys | Dangerous, Keys: []KeySpec{{Flags: "RO ACCESS", Index: 1, Step: 1}, {Flags: "RO ACCESS", Unknown: true}},
			Group: "generic", ACL: "set sortedset list", Since: "7.0.0", Complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).",
			Summary:  "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
			Syntax:   "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
			Read:     sortRO,
			FindKeys: sortROKeys,
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
	gets        [][]byte
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
			o.gets = append(o.gets, c.Args[i])
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
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
	if o.gets == nil {
		r.Reply.Array(len(elements))
		for _, e := range elements {
			r.Reply.Bulk(e)
		}
		return
	}
	r.Reply.Array(len(elements) * len(o.gets))
	for _, e := range elements {
		for _, pattern := range o.gets {
			if value, ok := follow(r.DB, pattern, e); ok {
				r.Reply.Bulk(value)
			} else {
				r.Reply.Null()
			}
		}
	}
}

func storeSorted(w *Write, o *sorting, elements [][]byte) {
	l := &keyspace.ListObject{}
	for _, e := range elements {
		if o.gets == nil {
			l.PushBack(e, w.DB.Limits())
		}
		for _, pattern := range o.gets {
			value, _ := follow(&w.DB.View, pattern, e) // what is not there is stored empty
			l.PushBack(value, w.DB.Limits())
		}
	}
	if l.Len() == 0 {
		w.DB.Delete(o.store)
	} else {
		w.DB.SetObject(o.store, l, 0)
	}
	w.Reply.Int(int64(l.Len()))
}

// sorted returns the elements of the key at argument 1, in order and within the
// limits. If that cannot be, it has written the error.
func sorted(r *Read, o *sorting) (elements [][]byte, ok bool) {
	switch r.DB.Kind(r.Args[1]) {
	case keyspace.Set:
		if o.asIs && o.store != nil {
			// A set has no order that Redis would want to store.
			o.asIs, o.alpha, o.by = false, true, nil
		}
	case keyspace.List, keyspace.ZSet:
	case keyspace.None:
		r.DB.Lookups.Count(false)
	default:
		r.DB.Lookups.Count(true)
		r.Reply.Error(ErrWrongType)
		return nil, false
	}
	elements, err := elementsOf(r.DB, r.Args[1], o.asIs && o.desc)
	if err != nil {
		r.Fail(err)
		return nil, false
	}
	if !o.asIs {
		if elements, ok = o.sort(r, elements); !ok {
			return nil, false
		}
	}
	return o.clip(elements), true
}

// clip applies LIMIT.
func (o *sorting) clip(elements [][]byte) [][]byte {
	n := int64(len(elements))
	from := min(max(o.offset, 0), n)
	to := n
	if o.count >= 0 {
		to = from + min(o.count, n-from)
	}
	return elements[from:to]
}

// elementsOf returns the elements of a list, set or sorted set; none if there is
// no such key. Lists and sorted sets are listed backwards if desc is set: that is
// all that DESC means to BY nosort.
func elementsOf(v *keyspace.View, key []byte, desc bool) ([][]byte, error) {
	var elements [][]byte
	switch v.Kind(key) {
	case keyspace.List:
		l, err := v.ListAt(key)
		if err != nil {
			return nil, err
		}
		elements = make([][]byte, 0, l.Len())
		walk := l.From(0)
		if desc {
			walk = l.Back(l.Len() - 1)
		}
		for b := range walk {
			elements = append(elements, b)
		}
	case keyspace.Set:
		s, err := v.SetAt(key)
		if err != nil {
			return nil, err
		}
		elements = make([][]byte, 0, s.Len())
		for b := range s.All() {
			elements = append(elements, bytes.Clone(b))
		}
	case keyspace.ZSet:
		z, err := v.ZSetAt(key)
		if err != nil {
			return nil, err
		}
		elements = make([][]byte, 0, z.Len())
		z.Range(0, z.Len(), desc, func(member []byte, _ float64) bool {
			elements = append(elements, bytes.Clone(member))
			return true
		})
	}
	return elements, nil
}

// weighed is an element and what it is sorted by.
type weighed struct {
	element []byte
	score   float64
	text    []byte
	none    bool // BY found nothing
}

// sort returns the elements in order. If one has no number to sort by, it has
// written the error.
func (o *sorting) sort(r *Read, elements [][]byte) ([][]byte, bool) {
	items := make([]weighed, len(elements))
	for i, e := range elements {
		w := weighed{element: e, text: e}
		if o.by != nil {
			value, ok := follow(r.DB, o.by, e)
			w.text, w.none = value, !ok
		}
		if !o.alpha && !w.none {
			var ok bool
			if w.score, ok = parseScore(w.text); !ok {
				r.Reply.Error("ERR One or more scores can't be converted into double")
				return nil, false
			}
		}
		items[i] = w
	}
	slices.SortStableFunc(items, func(a, b weighed) int {
		c := o.compare(&a, &b)
		if o.desc {
			return -c
		}
		return c
	})
	for i := range items {
		elements[i] = items[i].element
	}
	return elements, true
}

func (o *sorting) compare(a, b *weighed) int {
	switch {
	case !o.alpha && a.score < b.score:
		return -1
	case !o.alpha && a.score > b.score:
		return 1
	case !o.alpha:
		return bytes.Compare(a.element, b.element) // so that the order is always defined
	case a.none && b.none:
		return 0
	case a.none:
		return -1
	case b.none:
		return 1
	case o.store != nil:
		return bytes.Compare(a.text, b.text)
	default: // C's strcoll, in the locale C
		return bytes.Compare(upToNUL(a.text), upToNUL(b.text))
	}
}

func upToNUL(b []byte) []byte {
	b, _, _ = bytes.Cut(b, []byte{0})
	return b
}

// parseScore parses a weight with C's strtod, which unlike ParseFloat passes
// over leading spaces, stops at a NUL, and takes nothing at all for zero.
func parseScore(b []byte) (float64, bool) {
	if b = upToNUL(b); len(b) == 0 {
		return 0, true
	}
	f, ok := ParseFloat(bytes.TrimLeft(b, " \t\n\v\f\r"))
	return f, ok && !math.IsNaN(f)
}

// follow returns the value that a pattern of BY or GET stands for: the element
// itself for #, else the string at the key that is the pattern with the element
// in place of its first *, or what is behind -> the field of the hash there.
func follow(v *keyspace.View, pattern, element []byte) (value []byte, ok bool) {
	if string(pattern) == "#" {
		return element, true
	}
	prefix, rest, ok := bytes.Cut(pattern, []byte("*"))
	if !ok {
		return nil, false
	}
	suffix, field := rest, []byte(nil)
	if i := bytes.Index(rest, []byte("->")); i >= 0 && i+2 < len(rest) {
		suffix, field = rest[:i], rest[i+2:]
	}
	key := slices.Concat(prefix, element, suffix)
	if field == nil {
		value, ok, err := v.Get(key)
		return value, ok && err == nil // another type counts as nothing
	}
	h, err := v.HashAt(key)
	if h == nil || err != nil {
		return nil, false
	}
	return h.Get(field)
}
