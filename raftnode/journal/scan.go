package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Segment is a file of the journal.
type Segment struct {
	Seq   uint64 // counts the segments of a journal
	First uint64 // whatever the caller wants to find it by (Writer.Append)
	Path  string
}

// Ext is what the name of a segment ends with.
const Ext = ".log"

func segmentName(seq, first uint64) string { return fmt.Sprintf("%016x-%016x%s", seq, first, Ext) }

// Scan is what was found in a segment.
type Scan struct {
	Segment
	Size int64 // of the file
	Made int64 // the size that it was made with
	// Begin is the checksum that the segment goes on from, CRC the one at its end: that
	// of its last record, which covers all before it.
	Begin, CRC uint32
	Head       []byte // what Options.Head said when it was begun
	HeadEnd    int64  // the place behind that
	Frames     []Frame
	End        int64 // behind the last good record
	// Bad says what is wrong there, if no crash leaves it so: it, or what is behind it, may
	// have been acknowledged.
	Bad error
	// Rest is what a crash has left of writes that were not finished. It begins at End.
	Rest []byte
}

// Frame is a record.
type Frame struct {
	Payload []byte
	End     int64 // the place behind it
	CRC     uint32
}

const (
	version  = 1
	headHead = 9 // version(1) size(8), in front of what the caller says at the beginning of a segment
)

// Read reads a segment and changes nothing.
func Read(s Segment) (*Scan, error) {
	b, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, err
	}
	return Scanned(s, b), nil
}

// Scanned does what Read does, with what the file holds.
func Scanned(s Segment, b []byte) *Scan {
	sc := &Scan{Segment: s, Size: int64(len(b))}
	sc.scan(b)
	return sc
}

// ReadHead reads only the beginning of a segment: what Options.Head said.
func ReadHead(s Segment) ([]byte, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	b := make([]byte, 64<<10)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	sc := &Scan{Segment: s}
	if frame, bad := sc.frameAt(b[:n], 0, 0, true); bad != nil {
		return nil, bad
	} else if frame == nil || !sc.open(frame) {
		return nil, errNoHead
	}
	return sc.Head, nil
}

var (
	errNoHead  = errors.New("it does not begin like a segment of this number")
	errChanged = errors.New("a record was changed after it was written")
	errGap     = errors.New("a record is missing in front of others that were written when it was durable")
	errCut     = errors.New("the file was cut off")
)

func (sc *Scan) scan(b []byte) {
	for {
		frame, bad := sc.frameAt(b, sc.End, sc.CRC, sc.Head == nil)
		switch {
		case bad != nil:
			sc.Bad = bad
			return
		case frame == nil:
			if sc.Head == nil {
				sc.Bad = errNoHead
				return
			}
			sc.judge(b)
			return
		case sc.Head != nil:
			sc.Frames = append(sc.Frames, *frame)
		case !sc.open(frame):
			sc.Bad = fmt.Errorf("%w, or is of a version that this program does not know", errNoHead)
			return
		}
		sc.End, sc.CRC = frame.End, frame.CRC
	}
}

// open takes the first record of a segment.
func (sc *Scan) open(frame *Frame) bool {
	if len(frame.Payload) < headHead || frame.Payload[0] != version {
		return false
	}
	sc.Made = int64(binary.LittleEndian.Uint64(frame.Payload[1:]))
	sc.Head, sc.HeadEnd = frame.Payload[headHead:], frame.End
	return true
}

// frameAt reads the record at a place. Neither a frame nor an error means that a crash
// may have left it so: a sector of it was not written.
func (sc *Scan) frameAt(b []byte, place int64, prev uint32, first bool) (*Frame, error) {
	stamp := stampsOf(sc.Seq)
	if place+SectorSize > int64(len(b)) {
		return nil, nil
	}
	switch stamp.look(b[place:]) {
	case unwritten:
		return nil, nil
	case goesOn, doubtful:
		return nil, errChanged
	}
	h, err := readHeader(b[place:], sc.Seq, place)
	if err != nil {
		return nil, err // the sector was written, and so was its header
	}
	if first {
		sc.Begin = h.prev
	} else if h.prev != prev {
		// It was written behind another record than the one that stands there.
		return nil, errChanged
	}
	end := place + SectorSize*sectors(int(h.size))
	if end > int64(len(b)) {
		return nil, errCut
	}
	lost := false
	for at := place + SectorSize; at < end; at += SectorSize {
		switch stamp.look(b[at:]) {
		case begins, doubtful:
			return nil, errChanged
		case unwritten:
			lost = true
		}
	}
	if lost {
		return nil, nil
	}
	payload := h.payload(b[place:end])
	if h.checksum(sc.Seq, place, payload) != h.crc {
		return nil, errChanged
	}
	return &Frame{Payload: payload, End: end, CRC: h.crc}, nil
}

// judge looks at what is behind the last good record.
func (sc *Scan) judge(b []byte) {
	stamp := stampsOf(sc.Seq)
	last := sc.End
	for at := sc.End; at+SectorSize <= int64(len(b)); at += SectorSize {
		was := stamp.look(b[at:])
		if was == begins || was == goesOn {
			last = at + SectorSize
		}
		if was != begins {
			continue
		}
		// Each record says what was durable when it was written. If that is more than can
		// be read now, what is missing was durable, and has been acknowledged.
		if h, err := readHeader(b[at:], sc.Seq, at); err == nil && int64(h.synced)*SectorSize > sc.End {
			sc.Bad = errGap
			return
		}
	}
	if sc.Size < sc.Made && sc.End+SectorSize > sc.Size {
		// A segment is made at its full length before anything is in it.
		sc.Bad = fmt.Errorf("%w: it has %d bytes, all of them used, and was made with %d", errCut, sc.Size, sc.Made)
		return
	}
	if last > sc.End {
		sc.Rest = slices.Clone(b[sc.End:last])
	}
}

// Mend makes a segment end where its records do, and as long as it was made: then a
// Writer can go on there. Rest is gone afterwards. REQUIRES: Bad is nil.
func (sc *Scan) Mend() error {
	if len(sc.Rest) == 0 && sc.Size >= sc.Made {
		return nil
	}
	f, err := os.OpenFile(sc.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, len(sc.Rest)), sc.End)
	if err == nil {
		err = zero(f, min(max(sc.Size, sc.End), sc.Made), sc.Made)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
