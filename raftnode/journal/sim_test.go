package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// image is a segment on a disk that writes sectors in any order, and forgets in a crash
// which of them it has written since the last sync.
type image struct {
	rng     *rand.Rand
	seq     uint64
	disk    []byte // what is there after a crash for certain
	file    []byte // what the kernel has
	crc     uint32
	written int64
	synced  int64
	records [][]byte
	durable int // records that are synced
}

const imageSize = 64 << 10

// begin makes the file the segment of that number, whatever was in it.
func (im *image) begin(seq uint64) {
	im.seq, im.crc, im.written, im.synced, im.records, im.durable = seq, uint32(seq)*77, 0, 0, nil, 0
	head := append([]byte{version, 0, 0, 1, 0, 0, 0, 0, 0}, "head"...) // made with 64 KiB
	im.write(head)
	im.sync()
	im.records, im.durable = nil, 0
}

func (im *image) write(payload []byte) bool {
	frame, crc := appendFrame(nil, im.seq, im.written, im.synced, im.crc, payload)
	if im.written+int64(len(frame)) > imageSize {
		return false
	}
	copy(im.file[im.written:], frame)
	im.crc, im.written = crc, im.written+int64(len(frame))
	im.records = append(im.records, payload)
	return true
}

func (im *image) sync() {
	copy(im.disk, im.file)
	im.synced, im.durable = im.written, len(im.records)
}

// crash leaves of what was not synced any sectors at all.
func (im *image) crash() {
	for at := 0; at < imageSize; at += SectorSize {
		if im.rng.IntN(2) == 0 {
			copy(im.disk[at:at+SectorSize], im.file[at:])
		}
	}
	copy(im.file, im.disk)
}

func (im *image) scan(b []byte) *Scan {
	return Scanned(Segment{Seq: im.seq}, b)
}

// check compares what is found with what was written.
func (im *image) check(sc *Scan) error {
	if sc.Bad != nil {
		return fmt.Errorf("at %d: %w", sc.End, sc.Bad)
	}
	if len(sc.Frames) < im.durable || len(sc.Frames) > len(im.records) {
		return fmt.Errorf("%d records of %d, %d of them synced", len(sc.Frames), len(im.records), im.durable)
	}
	for i, f := range sc.Frames {
		if !bytes.Equal(f.Payload, im.records[i]) {
			return fmt.Errorf("record %d is another one", i)
		}
	}
	return nil
}

func (im *image) payload() []byte {
	size := im.rng.IntN(40)
	if im.rng.IntN(3) == 0 {
		size = im.rng.IntN(6000)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(im.rng.Uint32())
	}
	return b
}

// TestCrashes writes segments into a file that was others before, syncs some of the
// records, crashes, and goes on. What was synced is there, what was not is there up to
// some record or not, and no crash looks like damage. Then a bit is flipped, or a sector is
// what it was before, where all was synced: that is damage, however much it looks
// like the end.
func TestCrashes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds := 1000
	if testing.Short() {
		rounds = 300
	}
	im := &image{rng: rand.New(rand.NewPCG(seed, 1)), disk: make([]byte, imageSize), file: make([]byte, imageSize)}
	seq := uint64(0)
	var torn, kept, flips, noticed, losses int
	im.begin(seq)
	for range rounds {
		if im.rng.IntN(8) == 0 {
			seq += 1 + uint64(im.rng.IntN(5))
			im.begin(seq)
		}
		for range im.rng.IntN(12) {
			if !im.write(im.payload()) {
				break
			}
			if im.rng.IntN(4) > 0 {
				im.sync()
			}
		}
		before := im.durable
		im.crash()
		sc := im.scan(im.disk)
		if err := im.check(sc); err != nil {
			t.Fatalf("segment %d: %v", im.seq, err)
		}
		if len(sc.Rest) > 0 {
			torn++
		}
		kept += len(sc.Frames) - before
		// As Mend and Open do, and there may be a crash in the middle of it.
		clear(im.file[sc.End : sc.End+int64(len(sc.Rest))])
		if im.rng.IntN(4) == 0 {
			im.crash()
			again := im.scan(im.disk)
			if err := im.check(again); err != nil || again.End != sc.End {
				t.Fatalf("segment %d, mended half: %v, up to %d after %d", im.seq, err, again.End, sc.End)
			}
			sc = again
			clear(im.file[sc.End : sc.End+int64(len(sc.Rest))])
		}
		im.records, im.written, im.crc = im.records[:len(sc.Frames)], sc.End, sc.CRC
		im.sync()

		// From here on all is synced.
		for range 4 {
			damaged := bytes.Clone(im.disk)
			at, bit := im.rng.Int64N(im.written), im.rng.IntN(8)
			damaged[at] ^= 1 << bit
			flips++
			sc := im.scan(damaged)
			switch err := im.check(sc); {
			case sc.Bad != nil:
				noticed++
			case err != nil || len(sc.Frames) != len(im.records):
				t.Fatalf("segment %d: bit %d at %d of %d flipped: %d of %d records, %v", im.seq, bit, at, im.written, len(sc.Frames), len(im.records), err)
			}
		}
		// A sector is lost. If it is of the last record, nobody can tell.
		if n := len(im.records); n > 1 && im.write(im.payload()) {
			last := im.synced
			im.sync()
			damaged := bytes.Clone(im.disk)
			at := im.rng.Int64N(last) / SectorSize * SectorSize
			im.rng.Uint32()
			clear(damaged[at : at+SectorSize])
			losses++
			if sc := im.scan(damaged); sc.Bad == nil {
				t.Fatalf("segment %d: the sector at %d of %d is gone: %d of %d records", im.seq, at, im.written, len(sc.Frames), len(im.records))
			}
		}
	}
	t.Logf("%d unfinished writes, %d records kept that were not synced, %d of %d flipped bits noticed, %d sectors lost", torn, kept, noticed, flips, losses)
	if torn == 0 || kept == 0 || noticed == 0 || losses == 0 {
		t.Error("that is not much of a test")
	}
}

// TestEveryBit flips every bit of a segment in a file that was written before.
func TestEveryBit(t *testing.T) {
	im := &image{rng: rand.New(rand.NewPCG(1, 1)), disk: make([]byte, imageSize), file: make([]byte, imageSize)}
	im.begin(6)
	for im.write(im.payload()) {
		im.sync()
	}
	im.begin(7)
	for range 5 {
		im.write(im.payload())
		im.sync()
	}
	for at := range im.written + SectorSize {
		for bit := range 8 {
			im.disk[at] ^= 1 << bit
			sc := im.scan(im.disk)
			im.disk[at] ^= 1 << bit
			if err := im.check(sc); sc.Bad == nil && (err != nil || len(sc.Frames) != len(im.records)) {
				t.Fatalf("bit %d at %d of %d: %d of %d records, %v", bit, at, im.written, len(sc.Frames), len(im.records), err)
			}
		}
	}
}
