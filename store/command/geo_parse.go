package command

import (
	"github.com/raftredis/raftredis/store/geohash"
	"github.com/raftredis/raftredis/store/keyspace"
)

// parse reads the arguments. z is the set to search, nil if there is none: where
// a member is the centre it must be in it. If parse answers false it has replied
// an error.
func (s *geoSearch) parse(c *Call, form geoForm, z *keyspace.ZSetView) (ok bool) {
	options := form.source + 1
	switch {
	case form.coords:
		options = 6
		if s.long, s.lat, ok = geoPosition(c, 2); !ok || !s.parseRadius(c, 4) {
			return false
		}
	case form.member:
		options = 5
		// Without a set Redis does not look at the radius either.
		if z != nil && (!s.centerOn(c, 2, z) || !s.parseRadius(c, 3)) {
			return false
		}
	case form.dst:
		s.dst = c.Args[1]
	}
	center, shape, ok := s.parseOptions(c, form, options, z)
	if !ok {
		return false
	}
	search := !form.coords && !form.member
	switch {
	case s.dst != nil && (s.withDist || s.withHash || s.withCoord):
		name := "STORE option in GEORADIUS"
		if form.dst {
			name = "GEOSEARCHSTORE"
		}
		c.Reply.Error("ERR " + name + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
	case search && !center:
		c.Reply.Error("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + string(c.Args[0]))
	case search && !shape:
		c.Reply.Error("ERR exactly one of BYRADIUS and BYBOX can be specified for " + string(c.Args[0]))
	case s.any && s.count == 0:
		c.Reply.Error("ERR the ANY argument requires COUNT argument")
	default:
		if s.count != 0 && !s.any {
			s.sort = true // the nearest ones, unless DESC was asked for
		}
		return true
	}
	return false
}

// parseOptions reads what follows the fixed arguments, from i on.
func (s *geoSearch) parseOptions(c *Call, form geoForm, i int, z *keyspace.ZSetView) (center, shape, ok bool) {
	var fromMember, fromPosition, byRadius, byBox bool
	search := !form.coords && !form.member
	store := !search && !form.readOnly
	for ; i < len(c.Args); i++ {
		left := len(c.Args) - i - 1
		switch {
		case c.Is(i, "withdist"):
			s.withDist = true
		case c.Is(i, "withhash"):
			s.withHash = true
		case c.Is(i, "withcoord"):
			s.withCoord = true
		case c.Is(i, "any"):
			s.any = true
		case c.Is(i, "asc"):
			s.sort, s.desc = true, false
		case c.Is(i, "desc"):
			s.sort, s.desc = true, true
		case c.Is(i, "count") && left >= 1:
			if s.count, ok = c.Int(i + 1); !ok {
				return false, false, false
			}
			if s.count <= 0 {
				c.Reply.Error("ERR COUNT must be > 0")
				return false, false, false
			}
			i++
		case store && left >= 1 && (c.Is(i, "store") || c.Is(i, "storedist")):
			s.dst, s.storeDist = c.Args[i+1], c.Is(i, "storedist")
			i++
		case form.dst && c.Is(i, "storedist"):
			s.storeDist = true
		case search && !fromPosition && left >= 1 && c.Is(i, "frommember"):
			if z != nil && !s.centerOn(c, i+1, z) {
				return false, false, false
			}
			fromMember = true
			i++
		case search && !fromMember && left >= 2 && c.Is(i, "fromlonlat"):
			if s.long, s.lat, ok = geoPosition(c, i+1); !ok {
				return false, false, false
			}
			fromPosition = true
			i += 2
		case search && !byBox && left >= 2 && c.Is(i, "byradius"):
			if !s.parseRadius(c, i+1) {
				return false, false, false
			}
			byRadius = true
			i += 2
		case search && !byRadius && left >= 3 && c.Is(i, "bybox"):
			if !s.parseBox(c, i+1) {
				return false, false, false
			}
			byBox = true
			i += 3
		default:
			c.Reply.Error(ErrSyntax)
			return false, false, false
		}
	}
	return fromMember || fromPosition, byRadius || byBox, true
}

// centerOn makes the member that argument i names the centre.
func (s *geoSearch) centerOn(c *Call, i int, z *keyspace.ZSetView) bool {
	score, ok := z.Score(c.Args[i])
	if !ok {
		c.Reply.Error("ERR could not decode requested zset member")
		return false
	}
	s.long, s.lat = geohash.Decode(score)
	return true
}

// geoLength reads argument i as a length.
func geoLength(c *Call, i int, text string) (float64, bool) {
	f, ok := ParseFloat(c.Args[i])
	if !ok {
		c.Reply.Error(text)
	}
	return f, ok
}

func (s *geoSearch) parseRadius(c *Call, i int) (ok bool) {
	if s.radius, ok = geoLength(c, i, "ERR need numeric radius"); !ok {
		return false
	}
	if s.radius < 0 {
		c.Reply.Error("ERR radius cannot be negative")
		return false
	}
	s.unit, ok = geoUnit(c, i+1)
	return ok
}

func (s *geoSearch) parseBox(c *Call, i int) (ok bool) {
	if s.width, ok = geoLength(c, i, "ERR need numeric width"); !ok {
		return false
	}
	if s.height, ok = geoLength(c, i+1, "ERR need numeric height"); !ok {
		return false
	}
	if s.height < 0 || s.width < 0 {
		c.Reply.Error("ERR height or width cannot be negative")
		return false
	}
	s.box = true
	s.unit, ok = geoUnit(c, i+2)
	return ok
}
