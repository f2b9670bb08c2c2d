package resp

import (
	"bytes"
	"io"
	"strconv"
	"testing"

	"github.com/raftredis/raftredis/store/machine"
)

// A backup comes in pieces that are asked for, has what was written before it and nothing that was
// written after, and is let go at its end, at RESET and at the end of the connection.
func TestBackup(t *testing.T) {
	drivers(t, func(t *testing.T, s *Server, l *single) {
		c := dial(t, s)
		c.ask("RAFT BACKUP NEXT\r\n", "-ERR there is no backup to go on with: RAFT BACKUP BEGIN on this connection comes first\r\n")
		c.ask("RAFT BACKUP BEGIN REMOTE\r\n", "-ERR syntax error\r\n")
		value := bytes.Repeat([]byte("0123456789abcdef"), 3*backupPiece/16)
		c.ask(call("SET", "big", string(value)), "+OK\r\n")
		c.ask("SET n 1\r\nRAFT BACKUP BEGIN\r\nSET later 2\r\n", "+OK\r\n+OK\r\n+OK\r\n")
		var all bytes.Buffer
		pieces := 0
		for ; ; pieces++ {
			c.send("RAFT BACKUP NEXT\r\n")
			n, err := strconv.Atoi(c.line()[1:])
			if err != nil {
				t.Fatal(err)
			}
			piece := make([]byte, n+2)
			if _, err := io.ReadFull(c, piece); err != nil {
				t.Fatal(err)
			}
			all.Write(piece[:n])
			if n == 0 {
				break
			}
		}
		if pieces < 4 || s.backups.Load() != 0 {
			t.Errorf("%d pieces, %d backups still open", pieces, s.backups.Load())
		}
		m, err := machine.Load(testTable(t), nil, &all)
		if err != nil {
			t.Fatal(err)
		}
		v := m.Keyspace().View(0, int64(m.Now()))
		if got, _, err := v.Get([]byte("big")); err != nil || !bytes.Equal(got, value) || !v.Exists([]byte("n")) || v.Exists([]byte("later")) {
			t.Errorf("%d bytes of big (%v)", len(got), err)
		}
		c.ask("RAFT BACKUP NEXT\r\n", "-ERR there is no backup to go on with: RAFT BACKUP BEGIN on this connection comes first\r\n")

		c.ask("RAFT BACKUP BEGIN LOCAL\r\nRESET\r\n", "+OK\r\n+RESET\r\n")
		var open []*client
		for range maxBackups {
			o := dial(t, s)
			o.ask("RAFT BACKUP BEGIN\r\n", "+OK\r\n")
			open = append(open, o)
		}
		c.ask("RAFT BACKUP BEGIN\r\n", "-ERR 4 backups are being read from this node already\r\n")
		for _, o := range open {
			o.Close()
		}
		eventually(t, "all are let go", func() bool { return s.backups.Load() == 0 })
	})
}
