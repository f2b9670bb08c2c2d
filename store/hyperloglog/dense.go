package hyperloglog

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Sketch is a HyperLogLog as Redis keeps it in a string, byte for byte:
//
//	HYLL | 0 dense, 1 sparse | three zeros | cached count, 8 bytes | registers
//
// The highest bit of the cached count says that it is out of date. The dense
// form has 16384 registers of 6 bits from the lowest bit of the first byte on;
// for the sparse one see sparse.go.
type Sketch []byte

// Count is the number of registers.
const Count = 1 << indexBits

const (
	header    = 16
	indexBits = 14
	maxBits   = 64 - indexBits // of the hash behind the index
	denseSize = header + Count*6/8
)

// Registers are registers a byte each, to merge into.
type Registers [Count]byte

// Histogram counts the registers that have each value.
type Histogram [64]int

// Dense reports whether h has the dense form.
func (h Sketch) Dense() bool { return h[4] == 0 }

// Valid reports whether h looks like a HyperLogLog. A sparse one may still turn
// out to be corrupt.
func (h Sketch) Valid() bool {
	return len(h) >= header && string(h[:4]) == "HYLL" && (h[4] == 1 || h[4] == 0 && len(h) == denseSize)
}

// Clone returns a copy with room for a few changes.
func (h Sketch) Clone() Sketch { return append(make(Sketch, 0, len(h)+len(h)/8+8), h...) }

// Invalidate marks the cached count as out of date.
func (h Sketch) Invalidate() { h[15] |= 0x80 }

// Cached returns the cached count if it is valid.
func (h Sketch) Cached() (uint64, bool) {
	n := binary.LittleEndian.Uint64(h[8:])
	return n, n>>63 == 0
}

// Cache keeps a count.
func (h Sketch) Cache(n uint64) { binary.LittleEndian.PutUint64(h[8:], n) }

// Register returns register i of a dense h.
func (h Sketch) Register(i int) byte {
	at, shift := header+i*6/8, i*6%8
	n := h[at] >> shift
	if shift > 2 {
		n |= h[at+1] << (8 - shift)
	}
	return n & 63
}

// SetRegister changes register i of a dense h.
func (h Sketch) SetRegister(i int, n byte) {
	at, shift := header+i*6/8, i*6%8
	h[at] = h[at]&^(63<<shift) | n<<shift
	if shift > 2 {
		h[at+1] = h[at+1]&^(63>>(8-shift)) | n>>(8-shift)
	}
}

// MergeInto raises the registers to those of h. It is not ok if h is corrupt.
func (h Sketch) MergeInto(highest *Registers) (ok bool) {
	if !h.Dense() {
		return h.runs(func(first, n int, value byte) {
			for i := first; i < first+n && value > 0; i++ {
				highest[i] = max(highest[i], value)
			}
		})
	}
	// Four registers are three bytes.
	for i, b := 0, h[header:]; i < Count; i, b = i+4, b[3:] {
		word := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		highest[i] = max(highest[i], byte(word&63))
		highest[i+1] = max(highest[i+1], byte(word>>6&63))
		highest[i+2] = max(highest[i+2], byte(word>>12&63))
		highest[i+3] = max(highest[i+3], byte(word>>18))
	}
	return true
}

// Histogram adds up the registers of h. It is not ok if h is corrupt.
func (h Sketch) Histogram(counts *Histogram) (ok bool) {
	if !h.Dense() {
		return h.runs(func(_, n int, value byte) { counts[value] += n })
	}
	for b := h[header:]; len(b) > 0; b = b[3:] {
		word := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		counts[word&63]++
		counts[word>>6&63]++
		counts[word>>12&63]++
		counts[word>>18]++
	}
	return true
}

// Cardinality estimates how many elements were added, after Otmar Ertl, "New
// cardinality estimation algorithms for HyperLogLog sketches" (2017).
func (counts *Histogram) Cardinality() uint64 {
	const m = float64(Count)
	z := m * tau((m-float64(counts[maxBits+1]))/m)
	for i := maxBits; i >= 1; i-- {
		z += float64(counts[i])
		z *= 0.5
	}
	z += float64(m * sigma(float64(counts[0])/m))
	const alpha = 0.721347520444481703680 // 1/(2 ln 2)
	return uint64(math.Round(alpha * m * m / z))
}

// The two series of the paper. Products are rounded on their own, so that the
// estimate is the same on every processor.

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}

// Pattern returns the register that an element belongs to, and how many bits
// its hash begins with up to the first one that is set.
func Pattern(element []byte) (index int, count byte) {
	hash := murmur64(element, 0xadc83b19)
	index = int(hash & (Count - 1))
	return index, byte(1 + bits.TrailingZeros64(hash>>indexBits|1<<maxBits))
}

// murmur64 is MurmurHash64A by Austin Appleby.
func murmur64(b []byte, seed uint64) uint64 {
	const m = 0xc6a4a7935bd1e995
	h := seed ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k ^= k >> 47
		h = (h ^ k*m) * m
	}
	if len(b) > 0 {
		for i, c := range b {
			h ^= uint64(c) << (8 * i)
		}
		h *= m
	}
	h = (h ^ h>>47) * m
	return h ^ h>>47
}
