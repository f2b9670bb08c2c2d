package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zeebo/xxh3"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode/commit"
	"github.com/raftredis/raftredis/store/keyspace"
)

// The body of a snapshot:
//
//	magic(8, the last byte is the version)
//	{ length(4) checksum(8) data }     blocks; a length of 0 ends the body
//
// The checksum of a block covers its data and, as its seed, the checksum before
// it, so that a block that is missing, doubled or out of its place is found as
// well as a flipped bit. Blocks are verified before anything looks into them.
//
// The blocks' data together, which is also what a digest is taken of:
//
//	index term clock revision (uvarints) sessions keyspace
//
// Version 3 has the parts of an incomplete large request before the keyspace. It is
// written only if there is one:
//
//	term count { len part }
const (
	snapshotMagic = "RRSTATE\x02"
	partsMagic    = "RRSTATE\x03"
)

const (
	maxBlock  = 256 << 10
	blockHead = 4 + 8
)

// errSnapshot says that the body of a snapshot is damaged.
var errSnapshot = errors.New("snapshot is damaged")

// capture is the state at one index, frozen.
type capture struct {
	index    uint64
	term     uint64
	now      int64
	revision uint64
	sessions sessions
	parts    commit.Assembly
	frozen   *keyspace.Frozen

	commands uint64 // that this node has applied by then, for Stats
}

// capture freezes the state. Only the apply loop may call it: it is between two
// entries.
func (s *Store) capture() *capture {
	begin := time.Now() //nolint:forbidigo // how long everybody waits is no state
	defer func() { s.stats.lastCapture.Store(int64(time.Since(begin))) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &capture{s.applied.Load(), s.term, s.now, s.revision, s.sessions.clone(), s.parts, s.ks.Capture(), s.stats.commands.Load()}
}

// encode passes the state to emit, piece by piece.
func (c *capture) encode(emit func([]byte)) {
	e := keyspace.Encoder{Flush: emit}
	e.Uvarint(c.index)
	e.Uvarint(c.term)
	e.Uvarint(uint64(c.now))
	e.Uvarint(c.revision)
	c.sessions.encode(&e)
	if len(c.parts.Parts) > 0 {
		e.Uvarint(c.parts.Term)
		e.Uvarint(uint64(len(c.parts.Parts)))
		for _, p := range c.parts.Parts {
			e.Bytes(p)
		}
	}
	c.frozen.Encode(&e)
	emit(e.Take())
}

// writer returns what writes the snapshot's body.
func (s *Store) writer(c *capture) func(io.Writer) error {
	return func(w io.Writer) error {
		began := s.clock.mono()
		s.stats.writing.Store(began + 1)
		defer s.stats.writing.Store(0)
		if err := writeSnapshot(w, c); err != nil {
			return err
		}
		s.stats.snapshots.Add(1)
		s.stats.saved.Store(c.commands)
		s.stats.lastWrite.Store(s.clock.mono() - began + 1)
		s.lastSnapshot.Store(s.cfg.Now().Unix())
		return nil
	}
}

func writeSnapshot(w io.Writer, c *capture) error {
	bw := blockWriter{w: w}
	magic := snapshotMagic
	if len(c.parts.Parts) > 0 {
		magic = partsMagic
	}
	bw.write([]byte(magic))
	c.encode(bw.blocks)
	bw.block(nil)
	return bw.err
}

// blockWriter keeps the first error.
type blockWriter struct {
	w   io.Writer
	sum uint64
	err error
}

func (bw *blockWriter) write(b []byte) {
	if bw.err == nil {
		_, bw.err = bw.w.Write(b)
	}
}

func (bw *blockWriter) blocks(b []byte) {
	for len(b) > 0 {
		n := min(len(b), maxBlock)
		bw.block(b[:n])
		b = b[n:]
	}
}

func (bw *blockWriter) block(b []byte) {
	bw.sum = xxh3.HashSeed(b, bw.sum)
	var head [blockHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(b)))
	binary.LittleEndian.PutUint64(head[4:], bw.sum)
	bw.write(head[:])
	bw.write(b)
}

// blockReader reads the blocks' data, each block verified. It answers io.EOF
// only after the block that ends the body.
type blockReader struct {
	r    io.Reader
	sum  uint64
	buf  []byte
	data []byte // what is left of the current block
	end  bool
	err  error
}

// Read reads verified data.
func (br *blockReader) Read(p []byte) (int, error) {
	for len(br.data) == 0 {
		if br.err == nil {
			br.err = br.next()
		}
		if br.err != nil {
			return 0, br.err
		}
	}
	n := copy(p, br.data)
	br.data = br.data[n:]
	return n, nil
}

