package command

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/raftredis/raftredis/store/keyspace"
)

// zsetOp is an operation on several sets.
type zsetOp uint8

const (
	zsetUnion zsetOp = iota
	zsetInter
	zsetDiff
)

func zunion(r *Read) { zcombineReply(r, zsetUnion) }
func zinter(r *Read) { zcombineReply(r, zsetInter) }
func zdiff(r *Read)  { zcombineReply(r, zsetDiff) }

func zunionstore(w *Write) { zcombineStore(w, zsetUnion, "zunionstore") }
func zinterstore(w *Write) { zcombineStore(w, zsetInter, "zinterstore") }
func zdiffstore(w *Write)  { zcombineStore(w, zsetDiff, "zdiffstore") }

func zcombineReply(r *Read, op zsetOp) {
	q := zcombination{op: op}
	if !q.parse(r, 1) {
		return
	}
	members := q.run()
	slices.SortFunc(members, func(a, b keyspace.Member) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), bytes.Compare(a.Name, b.Name))
	})
	zpairsReply(r.Reply, len(members), q.withScores)
	for _, m := range members {
		if q.withScores && r.Reply.RESP3() {
			r.Reply.Array(2)
		}
		r.Reply.Bulk(m.Name)
		if q.withScores {
			r.Reply.Double(m.Score)
		}
	}
}

func zcombineStore(w *Write, op zsetOp, event string) {
	q := zcombination{op: op, store: true}
	if q.parse(w.View(), 2) {
		zstore(w, w.Args[1], q.run(), event)
	}
}

func zintercard(r *Read) {
	q := zcombination{op: zsetInter, cardinality: true}
	if q.parse(r, 1) {
		r.Reply.Int(int64(len(q.run())))
	}
}

// zsource is a set that takes part: sorted, or plain with all scores 1, or
// missing.
type zsource struct {
	sorted *keyspace.ZSetView
	plain  *keyspace.SetView
	weight float64
}

func (s *zsource) len() int {
	switch {
	case s.sorted != nil:
		return s.sorted.Len()
	case s.plain != nil:
		return s.plain.Len()
	default:
		return 0
	}
}

// each visits the members until visit answers false.
func (s *zsource) each(visit func(member []byte, score float64) bool) {
	switch {
	case s.sorted != nil:
		s.sorted.Range(0, s.sorted.Len(), true, visit)
	case s.plain != nil:
		for member := range s.plain.All() {
			if !visit(member, 1) {
				return
			}
		}
	}
}

func (s *zsource) find(member []byte) (score float64, ok bool) {
	switch {
	case s.sorted != nil:
		return s.sorted.Score(member)
	case s.plain != nil:
		return 1, s.plain.Has(member)
	default:
		return 0, false
	}
}

// weighted multiplies. Infinity times zero is zero here.
func (s *zsource) weighted(score float64) float64 {
	if score *= s.weight; math.IsNaN(score) {
		return 0
	}
	return score
}

// zcombination is a union, an intersection or a difference.
type zcombination struct {
	op          zsetOp
	store       bool
	cardinality bool // ZINTERCARD

	sources    []zsource
	aggregate  func(a, b float64) float64
	withScores bool
	limit      int64 // of ZINTERCARD, 0: none
}

func zsetSum(a, b float64) float64 {
	if a += b; math.IsNaN(a) {
		return 0 // of infinities with opposite signs
	}
	return a
}

