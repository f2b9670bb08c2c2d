package command

import (
	"encoding/binary"
	"math/bits"

	"github.com/raftredis/raftredis/store/keyspace"
)

// errBitOffset is the answer to an offset that is none or is beyond the longest
// string that there may be.
const errBitOffset = "ERR bit offset is not an integer or out of range"

// maxBitOffset is the first offset that is out of range.
const maxBitOffset = maxString * 8

// parseBitOffset parses an offset. With width above zero it may also be a
// multiple of it: #3.
func parseBitOffset(b []byte, width int64) (int64, bool) {
	times := int64(1)
	if width > 0 && len(b) > 0 && b[0] == '#' {
		times, b = width, b[1:]
	}
	n, ok := ParseInt(b)
	n *= times // may overflow, as in Redis
	return n, ok && n >= 0 && n < maxBitOffset
}

// bitOffset returns argument i as an offset. If it is none, it has replied the
// error.
func bitOffset(c *Call, i int) (int64, bool) {
	n, ok := parseBitOffset(c.Args[i], 0)
	if !ok {
		c.Reply.Error(errBitOffset)
	}
	return n, ok
}

// bitAt returns a bit of s, 0 beyond the end. Bit 0 is the highest of the first
// byte.
func bitAt(s []byte, offset int64) byte {
	if offset>>3 >= int64(len(s)) {
		return 0
	}
	return s[offset>>3] >> (7 - offset&7) & 1
}

func setbit(w *Write) {
	const errBit = "ERR bit is not an integer or out of range"
	offset, ok := bitOffset(&w.Call, 2)
	if !ok {
		return
	}
	on, ok := w.IntOr(3, errBit)
	if !ok {
		return
	}
	if on != 0 && on != 1 {
		w.Reply.Error(errBit)
		return
	}
	s, _, err := w.DB.Get(w.Args[1])
	if err != nil {
		w.Fail(err)
		return
	}
	old := bitAt(s, offset)
	// What would change nothing is no change that WATCH should see.
	if offset>>3 >= int64(len(s)) || old != byte(on) {
		if s, err = w.DB.StringForUpdate(w.Args[1], int(offset>>3)+1); err != nil {
			w.Fail(err)
			return
		}
		mask := byte(1) << (7 - offset&7)
		if s[offset>>3] &^= mask; on == 1 {
			s[offset>>3] |= mask
		}
		w.event(keyspace.EventString, "setbit", w.Args[1])
	}
	w.Reply.Int(int64(old))
}

