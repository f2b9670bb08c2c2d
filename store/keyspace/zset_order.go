package keyspace

import "cmp"

// scored is a member of a sorted set with its score.
type scored struct {
	score  float64
	member string
}

// compare orders by score and then by the bytes of the member, as Redis does.
// Scores are never NaN.
func (a *scored) compare(b *scored) int {
	switch {
	case a.score < b.score:
		return -1
	case a.score > b.score:
		return 1
	default:
		return cmp.Compare(a.member, b.member)
	}
}

// orderMax is how many items a leaf, and how many children an inner node, may
// have. 64 items are exactly one of the allocator's size classes.
const orderMax = 64

// order is a counted B+ tree: the members of a big sorted set in the order of
// their scores, with the position of any of them in O(log n). It is derived
// from the dict beside it, is in no snapshot, and so needs no copy on write.
type order struct {
	root orderKid
}

// orderNode is a leaf, which holds items, or an inner node, which holds for
// each child a lower bound of what is in it.
//
// Invariant: everything in child i is at or above items[i] and, if there is a
// child i+1, below items[i+1]. The bound itself need not be present any more.
type orderNode struct {
	items []scored
	kids  []orderKid // nil in a leaf
}

// orderKid is a node and the number of items below it. The number stands with
// the pointer so that ranks are summed without a visit to every child.
type orderKid struct {
	node *orderNode
	n    int
}

// newOrder builds the tree of items, which must be in order.
func newOrder(items []scored) *order {
	const fill = orderMax * 3 / 4 // room for later insertions
	var level []orderKid
	var bounds []scored
	for len(items) > 0 {
		n := min(fill, len(items))
		leaf := &orderNode{items: append(make([]scored, 0, orderMax), items[:n]...)}
		level, bounds, items = append(level, orderKid{leaf, n}), append(bounds, items[0]), items[n:]
	}
	for len(level) > 1 {
		var upper []orderKid
		var upperBounds []scored
		for len(level) > 0 {
			n := min(fill, len(level))
			node := &orderNode{
				items: append([]scored(nil), bounds[:n]...),
				kids:  append([]orderKid(nil), level[:n]...),
			}
			upper, upperBounds = append(upper, orderKid{node, node.count()}), append(upperBounds, bounds[0])
			level, bounds = level[n:], bounds[n:]
		}
		level, bounds = upper, upperBounds
	}
	o := &order{}
	if len(level) == 1 {
		o.root = level[0]
	}
	return o
}

// count returns the number of items below nd.
func (nd *orderNode) count() int {
	if nd.kids == nil {
		return len(nd.items)
	}
	n := 0
	for _, k := range nd.kids {
		n += k.n
	}
	return n
}

