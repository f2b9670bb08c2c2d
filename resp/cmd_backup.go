package resp

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

// A backup goes to its client in pieces, each of which the client asks for: replies like
// any others, with no more of them in memory than was asked for, however slow the client.

// backupPiece is how much of a backup one reply has.
const backupPiece = 1 << 20

// maxBackups may be read at a time. Each holds a file, and room on the disk that would otherwise be free.
const maxBackups = 4

// backup is one that a connection is reading.
type backup struct {
	srv *Server
	r   io.ReadCloser
	buf []byte
}

func (b *backup) close() {
	_ = b.r.Close() // it was only read from
	b.srv.backups.Add(-1)
}

// endBackup lets go of the backup that the connection is reading, if it is. It may be
// called from two sides at the end of a connection, as abandonTracking.
func (c *conn) endBackup() {
	if b := c.backup.Swap(nil); b != nil {
		b.close()
	}
}

func (c *conn) cmdRaftBackup(argv [][]byte) {
	switch {
	case command.EqualFold(argv[2], "begin") && len(argv) == 3:
		c.beginBackup(true)
	case command.EqualFold(argv[2], "begin") && len(argv) == 4 && command.EqualFold(argv[3], "local"):
		c.beginBackup(false)
	case command.EqualFold(argv[2], "next") && len(argv) == 3:
		c.nextOfBackup()
	default:
		c.enc.Error(command.ErrSyntax)
	}
}

// beginBackup opens a backup. current: it has every write that was acknowledged anywhere before.
func (c *conn) beginBackup(current bool) {
	c.endBackup()
	if current {
		errC := make(chan error, 1)
		c.srv.store.Barrier(func(err error) { errC <- err })
		if err := <-errC; err != nil { // after the proposal timeout at the latest
			c.done(err)
			return
		}
	}
	if c.srv.backups.Add(1) > maxBackups {
		c.srv.backups.Add(-1)
		c.enc.Error(fmt.Sprintf("ERR %d backups are being read from this node already", maxBackups))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	r, err := c.srv.cluster.Backup(ctx)
	if err != nil {
		c.srv.backups.Add(-1)
		c.enc.Error(oneLine(store.Line(err)))
		return
	}
	c.backup.Store(&backup{srv: c.srv, r: r})
	c.enc.Status("OK")
}

// nextOfBackup answers the next piece of the backup: empty, if there is no more.
func (c *conn) nextOfBackup() {
	b := c.backup.Load()
	if b == nil {
		c.enc.Error("ERR there is no backup to go on with: RAFT BACKUP BEGIN on this connection comes first")
		return
	}
	if b.buf == nil {
		b.buf = make([]byte, backupPiece)
	}
	n, err := io.ReadFull(b.r, b.buf)
	switch {
	case errors.Is(err, io.EOF):
		c.endBackup()
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		c.endBackup()
		c.enc.Error(oneLine("ERR the backup ends here: " + err.Error()))
		return
	}
	c.enc.Bulk(b.buf[:n])
}
