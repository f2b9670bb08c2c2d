package command

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// hll is a HyperLogLog as Redis keeps it in a string, byte for byte:
//
//	HYLL | 0 dense, 1 sparse | three zeros | cached count, 8 bytes | registers
//
// The highest bit of the cached count says that it is out of date. The dense
// form has 16384 registers of 6 bits from the lowest bit of the first byte on;
// for the sparse one see hyperloglog_sparse.go.
type hll []byte

const (
	hllHeader    = 16
	hllIndexBits = 14
	hllCount     = 1 << hllIndexBits // registers
	hllMaxBits   = 64 - hllIndexBits // of the hash behind the index
	hllDenseSize = hllHeader + hllCount*6/8
)

// hllRegisters are registers a byte each, to merge into.
type hllRegisters [hllCount]byte

// hllHistogram counts the registers that have each value.
type hllHistogram [64]int

func (h hll) dense() bool { return h[4] == 0 }

// valid reports whether h looks like a HyperLogLog. A sparse one may still turn
// out to be corrupt.
func (h hll) valid() bool {
	return len(h) >= hllHeader && string(h[:4]) == "HYLL" && (h[4] == 1 || h[4] == 0 && len(h) == hllDenseSize)
}

// clone returns a copy with room for a few changes.
func (h hll) clone() hll { return append(make(hll, 0, len(h)+len(h)/8+8), h...) }

// invalidate marks the cached count as out of date.
func (h hll) invalidate() { h[15] |= 0x80 }

func (h hll) cached() (uint64, bool) {
	n := binary.LittleEndian.Uint64(h[8:])
	return n, n>>63 == 0
}

// cache keeps a count.
func (h hll) cache(n uint64) { binary.LittleEndian.PutUint64(h[8:], n) }

// register returns register i of a dense h.
func (h hll) register(i int) byte {
	at, shift := hllHeader+i*6/8, i*6%8
	n := h[at] >> shift
	if shift > 2 {
		n |= h[at+1] << (8 - shift)
	}
	return n & 63
}

// setRegister changes register i of a dense h.
func (h hll) setRegister(i int, n byte) {
	at, shift := hllHeader+i*6/8, i*6%8
	h[at] = h[at]&^(63<<shift) | n<<shift
	if shift > 2 {
		h[at+1] = h[at+1]&^(63>>(8-shift)) | n>>(8-shift)
	}
}

// mergeInto raises the registers to those of h. It is not ok if h is corrupt.
func (h hll) mergeInto(highest *hllRegisters) (ok bool) {
	if !h.dense() {
		return h.runs(func(first, n int, value byte) {
			for i := first; i < first+n && value > 0; i++ {
				highest[i] = max(highest[i], value)
			}
		})
	}
	// Four registers are three bytes.
	for i, b := 0, h[hllHeader:]; i < hllCount; i, b = i+4, b[3:] {
		word := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		highest[i] = max(highest[i], byte(word&63))
		highest[i+1] = max(highest[i+1], byte(word>>6&63))
		highest[i+2] = max(highest[i+2], byte(word>>12&63))
		highest[i+3] = max(highest[i+3], byte(word>>18))
	}
	return true
}

// histogram adds up the registers of h. It is not ok if h is corrupt.
func (h hll) histogram(counts *hllHistogram) (ok bool) {
	if !h.dense() {
		return h.runs(func(_, n int, value byte) { counts[value] += n })
	}
	for b := h[hllHeader:]; len(b) > 0; b = b[3:] {
		word := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		counts[word&63]++
		counts[word>>6&63]++
		counts[word>>12&63]++
		counts[word>>18]++
	}
	return true
}

// cardinality estimates how many elements were added, after Otmar Ertl, "New
// cardinality estimation algorithms for HyperLogLog sketches" (2017).
func (counts *hllHistogram) cardinality() uint64 {
	const m = float64(hllCount)
	z := m * hllTau((m-float64(counts[hllMaxBits+1]))/m)
	for i := hllMaxBits; i >= 1; i-- {
		z += float64(counts[i])
		z *= 0.5
	}
	z += float64(m * hllSigma(float64(counts[0])/m))
	const alpha = 0.721347520444481703680 // 1/(2 ln 2)
	return uint64(math.Round(alpha * m * m / z))
}

// The two series of the paper. Products are rounded on their own, so that the
// estimate is the same on every processor.

func hllSigma(x float64) float64 {
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

func hllTau(x float64) float64 {
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

// hllPattern returns the register that an element belongs to, and how many bits
// its hash begins with up to the first one that is set.
func hllPattern(element []byte) (index int, count byte) {
	hash := murmur64(element, 0xadc83b19)
	index = int(hash & (hllCount - 1))
	return index, byte(1 + bits.TrailingZeros64(hash>>hllIndexBits|1<<hllMaxBits))
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
