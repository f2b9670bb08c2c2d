package machine

import (
	"fmt"
	"io"
	"slices"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// Renew copies the body of a snapshot for a cluster that begins with its data, as if
// it had been taken at index, which is not below that of the body. The revision leaps as far: fencing
// tokens are revisions, and the old cluster may have given out some more. All of the data
// stays, and who may use it; what goes is what the old cluster's members were in the middle of: their
// requests, clients that wait, subscribers, a large request of which a part had come. A
// member of the new cluster may have the id of an old one, whose runs it would be taken
// to be behind.
//
// It holds no more than a block in memory, and everything that it has copied is verified when it
// returns. An error wraps ErrSnapshot unless it came from w or r.
func Renew(w io.Writer, r io.Reader, index uint64) error {
	br, bw := &bodyReader{r: r}, &bodyWriter{w: w}
	if err := br.magic(); err != nil {
		return err
	}
	bw.write([]byte(snapshotMagic))
	known := sections(command.Level1)
	for bw.err == nil {
		name, version, err := br.next()
		if err != nil {
			return err
		}
		bw.section(name, version)
		if name == "" {
			return bw.err
		}
		if name == levelSection {
			known = sections(command.Latest) // one that is higher is found below
		}
		i := slices.IndexFunc(known, func(s section) bool { return s.name == name })
		if i < 0 || version > known[i].version {
			return fmt.Errorf("%w: section %q of version %d is unknown: was it written by a newer version of the program?", ErrSnapshot, name, version)
		}
		if err := bw.renew(known[i], br, index); err != nil {
			return err
		}
	}
	return bw.err
}

// renew writes what becomes of a section.
func (bw *bodyWriter) renew(s section, br *bodyReader, index uint64) error {
	e := keyspace.Encoder{Flush: bw.blocks}
	switch s.name {
	case levelSection:
		m := &Machine{ks: keyspace.New()}
		if err := m.section(s, br); err != nil {
			return err
		}
		s.encode(&Picture{level: m.level}, &e)
	case "position":
		m := &Machine{}
		if err := m.section(s, br); err != nil {
			return err
		}
		if m.index > index {
			return fmt.Errorf("%w: it is at index %d, behind %d", ErrSnapshot, m.index, index)
		}
		s.encode(&Picture{Index: index, term: m.term, now: m.now, revision: m.revision + (index - m.index)}, &e)
	case "sessions", "parts", "waiting", "audience":
		if _, err := io.Copy(io.Discard, br); err != nil {
			return err
		}
		s.encode(&Picture{}, &e)
	default:
		if _, err := io.CopyBuffer(blockWriter{bw}, br, make([]byte, maxBlock)); err != nil {
			return err
		}
	}
	bw.blocks(e.Take())
	bw.end()
	return bw.err
}

// blockWriter writes a section's data.
type blockWriter struct{ bw *bodyWriter }

func (w blockWriter) Write(b []byte) (int, error) {
	w.bw.blocks(b)
	return len(b), w.bw.err
}
