package command

import (
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/glob"
	"github.com/raftredis/raftredis/store/keyspace"
)

// scanOptions are those of SCAN, SSCAN, HSCAN and ZSCAN.
type scanOptions struct {
	count   int
	kind    []byte // nil for any; SCAN alone knows it
	pattern []byte // nil for any
}

// wants reports whether the pattern, if there is one, matches b.
func (o *scanOptions) wants(b []byte) bool {
	return o.pattern == nil || glob.Match(o.pattern, b, false)
}

// parseCursor parses the cursor at argument i. If it is none, it has written the
// error. Redis uses C's strtoul, so it may have a sign.
func parseCursor(c *Call, i int) (uint64, bool) {
	digits := c.Args[i]
	if len(digits) == 0 {
		return 0, true
	}
	negative := false
	if digits[0] == '-' || digits[0] == '+' {
		negative, digits = digits[0] == '-', digits[1:]
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		c.Reply.Error("ERR invalid cursor")
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// parseScan parses the options from argument i on; withType admits TYPE. If they
// are wrong, it has written the error.
func parseScan(c *Call, i int, withType bool) (o scanOptions, ok bool) {
	o.count = 10
	for ; i < len(c.Args); i += 2 {
		more := i+1 < len(c.Args)
		switch {
		case more && c.Is(i, "count"):
			n, ok := c.Int(i + 1)
			if !ok {
				return o, false
			}
			if n < 1 {
				c.Reply.Error(ErrSyntax)
				return o, false
			}
			o.count = int(n)
		case more && c.Is(i, "match"):
			o.pattern = c.Args[i+1]
			if everything(o.pattern) {
				o.pattern = nil
			}
		case more && withType && c.Is(i, "type"):
			o.kind = c.Args[i+1]
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// replyScan replies the cursor to go on from and what was found.
func replyScan(reply Reply, next uint64, found [][]byte) {
	reply.Array(2)
	reply.BulkString(strconv.FormatUint(next, 10))
	reply.Array(len(found))
	for _, b := range found {
		reply.Bulk(b)
	}
}

// scanValue scans what is at argument 1. As in Redis the options are not looked at
// if there is nothing.
func scanValue[V any](r *Read, at func(key []byte) (*V, error), scan func(v *V, cursor uint64, o *scanOptions) (next uint64, found [][]byte)) {
	cursor, ok := parseCursor(&r.Call, 2)
	if !ok {
		return
	}
	v, ok := valueAt(r, at)
	if !ok {
		return
	}
	if v == nil {
		replyScan(r.Reply, 0, nil)
		return
	}
	o, ok := parseScan(&r.Call, 3, false)
	if !ok {
		return
	}
	next, found := scan(v, cursor, &o)
	replyScan(r.Reply, next, found)
}

func hscan(r *Read) {
	scanValue(r, r.DB.HashAt, func(h *keyspace.HashView, cursor uint64, o *scanOptions) (next uint64, found [][]byte) {
		next = h.Scan(cursor, o.count, func(field, value []byte) {
			if o.wants(field) {
				found = append(found, field, value)
			}
		})
		return next, found
	})
}

func sscan(r *Read) {
	scanValue(r, r.DB.SetAt, func(s *keyspace.SetView, cursor uint64, o *scanOptions) (next uint64, found [][]byte) {
		next = s.Scan(cursor, o.count, func(member []byte) {
			if o.wants(member) {
				// The members of an intset are printed into one and the same place.
				found = append(found, append([]byte(nil), member...))
			}
		})
		return next, found
	})
}

func zscan(r *Read) {
	scanValue(r, r.DB.ZSetAt, func(z *keyspace.ZSetView, cursor uint64, o *scanOptions) (next uint64, found [][]byte) {
		next = z.Scan(cursor, o.count, func(member []byte, score float64) {
			if o.wants(member) {
				found = append(found, member, zscanScore(score, z.Small()))
			}
		})
		return next, found
	})
}

// zscanScore prints a score as it stands in Redis's memory: in a listpack whole
// numbers are integers, up to a size at which %.17g has an exponent already.
func zscanScore(score float64, small bool) []byte {
	const safe = math.MaxInt64 / 2
	if small && -safe <= score && score <= safe && score == math.Trunc(score) {
		return strconv.AppendInt(nil, int64(score), 10)
	}
	return cfloat.AppendDouble(nil, score)
}
