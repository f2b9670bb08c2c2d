package command

import "github.com/raftredis/raftredis/store/keyspace"

func xrange(r *Read) { r.streamRange(2, 3, false) }

func xrevrange(r *Read) { r.streamRange(3, 2, true) }

func (r *Read) streamRange(startAt, endAt int, reverse bool) {
	start, ok := r.streamStart(startAt)
	if !ok {
		return
	}
	end, ok := r.streamEnd(endAt)
	if !ok {
		return
	}
	count := int64(-1)
	for i := 4; i < len(r.Args); i += 2 {
		if !r.Is(i, "count") || i+1 == len(r.Args) {
			r.Reply.Error(ErrSyntax)
			return
		}
		if count, ok = r.Int(i + 1); !ok {
			return
		}
		count = max(count, 0)
	}
	s, ok := r.stream()
	switch {
	case !ok:
	case s == nil:
		r.Reply.Array(0)
	case count == 0:
		r.Reply.NullArray()
	default:
		r.replyEntries(s, keyspace.StreamRange{Start: start, End: end, Reverse: reverse}, int(max(count, 0)))
	}
}