func getbit(r *Read) {
	offset, ok := bitOffset(&r.Call, 2)
	if !ok {
		return
	}
	s, _, err := r.DB.Get(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	r.Reply.Int(int64(bitAt(s, offset)))
}

// bitRange turns the ends of a range, of which negative ones count from the end
// of n, into [start, end]. It is empty if start is above end.
func bitRange(start, end, n int64) (int64, int64) {
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	return start, min(end, n-1)
}

// bitUnit reads argument i: BIT (1) or BYTE (8).
func bitUnit(c *Call, i int) (int64, bool) {
	switch {
	case c.Is(i, "bit"):
		return 1, true
	case c.Is(i, "byte"):
		return 8, true
	default:
		c.Reply.Error(ErrSyntax)
		return 0, false
	}
}

func bitcount(r *Read) {
	s, ok, err := r.DB.Get(r.Args[1])
	switch {
	case err != nil:
		r.Fail(err)
		return
	case !ok: // Redis does not look at the arguments then
		r.Reply.Int(0)
		return
	case len(r.Args) == 2:
		r.Reply.Int(popcount(s))
		return
	case len(r.Args) == 3 || len(r.Args) > 5:
		r.Reply.Error(ErrSyntax)
		return
	}
	start, ok := r.Int(2)
	if !ok {
		return
	}
	end, ok := r.Int(3)
	if !ok {
		return
	}
	if start < 0 && end < 0 && start > end {
		r.Reply.Int(0)
		return
	}
	unit := int64(8)
	if len(r.Args) == 5 {
		if unit, ok = bitUnit(&r.Call, 4); !ok {
			return
		}
	}
	start, end = bitRange(start, end, int64(len(s))*8/unit)
	if start > end {
		r.Reply.Int(0)
		return
	}
	first, last := start*unit, (end+1)*unit // bits
	n := popcount(s[first>>3 : (last+7)>>3])
	n -= int64(bits.OnesCount8(s[first>>3] &^ (0xff >> (first & 7))))
	if last&7 != 0 {
		n -= int64(bits.OnesCount8(s[last>>3] & (0xff >> (last & 7))))
	}
	r.Reply.Int(n)
}

// popcount counts the bits that are set.
func popcount(s []byte) int64 {
	n := 0
	for ; len(s) >= 32; s = s[32:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(s)) +
			bits.OnesCount64(binary.LittleEndian.Uint64(s[8:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(s[16:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(s[24:]))
	}
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return int64(n)
}

func bitpos(r *Read) {
	bit, ok := r.Int(2)
	if !ok {
		return
	}
	if bit != 0 && bit != 1 {
		r.Reply.Error("ERR The bit argument must be 1 or 0.")
		return
	}
	s, ok, err := r.DB.Get(r.Args[1])
	switch {
	case err != nil:
		r.Fail(err)
		return
	case !ok: // endless zeros
		r.Reply.Int(-bit)
		return
	case len(r.Args) > 6:
		r.Reply.Error(ErrSyntax)
		return
	}
	start, end, unit := int64(0), int64(len(s))-1, int64(8)
	if len(r.Args) > 3 {
		if start, ok = r.Int(3); !ok {
			return
		}
	}
	if len(r.Args) > 5 {
		if unit, ok = bitUnit(&r.Call, 5); !ok {
			return
		}
	}
	if len(r.Args) > 4 {
		if end, ok = r.Int(4); !ok {
			return
		}
	}
	start, end = bitRange(start, end, int64(len(s))*8/unit)
	if start > end {
		r.Reply.Int(-1)
		return
	}
	pos := findBit(s, start*unit, (end+1)*unit, byte(bit))
	if pos < 0 && bit == 0 && len(r.Args) <= 4 {
		pos = int64(len(s)) * 8 // without an end there are zeros behind the string
	}
	r.Reply.Int(pos)
}

// findBit returns the position of the first bit in [from, to) that equals bit,
// -1 if there is none.
func findBit(s []byte, from, to int64, bit byte) int64 {
	flip := uint64(0)
	if bit == 0 {
		flip = ^flip
	}
	at := from >> 3
	mask := ^uint64(0) >> (from & 7) // hides what is before from in the first word
	for ; at*8 < to; at += 8 {
		var word uint64
		if rest := s[at:]; len(rest) >= 8 {
			word = binary.BigEndian.Uint64(rest)
		} else {
			var padded [8]byte
			copy(padded[:], rest)
			word = binary.BigEndian.Uint64(padded[:])
		}
		if word = (word ^ flip) & mask; word != 0 {
			if pos := at*8 + int64(bits.LeadingZeros64(word)); pos < to {
				return pos
			}
			return -1
		}
		mask = ^uint64(0)
	}
	return -1
}

func bitop(w *Write) {
	var op func(dst, src []byte)
	not := false
	switch {
	case w.Is(1, "and"):
		op = andBytes
	case w.Is(1, "or"):
		op = orBytes
	case w.Is(1, "xor"):
		op = xorBytes
	case w.Is(1, "not"):
		not = true
	default:
		w.Reply.Error(ErrSyntax)
		return
	}
	keys := w.Args[3:]
	if not && len(keys) != 1 {
		w.Reply.Error("ERR BITOP NOT must be called with a single source key.")
		return
	}
	sources := make([][]byte, len(keys))
	longest := 0
	for i, key := range keys {
		s, _, err := w.DB.Get(key)
		if err != nil {
			w.Fail(err)
			return
		}
		sources[i], longest = s, max(longest, len(s))
	}
	if longest == 0 {
		w.remove(w.Args[2])
		w.Reply.Int(0)
		return
	}
	result := make([]byte, longest)
	copy(result, sources[0])
	if not {
		notBytes(result)
	}
	for _, src := range sources[1:] {
		op(result, src)
	}
	setRaw(w.DB, w.Args[2], result, 0)
	w.event(keyspace.EventString, "set", w.Args[2])
	w.Reply.Int(int64(longest))
}

// setRaw makes key the string s, which nobody else holds, and which OBJECT
// ENCODING calls raw however short it is: Redis does not compact what it has
// computed.
func setRaw(db *keyspace.DB, key, s []byte, expire int64) {
	db.SetOwned(key, s, expire)
	_, _ = db.StringForUpdate(key, 0) // cannot fail: it is a string
}

// andBytes and the like combine dst with src, which is at most as long and is
// taken to go on with zeros.
func andBytes(dst, src []byte) {
	clear(dst[len(src):])
	i := 0
	for ; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])&binary.LittleEndian.Uint64(src[i:]))
	}
	for ; i < len(src); i++ {
		dst[i] &= src[i]
	}
}

func orBytes(dst, src []byte) {
	i := 0
	for ; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])|binary.LittleEndian.Uint64(src[i:]))
	}
	for ; i < len(src); i++ {
		dst[i] |= src[i]
	}
}

func xorBytes(dst, src []byte) {
	i := 0
	for ; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])^binary.LittleEndian.Uint64(src[i:]))
	}
	for ; i < len(src); i++ {
		dst[i] ^= src[i]
	}
}

func notBytes(dst []byte) {
	i := 0
	for ; i+8 <= len(dst); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], ^binary.LittleEndian.Uint64(dst[i:]))
	}
	for ; i < len(dst); i++ {
		dst[i] = ^dst[i]
	}
}
