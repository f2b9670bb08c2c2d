package lua

import "math"

// Table is Lua 5.1's table, in its very layout: an array part, and a hash part
// of a power of two of nodes, chained with Brent's variation. So '#' and the
// order of pairs are those of Redis's Lua wherever the keys are strings,
// numbers and booleans; objects, which Lua hashes by address, are hashed by
// their number.
type Table struct {
	arr      []Value
	nodes    []node
	free     int // all nodes at and above it are in use
	meta     *Table
	id       uint64
	readonly bool
}

type node struct {
	key, val Value
	next     int32 // index+1 in nodes; 0 ends the chain
}

const (
	valueSize = 24
	nodeSize  = 56
	tableSize = 112
	maxBits   = 26 // of the array part
)

// Meta is the metatable.
func (t *Table) Meta() *Table { return t.meta }

// SetMeta sets the metatable.
func (t *Table) SetMeta(m *Table) { t.meta = m }

// hashString is Redis's: Lua's own skips bytes of a string longer than 31.
func hashString(s string) uint32 {
	h := uint32(len(s))
	for i := len(s); i > 0; i-- {
		h ^= h<<5 + h>>2 + uint32(s[i-1])
	}
	return h
}

// mainPosition is where a key belongs.
func (t *Table) mainPosition(k Value) int {
	size := uint32(len(t.nodes))
	switch p := k.p.(type) {
	case numTag:
		if k.n == 0 {
			return 0
		}
		b := math.Float64bits(k.n)
		return int((uint32(b) + uint32(b>>32)) % ((size - 1) | 1))
	case string:
		return int(hashString(p) & (size - 1))
	case boolTag:
		return int(uint32(k.n) & (size - 1))
	case *Table:
		return int(uint32(p.id) % ((size - 1) | 1))
	case *Function:
		return int(uint32(p.id) % ((size - 1) | 1))
	case *Thread:
		return int(uint32(p.id) % ((size - 1) | 1))
	}
	return 0
}

// arrayIndex returns k as an index from 1, or 0.
func arrayIndex(k Value) int {
	if _, ok := k.p.(numTag); ok {
		if i := int(k.n); float64(i) == k.n && i > 0 {
			return i
		}
	}
	return 0
}

// Get is rawget.
func (t *Table) Get(k Value) Value {
	switch p := k.p.(type) {
	case string:
		return t.GetString(p)
	case numTag:
		if i := int(k.n); i > 0 && i <= len(t.arr) && float64(i) == k.n {
			return t.arr[i-1]
		}
	}
	if n := t.find(k); n != nil {
		return n.val
	}
	return Value{}
}

// GetInt is rawgeti.
func (t *Table) GetInt(i int) Value {
	if i > 0 && i <= len(t.arr) {
		return t.arr[i-1]
	}
	if n := t.find(Int(i)); n != nil {
		return n.val
	}
	return Value{}
}

// GetString is rawget of a string.
func (t *Table) GetString(s string) Value {
	if len(t.nodes) == 0 {
		return Value{}
	}
	for i := int32(hashString(s)&uint32(len(t.nodes)-1)) + 1; i != 0; {
		n := &t.nodes[i-1]
		if ks, ok := n.key.p.(string); ok && ks == s {
			return n.val
		}
		i = n.next
	}
	return Value{}
}

func (t *Table) find(k Value) *node {
	if len(t.nodes) == 0 || k.p == nil {
		return nil
	}
	for i := int32(t.mainPosition(k)) + 1; i != 0; {
		n := &t.nodes[i-1]
		if n.key == k {
			return n
		}
		i = n.next
	}
	return nil
}

// set is rawset of a key that is neither nil nor NaN; m pays for growth.
func (t *Table) set(m *Machine, k, v Value) {
	if i := arrayIndex(k); i > 0 && i <= len(t.arr) {
		t.arr[i-1] = v
		return
	}
	if n := t.find(k); n != nil {
		n.val = v
		return
	}
	t.insert(m, k, v)
}

// insert adds a key that is not there. Lua makes a node even for a nil value,
// and so does this: the order of what comes later depends on it.
func (t *Table) insert(m *Machine, k, v Value) {
	if k.n == 0 {
		k.n = 0 // -0 and 0 are one key
	}
	for {
		if len(t.nodes) > 0 {
			mp := t.mainPosition(k)
			n := &t.nodes[mp]
			if n.val.p == nil {
				// Lua keeps the chain of a dead node, and so must this.
				n.key, n.val = k, v
				return
			}
			if f := t.freeNode(); f >= 0 {
				fn := &t.nodes[f]
				if o := t.mainPosition(n.key); o != mp {
					// The one there is not at home: it moves.
					for int(t.nodes[o].next) != mp+1 {
						o = int(t.nodes[o].next) - 1
					}
					t.nodes[o].next = int32(f) + 1
					*fn = *n
					n.next = 0
					n.key, n.val = k, v
				} else {
					fn.key, fn.val = k, v
					fn.next = n.next
					n.next = int32(f) + 1
				}
				return
			}
		}
		t.rehash(m, k)
		if i := arrayIndex(k); i > 0 && i <= len(t.arr) {
			t.arr[i-1] = v
			return
		}
	}
}

