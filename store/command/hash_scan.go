package command

import (
	"strconv"

	"github.com/raftredis/raftredis/store/glob"
)

// wants is Wants for what is not a string.
func (o *ScanOptions) wants(b []byte) bool {
	return o.pattern == nil || glob.Match(o.pattern, b, false)
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
