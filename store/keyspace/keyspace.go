package keyspace

import (
	"sync/atomic"

	"github.com/raftredis/raftredis/store/lhd"
)

// Databases is the number of databases of a keyspace, as Redis's default.
const Databases = 16

// Stats counts what happened to keys. It is this node's own, not state.
type Stats struct {
	Expired      uint64
	Evicted      uint64 // to make room
	EvictedLate  uint64 // of those, by EvictAny
	EvictedBytes int64  // what all of them needed
}

// Touch says which key is touched, and how.
type Touch struct {
	DB   int
	Key  []byte // nil if Change is Swept; good during the call only
	Kind Kind   // of the value: the new one if it is Created, the old one if it is Deleted, Expired, Evicted or Replaced
	Change
}

// Change says what becomes of a key.
type Change uint8

// The ways in which a key is touched.
const (
	Changed   Change = iota // its contents or deadline
	Created                 // it was not there
	Replaced                // it has a new value in place of the old one, perhaps of another type
	Deleted                 //
	Expired                 // deleted because its deadline has passed, whoever came by
	Evicted                 // deleted to make room, whoever came by
	Signalled               // see DB.Signal
	Swept                   // all keys of the database at once: FLUSHDB, SWAPDB
)

// Keyspace is the whole of the data: Databases databases, and the revision that
// they stand at.
type Keyspace struct {
	// OnTouch, if not nil, is called for every key that is touched, inside the
	// change: it must be quick and must not call the keyspace.
	OnTouch func(Touch)

	// OnSwap, if not nil, is called before two databases that are not both empty are
	// exchanged. It may read the keyspace.
	OnSwap func(a, b int)

	// OnEvent, if not nil, is called for every event of the classes that are told:
	// see DB.Event. It must be quick and must not call the keyspace.
	OnEvent func(db int, name string, key []byte)

	dbs      [Databases]*data
	revision uint64 // of the unit being applied, or last applied: see Begin
	now      int64  // its stamp
	frozen   uint64 // revision of the latest capture that is not released, 0 if none: see record
	limits   Limits
	events   Events // that are told
	stats    Stats

	journal journal

	chance Rand // of counting accesses: this node's own, no state

	dead     []corpse
	captures []capture // that may be being read, in order
	captured uint64    // how many have been taken
	digging  bool      // there are graves to be opened
	dropped  []*memory // of databases that were flushed

	scratch   []byte // for compact
	unsettled uint16 // databases that have boxes which may have changed, a bit for each

	model *lhd.Model // nil unless the policy learns; this node's own, no state
}

// New returns an empty keyspace.
func New() *Keyspace {
	ks := &Keyspace{limits: DefaultLimits()}
	for i := range ks.dbs {
		ks.dbs[i] = newData()
	}
	return ks
}

// Begin says that what follows is the unit of that revision, stamped now (ms). What
// a unit is, the caller decides: it is what captures fall between and what WATCH
// tells apart, in the store a command or transaction. Neither may be lower than at
// the last call.
func (ks *Keyspace) Begin(revision uint64, now int64) {
	ks.settle()
	ks.revision, ks.now = revision, now
	if len(ks.captures) > 0 {
		ks.forget()
	}
	if len(ks.dead) > 0 {
		ks.bury()
	}
	if len(ks.dropped) > 0 && len(ks.captures) == 0 {
		ks.unmap()
	}
	if ks.digging {
		ks.dig()
	}
}

// Revision returns that of the unit last begun.
func (ks *Keyspace) Revision() uint64 { return ks.revision }

// View returns database db for reading as of now.
func (ks *Keyspace) View(db int, now int64) View {
	return View{d: ks.dbs[db], db: db, now: now, limits: &ks.limits, events: &ks.events, model: ks.model}
}

// DB returns database db for writing within the unit last begun.
func (ks *Keyspace) DB(db int) (d DB) {
	ks.Use(&d, db)
	return d
}

// Use makes d what DB returns. Field by field: to copy a struct of this size twice is
// a tenth of what a small write costs.
func (ks *Keyspace) Use(d *DB, db int) {
	d.d, d.View.db, d.now, d.limits, d.events, d.still = ks.dbs[db], db, ks.now, &ks.limits, &ks.events, false
	d.applied, d.counted = true, nil
	d.Lookups.Hits, d.Lookups.Misses, d.Lookups.Missed = 0, 0, nil
	d.Chance, d.model = &ks.chance, ks.model
	d.ks, d.id = ks, db
}

// Swap exchanges the contents of two databases.
func (ks *Keyspace) Swap(a, b int) {
	if a == b || ks.dbs[a].len()+ks.dbs[b].len() == 0 {
		return // nothing that anybody watches has changed
	}
	if ks.OnSwap != nil {
		ks.OnSwap(a, b)
	}
	ks.settle()
	ks.dbs[a], ks.dbs[b] = ks.dbs[b], ks.dbs[a]
	ks.dbs[a].swapped, ks.dbs[b].swapped = ks.revision, ks.revision
	ks.journal.add(event{revision: ks.revision, kind: swapped, db: uint8(a), other: uint8(b)}, nil)
	ks.swept(a)
	ks.swept(b)
}

// Stats returns the counters since the process started.
func (ks *Keyspace) Stats() Stats { return ks.stats }

func (ks *Keyspace) touched(db int, key []byte, change Change, kind Kind) {
	if ks.OnTouch != nil {
		ks.OnTouch(Touch{db, key, kind, change})
	}
	if change == Created && ks.events&EventNew != 0 {
		ks.tell(db, "new", key)
	}
}

func (ks *Keyspace) swept(db int) { ks.touched(db, nil, Swept, None) }

// Frozen is a keyspace as it was at one revision. It may be encoded by any
// goroutine without a lock.
type Frozen struct {
	Revision uint64

	limits   Limits
	events   Events
	journal  journal
	dbs      [Databases]frozenData
	released *atomic.Bool
	once     bool
}
