package keyspace

import "strings"

// Events are classes of what happens to keys, as notify-keyspace-events names them.
// Which of them are told is state: an event is a message of the log's.
type Events uint16

// The classes, and with the first two in which form an event is told.
const (
	EventKeyspace Events = 1 << iota // K: to __keyspace@db__:key, the event
	EventKeyevent                    // E: to __keyevent@db__:event, the key
	EventGeneric                     // g
	EventString                      // $
	EventList                        // l
	EventSet                         // s
	EventHash                        // h
	EventZSet                        // z
	EventExpired                     // x
	EventEvicted                     // e
	EventStream                      // t
	EventMiss                        // m: a read of a key that is not there
	EventModule                      // d
	EventNew                         // n

	// EventAll is A.
	EventAll = EventGeneric | EventString | EventList | EventSet | EventHash | EventZSet | EventExpired | EventEvicted | EventStream | EventModule

	allEvents = EventNew<<1 - 1
)

// eventLetters is in the order in which Redis writes them.
const eventLetters = "g$lshzxetdnKEm"

//nolint:gochecknoglobals // a constant that Go cannot write as one
var eventClasses = map[byte]Events{
	'g': EventGeneric, '$': EventString, 'l': EventList, 's': EventSet, 'h': EventHash, 'z': EventZSet, 'x': EventExpired, 'e': EventEvicted,
	't': EventStream, 'd': EventModule, 'n': EventNew, 'K': EventKeyspace, 'E': EventKeyevent, 'm': EventMiss, 'A': EventAll,
}

// ParseEvents reads notify-keyspace-events. ok is false if a letter is no class.
func ParseEvents(s string) (e Events, ok bool) {
	for i := range len(s) {
		class := eventClasses[s[i]]
		if class == 0 {
			return 0, false
		}
		e |= class
	}
	return e, true
}

// String writes the classes as CONFIG GET shows them.
func (e Events) String() string {
	var b strings.Builder
	all := e&EventAll == EventAll
	if all {
		b.WriteByte('A')
	}
	for i := range len(eventLetters) {
		class := eventClasses[eventLetters[i]]
		if e&class != 0 && !(all && (class&EventAll != 0 || class == EventNew)) {
			b.WriteByte(eventLetters[i])
		}
	}
	return b.String()
}

// Events returns the classes that are told.
func (ks *Keyspace) Events() Events { return ks.events }

// Events returns the classes that are told.
func (v *View) Events() Events { return *v.events }

// SetEvents changes which classes are told. It reports false if e has one that
// there is not.
func (ks *Keyspace) SetEvents(e Events) bool {
	if e&^allEvents != 0 {
		return false
	}
	ks.events = e
	return true
}

// Event tells what has happened to a key, after it has: name is Redis's. It costs
// nothing while nobody has asked for that class.
func (db *DB) Event(class Events, name string, key []byte) {
	if db.ks.events&class != 0 {
		db.ks.tell(db.id, name, key)
	}
}

func (ks *Keyspace) tell(db int, name string, key []byte) {
	if ks.OnEvent != nil {
		ks.OnEvent(db, name, key)
	}
}
