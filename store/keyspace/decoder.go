package keyspace

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
)

// Decoder reads what an Encoder wrote. Its error is sticky: after the first one
// every method answers a zero value, so callers check Err once per unit. It
// never allocates more than what the input goes on to fill.
type Decoder struct {
	r   *bufio.Reader
	err error
}

// NewDecoder returns a decoder over b.
func NewDecoder(b []byte) *Decoder { return NewStreamDecoder(bytes.NewReader(b)) }

// NewStreamDecoder returns a decoder over r.
func NewStreamDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, 64<<10)} }

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

func (d *Decoder) fail(why string) {
	if d.err == nil {
		d.err = errors.New(why)
	}
}

// Fail makes why the decoder's error, if it has none yet: the caller found
// something wrong with what was decoded.
func (d *Decoder) Fail(why string) { d.fail(why) }

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if d.err != nil {
		return 0
	}
	b, err := d.r.ReadByte()
	d.short(err)
	return b
}

func (d *Decoder) short(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if d.err == nil {
		d.err = err
	}
}

// Uvarint reads an unsigned number.
func (d *Decoder) Uvarint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.Byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 || shift == 63 && b > 1 {
				break // not what an Encoder writes
			}
			return n
		}
	}
	d.fail("malformed number")
	return 0
}

// Float reads a float.
func (d *Decoder) Float() float64 {
	var n uint64
	for i := range 8 {
		n |= uint64(d.Byte()) << (8 * i)
	}
	return math.Float64frombits(n)
}

// Bytes reads a length and bytes.
func (d *Decoder) Bytes() []byte {
	n := d.Uvarint()
	if d.err != nil {
		return nil
	}
	if n > 1<<32 {
		d.fail("length too big")
		return nil
	}
	// A corrupt length must not allocate gigabytes before the input runs out.
	const step = 1 << 20
	b := make([]byte, 0, min(n, step))
	for uint64(len(b)) < n {
		have := len(b)
		if have == cap(b) {
			b = append(make([]byte, 0, min(n, 2*uint64(have))), b...)
		}
		b = b[:min(cap(b), have+step)]
		if _, err := io.ReadFull(d.r, b[have:]); err != nil {
			d.short(err)
			return nil
		}
	}
	return b
}

// String reads a length and bytes.
func (d *Decoder) String() string { return string(d.Bytes()) }
