package machine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/acl"
	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
	"github.com/raftredis/raftredis/store/library"
)

// section is a part of the state as a snapshot holds it. Adding to what is in one
// takes a new version, and a reader that still knows the old one.
type section struct {
	name    string
	version byte
	encode  func(*Picture, *keyspace.Encoder)
	decode  func(*Machine, *keyspace.Decoder) error
}

// sections are all parts of the state, in the order in which they are written. It is
// the order of loading as well: the clients that wait are checked against the sessions.
// A part that is state and not here would come back empty on whoever loads, and the
// member would go on with another state than the rest.
func sections() []section {
	return []section{
		{"position", 1, (*Picture).encodePosition, (*Machine).decodePosition},
		{"sessions", 1, func(p *Picture, e *keyspace.Encoder) { p.sessions.encode(e) }, (*Machine).decodeSessions},
		{"parts", 1, (*Picture).encodeParts, (*Machine).decodeParts},
		{"keyspace", 1, func(p *Picture, e *keyspace.Encoder) { p.frozen.Encode(e) }, (*Machine).decodeKeyspace},
		{"waiting", 1, func(p *Picture, e *keyspace.Encoder) { p.waiting.encode(e) }, (*Machine).decodeWaiting},
		{"audience", 1, func(p *Picture, e *keyspace.Encoder) { p.audience.encode(e) }, (*Machine).decodeAudience},
		{"events", 1, func(p *Picture, e *keyspace.Encoder) { e.Uvarint(uint64(p.events)) }, (*Machine).decodeEvents},
		{"users", 1, func(p *Picture, e *keyspace.Encoder) { p.users.Encode(e) }, (*Machine).decodeUsers},
		{"outcomes", 1, func(p *Picture, e *keyspace.Encoder) { p.outcomes.encode(e) }, (*Machine).decodeOutcomes},
		{"scripts", 1, func(p *Picture, e *keyspace.Encoder) { p.library.EncodeScripts(e) }, func(m *Machine, d *keyspace.Decoder) error { return m.library.DecodeScripts(d) }},
		{"functions", 1, func(p *Picture, e *keyspace.Encoder) { p.library.EncodeFunctions(e) }, func(m *Machine, d *keyspace.Decoder) error { return m.library.DecodeFunctions(d, m.host.Engine) }},
	}
}

// Picture is the state at one index, frozen. It may be used by any goroutine
// while the machine goes on.
type Picture struct {
	Index uint64

	term     uint64
	now      Millis
	revision uint64
	sessions sessions
	parts    commit.Assembly
	frozen   *keyspace.Frozen
	waiting  frozenWaiting
	audience audience
	events   keyspace.Events
	users    *acl.Users
	library  *library.Library
	outcomes outcomes
}

// Capture freezes the state. It is called between two entries, and costs some tens
// of microseconds for a million keys; what is in a picture is copied when it is
// first changed. Waiters and what was served are shared as they are: all but their
// links never changes. No ready key can be pending: serve has emptied that line.
func (m *Machine) Capture() *Picture {
	return &Picture{m.index, m.term, m.now, m.revision, m.sessions.clone(), m.parts, m.ks.Capture(), m.waiting.freeze(), m.audience.clone(), m.ks.Events(), m.users, m.library.Freeze(), m.outcomes.clone()}
}

// Now returns the state clock at that index.
func (p *Picture) Now() Millis { return p.now }

// Revision returns what Machine.Revision was.
func (p *Picture) Revision() uint64 { return p.revision }

// Release says that the picture is not read any more: until then the machine keeps
// what was in it and is not in the state any more. Any goroutine may call it, once or more.
func (p *Picture) Release() { p.frozen.Release() }

// Keyspace returns the data as they were.
func (p *Picture) Keyspace() *keyspace.Frozen { return p.frozen }

// Library returns the scripts and functions as they were.
func (p *Picture) Library() *library.Library { return p.library }

// Once says that the picture is written once, and not read otherwise: see keyspace.Frozen.
func (p *Picture) Once() { p.frozen.Once() }

// Write writes the body of a snapshot.
func (p *Picture) Write(w io.Writer) error {
	bw := bodyWriter{w: w}
	bw.write([]byte(snapshotMagic))
	for _, s := range sections() {
		bw.section(s.name, s.version)
		e := keyspace.Encoder{Flush: bw.blocks}
		s.encode(p, &e)
		bw.blocks(e.Take())
		bw.end()
	}
	bw.section("", 0)
	return bw.err
}

