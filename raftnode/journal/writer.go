package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unsafe"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// Options are what a Writer has to be told.
type Options struct {
	// SegmentBytes is the size of a segment. The first ones are smaller: a journal
	// that is little used takes little room. A multiple of SectorSize.
	SegmentBytes int64
	// Head appends what each segment is to begin with, so that it stands by itself
	// when those before it are gone. Append calls it.
	Head func(dst []byte) []byte
	// Direct has synced records written past the kernel's cache, where that works.
	Direct bool
	// Beside is called before a spare segment is made, which keeps a thread waiting
	// for the disk, and what it returns after that. May be nil.
	Beside func() (done func())
}

// firstBytes is the size of a new journal's first segment. Each is made twice as large
// as the one before, up to SegmentBytes.
const firstBytes = 1 << 20

// Writer appends to a journal. One goroutine calls Append; Sync, Recycle, and what is about
// spares are for any. An error of Append or Sync is for good: after a failed sync
// nobody knows what is on the disk, and a second one would succeed and say nothing.
type Writer struct {
	dir string
	o   Options
	buf []byte // aligned
	crc uint32 // of the last record
	// direct is the newest segment once more, for writes that need no sync. It is nil if
	// there is no such thing here.
	direct *os.File
	async  *async // for small ones of them; nil if there is no such thing here
	// datasync is fdatasync, but for what tests do.
	datasync func(*os.File) error

	seq    atomic.Uint64 // of the newest segment
	spares spares

	// syncMu is held by who syncs, until what came of it is noted: the kernel tells of a failed
	// write-back once, and who asked next would take the file for durable. It is locked
	// before mu.
	syncMu sync.Mutex

	mu      sync.Mutex // the rest, for Sync
	f       *os.File
	made    int64
	written int64 // place behind the last record
	synced  int64 // place up to which all is durable
	err     error
}

// Create makes a directory with an empty journal. After a crash there is none, or a
// whole one. A directory that is there must be empty.
func Create(dir string, o Options) (*Writer, error) {
	part := filepath.Clean(dir) + ".part"
	if err := os.RemoveAll(part); err != nil { // of an earlier attempt
		return nil, err
	}
	if err := os.Mkdir(part, fileutil.PrivateDirMode); err != nil {
		return nil, err
	}
	w := newWriter(part, o)
	err := w.begin(0, 0)
	if err == nil {
		err = os.Remove(dir)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = os.Rename(part, dir)
	}
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	w.dir, w.spares.dir = dir, dir
	w.MakeSpare()
	return w, nil
}

// Open goes on behind what was scanned. REQUIRES: it is the newest segment, Bad is nil,
// and Mend was called; what was read is durable.
func Open(sc *Scan, o Options) (*Writer, error) {
	w := newWriter(filepath.Dir(sc.Path), o)
	f, err := os.OpenFile(sc.Path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	w.f, w.made, w.crc, w.written, w.synced = f, max(sc.Made, sc.Size), sc.CRC, sc.End, sc.End
	w.seq.Store(sc.Seq)
	w.openDirect(sc.Path)
	w.MakeSpare()
	return w, nil
}

// Continue begins a segment behind a log of another kind in the same directory. crc is
// what that ends with.
func Continue(dir string, seq, first uint64, crc uint32, o Options) (*Writer, error) {
	w := newWriter(dir, o)
	w.crc = crc
	if err := w.begin(seq, first); err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	w.MakeSpare()
	return w, nil
}

func newWriter(dir string, o Options) *Writer {
	return &Writer{dir: dir, o: o, datasync: fileutil.Fdatasync, spares: spares{dir: dir, beside: o.Beside, keep: manySpares}}
}

func (w *Writer) abandon() error {
	if w.f == nil {
		return nil
	}
	return errors.Join(w.closeDirect(), w.closeAsync(), w.f.Close())
}

// openDirect opens the newest segment for direct writes, if that is wanted and there is
// such a thing.
func (w *Writer) openDirect(path string) {
	if !w.o.Direct {
		return
	}
	f, err := openDirect(path)
	if err != nil {
		return
	}
	w.direct = f
	if w.async == nil {
		w.async, _ = openAsync() // without, a thread waits
	}
}

func (w *Writer) closeDirect() error {
	if w.direct == nil {
		return nil
	}
	f := w.direct
	w.direct = nil
	return f.Close() // each write was durable
}

func (w *Writer) closeAsync() error {
	if w.async == nil {
		return nil
	}
	return w.async.close()
}

// Seq is the number of the newest segment.
func (w *Writer) Seq() uint64 { return w.seq.Load() }

// Append writes a record. If sync is set, it and all before it are durable when it
// returns. If a segment has to be begun for it, first goes into its name.
func (w *Writer) Append(payload []byte, first uint64, sync bool) error {
	w.mu.Lock()
	err, full := w.err, w.written+SectorSize*sectors(len(payload)) > w.made
	w.mu.Unlock()
	switch {
	case err != nil:
		return err
	case len(payload) > maxPayload:
		return w.fail(fmt.Errorf("a record of %d bytes", len(payload)))
	}
	if full {
		if err := w.next(len(payload), first); err != nil {
			return w.fail(fmt.Errorf("begin a segment: %w", err))
		}
	}
	w.mu.Lock()
	place, synced := w.written, w.synced
	w.mu.Unlock()
	w.reserve(int(SectorSize * sectors(len(payload))))
	frame, crc := appendFrame(w.buf[:0], w.seq.Load(), place, synced, w.crc, payload)
	// Directly only behind what is durable: it would not make that so.
	durable, err := false, error(nil)
	if sync && place == synced {
		durable, err = w.writeDirect(frame, place)
	}
	if !durable && err == nil {
		_, err = w.f.WriteAt(frame, place)
	}
	if err != nil {
		return w.fail(err)
	}
	w.crc = crc
	w.mu.Lock()
	w.written = place + int64(len(frame))
	if durable {
		w.synced = w.written
	}
	w.mu.Unlock()
	if len(w.buf) > maxBuffer {
		w.buf = nil
	}
	if sync && !durable {
		return w.Sync()
	}
	return nil
}

// writeDirect writes a frame durably, if that can be done directly.
func (w *Writer) writeDirect(frame []byte, place int64) (done bool, err error) {
	if w.direct == nil {
		return false, nil
	}
	var n int
	if w.async != nil && len(frame) <= asyncBytes {
		n, err = w.async.writeAt(w.direct, frame, place)
	} else {
		n, err = w.direct.WriteAt(frame, place)
	}
	if n == 0 && notDirect(err) {
		w.o.Direct = false
		return false, w.closeDirect()
	}
	return err == nil, err
}

// reserve makes buf large enough, and has it begin where a disk can read from memory
// directly.
func (w *Writer) reserve(size int) {
	if len(w.buf) >= size {
		return
	}
	size = max(64<<10, 1<<bits.Len(uint(size-1)))
	b := make([]byte, size+pageSize)
	at := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % pageSize)
	w.buf = b[(pageSize-at)%pageSize:][:size:size]
}

