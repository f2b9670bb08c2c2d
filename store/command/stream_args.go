package command

import (
	"bytes"
	"math"
	"strings"

	"github.com/raftredis/raftredis/store/keyspace"
)

const (
	errStreamID      = "ERR Invalid stream ID specified as stream command argument"
	errIntervalStart = "ERR invalid start ID for the interval"
	errIntervalEnd   = "ERR invalid end ID for the interval"
)

// cstring is b as Redis puts an argument into an error text: up to the first
// zero byte, and on one line.
func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(string(b))
}

// parseUnsigned parses what Redis's string2ull takes: a number as Redis prints
// it, or whatever C's strtoull makes of the whole string.
func parseUnsigned(b []byte) (uint64, bool) {
	if n, ok := ParseInt(b); ok {
		return uint64(n), n >= 0
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	negative := false
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		negative, b = b[0] == '-', b[1:]
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, len(b) > 0
}

// parseStreamID parses an ID. Where only milliseconds are given, seq is the rest
// of it. "-" and "+" are the lowest and the highest ID, unless strict.
func parseStreamID(b []byte, seq uint64, strict bool) (id keyspace.StreamID, ok bool) {
	id, anySeq, ok := parseNewStreamID(b, seq, strict)
	return id, ok && !anySeq
}

// parseNewStreamID is parseStreamID that also takes "ms-*": anySeq then says
// that the second part is to be chosen.
func parseNewStreamID(b []byte, seq uint64, strict bool) (id keyspace.StreamID, anySeq, ok bool) {
	if len(b) > 127 {
		return id, false, false
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	switch string(b) {
	case "-":
		return id, false, !strict
	case "+":
		return keyspace.MaxStreamID(), false, !strict
	}
	ms, rest, hasSeq := bytes.Cut(b, []byte("-"))
	if id.MS, ok = parseUnsigned(ms); !ok {
		return id, false, false
	}
	id.Seq = seq
	if hasSeq {
		if string(rest) == "*" {
			id.Seq = 0
			return id, true, true
		}
		id.Seq, ok = parseUnsigned(rest)
	}
	return id, false, ok
}

// streamID returns argument i as an ID, with a second part of zero if that is
// missing. If it is none, streamID has written the error.
func (c *Call) streamID(i int) (keyspace.StreamID, bool) {
	id, ok := parseStreamID(c.Args[i], 0, true)
	if !ok {
		c.Reply.Error(errStreamID)
	}
	return id, ok
}

// streamIDs returns the arguments from i on as IDs.
func (c *Call) streamIDs(i int) ([]keyspace.StreamID, bool) {
	ids := make([]keyspace.StreamID, 0, len(c.Args)-i)
	for ; i < len(c.Args); i++ {
		id, ok := c.streamID(i)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// streamStart returns argument i as the lower end of an interval, which "("
// excludes.
func (c *Call) streamStart(i int) (keyspace.StreamID, bool) {
	return c.streamEdge(i, 0, keyspace.StreamID.Next, errIntervalStart)
}

// streamEnd returns argument i as the upper end of an interval.
func (c *Call) streamEnd(i int) (keyspace.StreamID, bool) {
	return c.streamEdge(i, math.MaxUint64, keyspace.StreamID.Prev, errIntervalEnd)
}

func (c *Call) streamEdge(i int, seq uint64, inwards func(keyspace.StreamID) (keyspace.StreamID, bool), outside string) (keyspace.StreamID, bool) {
	b := c.Args[i]
	exclusive := len(b) > 1 && b[0] == '('
	if exclusive {
		b = b[1:]
	}
	id, ok := parseStreamID(b, seq, exclusive)
	if !ok {
		c.Reply.Error(errStreamID)
		return id, false
	}
	if exclusive {
		if id, ok = inwards(id); !ok {
			c.Reply.Error(outside)
		}
	}
	return id, ok
}

func (c *Call) replyStreamID(id keyspace.StreamID) {
	var buf [41]byte
	c.Reply.Bulk(id.Append(buf[:0]))
}

// replyEntry replies an entry: its ID, and its fields and values alternating.
func (c *Call) replyEntry(e *keyspace.StreamEntry) {
	c.Reply.Array(2)
	c.replyStreamID(e.ID)
	c.Reply.Array(2 * e.Fields)
	e.Each(func(field, value []byte) {
		c.Reply.Bulk(field)
		c.Reply.Bulk(value)
	})
}

// replyEntries replies the entries of r, limit at most (0: all).
func (c *Call) replyEntries(s *keyspace.StreamView, r keyspace.StreamRange, limit int) {
	n := s.Count(r, limit)
	c.Reply.Array(n)
	if n == 0 {
		return
	}
	s.Visit(r, func(e *keyspace.StreamEntry) bool {
		c.replyEntry(e)
		n--
		return n > 0
	})
}
