package command

import (
	"bytes"

	"github.com/raftredis/raftredis/store/keyspace"
)

// bitfieldOverflow is what to do when a number does not fit.
type bitfieldOverflow uint8

const (
	overflowWrap bitfieldOverflow = iota
	overflowSat
	overflowFail
)

// bitfieldOp is one GET, SET or INCRBY.
type bitfieldOp struct {
	verb     byte // 'g', 's' or 'i'
	signed   bool
	width    uint // bits
	offset   int64
	operand  int64
	overflow bitfieldOverflow
}

func bitfield(w *Write) {
	ops, size, ok := parseBitfield(&w.Call)
	if !ok {
		return
	}
	key := w.Args[1]
	s, _, err := w.DB.Get(key)
	if size > 0 {
		w.DB.Lookups = keyspace.Lookups{} // Redis looks up for writing then
	}
	if err != nil {
		w.Fail(err)
		return
	}
	// s is written to only once it is private: from the start if it has to grow,
	// else with the first number that really changes.
	private := size > len(s)
	if private {
		if s, err = w.DB.StringForUpdate(key, size); err != nil {
			w.Fail(err)
			return
		}
	}
	w.Reply.Array(len(ops))
	changed := false
	for i := range ops {
		op := &ops[i]
		old := op.load(s)
		if op.verb == 'g' {
			w.Reply.Int(old)
			continue
		}
		value, reply, ok := op.apply(old)
		if !ok {
			w.Reply.Null()
			continue
		}
		if value != old {
			if !private {
				private = true
				if s, err = w.DB.StringForUpdate(key, size); err != nil {
					w.Reply.Null() // cannot be: its type is known
					continue
				}
			}
			op.store(s, value)
		}
		changed = changed || private
		w.Reply.Int(reply)
	}
	if changed {
		w.event(keyspace.EventString, "setbit", key)
	}
}

func bitfieldRO(r *Read) {
	ops, size, ok := parseBitfield(&r.Call)
	if !ok {
		return
	}
	if size > 0 {
		r.Reply.Error("ERR BITFIELD_RO only supports the GET subcommand")
		return
	}
	s, _, err := r.DB.Get(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	r.Reply.Array(len(ops))
	for i := range ops {
		r.Reply.Int(ops[i].load(s))
	}
}

// parseBitfield reads the operations. size is how long the string must be for
// those that write, 0 if none does. If ok is false it has replied an error.
func parseBitfield(c *Call) (ops []bitfieldOp, size int, ok bool) {
	overflow := overflowWrap
	for i := 2; i < len(c.Args); {
		op := bitfieldOp{overflow: overflow}
		left := len(c.Args) - i - 1
		switch {
		case left >= 2 && c.Is(i, "get"):
			op.verb = 'g'
		case left >= 3 && c.Is(i, "set"):
			op.verb = 's'
		case left >= 3 && c.Is(i, "incrby"):
			op.verb = 'i'
		case left >= 1 && c.Is(i, "overflow"):
			switch {
			case c.Is(i+1, "wrap"):
				overflow = overflowWrap
			case c.Is(i+1, "sat"):
				overflow = overflowSat
			case c.Is(i+1, "fail"):
				overflow = overflowFail
			default:
				c.Reply.Error("ERR Invalid OVERFLOW type specified")
				return nil, 0, false
			}
			i += 2
			continue
		default:
			c.Reply.Error(ErrSyntax)
			return nil, 0, false
		}
		if !op.parseType(c.Args[i+1]) {
			c.Reply.Error("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
			return nil, 0, false
		}
		if op.offset, ok = parseBitOffset(c.Args[i+2], int64(op.width)); !ok {
			c.Reply.Error(errBitOffset)
			return nil, 0, false
		}
		i += 3
		if op.verb != 'g' {
			if op.operand, ok = c.Int(i); !ok {
				return nil, 0, false
			}
			size = max(size, int((op.offset+int64(op.width)-1)>>3)+1)
			i++
		}
		ops = append(ops, op)
	}
	return ops, size, true
}

// parseType reads a type such as i16 or u8.
func (op *bitfieldOp) parseType(b []byte) bool {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i] // it is a C string to Redis
	}
	if len(b) == 0 || b[0] != 'i' && b[0] != 'u' {
		return false
	}
	op.signed = b[0] == 'i'
	widest := int64(63)
	if op.signed {
		widest = 64
	}
	n, ok := ParseInt(b[1:])
	op.width = uint(n)
	return ok && n >= 1 && n <= widest
}

