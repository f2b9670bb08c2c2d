package lhd

import (
	"math/bits"
	"sync/atomic"
)

// ghosts remembers the counts of keys that were evicted: by hash, in buckets of four
// from the youngest to the oldest. An entry is twelve bits of the hash, never all 0, and
// the count. One in a thousand that asks is given somebody else's.
//
// The buckets are in chunks, and a table grows by a chunk at a time (linear hashing),
// so that nobody waits for it.
type ghosts struct {
	chunks []*[chunk][bucket]uint16
	bytes  atomic.Int64 // of chunks, for others
}

const (
	bucket   = 4
	chunk    = 1 << 9 // buckets; 4 KiB
	perChunk = chunk * bucket

	countBits   = 4
	countOfThis = 1<<countBits - 1
)

// chunkOf is the place of a hash's bits behind those of the bucket, among n chunks:
// those that have not been split yet still hold what will be in their other half.
func chunkOf(hash uint64, n int) int {
	top := 1 << bits.Len(uint(n-1))
	i := int(hash/chunk) & (top - 1)
	if i >= n {
		i -= top / 2
	}
	return i
}

func (g *ghosts) at(hash uint64) (entries []uint16, tag uint16) {
	if len(g.chunks) == 0 {
		return nil, 0
	}
	tag = max(uint16(hash>>52), 1) << countBits
	return g.chunks[chunkOf(hash, len(g.chunks))][hash%chunk][:], tag
}

func (g *ghosts) put(hash uint64, count uint8) {
	b, tag := g.at(hash)
	if b == nil {
		return
	}
	copy(b[1:], b)
	b[0] = tag | uint16(count)
}

// take returns what is remembered of a key, and forgets it.
func (g *ghosts) take(hash uint64) (count uint8, ok bool) {
	b, tag := g.at(hash)
	for i, e := range b {
		if e&^countOfThis == tag {
			copy(b[i:], b[i+1:])
			b[bucket-1] = 0
			return uint8(e & countOfThis), true
		}
	}
	return 0, false
}

// grow adds a chunk, if so many keys need it. An entry of the chunk that is split
// belongs to it or to the new one, and goes to both: in the wrong one it is nobody's.
func (g *ghosts) grow(keys int) {
	n := len(g.chunks)
	if n > 0 && n*perChunk >= keys {
		return
	}
	fresh := new([chunk][bucket]uint16)
	if n > 0 {
		*fresh = *g.chunks[n-1<<(bits.Len(uint(n))-1)]
	}
	g.chunks = append(g.chunks, fresh)
	g.bytes.Store(int64(len(g.chunks)) * perChunk * 2)
}
