package command

import (
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/cfloat"
)

func zscan(r *Read) {
	cursor, ok := ParseCursor(&r.Call, 2)
	if !ok {
		return
	}
	z, err := r.DB.ZSetAt(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	if z == nil { // Redis does not look at the options then
		r.Reply.Array(2)
		r.Reply.BulkString("0")
		r.Reply.Array(0)
		return
	}
	o, ok := ParseScan(&r.Call, 3, false)
	if !ok {
		return
	}
	var found [][]byte
	cursor = z.Scan(cursor, o.Count, func(member []byte, score float64) {
		if o.Wants(string(member)) {
			found = append(found, member, zscanScore(score, z.Small()))
		}
	})
	r.Reply.Array(2)
	r.Reply.BulkString(strconv.FormatUint(cursor, 10))
	r.Reply.Array(len(found))
	for _, b := range found {
		r.Reply.Bulk(b)
	}
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
