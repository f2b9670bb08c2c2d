package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
)

// A segment is a row of sectors. What a disk writes, it writes a sector at a time: whole,
// or not at all. Each sector begins with the stamp of its segment, which no other segment
// has: one that a write has not reached still has an older stamp, of the segment that the
// file was before, or none. So every sector tells by itself whether it was written, and a
// checksum that is wrong in sectors that were all written is damage, not a crash.
//
// A record is a frame: it begins a sector, and no other begins in its last one. A sector
// that was acknowledged is never changed again.
//
//	first sector: stamp(4) header(20) payload(488)
//	others:       stamp(4)            payload(508)

// SectorSize is the unit of all places in a segment, in bytes.
const SectorSize = 512

const (
	stampSize  = 4
	headerSize = 20
	firstData  = SectorSize - stampSize - headerSize
	sectorData = SectorSize - stampSize
)

// castagnoli is the polynomial of all checksums here. MakeTable keeps the tables.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// stamps are what the sectors of a segment begin with: one that begins a record, or one
// that goes on with it. So nothing that a client sends can look like a record.
type stamps struct{ first, other uint32 }

// stampsOf makes the stamps of a segment from its number with a permutation that scatters,
// so that those of two segments differ in many bits (one of Chris Wellons' mixers). They
// come back after 2^32 segments.
func stampsOf(seq uint64) stamps {
	x := uint32(seq) ^ 0x9e3779b9
	x = (x ^ x>>16) * 0x21f0aaad
	x = (x ^ x>>15) * 0xd35a2d97
	x ^= x >> 15
	return stamps{x, x ^ 0x5a5a5a5a}
}

// stamping is what the stamp of a sector says about it.
type stamping uint8

const (
	unwritten stamping = iota // by this segment
	begins                    // a record
	goesOn                    // with one
	doubtful                  // a stamp of this segment that was changed: no other comes so close to it
)

func (s stamps) look(sector []byte) stamping {
	stamp := binary.LittleEndian.Uint32(sector)
	first, other := bits.OnesCount32(stamp^s.first), bits.OnesCount32(stamp^s.other)
	switch {
	case first == 0:
		return begins
	case other == 0:
		return goesOn
	case min(first, other) <= 2:
		return doubtful
	default:
		return unwritten
	}
}

// header is what stands in front of a record.
type header struct {
	prev   uint32 // checksum of the record before this one
	crc    uint32 // and of this one: see checksum
	size   uint32 // bytes of payload
	synced uint32 // sectors of this segment that were durable when this was written
}

// sectors is how many a payload of so many bytes takes.
func sectors(size int) int64 {
	return 1 + (int64(max(size-firstData, 0))+sectorData-1)/sectorData
}

// checksum covers a record and where it belongs: the record before it, the segment, the
// place, the length and the payload. So what an earlier segment has left in the file is
// no record of this one.
func (h *header) checksum(seq uint64, place int64, payload []byte) uint32 {
	var b [20]byte
	binary.LittleEndian.PutUint64(b[:], seq)
	binary.LittleEndian.PutUint64(b[8:], uint64(place))
	binary.LittleEndian.PutUint32(b[16:], h.size)
	return crc32.Update(crc32.Update(h.prev, castagnoli(), b[:]), castagnoli(), payload)
}

// put writes the header into a sector, with a checksum of its own: a length is believed
// before the record is read.
func (h *header) put(sector []byte, seq uint64, place int64) {
	b := sector[stampSize:]
	binary.LittleEndian.PutUint32(b[4:], h.prev)
	binary.LittleEndian.PutUint32(b[8:], h.crc)
	binary.LittleEndian.PutUint32(b[12:], h.size)
	binary.LittleEndian.PutUint32(b[16:], h.synced)
	binary.LittleEndian.PutUint32(b, headerSum(b[4:headerSize], seq, place))
}

func headerSum(b []byte, seq uint64, place int64) uint32 {
	var at [16]byte
	binary.LittleEndian.PutUint64(at[:], seq)
	binary.LittleEndian.PutUint64(at[8:], uint64(place))
	return crc32.Update(crc32.Checksum(at[:], castagnoli()), castagnoli(), b)
}

var errBadHeader = errors.New("a record's header is damaged")

func readHeader(sector []byte, seq uint64, place int64) (header, error) {
	b := sector[stampSize:]
	h := header{
		prev:   binary.LittleEndian.Uint32(b[4:]),
		crc:    binary.LittleEndian.Uint32(b[8:]),
		size:   binary.LittleEndian.Uint32(b[12:]),
		synced: binary.LittleEndian.Uint32(b[16:]),
	}
	if binary.LittleEndian.Uint32(b) != headerSum(b[4:headerSize], seq, place) {
		return h, errBadHeader
	}
	return h, nil
}

// appendFrame appends the sectors of a record to dst, and returns its checksum as well.
// synced is the place up to which the segment is durable.
func appendFrame(dst []byte, seq uint64, place, synced int64, prev uint32, payload []byte) ([]byte, uint32) {
	h := header{prev: prev, size: uint32(len(payload)), synced: uint32(synced / SectorSize)}
	h.crc = h.checksum(seq, place, payload)
	stamp := stampsOf(seq)
	for at := range sectors(len(payload)) {
		n := len(dst)
		dst = append(dst, make([]byte, SectorSize)...)
		sector := dst[n:]
		binary.LittleEndian.PutUint32(sector, stamp.other)
		into := sector[stampSize:]
		if at == 0 {
			binary.LittleEndian.PutUint32(sector, stamp.first)
			h.put(sector, seq, place)
			into = into[headerSize:]
		}
		payload = payload[copy(into, payload):]
	}
	return dst, h.crc
}

// payload puts together what the sectors of a frame hold. REQUIRES: there are enough.
func (h *header) payload(b []byte) []byte {
	p := make([]byte, 0, h.size)
	for left, skip := int(h.size), stampSize+headerSize; left > 0; skip = stampSize {
		n := min(left, SectorSize-skip)
		p = append(p, b[skip:skip+n]...)
		left -= n
		b = b[SectorSize:]
	}
	return p
}
