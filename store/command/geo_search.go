package command

import (
	"cmp"
	"math"

	"github.com/raftredis/raftredis/store/keyspace"
)

// geoForm says which of the searching commands it is: they take different
// arguments for the same thing.
type geoForm struct {
	source   int  // the argument that is the key
	coords   bool // GEORADIUS: longitude latitude radius unit
	member   bool // GEORADIUSBYMEMBER: member radius unit
	readOnly bool // no STORE
	dst      bool // GEOSEARCHSTORE
}

// geoSearch is a search as its arguments describe it.
type geoSearch struct {
	long, lat     float64
	box           bool
	radius        float64 // in units
	width, height float64
	unit          float64 // metres

	withDist, withHash, withCoord bool
	any, desc, sort               bool
	count                         int64 // 0: all
	dst                           []byte
	storeDist                     bool
}

// geoPoint is what a search found.
type geoPoint struct {
	member    []byte
	score     float64
	long, lat float64
	dist      float64 // metres
}

func geosearch(r *Read)           { geoSearchRead(r, geoForm{source: 1}) }
func georadiusRO(r *Read)         { geoSearchRead(r, geoForm{source: 1, coords: true, readOnly: true}) }
func georadiusbymemberRO(r *Read) { geoSearchRead(r, geoForm{source: 1, member: true, readOnly: true}) }

func geosearchstore(w *Write)    { geoSearchWrite(w, geoForm{source: 2, dst: true}) }
func georadius(w *Write)         { geoSearchWrite(w, geoForm{source: 1, coords: true}) }
func georadiusbymember(w *Write) { geoSearchWrite(w, geoForm{source: 1, member: true}) }

func geoSearchRead(r *Read, form geoForm) {
	if s, points, ok := geoFind(r, form); ok {
		s.reply(r.Reply, points)
	}
}

func geoSearchWrite(w *Write, form geoForm) {
	s, points, ok := geoFind(w.View(), form)
	switch {
	case !ok:
	case s.dst == nil:
		s.reply(w.Reply, points)
	default:
		members := make([]keyspace.Member, len(points))
		for i, p := range points {
			members[i] = keyspace.Member{Name: p.member, Score: p.score}
			if s.storeDist {
				members[i].Score = p.dist / s.unit
			}
		}
		zstore(w, s.dst, members)
	}
}

// geoFind parses and searches. If ok is false it has replied.
func geoFind(r *Read, form geoForm) (s geoSearch, points []geoPoint, ok bool) {
	z, err := r.DB.ZSetAt(r.Args[form.source])
	if err != nil {
		r.Fail(err)
		return s, nil, false
	}
	if !s.parse(&r.Call, form, z) {
		return s, nil, false
	}
	if z == nil {
		return s, nil, true
	}
	points = s.find(z)
	n := len(points)
	if s.count > 0 {
		n = int(min(s.count, int64(n)))
	}
	if s.sort {
		sortPoints(points, n, func(a, b *geoPoint) int {
			if s.desc {
				a, b = b, a
			}
			return cmp.Compare(a.dist, b.dist)
		})
	}
	points = points[:n]
	return s, points, true
}

// find returns the members in the shape in the order that Redis meets them: cell
// by cell.
func (s *geoSearch) find(z *keyspace.ZSetView) (points []geoPoint) {
	var last geoBits
	for i, cell := range s.cells() {
		// The neighbours of very big cells can be one and the same.
		if cell.step == 0 || i > 0 && cell == last {
			continue
		}
		if s.full(points) {
			break
		}
		next := geoBits{cell.bits + 1, cell.step}
		lo, hi := z.ScoreSpan(keyspace.ScoreRange{Min: cell.score(), Max: next.score(), MaxEx: true})
		z.Range(lo, hi, false, func(member []byte, score float64) bool {
			p := geoPoint{member: member, score: score}
			p.long, p.lat = geoDecode(score)
			if s.contains(&p) {
				points = append(points, p)
			}
			return !s.full(points)
		})
		if i > 0 {
			last = cell
		}
	}
	return points
}

// full reports whether ANY has found enough.
func (s *geoSearch) full(points []geoPoint) bool {
	return s.any && int64(len(points)) >= s.count
}

