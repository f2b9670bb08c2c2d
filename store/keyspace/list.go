package keyspace

import (
	"bytes"
	"iter"
)

// ListView is a list for reading: packs of a few kilobytes each, and a
// directory of them. Both ends are cheap because a pack and the directory
// have room at both; the middle is cheap because only one pack and, rarely,
// the directory have to move. No node is empty; an element beyond the size of a
// node has one of its own.
type ListView struct {
	dir   listDir
	n     int
	size  int // bytes in the nodes
	epoch uint64
}

// ListObject is a list for changing. The zero value is an empty one.
type ListObject struct{ ListView }

// listNode is part of a list. Invariant: a node whose epoch is the list's
// belongs to that list alone; any other may be shared with frozen ones.
type listNode struct {
	pack
	epoch uint64
}

// ListAt returns the list at key, nil if there is none.
func (v *View) ListAt(key []byte) (*ListView, error) {
	o, err := v.object(key, List)
	if o == nil {
		return nil, err
	}
	return &o.(*ListObject).ListView, nil //nolint:errcheck // object has compared the kinds
}

// ListForUpdate returns the list at key for changing, nil if there is none and
// create is not set. Whoever empties a list deletes its key.
func (db *DB) ListForUpdate(key []byte, create bool) (*ListObject, error) {
	o, err := db.objectForUpdate(key, List, creator(create, func() Object { return &ListObject{} }))
	if o == nil {
		return nil, err
	}
	return o.(*ListObject), nil //nolint:errcheck // the kinds were compared
}

// creator returns f if create is set.
func creator(create bool, f func() Object) func() Object {
	if !create {
		return nil
	}
	return f
}

// Len returns the number of elements.
func (l *ListView) Len() int { return l.n }

// locate returns the node of element i of [0, n) and its index in that node,
// searching from the nearer end.
func (l *ListView) locate(i int) (node, at int) {
	if i < l.n/2 {
		for node = 0; i >= l.dir.at(node).n; node++ {
			i -= l.dir.at(node).n
		}
		return node, i
	}
	node = l.dir.len() - 1
	for rest := l.n - i; ; node-- { // elements from i to the end
		if n := l.dir.at(node).n; rest <= n {
			return node, n - rest
		} else {
			rest -= n
		}
	}
}

// Index returns element i of [0, Len). It aliases the list.
func (l *ListView) Index(i int) []byte {
	node, at := l.locate(i)
	p := &l.dir.at(node).pack
	b, _ := p.at(p.seek(at))
	return b
}

// From walks the elements from i on, to the tail.
func (l *ListView) From(i int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if i >= l.n {
			return
		}
		node, at := l.locate(i)
		for ; node < l.dir.len(); node++ {
			p := &l.dir.at(node).pack
			for pos := p.seek(at); pos < p.end(); {
				b, next := p.at(pos)
				if !yield(b) {
					return
				}
				pos = next
			}
			at = 0
		}
	}
}

// Back walks the elements from i down to the head.
func (l *ListView) Back(i int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if i < 0 || l.n == 0 {
			return
		}
		node, at := l.locate(i)
		for {
			p := &l.dir.at(node).pack
			for pos := p.seek(at + 1); pos > p.start(); {
				pos = p.before(pos)
				if b, _ := p.at(pos); !yield(b) {
					return
				}
			}
			if node--; node < 0 {
				return
			}
			at = l.dir.at(node).n - 1
		}
	}
}

// own returns node i for changing.
func (l *ListObject) own(i int) *listNode {
	n := l.dir.at(i)
	if n.epoch != l.epoch {
		n = &listNode{n.clone(), l.epoch}
		l.dir.set(i, n)
	}
	return n
}

// newNode puts an empty node before node i. One that is not the first of its
// list will most likely be filled.
func (l *ListObject) newNode(i int, lim *Limits, need int) *listNode {
	n := &listNode{epoch: l.epoch}
	if l.dir.len() > 0 && lim.ListMaxListpackSize < 0 && need < 1<<10 {
		n.buf = make([]byte, 0, 2<<10<<min(-lim.ListMaxListpackSize, 5))
		if i == 0 { // it will be filled from its tail
			n.buf = n.buf[:cap(n.buf)]
			n.off = len(n.buf)
		}
	}
	l.dir.insert(i, n)
	return n
}

