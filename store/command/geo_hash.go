package command

import "math"

// The arithmetic of positions, as Redis does it and in the same order, so that
// scores and coordinates come out equal to the last bit. Go may fuse x*y+z into
// one rounding on some processors; a conversion to float64 around each product
// forbids it, and keeps the nodes of a mixed cluster in agreement.

const (
	geoLongMax = 180
	geoLatMax  = 85.05112878 // EPSG:3857, nothing closer to the poles
	geoSteps   = 26          // bits for each of longitude and latitude: 52 in all
)

// geoBits is a cell of the grid: step bits of longitude and latitude each,
// interleaved, the longitude first.
type geoBits struct {
	bits uint64
	step uint
}

// geoCell is the area of a geoBits in degrees.
type geoCell struct {
	minLong, maxLong, minLat, maxLat float64
}

// geoEncode returns the cell of a position in a world of the given latitude.
func geoEncode(long, lat, latMax float64, step uint) geoBits {
	scale := float64(uint64(1) << step)
	y := float64((lat+latMax)/(2*latMax)) * scale
	x := float64((long+geoLongMax)/(2*geoLongMax)) * scale
	return geoBits{geoSpread(uint32(int64(y))) | geoSpread(uint32(int64(x)))<<1, step}
}

// geoScore is the cell as the score of a member: aligned to 52 bits.
func (b geoBits) score() float64 { return float64(b.bits << (2 * (geoSteps - b.step))) }

// geoSpread moves the bits of x to the even positions.
func geoSpread(x32 uint32) uint64 {
	x := uint64(x32)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// geoSqueeze is the inverse of geoSpread; it ignores the odd positions.
func geoSqueeze(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

// cell returns the area of b.
func (b geoBits) cell() geoCell {
	scale := float64(uint64(1) << b.step)
	edge := func(i uint32, limit float64) float64 {
		return -limit + float64(float64(i)/scale*(2*limit))
	}
	y, x := geoSqueeze(b.bits), geoSqueeze(b.bits>>1)
	return geoCell{edge(x, geoLongMax), edge(x+1, geoLongMax), edge(y, geoLatMax), edge(y+1, geoLatMax)}
}

// geoDecode returns the position that a score stands for: the middle of its
// cell.
func geoDecode(score float64) (long, lat float64) {
	c := geoBits{geoScoreBits(score), geoSteps}.cell()
	long = min(max((c.minLong+c.maxLong)/2, -geoLongMax), geoLongMax)
	lat = min(max((c.minLat+c.maxLat)/2, -geoLatMax), geoLatMax)
	return long, lat
}

// geoScoreBits converts the score of any member, as the instructions do that C
// compilers use: what no position can have must not differ between processors.
func geoScoreBits(score float64) uint64 {
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

// move returns the cell dx columns to the east and dy rows to the north, each
// -1, 0 or 1, around the world if need be.
func (b geoBits) move(dx, dy int) geoBits {
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
	return geoBits{x | y, b.step}
}

// geoStepsFor estimates how fine the grid may be so that a cell and its eight
// neighbours cover a circle of so many metres.
func geoStepsFor(meters, lat float64) uint {
	const mercatorMax = 20037726.37
	if meters == 0 {
		return geoSteps
	}
	step := 1
	for ; meters < mercatorMax; step++ {
		meters *= 2
	}
	step -= 2
	// Meridians come closer together towards the poles.
	if lat > 66 || lat < -66 {
		step--
		if lat > 80 || lat < -80 {
			step--
		}
	}
	return uint(min(max(step, 1), geoSteps))
}

const geoAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// geoString returns the standard geohash of a score: eleven letters, of which
// the last is always 0 because there are only 52 bits.
func geoString(score float64) string {
	long, lat := geoDecode(score)
	bits := geoEncode(long, lat, 90, geoSteps).bits
	var letters [11]byte
	for i := range letters[:10] {
		letters[i] = geoAlphabet[bits>>(52-5*(i+1))&0x1f]
	}
	letters[10] = geoAlphabet[0]
	return string(letters[:])
}

func geoRadians(degrees float64) float64 { return degrees * 0.017453292519943295 }
func geoDegrees(radians float64) float64 { return radians / 0.017453292519943295 }

// earthRadius is the quadratic mean radius for WGS-84 in metres.
const earthRadius = 6372797.560856

// geoLatDistance is the distance between two parallels.
func geoLatDistance(lat1, lat2 float64) float64 {
	return earthRadius * math.Abs(geoRadians(lat2)-geoRadians(lat1))
}

// geoDistance is the length of the great circle between two positions, by the
// haversine formula.
func geoDistance(long1, lat1, long2, lat2 float64) float64 {
	v := exactSin((geoRadians(long2) - geoRadians(long1)) / 2)
	if v == 0 {
		return geoLatDistance(lat1, lat2)
	}
	r1, r2 := geoRadians(lat1), geoRadians(lat2)
	u := exactSin((r2 - r1) / 2)
	a := float64(u*u) + float64(exactCos(r1)*exactCos(r2)*v*v)
	return 2 * earthRadius * exactAsin(math.Sqrt(a))
}

// geoFarther reports whether two positions are certainly farther apart than a
// distance. It spares most candidates of a search the exact computation; its
// margin is far above what math.Sin may differ by between processors.
func geoFarther(long1, lat1, long2, lat2, meters float64) bool {
	half := meters / (2 * earthRadius)
	if half >= math.Pi/2 {
		return false
	}
	s := math.Sin(half)
	v := math.Sin((geoRadians(long2) - geoRadians(long1)) / 2)
	r1, r2 := geoRadians(lat1), geoRadians(lat2)
	u := math.Sin((r2 - r1) / 2)
	return u*u+math.Cos(r1)*math.Cos(r2)*v*v > s*s*(1+1e-9)+1e-18
}