// contains reports whether p is in the shape and sets its distance.
func (s *geoSearch) contains(p *geoPoint) bool {
	if s.box {
		if geoLatDistance(p.lat, s.lat) > s.height*s.unit/2 ||
			geoFarther(p.long, p.lat, s.long, p.lat, s.width*s.unit/2) ||
			geoDistance(p.long, p.lat, s.long, p.lat) > s.width*s.unit/2 {
			return false
		}
		p.dist = geoDistance(s.long, s.lat, p.long, p.lat)
		return true
	}
	if geoFarther(s.long, s.lat, p.long, p.lat, s.radius*s.unit) {
		return false
	}
	p.dist = geoDistance(s.long, s.lat, p.long, p.lat)
	return p.dist <= s.radius*s.unit
}

// cells returns the cell of the centre and its neighbours, those of step 0
// excluded, which together cover the shape.
func (s *geoSearch) cells() [9]geoBits {
	halfWidth, halfHeight := s.radius, s.radius
	meters := s.radius
	if s.box {
		halfWidth, halfHeight = s.width/2, s.height/2
		meters = math.Sqrt(float64(halfWidth*halfWidth) + float64(halfHeight*halfHeight))
	}
	bounds := geoBounds(s.long, s.lat, s.unit*halfWidth, s.unit*halfHeight)

	step := geoStepsFor(meters*s.unit, s.lat)
	center := geoEncode(s.long, s.lat, geoLatMax, step)
	if step > 1 && (center.move(0, 1).cell().maxLat < bounds.maxLat || center.move(0, -1).cell().minLat > bounds.minLat ||
		center.move(1, 0).cell().maxLong < bounds.maxLong || center.move(-1, 0).cell().minLong > bounds.minLong) {
		step-- // the centre is too close to the edge of its cell
		center = geoEncode(s.long, s.lat, geoLatMax, step)
	}
	// A side that the shape does not reach over the edge of needs no neighbours.
	var skipSouth, skipNorth, skipWest, skipEast bool
	if step >= 2 {
		area := center.cell()
		skipSouth, skipNorth = area.minLat < bounds.minLat, area.maxLat > bounds.maxLat
		skipWest, skipEast = area.minLong < bounds.minLong, area.maxLong > bounds.maxLong
	}
	// Redis's order: the centre, N, S, E, W, NE, NW, SE, SW.
	var cells [9]geoBits
	for i, d := range [9][2]int{{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}} {
		if d[0] < 0 && skipWest || d[0] > 0 && skipEast || d[1] < 0 && skipSouth || d[1] > 0 && skipNorth {
			continue
		}
		cells[i] = center.move(d[0], d[1])
	}
	return cells
}

// geoBounds returns the box around a shape. Its width is that of the shape's
// edge that is nearer to the equator's other side: the wider in degrees.
func geoBounds(long, lat, halfWidth, halfHeight float64) geoCell {
	latDelta := geoDegrees(halfHeight / earthRadius)
	edge := lat + latDelta
	if lat < 0 {
		edge = lat - latDelta
	}
	longDelta := geoDegrees(halfWidth / earthRadius / exactCos(geoRadians(edge)))
	return geoCell{minLong: long - longDelta, maxLong: long + longDelta, minLat: lat - latDelta, maxLat: lat + latDelta}
}

// reply replies what was found, each with what was asked for.
func (s *geoSearch) reply(reply Reply, points []geoPoint) {
	reply.Array(len(points))
	extra := 0
	for _, with := range []bool{s.withDist, s.withHash, s.withCoord} {
		if with {
			extra++
		}
	}
	for i := range points {
		p := &points[i]
		if extra > 0 {
			reply.Array(1 + extra)
		}
		reply.Bulk(p.member)
		if s.withDist {
			geoDistanceReply(reply, p.dist/s.unit)
		}
		if s.withHash {
			reply.Int(int64(p.score))
		}
		if s.withCoord {
			reply.Array(2)
			geoCoordinateReply(reply, p.long)
			geoCoordinateReply(reply, p.lat)
		}
	}
}