func zsetMin(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func zsetMax(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// parse reads the number of keys at argument i and what follows. If it answers
// false it has replied an error.
func (q *zcombination) parse(r *Read, i int) bool {
	n, ok := r.Int(i)
	if !ok {
		return false
	}
	if n < 1 {
		r.Reply.Error("ERR at least 1 input key is needed for '" + string(appendLower(nil, r.Args[0])) + "' command")
		return false
	}
	if n > int64(len(r.Args)-i-1) {
		r.Reply.Error(ErrSyntax)
		return false
	}
	end := i + 1 + int(n)
	for _, key := range r.Args[i+1 : end] {
		src := zsource{weight: 1}
		var err error
		if r.DB.Kind(key) == keyspace.Set {
			src.plain, err = r.DB.SetAt(key)
		} else {
			src.sorted, err = r.DB.ZSetAt(key)
		}
		if err != nil {
			r.Fail(err)
			return false
		}
		q.sources = append(q.sources, src)
	}
	q.aggregate = zsetSum
	return q.parseOptions(r, end)
}

func (q *zcombination) parseOptions(r *Read, i int) bool {
	scores := q.op != zsetDiff && !q.cardinality // these have weights
	for i < len(r.Args) {
		left := len(r.Args) - i
		switch {
		case scores && left > len(q.sources) && r.Is(i, "weights"):
			i++
			for j := range q.sources {
				weight, ok := ParseFloat(r.Args[i])
				if !ok {
					r.Reply.Error("ERR weight value is not a float")
					return false
				}
				q.sources[j].weight = weight
				i++
			}
		case scores && left >= 2 && r.Is(i, "aggregate"):
			switch {
			case r.Is(i+1, "sum"):
				q.aggregate = zsetSum
			case r.Is(i+1, "min"):
				q.aggregate = zsetMin
			case r.Is(i+1, "max"):
				q.aggregate = zsetMax
			default:
				r.Reply.Error(ErrSyntax)
				return false
			}
			i += 2
		case !q.store && !q.cardinality && r.Is(i, "withscores"):
			q.withScores = true
			i++
		case q.cardinality && left >= 2 && r.Is(i, "limit"):
			var ok bool
			if q.limit, ok = zrangedInt(&r.Call, i+1, 0, "ERR LIMIT can't be negative"); !ok {
				return false
			}
			i += 2
		default:
			r.Reply.Error(ErrSyntax)
			return false
		}
	}
	return true
}

// run returns the result, in no particular order. Names are copies or alias the
// keyspace.
func (q *zcombination) run() []keyspace.Member {
	if q.op == zsetDiff {
		return q.diff()
	}
	// Redis's order, which sums of floats depend on.
	slices.SortStableFunc(q.sources, func(a, b zsource) int { return cmp.Compare(a.len(), b.len()) })
	if q.op == zsetUnion {
		return q.union()
	}
	return q.inter()
}

func (q *zcombination) union() []keyspace.Member {
	var members []keyspace.Member
	at := make(map[string]int) // never iterated over
	for i := range q.sources {
		src := &q.sources[i]
		src.each(func(member []byte, score float64) bool {
			score = src.weighted(score)
			if j, ok := at[string(member)]; ok {
				members[j].Score = q.aggregate(members[j].Score, score)
				return true
			}
			name := bytes.Clone(member)
			at[string(name)] = len(members)
			members = append(members, keyspace.Member{Name: name, Score: score})
			return true
		})
	}
	return members
}

func (q *zcombination) inter() []keyspace.Member {
	var members []keyspace.Member
	q.sources[0].each(func(member []byte, score float64) bool {
		sum := q.sources[0].weighted(score)
		for i := range q.sources[1:] {
			src := &q.sources[1+i]
			other, ok := src.find(member)
			if !ok {
				return true
			}
			sum = q.aggregate(sum, float64(other*src.weight))
		}
		members = append(members, keyspace.Member{Name: bytes.Clone(member), Score: sum})
		return q.limit == 0 || int64(len(members)) < q.limit
	})
	return members
}

func (q *zcombination) diff() []keyspace.Member {
	var members []keyspace.Member
	q.sources[0].each(func(member []byte, score float64) bool {
		for i := range q.sources[1:] {
			if _, ok := q.sources[1+i].find(member); ok {
				return true
			}
		}
		members = append(members, keyspace.Member{Name: bytes.Clone(member), Score: score})
		return true
	})
	return members
}