func (t *Table) freeNode() int {
	for t.free > 0 {
		t.free--
		if t.nodes[t.free].key.p == nil {
			return t.free
		}
	}
	return -1
}

func ceilLog2(x int) int {
	l := 0
	for 1<<l < x {
		l++
	}
	return l
}

// rehash finds the best array part - the largest n with more than n/2 of 1..n in
// use - and makes room for one more key.
func (t *Table) rehash(m *Machine, extra Value) {
	var nums [maxBits + 1]int // keys in (2^(i-1), 2^i]
	count := func(i int) bool {
		if i > 0 && i <= 1<<maxBits {
			nums[ceilLog2(i)]++
			return true
		}
		return false
	}
	total, ints := 0, 0
	for i := range t.arr {
		if t.arr[i].p != nil {
			count(i + 1)
			total++
			ints++
		}
	}
	for i := range t.nodes {
		if t.nodes[i].val.p != nil {
			if count(arrayIndex(t.nodes[i].key)) {
				ints++
			}
			total++
		}
	}
	if count(arrayIndex(extra)) {
		ints++
	}
	total++
	m.Step(len(t.arr)/8 + len(t.nodes)/4)

	array, inArray := 0, 0
	for i, a, two := 0, 0, 1; two/2 < ints && i <= maxBits; i, two = i+1, two*2 {
		if a += nums[i]; nums[i] > 0 && a > two/2 {
			array, inArray = two, a
		}
		if a == ints {
			break
		}
	}
	t.resize(m, array, total-inArray)
}

func (t *Table) resize(m *Machine, array, hash int) {
	size := 0
	if hash > 0 {
		size = 1 << ceilLog2(hash)
	}
	m.Alloc(size * nodeSize)
	oldArr, oldNodes := t.arr, t.nodes
	if array > len(oldArr) {
		m.Alloc(array * valueSize)
		t.arr = make([]Value, array)
		copy(t.arr, oldArr)
	} else {
		t.arr = oldArr[:array:array]
	}
	t.nodes = nil
	if size > 0 {
		t.nodes = make([]node, size)
	}
	t.free = size
	for i := array; i < len(oldArr); i++ {
		if oldArr[i].p != nil {
			t.set(m, Int(i+1), oldArr[i])
		}
	}
	for i := len(oldNodes) - 1; i >= 0; i-- {
		if n := &oldNodes[i]; n.val.p != nil {
			t.set(m, n.key, n.val)
		}
	}
}

// Len is '#', a border: Lua's own choice of one where there are several.
func (t *Table) Len() int {
	j := len(t.arr)
	if j > 0 && t.arr[j-1].p == nil {
		i := 0
		for j-i > 1 {
			if mid := (i + j) / 2; t.arr[mid-1].p == nil {
				j = mid
			} else {
				i = mid
			}
		}
		return i
	}
	if len(t.nodes) == 0 {
		return j
	}
	i := j
	for j++; t.GetInt(j).p != nil; {
		i = j
		if j > math.MaxInt32/2 {
			for i = 1; t.GetInt(i).p != nil; i++ {
			}
			return i - 1
		}
		j *= 2
	}
	for j-i > 1 {
		if mid := (i + j) / 2; t.GetInt(mid).p == nil {
			j = mid
		} else {
			i = mid
		}
	}
	return i
}

// Next returns what comes after k, a nil key at the end, and !ok if k is not in
// the table.
func (t *Table) Next(k Value) (key, val Value, ok bool) {
	i := 0
	if k.p != nil {
		if i = arrayIndex(k); i == 0 || i > len(t.arr) {
			n := t.find(k)
			if n == nil {
				return Value{}, Value{}, false
			}
			// The position of n: a walk of the chain again, with indices.
			at := t.mainPosition(k)
			for &t.nodes[at] != n {
				at = int(t.nodes[at].next) - 1
			}
			i = len(t.arr) + at + 1
		}
	}
	for ; i < len(t.arr); i++ {
		if t.arr[i].p != nil {
			return Int(i + 1), t.arr[i], true
		}
	}
	for i -= len(t.arr); i < len(t.nodes); i++ {
		if n := &t.nodes[i]; n.val.p != nil {
			return n.key, n.val, true
		}
	}
	return Value{}, Value{}, true
}
