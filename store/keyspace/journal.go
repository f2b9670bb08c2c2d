package keyspace

// journal is which keys came and went lately, in order. WATCH needs it for keys
// that are not there: they have no value whose version could tell that they were
// made and deleted again. It is state, since every node must decide alike whether
// a transaction runs.
//
// It is kept in two parts. The older is full and never written to again, the
// newer is only appended to, so that a capture may share both; when the newer is
// full as well it becomes the older, and what that was is forgotten.
type journal struct {
	older, newer part
	forgotten    uint64 // events at or below this revision may be missing
}

// part has the keys of its events behind one another, so that there are no pointers
// for the garbage collector to follow.
type part struct {
	events []event
	keys   []byte
}

// key returns that of event i.
func (p *part) key(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = p.events[i-1].keyEnd
	}
	return p.keys[from:p.events[i].keyEnd]
}

// event is a change of which keys there are.
type event struct {
	revision uint64
	keyEnd   uint32 // where the key, of born and died, ends in part.keys
	kind     eventKind
	db       uint8
	other    uint8 // of swapped
}

type eventKind uint8

const (
	born eventKind = iota + 1
	died
	flushed // a database that was not empty
	swapped // two databases
)

// A part is full when it has so many events, or events with keys of so many bytes.
// Together they must last for as long as an EXEC is on its way: half a second at
// sixty thousand keys made or deleted a second.
const (
	journalEvents = 16 << 10
	journalBytes  = 1 << 20
)

const _ = uint(16 - Databases) // a database's number takes half of an encoded event's first byte

// add notes an event; key is that of born and died.
func (j *journal) add(e event, key []byte) {
	if len(j.newer.events) == journalEvents || len(j.newer.keys) >= journalBytes {
		if n := len(j.older.events); n > 0 {
			j.forgotten = j.older.events[n-1].revision
		}
		// The keys of the next one will be about as long.
		j.older, j.newer = j.newer, part{events: make([]event, 0, journalEvents), keys: make([]byte, 0, len(j.newer.keys))}
	}
	j.newer.add(e, key)
}

func (p *part) add(e event, key []byte) {
	p.keys = append(p.keys, key...)
	e.keyEnd = uint32(len(p.keys))
	p.events = append(p.events, e)
}

// back calls visit for the events above a revision, the latest first, until it
// answers false.
func (j *journal) back(since uint64, visit func(e *event, key []byte) bool) {
	for _, p := range [2]*part{&j.newer, &j.older} {
		for i := len(p.events) - 1; i >= 0; i-- {
			if p.events[i].revision <= since || !visit(&p.events[i], p.key(i)) {
				return
			}
		}
	}
}

// freeze returns the journal as it is now. Both share the memory: neither writes
// to what the other can see.
func (j *journal) freeze() journal {
	f := *j
	f.newer.events = f.newer.events[:len(f.newer.events):len(f.newer.events)]
	f.newer.keys = f.newer.keys[:len(f.newer.keys):len(f.newer.keys)]
	return f
}

func (j *journal) encode(e *Encoder) {
	e.Uvarint(j.forgotten)
	for _, p := range [2]*part{&j.older, &j.newer} {
		e.Uvarint(uint64(len(p.events)))
		last := j.forgotten
		for i := range p.events {
			ev := &p.events[i]
			e.Byte(byte(ev.kind)<<4 | ev.db)
			e.Uvarint(ev.revision - last)
			last = ev.revision
			switch ev.kind {
			case born, died:
				e.Bytes(p.key(i))
			case swapped:
				e.Byte(ev.other)
			}
		}
	}
}

func (j *journal) decode(d *Decoder) {
	j.forgotten = d.Uvarint()
	for _, p := range [2]*part{&j.older, &j.newer} {
		last := j.forgotten
		n := d.Uvarint()
		if n > journalEvents {
			d.Fail("journal too long")
		}
		for ; n > 0 && d.Err() == nil; n-- {
			var key []byte
			head := d.Byte()
			ev := event{kind: eventKind(head >> 4), db: head & (Databases - 1)}
			ev.revision = last + d.Uvarint()
			if ev.revision < last {
				d.Fail("journal goes back")
			}
			last = ev.revision
			switch ev.kind {
			case born, died:
				key = d.Bytes()
			case flushed:
			case swapped:
				if ev.other = d.Byte(); ev.other >= Databases {
					d.Fail("no such database")
				}
			default:
				d.Fail("no such event")
			}
			p.add(ev, key)
		}
	}
}
