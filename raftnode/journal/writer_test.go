package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list returns the segments in a directory, in order.
func list(dir string) ([]Segment, error) {
	names, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var all []Segment
	for _, e := range names {
		s := Segment{Path: filepath.Join(dir, e.Name())}
		if n, err := fmt.Sscanf(e.Name(), "%016x-%016x", &s.Seq, &s.First); n != 2 || err != nil || e.Name() != segmentName(s.Seq, s.First) {
			continue
		}
		all = append(all, s)
	}
	return all, nil
}

// readAll reads a journal as it is on the disk: the records of all segments, which go
// on from each other.
func readAll(t *testing.T, dir string) (all [][]byte, last *Scan) {
	t.Helper()
	segments, err := list(dir)
	must(t, err)
	for i, s := range segments {
		sc, err := Read(s)
		must(t, err)
		if sc.Bad != nil || len(sc.Rest) > 0 {
			t.Fatalf("%s: %v at %d, %d bytes of rest", s.Path, sc.Bad, sc.End, len(sc.Rest))
		}
		if last != nil && (sc.Begin != last.CRC || s.Seq != last.Seq+1) {
			t.Fatalf("%s does not go on from %s", s.Path, last.Path)
		}
		if want := fmt.Sprint("head of ", filepath.Base(dir)); string(sc.Head) != want {
			t.Fatalf("segment %d begins with %q", i, sc.Head)
		}
		for _, f := range sc.Frames {
			all = append(all, f.Payload)
		}
		last = sc
	}
	return all, last
}

// TestWriter appends to a journal of small segments, frees old ones, and opens it again
// now and then.
func TestWriter(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprintf("direct=%t", direct), func(t *testing.T) { writer(t, direct) })
	}
}

func writer(t *testing.T, direct bool) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := filepath.Join(t.TempDir(), "j")
	o := Options{SegmentBytes: 64 << 10, Head: func(dst []byte) []byte { return append(dst, "head of j"...) }, Direct: direct}
	w, err := Create(dir, o)
	must(t, err)
	var want [][]byte
	freed := 0 // records that went with old segments
	var begun uint64
	for i := range 1500 {
		b := make([]byte, rng.IntN(3000))
		if rng.IntN(200) == 0 {
			b = make([]byte, 200<<10) // longer than a segment
		}
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		must(t, w.Append(b, uint64(i), rng.IntN(2) == 0))
		want = append(want, b)
		switch rng.IntN(60) {
		case 0:
			begun += w.Seq()
			must(t, w.Close(true))
			all, last := readAll(t, dir)
			if len(all)+freed != len(want) {
				t.Fatalf("%d records and %d that are gone, of %d", len(all), freed, len(want))
			}
			for i, b := range all {
				if !bytes.Equal(b, want[freed+i]) {
					t.Fatalf("record %d is another one", freed+i)
				}
			}
			w, err = Open(last, o)
			must(t, err)
		case 1:
			segments, err := list(dir)
			must(t, err)
			if len(segments) < 3 {
				break
			}
			sc, err := Read(segments[0])
			must(t, err)
			freed += len(sc.Frames)
			must(t, w.Recycle(segments[0]))
		}
	}
	must(t, w.Close(true))
	if w.Seq() < 10 || freed == 0 {
		t.Errorf("%d segments, %d records freed: not much of a test", w.Seq(), freed)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+spareExt)); err != nil || len(left) > 0 {
		t.Errorf("spares are left: %v, %v", left, err)
	}
}

// TestErrorsAreForGood: behind a write that has failed nothing is written, and nothing is
// said to be durable.
func TestErrorsAreForGood(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "j"), Options{SegmentBytes: 64 << 10, Head: func(dst []byte) []byte { return dst }})
	must(t, err)
	must(t, w.Append([]byte("a"), 0, true))
	segments, err := list(w.dir)
	must(t, err)
	f := w.f
	w.f, err = os.Open(segments[0].Path) // it cannot be written
	must(t, err)
	if err := w.Append([]byte("b"), 0, true); err == nil {
		t.Fatal("written")
	}
	w.f = f
	for range 2 {
		if err := w.Append([]byte("c"), 0, true); err == nil {
			t.Fatal("it went on")
		}
		if err := w.Sync(); err == nil {
			t.Fatal("it is said to be durable")
		}
	}
	if err := w.Close(true); err == nil {
		t.Fatal("closed as if nothing had been")
	}
}

