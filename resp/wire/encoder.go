package wire

import (
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/command"
)

// Encoder is the only place that knows what a reply looks like on the wire. It
// appends to Buf, in the protocol version that the connection has chosen.
type Encoder struct {
	Buf     []byte            // the replies so far
	Errs    int               // errors written, counted so that a caller sees whether a command failed
	OnError func(line string) // hears of each of them; nil: nobody does
	resp3   bool
}

var _ command.Reply = (*Encoder)(nil)

// RESP3 reports whether the client speaks RESP3.
func (e *Encoder) RESP3() bool { return e.resp3 }

// SetRESP3 chooses the protocol version of the replies to come.
func (e *Encoder) SetRESP3(on bool) { e.resp3 = on }

// Status writes a simple string.
func (e *Encoder) Status(s string) { e.Buf = redcon.AppendString(e.Buf, s) }

// Error writes an error line.
func (e *Encoder) Error(s string) {
	e.Errs++
	if e.OnError != nil {
		e.OnError(s)
	}
	e.Buf = redcon.AppendError(e.Buf, s)
}

// Int writes an integer.
func (e *Encoder) Int(n int64) { e.Buf = redcon.AppendInt(e.Buf, n) }

// Bulk writes a bulk string.
func (e *Encoder) Bulk(b []byte) {
	if len(b) > big {
		e.Buf = append(e.Buf, '$')
		e.Buf = strconv.AppendInt(e.Buf, int64(len(b)), 10)
		e.Buf = append(e.Buf, '\r', '\n')
		e.Buf = append(command.Append(e.Buf, b), '\r', '\n')
		return
	}
	e.Buf = redcon.AppendBulk(e.Buf, b)
}

// BulkString writes a bulk string.
func (e *Encoder) BulkString(s string) { e.Buf = redcon.AppendBulkString(e.Buf, s) }

// Null writes what stands for a missing value.
func (e *Encoder) Null() {
	if e.resp3 {
		e.Buf = append(e.Buf, "_\r\n"...)
		return
	}
	e.Buf = redcon.AppendNull(e.Buf)
}

// NullArray writes what stands for a missing array.
func (e *Encoder) NullArray() {
	if e.resp3 {
		e.Buf = append(e.Buf, "_\r\n"...)
		return
	}
	e.Buf = append(e.Buf, "*-1\r\n"...)
}

// Array begins an array of n replies.
func (e *Encoder) Array(n int) { e.Buf = redcon.AppendArray(e.Buf, n) }

// Map begins a map of n pairs of replies.
func (e *Encoder) Map(n int) { e.aggregate('%', n, 2*n) }

// Set begins a set of n replies.
func (e *Encoder) Set(n int) { e.aggregate('~', n, n) }

// Push begins an out-of-band message of n replies.
func (e *Encoder) Push(n int) { e.aggregate('>', n, n) }

func (e *Encoder) aggregate(kind byte, n, flat int) {
	if !e.resp3 {
		e.Array(flat)
		return
	}
	e.Buf = append(e.Buf, kind)
	e.Buf = strconv.AppendInt(e.Buf, int64(n), 10)
	e.Buf = append(e.Buf, '\r', '\n')
}

// Double writes a floating point number with 17 significant digits, as Redis 7.0
// does (7.2 writes the shortest form that reads back the same).
func (e *Encoder) Double(f float64) {
	var digits [32]byte
	text := cfloat.AppendDouble(digits[:0], f)
	if !e.resp3 {
		e.Bulk(text)
		return
	}
	e.Buf = append(e.Buf, ',')
	e.Buf = append(e.Buf, text...)
	e.Buf = append(e.Buf, '\r', '\n')
}

// Bool writes a boolean.
func (e *Encoder) Bool(b bool) {
	switch {
	case !e.resp3 && b:
		e.Int(1)
	case !e.resp3:
		e.Int(0)
	case b:
		e.Buf = append(e.Buf, "#t\r\n"...)
	default:
		e.Buf = append(e.Buf, "#f\r\n"...)
	}
}

// Decimal writes a double in the notation that it comes in.
func (e *Encoder) Decimal(s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.Buf = append(e.Buf, ',')
	e.Buf = append(e.Buf, s...)
	e.Buf = append(e.Buf, '\r', '\n')
}

// BigNumber writes an integer of any size.
func (e *Encoder) BigNumber(s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.Buf = append(e.Buf, '(')
	e.Buf = append(e.Buf, s...)
	e.Buf = append(e.Buf, '\r', '\n')
}

// Verbatim writes a text with a hint, of three letters, at how to show it.
func (e *Encoder) Verbatim(ext, s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.Buf = append(e.Buf, '=')
	e.Buf = strconv.AppendInt(e.Buf, int64(len(s)+4), 10)
	e.Buf = append(e.Buf, '\r', '\n')
	e.Buf = append(e.Buf, ext...)
	e.Buf = append(e.Buf, ':')
	e.Buf = append(e.Buf, s...)
	e.Buf = append(e.Buf, '\r', '\n')
}

// Raw writes replies that are already encoded.
func (e *Encoder) Raw(b []byte) { e.Buf = append(e.Buf, b...) }

// Strings writes an array of bulk strings.
func (e *Encoder) Strings(ss ...string) {
	e.Array(len(ss))
	for _, s := range ss {
		e.BulkString(s)
	}
}
