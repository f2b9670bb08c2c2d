package keyspace

// Kind is the type of a value, as TYPE names it.
type Kind uint8

// The values of Kind are part of the snapshot format: never renumber them.
const (
	None Kind = iota
	String
	List
	Set
	ZSet
	Hash
	Stream
)

// String returns the kind's name as TYPE prints it.
func (k Kind) String() string {
	return [...]string{"none", "string", "list", "set", "zset", "hash", "stream"}[k]
}

// Object is a value that is not a string. Implementations hold plain data; who
// may change one is decided by DB alone (see DB.touch).
type Object interface {
	// Kind says what TYPE answers.
	Kind() Kind

	// Encoding says what OBJECT ENCODING answers.
	Encoding() string

	// Fork returns an object with the same contents that may be changed. The
	// receiver is frozen: another goroutine is encoding it without a lock, perhaps
	// at this very moment, so neither Fork itself nor the object that it returns
	// may ever write to anything that Encode of the receiver reads. It must be
	// cheap for a big object: a directory, not the contents, is what may be copied.
	Fork() Object

	// Encode appends the contents, in their order, to a snapshot.
	Encode(e *Encoder)

	// Bytes estimates the memory in use. The estimate is a pure function of the
	// contents, so that every node arrives at the same one, and it takes no
	// longer for a big object than for a small one.
	Bytes() int
}

// decodeObject reads back what Encode wrote.
func decodeObject(k Kind, d *Decoder) Object {
	switch k {
	case List:
		return decodeList(d)
	case Set:
		return decodeSet(d)
	case Hash:
		return decodeHash(d)
	case ZSet:
		return decodeZSet(d)
	case Stream:
		return decodeStream(d)
	default:
		d.fail("unknown kind of value")
		return nil
	}
}
