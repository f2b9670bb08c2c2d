package raftnode

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/raftredis/raftredis/raftnode/commit"
)

// A backup is a snapshot that has left its cluster:
//
//	a line that says what it is, with the format's version
//	a line of JSON, with a checksum of its own (sealed): BackupHeader
//	the body of the snapshot, as long as the header says
//
// Of the membership there is nothing in it: whoever restores it makes another cluster.
const backupMagic = "raftredis backup 1\n"

// BackupHeader says what a backup is of.
type BackupHeader struct {
	// Cluster and Member are where it was taken.
	Cluster uint64 `json:"cluster"`
	Member  uint64 `json:"member"`
	// Index and Term are the place in the log whose state it is: everything up to there, and
	// nothing that came later.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Taken is when, by the clock of that member.
	Taken time.Time `json:"taken"`
	// Size (in bytes) and CRC (CRC-32C) are those of the body.
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc"`
}

// ErrBackup says that a backup is damaged, incomplete, or none at all.
var ErrBackup = errors.New("the backup cannot be used")

// maxBackupHeader bounds the two lines in front of a body.
const maxBackupHeader = 4 << 10

// Backup takes a snapshot on this node and opens it, in the form of a backup. It has everything
// that this node had been given to apply when it was called. What is read comes from a file that is
// complete and does not change: whoever reads slowly holds up nobody, and costs room on
// the disk, not in memory. The caller closes it.
func (n *Node) Backup(ctx context.Context) (io.ReadCloser, error) {
	fromC := make(chan uint64, 1)
	n.inbox.run(func(c *core) { fromC <- c.handedOut.index })
	var from uint64
	select {
	case from = <-fromC:
	case <-ctx.Done():
		return nil, fmt.Errorf("backup: %w", ctx.Err())
	case <-n.doneC:
		return nil, commit.ErrStopped
	}
	for {
		// One that was on its way already ends this as well, and may be too old.
		if err := n.Snapshot(ctx); err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		s, err := n.newestSnapshot(ctx)
		if err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		if s.GetMetadata().GetIndex() < from {
			continue
		}
		r, err := n.openBackup(s)
		if errors.Is(err, os.ErrNotExist) {
			continue // there have been two newer ones meanwhile, and it was purged
		}
		return r, err
	}
}

func (n *Node) newestSnapshot(ctx context.Context) (*raftpb.Snapshot, error) {
	type answer struct {
		s   *raftpb.Snapshot
		err error
	}
	answerC := make(chan answer, 1)
	n.inbox.run(func(c *core) {
		s, err := c.storage.Snapshot()
		answerC <- answer{s, err}
	})
	select {
	case a := <-answerC:
		if a.err == nil && len(a.s.GetData()) == 0 {
			a.err = errors.New("there is nothing yet")
		}
		return a.s, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.doneC:
		return nil, commit.ErrStopped
	}
}

// openBackup puts the head of a backup before a snapshot's body.
func (n *Node) openBackup(s *raftpb.Snapshot) (io.ReadCloser, error) {
	d, err := decodeDescriptor(s.GetData())
	if err != nil {
		return nil, err
	}
	m := s.GetMetadata()
	f, err := os.Open(bodyPath(&n.cfg, m.GetIndex()))
	if err != nil {
		return nil, err
	}
	now := time.Now() //nolint:forbidigo // for people to read
	head, err := seal(BackupHeader{Cluster: n.cluster, Member: n.cfg.ID, Index: m.GetIndex(), Term: m.GetTerm(), Taken: now.UTC(), Size: d.BodySize, CRC: d.BodyCRC})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return backupFile{io.MultiReader(bytes.NewReader(append([]byte(backupMagic), head...)), io.LimitReader(f, d.BodySize)), f}, nil
}

type backupFile struct {
	io.Reader
	io.Closer
}

// BackupReader reads a backup and checks it.
type BackupReader struct {
	BackupHeader

	r    *bufio.Reader
	left int64
	crc  hash.Hash32
}

// NewBackupReader reads the head of a backup. An error wraps ErrBackup unless it came from r.
func NewBackupReader(r io.Reader) (*BackupReader, error) {
	b := &BackupReader{r: bufio.NewReaderSize(r, 256<<10), crc: newBodyCRC()}
	magic, err := backupLine(b.r)
	switch {
	case err != nil:
		return nil, err
	case string(magic) != backupMagic:
		return nil, fmt.Errorf("%w: it begins with %.40q, and should begin with %q", ErrBackup, magic, backupMagic)
	}
	head, err := backupLine(b.r)
	if err != nil {
		return nil, err
	}
	if err := unseal(head, &b.BackupHeader); err != nil {
		return nil, fmt.Errorf("%w: its head: %w", ErrBackup, err)
	}
	b.left = b.Size
	return b, nil
}

func backupLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for len(line) < maxBackupHeader {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it ends in its head", ErrBackup)
		}
		if err != nil {
			return nil, err
		}
		if line = append(line, c); c == '\n' {
			return line, nil
		}
	}
	return nil, fmt.Errorf("%w: it begins with %.40q, which is no backup", ErrBackup, line)
}

// Read reads the body. It answers io.EOF only if all of it was there, nothing is
// behind it, and it is what the head says.
func (b *BackupReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.end()
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	_, _ = b.crc.Write(p[:n]) // never fails
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		return n, fmt.Errorf("%w: it is incomplete: it ends after %d of %d bytes", ErrBackup, b.Size-b.left, b.Size)
	}
	if errors.Is(err, io.EOF) {
		err = nil // the next one looks at the sum
	}
	return n, err
}

func (b *BackupReader) end() error {
	if sum := b.crc.Sum32(); sum != b.CRC {
		return fmt.Errorf("%w: it is damaged: its checksum is %08x instead of %08x", ErrBackup, sum, b.CRC)
	}
	switch _, err := b.r.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something stands behind its end", ErrBackup)
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}
