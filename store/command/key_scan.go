package command

import (
	"strconv"

	"github.com/raftredis/raftredis/store/keyspace"
)

func scanSpecs() []*Spec {
	return []*Spec{
		{
			Name: "keys", Arity: 2, Group: "generic", Since: "1.0.0",
			Flags:      Dangerous,
			Tips:       "request_policy:all_shards nondeterministic_output_order",
			Complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
			Summary:    "Find all keys matching the given pattern",
			Syntax:     "pattern",
			Read:       keys,
		},
		{
			Name: "scan", Arity: -2, Group: "generic", Since: "2.8.0",
			Tips:       "nondeterministic_output request_policy:special",
			Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
			Summary:    "Incrementally iterate the keys space",
			Syntax:     "cursor [MATCH pattern] [COUNT count] [TYPE type]",
			Read:       scan,
		},
		{
			Name: "randomkey", Arity: 1, Group: "generic", Since: "1.0.0",
			Tips:       "request_policy:all_shards nondeterministic_output",
			Complexity: "O(1)",
			Summary:    "Return a random key from the keyspace",
			Read:       randomkey,
		},
	}
}

// everything reports whether a pattern is the one that matches all keys, the
// empty one included.
func everything(pattern []byte) bool { return string(pattern) == "*" }

func keys(r *Read) {
	pattern, all := r.Args[1], everything(r.Args[1])
	var found []string
	r.DB.Scan(0, r.DB.Len(), func(key string, _ keyspace.Kind) {
		if all || MatchString(pattern, key) {
			found = append(found, key)
		}
	})
	replyStrings(r.Reply, found)
}

func replyStrings(reply Reply, ss []string) {
	reply.Array(len(ss))
	for _, s := range ss {
		reply.BulkString(s)
	}
}

// ScanOptions are those of SCAN, SSCAN, HSCAN and ZSCAN.
type ScanOptions struct {
	Cursor uint64
	Count  int
	Kind   []byte // nil for any; SCAN alone knows it

	pattern []byte
}

// Wants reports whether the pattern, if there is one, matches s.
func (o *ScanOptions) Wants(s string) bool { return o.pattern == nil || MatchString(o.pattern, s) }

// ParseCursor parses the cursor at argument i. If it is none, it has written the
// error. Redis uses C's strtoul, so it may have a sign.
func ParseCursor(c *Call, i int) (uint64, bool) {
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

// ParseScan parses the options from argument i on; withType admits TYPE. If they
// are wrong, it has written the error.
func ParseScan(c *Call, i int, withType bool) (o ScanOptions, ok bool) {
	o.Count = 10
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
			o.Count = int(n)
		case more && c.Is(i, "match"):
			o.pattern = c.Args[i+1]
			if everything(o.pattern) {
				o.pattern = nil
			}
		case more && withType && c.Is(i, "type"):
			o.Kind = c.Args[i+1]
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

func scan(r *Read) {
	cursor, ok := ParseCursor(&r.Call, 1)
	if !ok {
		return
	}
	o, ok := ParseScan(&r.Call, 2, true)
	if !ok {
		return
	}
	var found []string
	cursor = r.DB.Scan(cursor, o.Count, func(key string, k keyspace.Kind) {
		if !o.Wants(key) {
			return
		}
		if o.Kind != nil {
			r.DB.Lookups.Count(true)
		}
		if o.Kind == nil || EqualFold(o.Kind, k.String()) {
			found = append(found, key)
		}
	})
	r.Reply.Array(2)
	r.Reply.BulkString(strconv.FormatUint(cursor, 10))
	replyStrings(r.Reply, found)
}

func randomkey(r *Read) {
	n := r.DB.Len()
	if n == 0 {
		r.Reply.Null()
		return
	}
	// Most keys are not past their deadline: a few throws find one. If none does,
	// the search goes on from the last throw, which favours some keys but ends.
	const throws = 100
	at := 0
	for range throws {
		at = r.Rand.Intn(n)
		if key, ok := r.DB.At(at); ok {
			r.Reply.BulkString(key)
			return
		}
	}
	for i := range n {
		if key, ok := r.DB.At((at + i) % n); ok {
			r.Reply.BulkString(key)
			return
		}
	}
	r.Reply.Null()
}