// load reads the number from s, which goes on with zeros.
func (op *bitfieldOp) load(s []byte) int64 {
	var value uint64
	offset := op.offset
	for left := op.width; left > 0; {
		in := uint(8 - offset&7) // bits of this byte from offset on
		var b byte
		if at := offset >> 3; at < int64(len(s)) {
			b = s[at]
		}
		n := min(in, left)
		value = value<<n | uint64(b>>(in-n)&(1<<n-1))
		offset, left = offset+int64(n), left-n
	}
	if op.signed {
		return int64(value<<(64-op.width)) >> (64 - op.width)
	}
	return int64(value)
}

// store writes the low bits of value to s, which is long enough.
func (op *bitfieldOp) store(s []byte, value int64) {
	offset := op.offset
	for left := op.width; left > 0; {
		in := uint(8 - offset&7)
		n := min(in, left)
		part := byte(uint64(value)>>(left-n)) & (1<<n - 1)
		mask := byte(1<<n-1) << (in - n)
		at := offset >> 3
		s[at] = s[at]&^mask | part<<(in-n)
		offset, left = offset+int64(n), left-n
	}
}

// apply returns the new value for an old one, and what to reply. It is not ok if
// the value does not fit and the operation is to fail then.
func (op *bitfieldOp) apply(old int64) (value, reply int64, ok bool) {
	base, increment := old, op.operand
	if op.verb == 's' {
		base, increment = op.operand, 0
	}
	over, limit := op.checkUnsigned(base, increment)
	if op.signed {
		over, limit = op.checkSigned(base, increment)
	}
	value = base + increment
	if over {
		switch op.overflow {
		case overflowFail:
			return 0, 0, false
		case overflowSat:
			value = limit
		default:
			value = op.wrap(value)
		}
	}
	if op.verb == 's' {
		return value, old, true
	}
	return value, value, true
}

// wrap keeps the bits of value that fit.
func (op *bitfieldOp) wrap(value int64) int64 {
	if op.signed {
		return value << (64 - op.width) >> (64 - op.width)
	}
	return int64(uint64(value) << (64 - op.width) >> (64 - op.width))
}

// checkUnsigned reports whether base+increment does not fit, and the end of the
// range that it is beyond. A negative base is a number too big, as in Redis.
func (op *bitfieldOp) checkUnsigned(base, increment int64) (over bool, limit int64) {
	highest := int64(1)<<op.width - 1 // the width is at most 63
	switch {
	case base < 0 || base > highest || increment > highest-base:
		return true, highest
	case increment < -base:
		return true, 0
	default:
		return false, 0
	}
}

// checkSigned is checkUnsigned for signed numbers. Its differences wrap where
// Redis's do: SET of the very lowest numbers is taken to be too high.
func (op *bitfieldOp) checkSigned(base, increment int64) (over bool, limit int64) {
	highest := int64(1)<<(op.width-1) - 1 // wraps to the right value for 64
	lowest := -highest - 1
	up, down := highest-base, lowest-base
	narrow := op.width < 64
	switch {
	case base > highest, narrow && increment > up, base >= 0 && increment > 0 && increment > up:
		return true, highest
	case base < lowest, narrow && increment < down, base < 0 && increment < 0 && increment < down:
		return true, lowest
	default:
		return false, 0
	}
}

// bitfieldKeys knows that BITFIELD with nothing but GET only reads. What cannot be
// read may as well write.
func bitfieldKeys(argv [][]byte) []KeyRef {
	for i := 2; i < len(argv); i++ {
		switch rest := len(argv) - i - 1; {
		case EqualFold(argv[i], "get") && rest >= 2:
			i += 2
		case EqualFold(argv[i], "overflow") && rest >= 1:
			i++
		default:
			return []KeyRef{{1, "RW ACCESS UPDATE"}}
		}
	}
	return []KeyRef{{1, "RO ACCESS"}}
}
