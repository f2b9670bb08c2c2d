package geohash

// The positions that there may be, in degrees to either side.
const (
	LongMax = 180
	LatMax  = 85.05112878 // EPSG:3857, nothing closer to the poles
)

const steps = 26 // bits for each of longitude and latitude: 52 in all

// Cell is a cell of the grid: step bits of longitude and latitude each,
// interleaved, the longitude first.
type Cell struct {
	bits uint64
	step uint
}

// box is the area of a Cell in degrees.
type box struct {
	minLong, maxLong, minLat, maxLat float64
}

// cellAt returns the cell of a position in a world of the given latitude.
func cellAt(long, lat, latMax float64, step uint) Cell {
	scale := float64(uint64(1) << step)
	y := float64((lat+latMax)/(2*latMax)) * scale
	x := float64((long+LongMax)/(2*LongMax)) * scale
	return Cell{spread(uint32(int64(y))) | spread(uint32(int64(x)))<<1, step}
}

// Score is the cell as the score of a member: aligned to 52 bits.
func (b Cell) Score() float64 { return float64(b.bits << (2 * (steps - b.step))) }

// spread moves the bits of x to the even positions.
func spread(x32 uint32) uint64 {
	x := uint64(x32)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// squeeze is the inverse of spread; it ignores the odd positions.
func squeeze(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

// box returns the area of b.
func (b Cell) box() box {
	scale := float64(uint64(1) << b.step)
	edge := func(i uint32, limit float64) float64 {
		return -limit + float64(float64(i)/scale*(2*limit))
	}
	y, x := squeeze(b.bits), squeeze(b.bits>>1)
	return box{edge(x, LongMax), edge(x+1, LongMax), edge(y, LatMax), edge(y+1, LatMax)}
}

// Encode returns the score that a position is kept as: its cell of the finest
// grid.
func Encode(long, lat float64) (score float64) { return cellAt(long, lat, LatMax, steps).Score() }

// Decode returns the position that a score stands for: the middle of its
// cell.
func Decode(score float64) (long, lat float64) {
	c := Cell{scoreBits(score), steps}.box()
	long = min(max((c.minLong+c.maxLong)/2, -LongMax), LongMax)
	lat = min(max((c.minLat+c.maxLat)/2, -LatMax), LatMax)
	return long, lat
}

// scoreBits converts the score of any member, as the instructions do that C
// compilers use: what no position can have must not differ between processors.
func scoreBits(score float64) uint64 {
	const two63 = 1 << 63
	signed := func(f float64) uint64 {
		if f < -two63 || f >= two63 {
			return two63
		}
		return uint64(int64(f))
	}
	if score >= two63 {
		return signed(score-two63) ^ two63
	}
	return signed(score)
}

// Next returns the cell behind b in the order of scores.
func (b Cell) Next() Cell { return Cell{b.bits + 1, b.step} }

// move returns the cell dx columns to the east and dy rows to the north, each
// -1, 0 or 1, around the world if need be.
func (b Cell) move(dx, dy int) Cell {
	const odd, even = 0xaaaaaaaaaaaaaaaa, 0x5555555555555555
	unused := 64 - 2*b.step
	x, y := b.bits&odd, b.bits&even
	// With the other coordinate's bits set, a carry passes over them. What does
	// not move is not masked: on the very edge of the world a cell has a bit more.
	switch dx {
	case 1:
		x = (x + (even>>unused + 1)) & (odd >> unused)
	case -1:
		x = ((x | even>>unused) - (even>>unused + 1)) & (odd >> unused)
	}
	switch dy {
	case 1:
		y = (y + (odd>>unused + 1)) & (even >> unused)
	case -1:
		y = ((y | odd>>unused) - (odd>>unused + 1)) & (even >> unused)
	}
	return Cell{x | y, b.step}
}

const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// String returns the standard geohash of a score: eleven letters, of which
// the last is always 0 because there are only 52 bits.
func String(score float64) string {
	long, lat := Decode(score)
	bits := cellAt(long, lat, 90, steps).bits
	var letters [11]byte
	for i := range letters[:10] {
		letters[i] = alphabet[bits>>(52-5*(i+1))&0x1f]
	}
	letters[10] = alphabet[0]
	return string(letters[:])
}
