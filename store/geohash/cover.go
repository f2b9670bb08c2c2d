package geohash

// Cover returns cells that together cover a circle or box, in the order in which
// Redis looks into them: the centre's, N, S, E, W, NE, NW, SE, SW. Those that are
// not needed are zero. halfWidth and halfHeight are half the shape's in metres,
// reach is the distance of its farthest point.
func Cover(long, lat, halfWidth, halfHeight, reach float64) [9]Cell {
	bounds := boundsOf(long, lat, halfWidth, halfHeight)
	step := stepsFor(reach, lat)
	center := cellAt(long, lat, LatMax, step)
	if step > 1 && (center.move(0, 1).box().maxLat < bounds.maxLat || center.move(0, -1).box().minLat > bounds.minLat ||
		center.move(1, 0).box().maxLong < bounds.maxLong || center.move(-1, 0).box().minLong > bounds.minLong) {
		step-- // the centre is too close to the edge of its cell
		center = cellAt(long, lat, LatMax, step)
	}
	// A side that the shape does not reach over the edge of needs no neighbours.
	var skipSouth, skipNorth, skipWest, skipEast bool
	if step >= 2 {
		area := center.box()
		skipSouth, skipNorth = area.minLat < bounds.minLat, area.maxLat > bounds.maxLat
		skipWest, skipEast = area.minLong < bounds.minLong, area.maxLong > bounds.maxLong
	}
	var cells [9]Cell
	for i, d := range [9][2]int{{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}} {
		if d[0] < 0 && skipWest || d[0] > 0 && skipEast || d[1] < 0 && skipSouth || d[1] > 0 && skipNorth {
			continue
		}
		cells[i] = center.move(d[0], d[1])
	}
	return cells
}

// boundsOf returns the box around a shape. Its width is that of the shape's edge
// that is nearer to the pole: the wider in degrees.
func boundsOf(long, lat, halfWidth, halfHeight float64) box {
	latDelta := degrees(halfHeight / earthRadius)
	edge := lat + latDelta
	if lat < 0 {
		edge = lat - latDelta
	}
	longDelta := degrees(halfWidth / earthRadius / exactCos(radians(edge)))
	return box{minLong: long - longDelta, maxLong: long + longDelta, minLat: lat - latDelta, maxLat: lat + latDelta}
}

// stepsFor estimates how fine the grid may be so that a cell and its eight
// neighbours cover a circle of so many metres.
func stepsFor(meters, lat float64) uint {
	const mercatorMax = 20037726.37
	if meters == 0 {
		return steps
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
	return uint(min(max(step, 1), steps))
}