func (br *blockReader) next() error {
	if br.end {
		return io.EOF
	}
	var head [blockHead]byte
	if _, err := io.ReadFull(br.r, head[:]); err != nil {
		return damaged(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxBlock {
		return fmt.Errorf("%w: block of %d bytes", errSnapshot, n)
	}
	if br.buf == nil {
		br.buf = make([]byte, maxBlock)
	}
	if _, err := io.ReadFull(br.r, br.buf[:n]); err != nil {
		return damaged(err)
	}
	br.data = br.buf[:n]
	br.sum = xxh3.HashSeed(br.data, br.sum)
	if br.sum != binary.LittleEndian.Uint64(head[4:]) {
		br.data = nil
		return fmt.Errorf("%w: wrong checksum", errSnapshot)
	}
	br.end = n == 0
	return nil
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", errSnapshot)
	}
	return err
}

// readSnapshot reads a whole body. Nothing of it is used unless all of it is in
// order.
func readSnapshot(r io.Reader) (index uint64, st state, err error) {
	var magic [len(snapshotMagic)]byte
	if _, err = io.ReadFull(r, magic[:]); err != nil {
		return 0, state{}, damaged(err)
	}
	if string(magic[:]) != snapshotMagic && string(magic[:]) != partsMagic {
		return 0, state{}, fmt.Errorf("%w: it begins with %q, this program writes %q", errSnapshot, magic, snapshotMagic)
	}
	br := &blockReader{r: r}
	index, st, err = decodeState(br, string(magic[:]) == partsMagic)
	if err != nil {
		return 0, state{}, err
	}
	if _, err = io.ReadFull(r, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return 0, state{}, fmt.Errorf("%w: something stands behind its end", errSnapshot)
	}
	return index, st, nil
}

// decodeState reads what capture.encode wrote, to the end of r.
func decodeState(r io.Reader, hasParts bool) (index uint64, st state, err error) {
	d := keyspace.NewStreamDecoder(r)
	index = d.Uvarint()
	st.term = d.Uvarint()
	st.now = int64(d.Uvarint())
	st.revision = d.Uvarint()
	if st.now < 0 {
		d.Fail("time out of range")
	}
	st.sessions = decodeSessions(d)
	if hasParts {
		st.parts = decodeParts(d)
	}
	if d.Err() == nil {
		st.ks, err = keyspace.Decode(d)
	}
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		return 0, state{}, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	// The decoder reads ahead: only now is the last block verified.
	if d.Byte(); !errors.Is(d.Err(), io.ErrUnexpectedEOF) {
		return 0, state{}, fmt.Errorf("%w: its contents are followed by something", errSnapshot)
	}
	// From here on versions are above what a capture may have frozen.
	st.ks.Begin(st.revision, st.now)
	return index, st, nil
}

func decodeParts(d *keyspace.Decoder) (a commit.Assembly) {
	term := d.Uvarint()
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		if data, err := a.Add(term, d.Bytes()); data != nil || err != nil {
			d.Fail("parts of a request that do not belong together")
		}
	}
	return a
}

// load replaces the state by the snapshot that raft's log starts from. Only the
// apply loop calls it.
func (s *Store) load(from commit.Snapshotter) error {
	snapshot, err := from.Load()
	if err != nil {
		return fmt.Errorf("load snapshot: %w", err)
	}
	if snapshot == nil {
		return nil
	}
	defer func() { _ = snapshot.Body.Close() }() // only read from, and read to the end
	if snapshot.Index <= s.applied.Load() {
		return nil // the state is further already
	}
	s.readiness.loading.Store(snapshot.Index)
	defer s.readiness.loading.Store(0)
	started := time.Now() //nolint:forbidigo // for the log
	index, st, err := readSnapshot(snapshot.Body)
	if err != nil {
		return fmt.Errorf("load snapshot at %d: %w", snapshot.Index, err)
	}
	if index != snapshot.Index || st.term != snapshot.Term {
		return fmt.Errorf("load snapshot at %d of term %d: %w: its body is at %d of term %d", snapshot.Index, snapshot.Term, errSnapshot, index, st.term)
	}
	if own := st.sessions[s.cfg.Member]; own != nil && own.incarnation > s.node.Load().incarnation {
		return fmt.Errorf("load snapshot at %d: %w", index, s.errOldRun(own.incarnation))
	}
	s.observe(st.ks)
	s.mu.Lock()
	s.stats.expiredBefore.Add(s.ks.Stats().Expired)
	s.absences.replaced(s.revision, st.ks, st.now)
	s.state = st
	s.applied.Store(index)
	s.nextDeadline.Store(earliestDeadline(st.ks))
	s.stats.loadedKeys.Store(int64(keysIn(st.ks)))
	s.stats.saved.Store(s.stats.commands.Load())
	s.mu.Unlock()
	s.clock.Load(st.now)
	s.endSkipped()
	s.notify.all()
	s.waits.applied(index)
	s.wakeExpiry()
	s.logger.Info("loaded snapshot", zap.Uint64("index", index), zap.Duration("took", time.Since(started)))
	return nil
}

func keysIn(ks *keyspace.Keyspace) (n int) {
	for db := range keyspace.Databases {
		view := ks.View(db, 0)
		n += view.Len()
	}
	return n
}

// endSkipped ends the requests of this node that were applied in entries which
// this node skipped by loading a snapshot: their replies are lost. The others go
// on.
func (s *Store) endSkipped() {
	run := s.node.Load().incarnation
	f := &s.inflight
	var over []*Batch
	f.mu.Lock()
	f.each(func(b *Batch) {
		if s.sessions.has(s.cfg.Member, run, b.seq) {
			over = append(over, f.take(b.seq))
		}
	})
	f.mu.Unlock()
	for _, b := range over {
		b.err = ErrUnknown
		s.giveUp(b)
	}
}
