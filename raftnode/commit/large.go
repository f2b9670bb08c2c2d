package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A request that is too large for one entry of the log takes several: its parts. The
// raft node makes them, and the state machine puts them together. What is incomplete
// is state, which belongs into a snapshot like any other.
//
// All parts of a request come from one leader in one term, in order, and one request
// after the other, with other entries in between. A leader that is deposed does not
// finish what it has begun. Where an entry of a later term stands, no part of an
// earlier one can follow: there every state machine forgets the incomplete request,
// and its origin proposes it again.
//
// In the log:
//
//	0 partOf   total at piece           (total and at are uvarints, and count
//	0 partLast total at len head piece  bytes of the request alone)
//
// head is the beginning of the entry that the request stands in.
const (
	partMark = 0 // no other entry begins with it

	partOf   = 0
	partLast = 1
)

// IsPart reports whether an entry's Data is a part of a large request.
func IsPart(data []byte) bool { return len(data) > 0 && data[0] == partMark }

// AppendPart appends the part of a request of total bytes that begins at byte at. head
// is nil for all but the last one.
func AppendPart(b []byte, total, at int, head, piece []byte) []byte {
	if head == nil {
		b = append(b, partMark, partOf)
	} else {
		b = append(b, partMark, partLast)
	}
	b = binary.AppendUvarint(b, uint64(total))
	b = binary.AppendUvarint(b, uint64(at))
	if head != nil {
		b = binary.AppendUvarint(b, uint64(len(head)))
		b = append(b, head...)
	}
	return append(b, piece...)
}

// ErrPart means that an entry is not the part that has to come next: a broken
// invariant, or a damaged log.
var ErrPart = errors.New("part of a large request")

// Assembly is the large request of which some parts have been applied. To restore one,
// Add its Parts again. The zero value holds none.
type Assembly struct {
	Term  uint64
	Parts [][]byte // Data of the entries

	size, total int
}

// Add takes the next entry of the log, whatever it is, and returns what is to be
// applied: data itself, a whole request, or nothing. It keeps data if that is a part.
func (a *Assembly) Add(term uint64, data []byte) ([]byte, error) {
	if len(a.Parts) > 0 && term != a.Term {
		*a = Assembly{}
	}
	if !IsPart(data) {
		return data, nil
	}
	p, err := parsePart(data)
	if err != nil {
		return nil, err
	}
	if p.at == 0 {
		*a = Assembly{Term: term, total: p.total}
	}
	size := a.size + len(p.piece)
	if p.at != a.size || p.total != a.total || len(p.piece) == 0 || size > p.total || p.last != (size == p.total) {
		return nil, fmt.Errorf("%w: bytes %d to %d of %d do not follow %d of %d", ErrPart, p.at, p.at+len(p.piece), p.total, a.size, a.total)
	}
	a.size = size
	if !p.last {
		a.Parts = append(a.Parts, data)
		return nil, nil
	}
	parts := a.Parts
	*a = Assembly{}
	whole := make([]byte, len(p.head)+p.total)
	n := copy(whole, p.head)
	for _, earlier := range parts { // piece by piece: others may run in between
		q, err := parsePart(earlier)
		if err != nil {
			return nil, err
		}
		n += copy(whole[n:], q.piece)
	}
	copy(whole[n:], p.piece)
	return whole, nil
}

type part struct {
	last        bool
	total, at   int
	head, piece []byte
}

func parsePart(data []byte) (p part, err error) {
	if len(data) < 2 || data[1] > partLast {
		return part{}, fmt.Errorf("%w: not one that this version knows", ErrPart)
	}
	p.last = data[1] == partLast
	rest := data[2:]
	number := func() int {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > MaxRequestBytes {
			err = fmt.Errorf("%w: bad header", ErrPart)
			return 0
		}
		rest = rest[n:]
		return int(v)
	}
	p.total, p.at = number(), number()
	if p.last {
		n := number()
		if n > len(rest) {
			return part{}, fmt.Errorf("%w: too short", ErrPart)
		}
		p.head, rest = rest[:n], rest[n:]
	}
	p.piece = rest
	return p, err
}