const (
	// maxPayload fits into a header. No save of the raft node is nearly as long.
	maxPayload = math.MaxInt32

	// maxBuffer is what a Writer keeps for its next record.
	maxBuffer = 4 << 20
	pageSize  = 4 << 10

	// asyncBytes is how large a frame may be to be written while others go on. Such a write
	// costs a little more and lets a lone writer's round go on at once: DESIGN.md has figures.
	asyncBytes = 2 * SectorSize
)

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// Sync makes all that is written durable.
func (w *Writer) Sync() error {
	w.syncMu.Lock()
	defer w.syncMu.Unlock()
	return w.sync()
}

// sync is Sync. REQUIRES: syncMu is held.
func (w *Writer) sync() error {
	w.mu.Lock()
	f, written, synced, err := w.f, w.written, w.synced, w.err
	w.mu.Unlock()
	if err != nil || written == synced {
		return err
	}
	err = w.datasync(f) // neither the size nor where the blocks are has changed
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("sync: %w", err)
	}
	if w.err == nil {
		w.synced = max(w.synced, written)
	}
	return w.err
}

// next begins the segment behind the present one, with room for a payload.
func (w *Writer) next(payload int, first uint64) error {
	w.syncMu.Lock() // nobody syncs the old one when it is closed
	defer w.syncMu.Unlock()
	if err := w.sync(); err != nil { // only the newest may lack something after a crash
		return err
	}
	old := w.f
	if err := w.closeDirect(); err != nil {
		return err
	}
	if err := w.beginFor(payload, w.seq.Load()+1, first); err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return err
	}
	w.MakeSpare()
	return nil
}

func (w *Writer) begin(seq, first uint64) error { return w.beginFor(0, seq, first) }

// beginFor makes a segment the newest one. It gets its name when it has its first record,
// durably.
func (w *Writer) beginFor(payload int, seq, first uint64) error {
	head := w.o.Head([]byte{version, 0, 0, 0, 0, 0, 0, 0, 0})
	need := SectorSize * (sectors(len(head)) + sectors(payload))
	spare, err := w.spares.take(need, max(need, w.nextSize()))
	if err != nil {
		return err
	}
	made := spare.size
	binary.LittleEndian.PutUint64(head[1:], uint64(made))
	frame, crc := appendFrame(nil, seq, 0, 0, w.crc, head)
	f, err := os.OpenFile(spare.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(frame, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(spare.path, filepath.Join(w.dir, segmentName(seq, first)))
	}
	if err == nil {
		err = syncDir(w.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.mu.Lock()
	w.f, w.made, w.written, w.synced = f, made, int64(len(frame)), int64(len(frame))
	w.mu.Unlock()
	w.crc = crc
	w.seq.Store(seq)
	w.openDirect(filepath.Join(w.dir, segmentName(seq, first)))
	return nil
}

// nextSize is the size of the segment behind the present one.
func (w *Writer) nextSize() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return min(firstBytes, w.o.SegmentBytes)
	}
	return min(2*w.made, w.o.SegmentBytes)
}

// MakeSpare has the next segment made, unless there is one, or it is being made.
func (w *Writer) MakeSpare() { w.spares.make(w.nextSize()) }

// Spare reports whether the next segment is there, and what a file takes up that is
// not finished.
func (w *Writer) Spare() (ready bool, partial int64) { return w.spares.look() }

// FewSpares has no more kept for later than the next segment, or, where there is room, a
// little more. What is more than that is removed.
func (w *Writer) FewSpares(few bool) error {
	if few {
		return w.spares.limit(1)
	}
	return w.spares.limit(manySpares)
}

// Recycle takes a segment that nobody needs out of the journal, to be written again or
// to be removed. REQUIRES: it is the oldest.
func (w *Writer) Recycle(s Segment) error { return w.spares.recycle(s.Path, w.o.SegmentBytes) }

// Close syncs and closes the journal. sync says whether it is to be durable.
func (w *Writer) Close(sync bool) error {
	err := w.spares.close()
	if sync {
		err = errors.Join(err, w.Sync())
	}
	return errors.Join(err, w.closeDirect(), w.closeAsync(), w.f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
