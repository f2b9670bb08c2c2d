package command

import (
	"bytes"
	"math"
	"strconv"

	"github.com/raftredis/raftredis/store/cfloat"
	"github.com/raftredis/raftredis/store/geohash"
	"github.com/raftredis/raftredis/store/keyspace"
)

func geoadd(w *Write) {
	var opt zaddOptions
	first := 2
	for ; first < len(w.Args); first++ {
		if w.Is(first, "nx") {
			opt.nx = true
		} else if w.Is(first, "xx") {
			opt.xx = true
		} else if w.Is(first, "ch") {
			opt.ch = true
		} else {
			break
		}
	}
	rest := w.Args[first:]
	if len(rest)%3 != 0 || opt.nx && opt.xx {
		w.Reply.Error(ErrSyntax)
		return
	}
	members := make([]keyspace.Member, 0, len(rest)/3)
	for i := first; i < len(w.Args); i += 3 {
		long, lat, ok := geoPosition(&w.Call, i)
		if !ok {
			return
		}
		score := geohash.Encode(long, lat)
		members = append(members, keyspace.Member{Name: w.Args[i+2], Score: score})
	}
	if len(members) == 0 { // in Redis it is ZADD that complains
		w.Reply.Error(ErrSyntax)
		return
	}
	zaddMembers(w, members, opt)
}

// geoPosition reads a longitude and a latitude from argument i on.
func geoPosition(c *Call, i int) (long, lat float64, ok bool) {
	if long, ok = c.Float(i); !ok {
		return 0, 0, false
	}
	if lat, ok = c.Float(i + 1); !ok {
		return 0, 0, false
	}
	if math.Abs(long) > geohash.LongMax || math.Abs(lat) > geohash.LatMax {
		text := append([]byte("ERR invalid longitude,latitude pair "), geoFixed(long, 6)...)
		text = append(append(text, ','), geoFixed(lat, 6)...)
		c.Reply.Error(string(text))
		return 0, 0, false
	}
	return long, lat, true
}

// geoFixed is C's %.*f.
func geoFixed(f float64, digits int) []byte {
	if math.IsInf(f, 0) {
		return cfloat.AppendDouble(nil, f)
	}
	return strconv.AppendFloat(nil, f, 'f', digits, 64)
}

// geoUnit reads argument i as a unit, in metres.
func geoUnit(c *Call, i int) (float64, bool) {
	switch {
	case c.Is(i, "m"):
		return 1, true
	case c.Is(i, "km"):
		return 1000, true
	case c.Is(i, "ft"):
		return 0.3048, true
	case c.Is(i, "mi"):
		return 1609.34, true
	default:
		c.Reply.Error("ERR unsupported unit provided. please use M, KM, FT, MI")
		return 0, false
	}
}

// geoDistanceReply replies a distance with four decimals, rounded as Redis does
// it: to even, after scaling.
func geoDistanceReply(reply Reply, d float64) {
	n := int64(math.RoundToEven(d * 10000))
	b := strconv.AppendInt(nil, n/10000, 10)
	b = append(b, '.')
	rest := n % 10000
	for div := int64(1000); div > 0; div /= 10 {
		b = append(b, byte('0'+rest/div%10))
	}
	reply.Bulk(b)
}

// geoCoordinateReply replies a longitude or latitude with at most 17 decimals.
func geoCoordinateReply(reply Reply, f float64) {
	b := strconv.AppendFloat(nil, f, 'f', 17, 64)
	b = bytes.TrimRight(b, "0")
	b = bytes.TrimSuffix(b, []byte("."))
	if string(b) == "-0" {
		b = b[1:]
	}
	reply.Decimal(string(b))
}

func geodist(r *Read) {
	unit := 1.0
	if len(r.Args) > 5 {
		r.Reply.Error(ErrSyntax)
		return
	}
	if len(r.Args) == 5 {
		var ok bool
		if unit, ok = geoUnit(&r.Call, 4); !ok {
			return
		}
	}
	z, ok := r.zset()
	if !ok {
		return
	}
	if z != nil {
		a, okA := z.Score(r.Args[2])
		b, okB := z.Score(r.Args[3])
		if okA && okB {
			long1, lat1 := geohash.Decode(a)
			long2, lat2 := geohash.Decode(b)
			geoDistanceReply(r.Reply, geohash.Distance(long1, lat1, long2, lat2)/unit)
			return
		}
	}
	r.Reply.Null()
}

func geohashes(r *Read) {
	eachScore(r, r.Reply.Null, func(score float64) { r.Reply.BulkString(geohash.String(score)) })
}

func geopos(r *Read) {
	eachScore(r, r.Reply.NullArray, func(score float64) {
		long, lat := geohash.Decode(score)
		r.Reply.Array(2)
		geoCoordinateReply(r.Reply, long)
		geoCoordinateReply(r.Reply, lat)
	})
}