// after returns how many of nd's own items are at or below x.
func (nd *orderNode) after(x *scored) int {
	lo, hi := 0, len(nd.items)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if nd.items[mid].compare(x) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// insert adds x, which must be absent.
func (o *order) insert(x scored) {
	if o.root.node == nil {
		o.root.node = &orderNode{}
	}
	o.root.n++
	right := o.root.node.insert(x, true)
	if right == nil {
		return
	}
	r := orderKid{right, right.count()}
	left := orderKid{o.root.node, o.root.n - r.n}
	o.root.node = &orderNode{
		items: []scored{left.node.items[0], right.items[0]},
		kids:  []orderKid{left, r},
	}
}

// insert adds x below nd. If nd has to be split it returns the new right half.
// last says that nd is the rightmost of its level: there a split leaves the
// left half full, because keys that come in order will never fill it.
func (nd *orderNode) insert(x scored, last bool) *orderNode {
	i := nd.after(&x)
	if nd.kids == nil {
		return nd.place(i, x, orderKid{}, last)
	}
	if i == 0 {
		nd.items[0] = x
	} else {
		i--
	}
	right := nd.kids[i].node.insert(x, last && i == len(nd.kids)-1)
	nd.kids[i].n++
	if right == nil {
		return nil
	}
	n := right.count()
	nd.kids[i].n -= n
	return nd.place(i+1, right.items[0], orderKid{right, n}, last)
}

// place puts an item, and in an inner node its child, at position i of nd,
// splitting nd if it is full.
func (nd *orderNode) place(i int, x scored, kid orderKid, last bool) (right *orderNode) {
	if len(nd.items) == orderMax {
		at := orderMax / 2
		if last && i == orderMax {
			at = orderMax
		}
		right = nd.split(at)
		if i > at || at == orderMax {
			right.place(i-at, x, kid, false)
			return right
		}
	}
	nd.items = append(nd.items, scored{})
	copy(nd.items[i+1:], nd.items[i:])
	nd.items[i] = x
	if kid.node != nil {
		nd.kids = append(nd.kids, orderKid{})
		copy(nd.kids[i+1:], nd.kids[i:])
		nd.kids[i] = kid
	}
	return right
}

// split moves the items of nd from at on to a new node.
func (nd *orderNode) split(at int) *orderNode {
	right := &orderNode{items: append([]scored(nil), nd.items[at:]...)}
	clear(nd.items[at:])
	nd.items = nd.items[:at]
	if nd.kids != nil {
		right.kids = append(make([]orderKid, 0, orderMax), nd.kids[at:]...)
		clear(nd.kids[at:])
		nd.kids = nd.kids[:at]
	}
	return right
}

// remove deletes x, which must be present.
func (o *order) remove(x scored) {
	o.root.node.remove(&x)
	o.root.n--
	for len(o.root.node.kids) == 1 {
		o.root.node = o.root.node.kids[0].node
	}
	if o.root.n == 0 {
		o.root.node = nil
	}
}

func (nd *orderNode) remove(x *scored) {
	i := nd.after(x) - 1
	if nd.kids == nil {
		if i < 0 || nd.items[i] != *x {
			panic("keyspace: sorted set lost a member")
		}
		nd.drop(i)
		return
	}
	if i < 0 {
		panic("keyspace: sorted set lost a member")
	}
	nd.kids[i].node.remove(x)
	nd.kids[i].n--
	switch {
	case nd.kids[i].n == 0:
		nd.drop(i)
	case len(nd.kids[i].node.items) < orderMax/4:
		if i+1 == len(nd.kids) {
			i--
		}
		if i >= 0 {
			nd.merge(i)
		}
	}
}

// drop removes item i of nd, and in an inner node the child with it.
func (nd *orderNode) drop(i int) {
	copy(nd.items[i:], nd.items[i+1:])
	nd.items[len(nd.items)-1] = scored{}
	nd.items = nd.items[:len(nd.items)-1]
	if nd.kids != nil {
		copy(nd.kids[i:], nd.kids[i+1:])
		nd.kids[len(nd.kids)-1] = orderKid{}
		nd.kids = nd.kids[:len(nd.kids)-1]
	}
}

// merge joins child i with the next one, unless the result would be so full
// that the next insertions would split it again.
func (nd *orderNode) merge(i int) {
	if i+1 >= len(nd.kids) {
		return
	}
	left, right := nd.kids[i].node, nd.kids[i+1].node
	if len(left.items)+len(right.items) > orderMax*3/4 {
		return
	}
	left.items = append(left.items, right.items...)
	left.kids = append(left.kids, right.kids...)
	nd.kids[i].n += nd.kids[i+1].n
	nd.drop(i + 1)
}

// count returns how many items stand before the first one that below rejects.
// below must accept everything before anything that it accepts.
func (o *order) count(below func(*scored) bool) int {
	if o.root.n == 0 {
		return 0
	}
	n := 0
	for nd := o.root.node; ; {
		lo, hi := 0, len(nd.items)
		for lo < hi {
			mid := int(uint(lo+hi) >> 1)
			if below(&nd.items[mid]) {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if nd.kids == nil {
			return n + lo
		}
		if lo == 0 {
			return n
		}
		for _, k := range nd.kids[:lo-1] {
			n += k.n
		}
		nd = nd.kids[lo-1].node
	}
}

// rank returns how many items are below x.
func (o *order) rank(x *scored) int {
	return o.count(func(it *scored) bool { return it.compare(x) < 0 })
}

// walk visits the items at positions [lo, hi) until visit answers false.
func (nd *orderNode) walk(lo, hi int, visit func(*scored) bool) bool {
	if nd.kids == nil {
		for i := lo; i < hi; i++ {
			if !visit(&nd.items[i]) {
				return false
			}
		}
		return true
	}
	for _, k := range nd.kids {
		if hi <= 0 {
			return true
		}
		if lo < k.n && !k.node.walk(max(lo, 0), min(hi, k.n), visit) {
			return false
		}
		lo, hi = lo-k.n, hi-k.n
	}
	return true
}

// walkBack visits the items at positions [lo, hi) from the last to the first.
func (nd *orderNode) walkBack(lo, hi, n int, visit func(*scored) bool) bool {
	if nd.kids == nil {
		for i := hi - 1; i >= lo; i-- {
			if !visit(&nd.items[i]) {
				return false
			}
		}
		return true
	}
	for i := len(nd.kids) - 1; i >= 0; i-- {
		k := &nd.kids[i]
		n -= k.n // now the position of k's first item
		if hi <= n {
			continue
		}
		if lo >= n+k.n {
			return true
		}
		if !k.node.walkBack(max(lo-n, 0), min(hi-n, k.n), k.n, visit) {
			return false
		}
	}
	return true
}
