package resp

import (
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/command"
)

// encoder is the only place that knows what a reply looks like on the wire. It
// appends to buf, in the protocol version that the connection has chosen.
type encoder struct {
	buf   []byte
	resp3 bool
	errs  int    // errors written, counted so that a caller sees whether a command failed
	stats *stats // where errors are counted by their code; nil: nowhere
}

var _ command.Reply = (*encoder)(nil)

// RESP3 reports whether the client speaks RESP3.
func (e *encoder) RESP3() bool { return e.resp3 }

// Status writes a simple string.
func (e *encoder) Status(s string) { e.buf = redcon.AppendString(e.buf, s) }

// Error writes an error line.
func (e *encoder) Error(s string) {
	e.errs++
	if e.stats != nil {
		e.stats.errorReply(s)
	}
	e.buf = redcon.AppendError(e.buf, s)
}

// Int writes an integer.
func (e *encoder) Int(n int64) { e.buf = redcon.AppendInt(e.buf, n) }

// Bulk writes a bulk string.
func (e *encoder) Bulk(b []byte) {
	if len(b) > flushAt {
		e.buf = append(e.buf, '$')
		e.buf = strconv.AppendInt(e.buf, int64(len(b)), 10)
		e.buf = append(e.buf, '\r', '\n')
		e.buf = append(command.Append(e.buf, b), '\r', '\n')
		return
	}
	e.buf = redcon.AppendBulk(e.buf, b)
}

// BulkString writes a bulk string.
func (e *encoder) BulkString(s string) { e.buf = redcon.AppendBulkString(e.buf, s) }

// Null writes what stands for a missing value.
func (e *encoder) Null() {
	if e.resp3 {
		e.buf = append(e.buf, "_\r\n"...)
		return
	}
	e.buf = redcon.AppendNull(e.buf)
}

// NullArray writes what stands for a missing array.
func (e *encoder) NullArray() {
	if e.resp3 {
		e.buf = append(e.buf, "_\r\n"...)
		return
	}
	e.buf = append(e.buf, "*-1\r\n"...)
}

// Array begins an array of n replies.
func (e *encoder) Array(n int) { e.buf = redcon.AppendArray(e.buf, n) }

// Map begins a map of n pairs of replies.
func (e *encoder) Map(n int) { e.aggregate('%', n, 2*n) }

// Set begins a set of n replies.
func (e *encoder) Set(n int) { e.aggregate('~', n, n) }

// Push begins an out-of-band message of n replies.
func (e *encoder) Push(n int) { e.aggregate('>', n, n) }

func (e *encoder) aggregate(kind byte, n, flat int) {
	if !e.resp3 {
		e.Array(flat)
		return
	}
	e.buf = append(e.buf, kind)
	e.buf = strconv.AppendInt(e.buf, int64(n), 10)
	e.buf = append(e.buf, '\r', '\n')
}

// Double writes a floating point number with 17 significant digits, as Redis 7.0
// does (7.2 writes the shortest form that reads back the same).
func (e *encoder) Double(f float64) {
	var digits [32]byte
	text := cfloat.AppendDouble(digits[:0], f)
	if !e.resp3 {
		e.Bulk(text)
		return
	}
	e.buf = append(e.buf, ',')
	e.buf = append(e.buf, text...)
	e.buf = append(e.buf, '\r', '\n')
}

// Bool writes a boolean.
func (e *encoder) Bool(b bool) {
	switch {
	case !e.resp3 && b:
		e.Int(1)
	case !e.resp3:
		e.Int(0)
	case b:
		e.buf = append(e.buf, "#t\r\n"...)
	default:
		e.buf = append(e.buf, "#f\r\n"...)
	}
}

// Decimal writes a double in the notation that it comes in.
func (e *encoder) Decimal(s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.buf = append(e.buf, ',')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '\r', '\n')
}

// BigNumber writes an integer of any size.
func (e *encoder) BigNumber(s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.buf = append(e.buf, '(')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '\r', '\n')
}

// Verbatim writes a text with a hint, of three letters, at how to show it.
func (e *encoder) Verbatim(ext, s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.buf = append(e.buf, '=')
	e.buf = strconv.AppendInt(e.buf, int64(len(s)+4), 10)
	e.buf = append(e.buf, '\r', '\n')
	e.buf = append(e.buf, ext...)
	e.buf = append(e.buf, ':')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '\r', '\n')
}

// raw writes replies that are already encoded.
func (e *encoder) raw(b []byte) { e.buf = append(e.buf, b...) }

// strings writes an array of bulk strings.
func (e *encoder) strings(ss ...string) {
	e.Array(len(ss))
	for _, s := range ss {
		e.BulkString(s)
	}
}
