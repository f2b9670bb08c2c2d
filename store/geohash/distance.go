package geohash

import "math"

func radians(degrees float64) float64 { return degrees * 0.017453292519943295 }
func degrees(radians float64) float64 { return radians / 0.017453292519943295 }

// earthRadius is the quadratic mean radius for WGS-84 in metres.
const earthRadius = 6372797.560856

// LatDistance is the distance between two parallels.
func LatDistance(lat1, lat2 float64) float64 {
	return earthRadius * math.Abs(radians(lat2)-radians(lat1))
}

// Distance is the length of the great circle between two positions, by the
// haversine formula.
func Distance(long1, lat1, long2, lat2 float64) float64 {
	v := exactSin((radians(long2) - radians(long1)) / 2)
	if v == 0 {
		return LatDistance(lat1, lat2)
	}
	r1, r2 := radians(lat1), radians(lat2)
	u := exactSin((r2 - r1) / 2)
	a := float64(u*u) + float64(exactCos(r1)*exactCos(r2)*v*v)
	return 2 * earthRadius * exactAsin(math.Sqrt(a))
}

// Farther reports whether two positions are certainly farther apart than a
// distance. It spares most candidates of a search the exact computation; its
// margin is far above what math.Sin may differ by between processors.
func Farther(long1, lat1, long2, lat2, meters float64) bool {
	half := meters / (2 * earthRadius)
	if half >= math.Pi/2 {
		return false
	}
	s := math.Sin(half)
	v := math.Sin((radians(long2) - radians(long1)) / 2)
	r1, r2 := radians(lat1), radians(lat2)
	u := math.Sin((r2 - r1) / 2)
	return u*u+math.Cos(r1)*math.Cos(r2)*v*v > s*s*(1+1e-9)+1e-18
}
