package keyspace

// Limits are the sizes at which collections change from their compact form to
// the one that is fast when big, and those at which keys have to go: Redis's directives
// of the same names. A change is sticky, and which form a collection has is visible
// (OBJECT ENCODING, the order of HGETALL), and so is which keys there are: the limits
// are state. They are in the snapshot, and only a log entry changes them.
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

	// When there is no room, and what goes then.
	MaxMemory        int64 // bytes that Used may reach, 0: any
	MaxMemoryPolicy  int64 // a Policy
	MaxMemorySamples int64
	Tenacity         int64 // maxmemory-eviction-tenacity: how much of a write's time making room may take
	LFULogFactor     int64
	LFUDecayTime     int64 // minutes
}

// Limit is one of the Limits, by the name of its directive.
type Limit struct {
	Name     string
	Alias    string // the name it had before Redis 7, or none
	Min, Max int64
	Default  int64
	Memory   bool // CONFIG SET takes it with a unit
	Summary  string
	Names    []string // of its values, if these are not numbers to whoever sets it
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
	{"hash-max-listpack-entries", "hash-max-ziplist-entries", 0, maxLong, 512, false, compactForm, nil, func(l *Limits) *int64 { return &l.HashMaxListpackEntries }},
	{"hash-max-listpack-value", "hash-max-ziplist-value", 0, maxLong, 64, true, compactForm, nil, func(l *Limits) *int64 { return &l.HashMaxListpackValue }},
	{"set-max-intset-entries", "", 0, maxLong, 512, false, compactForm, nil, func(l *Limits) *int64 { return &l.SetMaxIntsetEntries }},
	{"list-max-listpack-size", "list-max-ziplist-size", minInt, maxInt, -2, false, compactForm, nil, func(l *Limits) *int64 { return &l.ListMaxListpackSize }},
	{"list-compress-depth", "", 0, maxInt, 0, false, compactForm, nil, func(l *Limits) *int64 { return &l.ListCompressDepth }},
	{"zset-max-listpack-entries", "zset-max-ziplist-entries", 0, maxLong, 128, false, compactForm, nil, func(l *Limits) *int64 { return &l.ZSetMaxListpackEntries }},
	{"zset-max-listpack-value", "zset-max-ziplist-value", 0, maxLong, 64, true, compactForm, nil, func(l *Limits) *int64 { return &l.ZSetMaxListpackValue }},
	{"hll-sparse-max-bytes", "", 0, maxLong, 3000, true, compactForm, nil, func(l *Limits) *int64 { return &l.HLLSparseMaxBytes }},
	{"stream-node-max-bytes", "", 0, maxLong, 4096, true, compactForm, nil, func(l *Limits) *int64 { return &l.StreamNodeMaxBytes }},
	{"stream-node-max-entries", "", 0, maxLong, 100, false, compactForm, nil, func(l *Limits) *int64 { return &l.StreamNodeMaxEntries }},
	{"maxmemory", "", 0, maxLong, 0, true, "bytes that keys and values may take: beyond it keys are evicted, or writes refused", nil, func(l *Limits) *int64 { return &l.MaxMemory }},
	{"maxmemory-policy", "", 0, int64(len(policyNames) - 1), int64(NoEviction), false, "which keys are evicted at maxmemory", policyNames, func(l *Limits) *int64 { return &l.MaxMemoryPolicy }},
	{"maxmemory-samples", "", 1, maxInt, 5, false, "how many keys are looked at for each that is evicted", nil, func(l *Limits) *int64 { return &l.MaxMemorySamples }},
	{"maxmemory-eviction-tenacity", "", 0, 100, 10, false, "how many keys a write may have to evict itself, when the leader has not kept ahead", nil, func(l *Limits) *int64 { return &l.Tenacity }},
	{"lfu-log-factor", "", 0, maxInt, 10, false, "how slowly the counter of accesses grows under an LFU policy", nil, func(l *Limits) *int64 { return &l.LFULogFactor }},
	{"lfu-decay-time", "", 0, maxInt, 1, false, "minutes without an access after which that counter loses one", nil, func(l *Limits) *int64 { return &l.LFUDecayTime }},
}

const compactForm = "when a collection leaves its compact form: as Redis's directive"

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
func (db *DB) SetLimits(l Limits) {
	db.ks.limits = l
	db.ks.learn()
}

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
