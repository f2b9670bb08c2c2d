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
	older, newer []event
	bytes        int    // of the keys in newer
	forgotten    uint64 // events at or below this revision may be missing
}

// event is a change of which keys there are.
type event struct {
	revision uint64
	key      string // of born and died; shared with the dict
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

func (j *journal) add(e event) {
	if len(j.newer) == journalEvents || j.bytes >= journalBytes {
		if n := len(j.older); n > 0 {
			j.forgotten = j.older[n-1].revision
		}
		j.older, j.newer, j.bytes = j.newer, make([]event, 0, journalEvents), 0
	}
	j.newer = append(j.newer, e)
	j.bytes += len(e.key)
}

// back calls visit for the events above a revision, the latest first, until it
// answers false.
func (j *journal) back(since uint64, visit func(e *event) bool) {
	for _, part := range [2][]event{j.newer, j.older} {
		for i := len(part) - 1; i >= 0; i-- {
			if part[i].revision <= since || !visit(&part[i]) {
				return
			}
		}
	}
}

// freeze returns the journal as it is now. Both share the memory: neither writes
// to what the other can see.
func (j *journal) freeze() journal {
	f := *j
	f.newer = f.newer[:len(f.newer):len(f.newer)]
	return f
}

func (j *journal) encode(e *Encoder) {
	e.Uvarint(j.forgotten)
	for _, part := range [2][]event{j.older, j.newer} {
		e.Uvarint(uint64(len(part)))
		last := j.forgotten
		for i := range part {
			ev := &part[i]
			e.Byte(byte(ev.kind)<<4 | ev.db)
			e.Uvarint(ev.revision - last)
			last = ev.revision
			switch ev.kind {
			case born, died:
				e.String(ev.key)
			case swapped:
				e.Byte(ev.other)
			}
		}
	}
}

func (j *journal) decode(d *Decoder) {
	j.forgotten = d.Uvarint()
	for _, part := range [2]*[]event{&j.older, &j.newer} {
		last := j.forgotten
		n := d.Uvarint()
		if n > journalEvents {
			d.Fail("journal too long")
		}
		j.bytes = 0
		for ; n > 0 && d.Err() == nil; n-- {
			head := d.Byte()
			ev := event{kind: eventKind(head >> 4), db: head & (Databases - 1)}
			ev.revision = last + d.Uvarint()
			if ev.revision < last {
				d.Fail("journal goes back")
			}
			last = ev.revision
			switch ev.kind {
			case born, died:
				ev.key = d.String()
			case flushed:
			case swapped:
				if ev.other = d.Byte(); ev.other >= Databases {
					d.Fail("no such database")
				}
			default:
				d.Fail("no such event")
			}
			*part = append(*part, ev)
			j.bytes += len(ev.key)
		}
	}
}