// TestSyncsAtOnce: the kernel tells of a write that has failed once. Who syncs at the same
// time as the one who is told must not take the file for durable.
func TestSyncsAtOnce(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "j"), Options{SegmentBytes: 64 << 10, Head: func(dst []byte) []byte { return dst }})
	must(t, err)
	must(t, w.Append([]byte("a"), 0, false))
	errLost := errors.New("lost")
	var calls atomic.Int32
	inC := make(chan struct{})
	w.datasync = func(*os.File) error {
		if calls.Add(1) > 1 {
			return nil // it was told
		}
		close(inC)
		for range 10_000 { // the other one comes meanwhile
			if runtime.Gosched(); calls.Load() > 1 {
				break
			}
		}
		return errLost
	}
	firstC, secondC := make(chan error), make(chan error)
	go func() { firstC <- w.Sync() }()
	<-inC
	go func() { secondC <- w.Sync() }()
	second, first := <-secondC, <-firstC
	if !errors.Is(first, errLost) || !errors.Is(second, errLost) {
		t.Fatalf("one ends with %v, the other with %v", first, second)
	}
	if err := w.Close(true); !errors.Is(err, errLost) {
		t.Fatalf("closed with %v", err)
	}
}

// TestFewSpares: of the old segments that wait to be written again, all but one go when the
// disk is needed for something better, and come back when it is not.
func TestFewSpares(t *testing.T) {
	const size = 4 << 10
	s := spares{dir: t.TempDir(), keep: manySpares}
	there := func(want int) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(s.dir, "*"+spareExt))
		must(t, err)
		if ready, _ := s.look(); len(names) != want || len(s.ready) != want || ready != (want > 0) {
			t.Fatalf("%q, %v; want %d", names, s.ready, want)
		}
	}
	recycle := func(n int) {
		t.Helper()
		for i := range n {
			path := filepath.Join(s.dir, segmentName(uint64(i), 0))
			must(t, os.WriteFile(path, make([]byte, size), 0o600))
			must(t, s.recycle(path, size))
		}
	}
	recycle(3)
	there(2)
	must(t, s.limit(1))
	there(1)
	recycle(3)
	there(1)
	must(t, s.limit(manySpares))
	there(1)
	recycle(3)
	there(2)
	must(t, s.close())
	there(0)
}

// TestCutFile: a segment that is shorter than it was made has lost what was in it,
// unless what is left shows that nothing was.
func TestCutFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "j")
	o := Options{SegmentBytes: 64 << 10, Head: func(dst []byte) []byte { return append(dst, "head of j"...) }}
	w, err := Create(dir, o)
	must(t, err)
	for range 5 {
		must(t, w.Append(make([]byte, 700), 0, true))
	}
	must(t, w.Close(true))
	_, sc := readAll(t, dir)
	b, err := os.ReadFile(sc.Path)
	must(t, err)
	for n := int64(0); n < sc.Size; n += 1 + n%37 {
		cut := Scanned(sc.Segment, b[:n])
		if whole := n >= sc.End+SectorSize; whole != (cut.Bad == nil) {
			t.Fatalf("cut to %d, records end at %d: %v", n, sc.End, cut.Bad)
		}
	}
	must(t, os.Truncate(sc.Path, sc.End+SectorSize))
	_, sc = readAll(t, dir)
	must(t, sc.Mend())
	w, err = Open(sc, o)
	must(t, err)
	must(t, w.Append([]byte("on"), 0, true))
	must(t, w.Close(true))
	all, sc := readAll(t, dir)
	if len(all) != 6 || sc.Size != sc.Made {
		t.Fatalf("%d records, %d bytes of %d", len(all), sc.Size, sc.Made)
	}
}

// TestSpares: one that could not be made is made when it is asked for again, and none is
// left when the journal is closed in the middle of making it.
func TestSpares(t *testing.T) {
	s := spares{dir: t.TempDir(), keep: manySpares}
	wait := func() (ready bool) {
		s.mu.Lock()
		c := s.makingC
		s.mu.Unlock()
		if c != nil {
			<-c
		}
		ready, _ = s.look()
		return ready
	}
	inTheWay := filepath.Join(s.dir, "1"+spareExt)
	must(t, os.Mkdir(inTheWay, 0o700))
	s.make(4 << 10)
	if wait() {
		t.Fatal("made over what was there")
	}
	s.make(4 << 10)
	if !wait() {
		t.Fatal("not made when there is room for it")
	}
	sp, err := s.take(8<<10, 16<<10) // what is there is too small
	must(t, err)
	if fi, err := os.Stat(sp.path); err != nil || fi.Size() != 16<<10 || sp.size != 16<<10 {
		t.Fatalf("%v, %v", fi, err)
	}
	if sp, err = s.take(1, 16<<10); err != nil || sp.size != 4<<10 {
		t.Fatalf("%v, %v", sp, err)
	}
	must(t, os.Remove(inTheWay))
	s.make(64 << 20)
	must(t, s.close())
	s.make(4 << 10)
	if names, err := os.ReadDir(s.dir); err != nil || len(names) != 2 { // those that were taken
		t.Fatalf("%v, %v", names, err)
	}
}
