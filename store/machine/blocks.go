package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// The body of a snapshot:
//
//	magic(8, the last byte is the version)
//	{ section }                        the last one has no name
//
//	section  name length(1) name version(1) checksum(8)
//	         { length(4) checksum(8) data }     blocks; a length of 0 ends the section
//
// A checksum covers what it stands behind (of a section's head) or before (of a
// block) and, as its seed, the checksum before it, so that a section or block that
// is missing, doubled or out of its place is found as well as a flipped bit. What
// was read is verified before anything looks into it.
const snapshotMagic = "RRSTATE\x03"

const (
	maxBlock  = 256 << 10
	blockHead = 4 + 8
)

// ErrSnapshot says that the body of a snapshot is damaged, or that this program
// does not know what is in it.
var ErrSnapshot = errors.New("snapshot cannot be read")

// bodyWriter writes a body. It keeps the first error.
type bodyWriter struct {
	w   io.Writer
	sum uint64
	err error
}

func (bw *bodyWriter) write(b []byte) {
	if bw.err == nil {
		_, bw.err = bw.w.Write(b)
	}
}

// section begins a section.
func (bw *bodyWriter) section(name string, version byte) {
	head := append([]byte{byte(len(name))}, name...)
	head = append(head, version)
	bw.sum = xxh3.HashSeed(head, bw.sum)
	bw.write(binary.LittleEndian.AppendUint64(head, bw.sum))
}

// blocks writes data of the section.
func (bw *bodyWriter) blocks(b []byte) {
	for len(b) > 0 {
		n := min(len(b), maxBlock)
		bw.block(b[:n])
		b = b[n:]
	}
}

// end ends the section.
func (bw *bodyWriter) end() { bw.block(nil) }

func (bw *bodyWriter) block(b []byte) {
	bw.sum = xxh3.HashSeed(b, bw.sum)
	var head [blockHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(b)))
	binary.LittleEndian.PutUint64(head[4:], bw.sum)
	bw.write(head[:])
	bw.write(b)
}

// bodyReader reads a body: next begins a section, and Read reads its data, each
// block verified. Read answers io.EOF only after the block that ends the section.
type bodyReader struct {
	r    io.Reader
	sum  uint64
	buf  []byte
	data []byte // what is left of the current block
	end  bool
	err  error
}

// magic reads what a body begins with.
func (br *bodyReader) magic() error {
	var magic [len(snapshotMagic)]byte
	if err := br.full(magic[:]); err != nil {
		return err
	}
	if string(magic[:]) != snapshotMagic {
		return fmt.Errorf("%w: it begins with %q, this program writes %q", ErrSnapshot, magic, snapshotMagic)
	}
	return nil
}

// next begins the next section. The name is empty if there are no more.
func (br *bodyReader) next() (name string, version byte, err error) {
	head := make([]byte, 1, 1+255+1+8)
	if err := br.full(head); err != nil {
		return "", 0, err
	}
	n := int(head[0])
	head = head[:1+n+1+8]
	if err := br.full(head[1:]); err != nil {
		return "", 0, err
	}
	br.sum = xxh3.HashSeed(head[:1+n+1], br.sum)
	if br.sum != binary.LittleEndian.Uint64(head[1+n+1:]) {
		return "", 0, errChecksum()
	}
	br.data, br.end, br.err = nil, false, nil
	return string(head[1 : 1+n]), head[1+n], nil
}

// Read reads verified data.
func (br *bodyReader) Read(p []byte) (int, error) {
	for len(br.data) == 0 {
		if br.err == nil {
			br.err = br.block()
		}
		if br.err != nil {
			return 0, br.err
		}
	}
	n := copy(p, br.data)
	br.data = br.data[n:]
	return n, nil
}

func (br *bodyReader) block() error {
	if br.end {
		return io.EOF
	}
	var head [blockHead]byte
	if err := br.full(head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxBlock {
		return fmt.Errorf("%w: block of %d bytes", ErrSnapshot, n)
	}
	if br.buf == nil {
		br.buf = make([]byte, maxBlock)
	}
	if err := br.full(br.buf[:n]); err != nil {
		return err
	}
	br.data = br.buf[:n]
	br.sum = xxh3.HashSeed(br.data, br.sum)
	if br.sum != binary.LittleEndian.Uint64(head[4:]) {
		br.data = nil
		return errChecksum()
	}
	br.end = n == 0
	return nil
}

func (br *bodyReader) full(b []byte) error {
	_, err := io.ReadFull(br.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrSnapshot)
	}
	return err
}

func errChecksum() error { return fmt.Errorf("%w: wrong checksum", ErrSnapshot) }
