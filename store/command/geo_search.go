package command

import (
	"cmp"
	"math"

	"github.com/raftredis/raftredis/store/geohash"
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
		event := "georadiusstore"
		if form.dst {
			event = "geosearchstore"
		}
		zstore(w, s.dst, members, event)
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
	var last geohash.Cell
	for i, cell := range s.cells() {
		// The neighbours of very big cells can be one and the same.
		if cell == (geohash.Cell{}) || i > 0 && cell == last {
			continue
		}
		if s.full(points) {
			break
		}
		lo, hi := z.ScoreSpan(keyspace.ScoreRange{Min: cell.Score(), Max: cell.Next().Score(), MaxEx: true})
		z.Range(lo, hi, false, func(member []byte, score float64) bool {
			p := geoPoint{member: member, score: score}
			p.long, p.lat = geohash.Decode(score)
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
		if geohash.LatDistance(p.lat, s.lat) > s.height*s.unit/2 ||
			geohash.Farther(p.long, p.lat, s.long, p.lat, s.width*s.unit/2) ||
			geohash.Distance(p.long, p.lat, s.long, p.lat) > s.width*s.unit/2 {
			return false
		}
		p.dist = geohash.Distance(s.long, s.lat, p.long, p.lat)
		return true
	}
	if geohash.Farther(s.long, s.lat, p.long, p.lat, s.radius*s.unit) {
		return false
	}
	p.dist = geohash.Distance(s.long, s.lat, p.long, p.lat)
	return p.dist <= s.radius*s.unit
}

// cells returns cells that together cover the shape.
func (s *geoSearch) cells() [9]geohash.Cell {
	halfWidth, halfHeight, reach := s.radius, s.radius, s.radius
	if s.box {
		halfWidth, halfHeight = s.width/2, s.height/2
		reach = math.Sqrt(float64(halfWidth*halfWidth) + float64(halfHeight*halfHeight))
	}
	return geohash.Cover(s.long, s.lat, s.unit*halfWidth, s.unit*halfHeight, reach*s.unit)
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