// PushFront puts a copy of b before the first element.
func (l *ListObject) PushFront(b []byte, lim *Limits) {
	size := entrySize(len(b))
	var n *listNode
	if l.dir.len() > 0 {
		if first := l.dir.at(0); !lim.listNodeFull(first.n, first.size(), size) {
			n = l.own(0)
		}
	}
	if n == nil {
		n = l.newNode(0, lim, size)
	}
	n.insert(n.start(), b)
	l.n, l.size = l.n+1, l.size+size
}

// PushBack puts a copy of b behind the last element.
func (l *ListObject) PushBack(b []byte, lim *Limits) {
	size := entrySize(len(b))
	var n *listNode
	if last := l.dir.len() - 1; last >= 0 {
		if tail := l.dir.at(last); !lim.listNodeFull(tail.n, tail.size(), size) {
			n = l.own(last)
		}
	}
	if n == nil {
		n = l.newNode(l.dir.len(), lim, size)
	}
	n.insert(n.end(), b)
	l.n, l.size = l.n+1, l.size+size
}

// PopFront removes the first of at least one elements and returns it, valid
// until the list is next changed.
func (l *ListObject) PopFront() []byte {
	n := l.own(0)
	b, next := n.at(n.start())
	return l.popped(0, n, b, n.start(), next)
}

// PopBack removes the last of at least one elements and returns it, valid until
// the list is next changed.
func (l *ListObject) PopBack() []byte {
	i := l.dir.len() - 1
	n := l.own(i)
	pos := n.before(n.end())
	b, next := n.at(pos)
	return l.popped(i, n, b, pos, next)
}

func (l *ListObject) popped(i int, n *listNode, b []byte, from, to int) []byte {
	l.n, l.size = l.n-1, l.size-(to-from)
	if n.n == 1 {
		l.dir.remove(i, i+1)
	} else {
		n.cut(from, to, 1)
	}
	return b
}

// Set replaces element i of [0, Len).
func (l *ListObject) Set(i int, b []byte, lim *Limits) {
	node, at := l.locate(i)
	n := l.own(node)
	pos := n.seek(at)
	_, next := n.at(pos)
	have, size := next-pos, entrySize(len(b))
	if size > have && n.n > 1 && lim.listNodeFull(n.n-1, n.size()-have, size) {
		// It must not blow up the node that it is in.
		l.n, l.size = l.n-1, l.size-have
		n.cut(pos, next, 1)
		l.insertAt(node, at, b, lim)
		return
	}
	n.replace(pos, b)
	l.size += size - have
}

// Insert puts a copy of b before element i of [0, Len].
func (l *ListObject) Insert(i int, b []byte, lim *Limits) {
	switch {
	case i == 0:
		l.PushFront(b, lim)
	case i == l.n:
		l.PushBack(b, lim)
	default:
		node, at := l.locate(i)
		l.insertAt(node, at, b, lim)
	}
}

// insertAt puts b before what is, or would be, entry at of a node that is there.
func (l *ListObject) insertAt(node, at int, b []byte, lim *Limits) {
	size := entrySize(len(b))
	l.n, l.size = l.n+1, l.size+size
	n := l.own(node)
	if !lim.listNodeFull(n.n, n.size(), size) {
		n.insert(n.seek(at), b)
		return
	}
	if at == 0 && node > 0 {
		if prev := l.dir.at(node - 1); !lim.listNodeFull(prev.n, prev.size(), size) {
			prev = l.own(node - 1)
			prev.insert(prev.end(), b)
			return
		}
	}
	if at > 0 && at < n.n {
		right := &listNode{n.splitOff(n.seek(at), n.n-at), l.epoch}
		l.dir.insert(node+1, right)
		if !lim.listNodeFull(n.n, n.size(), size) {
			n.insert(n.end(), b)
			return
		}
		if !lim.listNodeFull(right.n, right.size(), size) {
			right.insert(right.start(), b)
			return
		}
	}
	if at > 0 {
		node++
	}
	own := &listNode{epoch: l.epoch}
	own.insert(0, b)
	l.dir.insert(node, own)
}

// Remove removes up to max elements (all if it is not positive) that equal b,
// the first ones or, if fromTail, the last ones, and returns how many it found.
func (l *ListObject) Remove(b []byte, max int, fromTail bool, lim *Limits) int {
	if max <= 0 {
		max = l.n
	}
	removed := 0
	for k := l.dir.len() - 1; k >= 0 && removed < max; k-- {
		i := k
		if !fromTail { // walking up; nodes that are gone have made room below
			i = l.dir.len() - 1 - k
		}
		if n := l.dir.at(i); n.count(b) > 0 {
			removed += l.removeIn(i, b, max-removed, fromTail)
			l.merge(i, fromTail, lim)
		}
	}
	return removed
}