// Digest returns a digest of the state: members at the same index have the same.
func (p *Picture) Digest() string {
	h := xxh3.New()
	add := func(b []byte) { _, _ = h.Write(b) } // a hash never fails
	for _, s := range sections() {
		e := keyspace.Encoder{Flush: add}
		e.String(s.name)
		s.encode(p, &e)
		add(e.Take())
	}
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}

// Load returns a machine whose state is that of a snapshot's body, which is read to
// the end. An error wraps ErrSnapshot unless it came from r.
func Load(table *command.Table, obs Observer, r io.Reader) (*Machine, error) {
	m := New(table, obs)
	br := &bodyReader{r: r}
	var magic [len(snapshotMagic)]byte
	if err := br.full(magic[:]); err != nil {
		return nil, err
	}
	if string(magic[:]) != snapshotMagic {
		return nil, fmt.Errorf("%w: it begins with %q, this program writes %q", ErrSnapshot, magic, snapshotMagic)
	}
	for missing := sections(); ; missing = missing[1:] {
		name, version, err := br.next()
		switch {
		case err != nil:
			return nil, err
		case name == "" && len(missing) > 0:
			return nil, fmt.Errorf("%w: section %q is missing", ErrSnapshot, missing[0].name)
		case name == "":
			return m, m.loaded(r)
		case len(missing) == 0 || missing[0].name != name || missing[0].version != version:
			return nil, fmt.Errorf("%w: section %q of version %d is unknown, or not in its place: was it written by a newer version of the program?", ErrSnapshot, name, version)
		}
		if err := m.section(missing[0], br); err != nil {
			return nil, err
		}
	}
}

func (m *Machine) section(s section, br *bodyReader) error {
	d := keyspace.NewStreamDecoder(br)
	err := s.decode(m, d)
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: section %q: %w", ErrSnapshot, s.name, err)
	}
	// The decoder reads ahead: only now is the last block verified.
	if d.Byte(); !errors.Is(d.Err(), io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: section %q: %w", ErrSnapshot, s.name, errNotTheEnd(d.Err()))
	}
	return nil
}

func errNotTheEnd(err error) error {
	if err == nil {
		err = errors.New("its contents are followed by something")
	}
	return err
}

// loaded is called when all sections are read.
func (m *Machine) loaded(r io.Reader) error {
	if _, err := io.ReadFull(r, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something stands behind its end", ErrSnapshot)
	}
	// Not before: keys that are loaded are no news for anybody.
	m.attach()
	// From here on versions are above what a capture may have frozen.
	m.ks.Begin(m.revision, int64(m.now))
	return nil
}

func (p *Picture) encodePosition(e *keyspace.Encoder) {
	e.Uvarint(p.Index)
	e.Uvarint(p.term)
	e.Uvarint(uint64(p.now))
	e.Uvarint(p.revision)
}

func (m *Machine) decodePosition(d *keyspace.Decoder) error {
	m.index = d.Uvarint()
	m.term = d.Uvarint()
	m.now = Millis(d.Uvarint())
	m.revision = d.Uvarint()
	if m.now < 0 {
		d.Fail("time out of range")
	}
	return nil
}

func (m *Machine) decodeSessions(d *keyspace.Decoder) error {
	m.sessions = decodeSessions(d)
	return nil
}

// encodeParts writes the parts of an incomplete large request.
func (p *Picture) encodeParts(e *keyspace.Encoder) {
	e.Uvarint(p.parts.Term)
	e.Uvarint(uint64(len(p.parts.Parts)))
	for _, part := range p.parts.Parts {
		e.Bytes(part)
	}
}

func (m *Machine) decodeParts(d *keyspace.Decoder) error {
	term := d.Uvarint()
	n := d.Uvarint()
	if n == 0 {
		m.parts.Term = term
	}
	for ; n > 0 && d.Err() == nil; n-- {
		if data, err := m.parts.Add(term, d.Bytes()); data != nil || err != nil {
			d.Fail("parts of a request that do not belong together")
		}
	}
	return nil
}

func (m *Machine) decodeKeyspace(d *keyspace.Decoder) (err error) {
	m.ks, err = keyspace.Decode(d)
	return err
}
