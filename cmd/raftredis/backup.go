package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/raftnode"
)

// backupCommand reads a backup from a running node.
func backupCommand() subcommand {
	return subcommand{
		name: "backup", args: "file | -",
		summary: "Write all data of a cluster, as of one moment, to a file or a pipe: from any node, while it serves its clients.\n" +
			"It has every write that was acknowledged before, the users, functions and scripts. Guard it like the data.\n" +
			"The user needs the permission for RAFT BACKUP.",
		declare: func(fs *pflag.FlagSet) func(c *invocation) error {
			r := declareReach(fs)
			local := fs.Bool("local", false, "what this node knows, also when there is no majority to ask for more")
			return func(c *invocation) error {
				if len(c.args) != 1 {
					return fmt.Errorf("one file is needed, or - for the standard output (%w)", errUsage)
				}
				return c.backup(r, *local)
			}
		},
	}
}

func (c *invocation) backup(r *reach, local bool) error {
	node, err := c.dial(r)
	if err != nil {
		return err
	}
	defer node.close()
	node.timeout = backupPatience
	begin := []string{"RAFT", "BACKUP", "BEGIN"}
	if local {
		begin = append(begin, "LOCAL")
	}
	if _, err := node.do(begin...); err != nil {
		var refused replyError
		if errors.As(err, &refused) && !local && strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
			err = fmt.Errorf("%w (--local takes what this node knows, without asking a majority)", err)
		}
		return err
	}
	pieces := &backupPieces{node: node}
	if c.args[0] == "-" {
		return copyBackup(pieces, os.Stdout, os.Stderr)
	}
	return writeBackup(c.args[0], func(w io.Writer) error { return copyBackup(pieces, w, os.Stderr) })
}

// backupPatience is how long the snapshot may take that a backup begins with.
const backupPatience = 15 * time.Minute

// backupPieces is the backup as the node sends it.
type backupPieces struct {
	node *client
	rest string
	done bool
}

// Read implements io.Reader.
func (p *backupPieces) Read(b []byte) (int, error) {
	if p.rest == "" && !p.done {
		reply, err := p.node.do("RAFT", "BACKUP", "NEXT")
		if err != nil {
			return 0, err
		}
		piece, ok := reply.(string)
		if !ok {
			return 0, fmt.Errorf("the node answers RAFT BACKUP NEXT with %v", reply)
		}
		p.rest, p.done = piece, piece == ""
	}
	if p.done {
		return 0, io.EOF
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// copyBackup copies a backup and checks it on the way. It says how far it is every two seconds.
func copyBackup(from io.Reader, w, say io.Writer) error {
	b, err := raftnode.NewBackupReader(io.TeeReader(from, w))
	if err != nil {
		return err
	}
	began := time.Now()
	p := &backupProgress{total: b.Size, said: began, say: say}
	if _, err := io.Copy(p, b); err != nil {
		return err
	}
	fmt.Fprintf(say, "%s, in %v.\n", describeBackup(b.BackupHeader), time.Since(began).Round(time.Millisecond))
	return nil
}

// backupProgress counts what has been copied.
type backupProgress struct {
	done, total int64
	said        time.Time
	say         io.Writer
}

// Write implements io.Writer.
func (p *backupProgress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if now := time.Now(); now.Sub(p.said) >= 2*time.Second {
		p.said = now
		fmt.Fprintf(p.say, "%d of %d MB, %d %%\n", p.done>>20, p.total>>20, 100*p.done/max(p.total, 1))
	}
	return len(b), nil
}

// writeBackup makes a file that is complete and durable, or none: what is there under its
// name stays until then.
func writeBackup(name string, copyTo func(io.Writer) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a named pipe, a tape
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(copyTo(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is left of it says itself that it is incomplete
		}
	}()
	err = copyTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