// count returns how many entries equal b.
func (p *pack) count(b []byte) int {
	n := 0
	for e := range p.all(p.start()) {
		if bytes.Equal(e, b) {
			n++
		}
	}
	return n
}

// removeIn is Remove for one node, which it rewrites.
func (l *ListObject) removeIn(i int, b []byte, max int, fromTail bool) int {
	n := l.dir.at(i)
	found := n.count(b)
	skip := 0
	if fromTail && found > max {
		skip = found - max
	}
	kept := &listNode{pack{buf: make([]byte, 0, n.size())}, l.epoch}
	removed := 0
	for pos := n.start(); pos < n.end(); {
		e, next := n.at(pos)
		if bytes.Equal(e, b) && removed < max {
			if skip == 0 {
				removed++
				pos = next
				continue
			}
			skip--
		}
		kept.buf = append(kept.buf, n.buf[pos:next]...)
		kept.n++
		pos = next
	}
	l.size -= n.size() - kept.size()
	l.n -= removed
	l.dir.set(i, kept)
	return removed
}

// merge drops node i if it is empty, and joins it with the neighbour that was
// looked at before it if both together leave half a node free: a list that
// shrinks in the middle must not end up as a directory of crumbs.
func (l *ListObject) merge(i int, fromTail bool, lim *Limits) {
	if l.dir.at(i).n == 0 {
		l.dir.remove(i, i+1)
		return
	}
	if !fromTail {
		i--
	}
	if i < 0 || i+1 >= l.dir.len() {
		return
	}
	left, right := l.dir.at(i), l.dir.at(i+1)
	if lim.listNodeFull(2*(left.n+right.n), 2*(left.size()+right.size()), 0) {
		return
	}
	l.own(i).join(&right.pack)
	l.dir.remove(i+1, i+2)
}

// Trim keeps count elements from element i on; both within the list.
func (l *ListObject) Trim(i, count int) {
	l.cutFront(i)
	l.cutBack(l.n - count)
}

func (l *ListObject) cutFront(count int) {
	l.n -= count
	whole := 0
	for whole < l.dir.len() && count >= l.dir.at(whole).n {
		count -= l.dir.at(whole).n
		l.size -= l.dir.at(whole).size()
		whole++
	}
	l.dir.remove(0, whole)
	if count > 0 {
		n := l.own(0)
		to := n.seek(count)
		l.size -= to - n.start()
		n.cut(n.start(), to, count)
	}
}

func (l *ListObject) cutBack(count int) {
	l.n -= count
	keep := l.dir.len()
	for keep > 0 && count >= l.dir.at(keep-1).n {
		keep--
		count -= l.dir.at(keep).n
		l.size -= l.dir.at(keep).size()
	}
	l.dir.remove(keep, l.dir.len())
	if count > 0 {
		n := l.own(keep - 1)
		from := n.seek(n.n - count)
		l.size -= n.end() - from
		n.cut(from, n.end(), count)
	}
}

// Kind is List.
func (l *ListObject) Kind() Kind { return List }

// Encoding is Redis's name for what a list is made of.
func (l *ListObject) Encoding() string { return "quicklist" }

// Bytes counts entries, not nodes: where these end depends on history.
func (l *ListObject) Bytes() int { return listBytes + l.size }

const listBytes = 160 // the object, its directory and a node

// Fork copies the directory; nodes are copied by the first change to each.
func (l *ListObject) Fork() Object {
	return &ListObject{ListView{dir: l.dir.fork(), n: l.n, size: l.size, epoch: l.epoch + 1}}
}

// Encode writes the elements, and not how they are spread over nodes, which is
// nothing that a client could see.
func (l *ListObject) Encode(e *Encoder) {
	e.Uvarint(uint64(l.n))
	for b := range l.From(0) {
		e.Bytes(b)
	}
}

func decodeList(d *Decoder) Object {
	l, lim := &ListObject{}, DefaultLimits()
	for n := d.Uvarint(); n > 0 && d.err == nil; n-- {
		l.PushBack(d.Bytes(), &lim)
	}
	if l.n == 0 {
		d.fail("empty list")
	}
	return l
}
