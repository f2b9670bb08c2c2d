package command

// lcsOptions are those of LCS.
type lcsOptions struct {
	length, index, withMatchLen bool
	minMatchLen                 int64
}

func parseLCS(c *Call) (o lcsOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.Is(i, "idx"):
			o.index = true
		case c.Is(i, "len"):
			o.length = true
		case c.Is(i, "withmatchlen"):
			o.withMatchLen = true
		case c.Is(i, "minmatchlen") && i+1 < len(c.Args):
			i++
			if o.minMatchLen, ok = c.Int(i); !ok {
				return o, false
			}
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	if o.index && o.length {
		c.Reply.Error("ERR If you want both the length and indexes, please just use IDX.")
		return o, false
	}
	return o, true
}

func lcs(r *Read) {
	a, _, errA := r.DB.Get(r.Args[1])
	b, _, errB := r.DB.Get(r.Args[2])
	if errA != nil || errB != nil {
		r.Reply.Error("ERR The specified keys must contain string values")
		return
	}
	o, ok := parseLCS(&r.Call)
	if !ok {
		return
	}
	if uint64(len(a)+1)*uint64(len(b)+1)*4 > maxString {
		r.Reply.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
		return
	}
	t := newLCSTable(a, b)
	if o.length {
		r.Reply.Int(int64(t.length))
		return
	}
	common, matches := t.walk()
	if !o.index {
		r.Reply.Bulk(common)
		return
	}
	kept := matches[:0]
	for _, m := range matches {
		if int64(m.len()) >= o.minMatchLen {
			kept = append(kept, m)
		}
	}
	r.Reply.Map(2)
	r.Reply.BulkString("matches")
	r.Reply.Array(len(kept))
	for _, m := range kept {
		if o.withMatchLen {
			r.Reply.Array(3)
		} else {
			r.Reply.Array(2)
		}
		for _, from := range [2]int{m.a, m.b} {
			r.Reply.Array(2)
			r.Reply.Int(int64(from))
			r.Reply.Int(int64(from + m.len() - 1))
		}
		if o.withMatchLen {
			r.Reply.Int(int64(m.len()))
		}
	}
	r.Reply.BulkString("len")
	r.Reply.Int(int64(t.length))
}

// lcsTable is what is left of the usual table, which holds for each pair of
// prefixes of a and b the length of their longest common subsequence: the last
// length, and the way back. That needs a bit for each pair where Redis keeps 32.
type lcsTable struct {
	a, b   []byte
	length int
	up     []uint64 // by row: whether the shorter prefix of a is the better one
}

func newLCSTable(a, b []byte) *lcsTable {
	t := &lcsTable{a: a, b: b, up: make([]uint64, (len(a)*len(b)+63)/64)}
	above, row := make([]uint32, len(b)+1), make([]uint32, len(b)+1)
	for i := range a {
		for j := range b {
			switch {
			case a[i] == b[j]:
				row[j+1] = above[j] + 1
			case above[j+1] > row[j]:
				row[j+1] = above[j+1]
				bit := i*len(b) + j
				t.up[bit/64] |= 1 << (bit % 64)
			default:
				row[j+1] = row[j]
			}
		}
		above, row = row, above
	}
	t.length = int(above[len(b)])
	return t
}

// shorterA reports whether of the prefixes of i and j bytes, which end in
// different ones, more is in common without the last of a than of b.
func (t *lcsTable) shorterA(i, j int) bool {
	bit := (i-1)*len(t.b) + j - 1
	return t.up[bit/64]&(1<<(bit%64)) != 0
}

// lcsMatch is a stretch that a and b have in common.
type lcsMatch struct{ a, b, end int } // end is that in a, exclusive

func (m lcsMatch) len() int { return m.end - m.a }

// walk goes from the ends of both strings to their beginnings, as Redis does,
// and returns the common subsequence and its contiguous stretches, the last
// first. Where there are several answers the choices made here decide which one
// it is.
func (t *lcsTable) walk() (common []byte, matches []lcsMatch) {
	left := t.length
	common = make([]byte, left)
	open := false
	var m lcsMatch
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		emit := false
		if t.a[i-1] == t.b[j-1] {
			left--
			common[left] = t.a[i-1]
			switch {
			case !open:
				m, open = lcsMatch{i - 1, j - 1, i}, true
			case m.a == i && m.b == j:
				m.a, m.b = m.a-1, m.b-1
			default:
				emit = true
			}
			emit = emit || m.a == 0 || m.b == 0
			i, j = i-1, j-1
		} else {
			if t.shorterA(i, j) {
				i--
			} else {
				j--
			}
			emit = open
		}
		if emit {
			matches, open = append(matches, m), false
		}
	}
	return common, matches
}
