package keyspace

// Limits are the sizes at which collections change from their compact form to
// the one that is fast when big: Redis's directives of the same names. A change
// is sticky, and which form a collection has is visible (OBJECT ENCODING, the
// order of HGETALL), so the limits are state: they are in the snapshot, and only
// a log entry changes them.
type Limits struct {
	HashMaxListpackEntries int64
	HashMaxListpackValue   int64
	SetMaxIntsetEntries    int64
	ListMaxListpackSize    int64 // entries in a node; negative: 2 KB << -size, so -2 is 8 KB
	ListCompressDepth      int64 // kept for CONFIG GET: nodes are never compressed
	ZSetMaxListpackEntries int64
	ZSetMaxListpackValue   int64
	HLLSparseMaxBytes      int64
	StreamNodeMaxBytes     int64
	StreamNodeMaxEntries   int64
}

// Limit is one of the Limits, by the name of its directive.
type Limit struct {
	Name     string
	Alias    string // the name it had before Redis 7, or none
	Min, Max int64
	Default  int64
	Memory   bool // CONFIG SET takes it with a unit
	field    func(*Limits) *int64
}

const (
	maxLong = 1<<63 - 1
	maxInt  = 1<<31 - 1
	minInt  = -1 << 31
)

// limitTable is in the order of the snapshot format: only ever append to it.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var limitTable = [...]Limit{
	{"hash-max-listpack-entries", "hash-max-ziplist-entries", 0, maxLong, 512, false, func(l *Limits) *int64 { return &l.HashMaxListpackEntries }},
	{"hash-max-listpack-value", "hash-max-ziplist-value", 0, maxLong, 64, true, func(l *Limits) *int64 { return &l.HashMaxListpackValue }},
	{"set-max-intset-entries", "", 0, maxLong, 512, false, func(l *Limits) *int64 { return &l.SetMaxIntsetEntries }},
	{"list-max-listpack-size", "list-max-ziplist-size", minInt, maxInt, -2, false, func(l *Limits) *int64 { return &l.ListMaxListpackSize }},
	{"list-compress-depth", "", 0, maxInt, 0, false, func(l *Limits) *int64 { return &l.ListCompressDepth }},
	{"zset-max-listpack-entries", "zset-max-ziplist-entries", 0, maxLong, 128, false, func(l *Limits) *int64 { return &l.ZSetMaxListpackEntries }},
	{"zset-max-listpack-value", "zset-max-ziplist-value", 0, maxLong, 64, true, func(l *Limits) *int64 { return &l.ZSetMaxListpackValue }},
	{"hll-sparse-max-bytes", "", 0, maxLong, 3000, true, func(l *Limits) *int64 { return &l.HLLSparseMaxBytes }},
	{"stream-node-max-bytes", "", 0, maxLong, 4096, true, func(l *Limits) *int64 { return &l.StreamNodeMaxBytes }},
	{"stream-node-max-entries", "", 0, maxLong, 100, false, func(l *Limits) *int64 { return &l.StreamNodeMaxEntries }},
}

// AllLimits lists the directives.
func AllLimits() []Limit { return append([]Limit(nil), limitTable[:]...) }

// FindLimit returns the directive of that name, in lower case, or alias.
func FindLimit(name string) (Limit, bool) {
	for _, d := range limitTable {
		if name == d.Name || name == d.Alias && name != "" {
			return d, true
		}
	}
	return Limit{}, false
}

// DefaultLimits are Redis's.
func DefaultLimits() Limits {
	var l Limits
	for _, d := range limitTable {
		*d.field(&l) = d.Default
	}
	return l
}

// Get returns the value of d in l.
func (d Limit) Get(l *Limits) int64 { return *d.field(l) }

// Set changes the value of d in l and reports whether it is in its range.
func (d Limit) Set(l *Limits, value int64) bool {
	if value < d.Min || value > d.Max {
		return false
	}
	*d.field(l) = value
	return true
}

// Limits returns the limits in force, which are not to be written to.
func (v *View) Limits() *Limits { return v.limits }

// Limits returns the limits in force.
func (ks *Keyspace) Limits() *Limits { return &ks.limits }

// SetLimits changes the limits of the whole keyspace. Collections that are there
// keep the form that they have.
func (db *DB) SetLimits(l Limits) { db.ks.limits = l }

func (l *Limits) encode(e *Encoder) {
	e.Uvarint(uint64(len(limitTable)))
	for _, d := range limitTable {
		e.Uvarint(uint64(d.Get(l)))
	}
}

func (l *Limits) decode(d *Decoder) {
	n := d.Uvarint()
	if n > uint64(len(limitTable)) {
		d.fail("more limits than this version knows")
		return
	}
	for _, limit := range limitTable[:n] {
		if !limit.Set(l, int64(d.Uvarint())) && d.err == nil {
			d.fail("limit out of range")
		}
	}
}

// listNodeFull reports whether a list node of n entries and size bytes has no
// room for one more that takes more bytes.
func (l *Limits) listNodeFull(n, size, more int) bool {
	const safe = 8 << 10 // also bounds what counting entries alone allows
	switch fill := l.ListMaxListpackSize; {
	case n == 0:
		return false // an entry of any size has a node
	case fill >= 0:
		return n >= int(max(fill, 1)) || size+more > safe
	default:
		return size+more > 2<<10<<min(-fill, 5)
	}
}
