package command

// Reply takes the reply of one command, in Redis's own terms. The connection
// that asked encodes it as its protocol version wants it; nodes that only apply
// the command use Discard. An aggregate is begun with its length and then
// filled with exactly so many replies.
type Reply interface {
	Status(s string)        // +OK and its like
	Error(err string)       // the whole line without '-': "ERR ..."; may quote arguments, so CR and LF become spaces
	Int(n int64)            //
	Bulk(b []byte)          // binary safe; b is copied
	BulkString(s string)    //
	Null()                  // RESP3 _, RESP2 $-1
	NullArray()             // RESP3 _, RESP2 *-1
	Array(n int)            //
	Map(pairs int)          // RESP2: an array of 2*pairs
	Set(n int)              // RESP2: an array
	Push(n int)             // RESP2: an array
	Double(f float64)       // RESP2: a bulk string
	Decimal(s string)       // a double in this very notation; RESP2: a bulk string
	Bool(b bool)            // RESP2: 1 or 0
	BigNumber(s string)     // RESP2: a bulk string
	Verbatim(ext, s string) // RESP2: a bulk string
	RESP3() bool            // for the few commands whose shape depends on it
}

// Discard is the Reply of nobody.
type Discard struct{}

var _ Reply = Discard{}

// Status discards.
func (Discard) Status(string) {}

// Error discards.
func (Discard) Error(string) {}

// Int discards.
func (Discard) Int(int64) {}

// Bulk discards.
func (Discard) Bulk([]byte) {}

// BulkString discards.
func (Discard) BulkString(string) {}

// Null discards.
func (Discard) Null() {}

// NullArray discards.
func (Discard) NullArray() {}

// Array discards.
func (Discard) Array(int) {}

// Map discards.
func (Discard) Map(int) {}

// Set discards.
func (Discard) Set(int) {}

// Push discards.
func (Discard) Push(int) {}

// Double discards.
func (Discard) Double(float64) {}

// Bool discards.
func (Discard) Bool(bool) {}

// Decimal discards.
func (Discard) Decimal(string) {}

// BigNumber discards.
func (Discard) BigNumber(string) {}

// Verbatim discards.
func (Discard) Verbatim(string, string) {}

// RESP3 is false.
func (Discard) RESP3() bool { return false }
