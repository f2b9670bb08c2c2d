package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/raftredis/raftredis/raftnode"
	"github.com/raftredis/raftredis/store/machine"
)

// restoreCommand makes a data directory of a backup, on the machine of the node that it
// is for.
func restoreCommand() subcommand {
	return subcommand{
		name: "restore", args: "file | -",
		summary: "Make an empty data directory that of the only member of a new cluster, with the data of a backup.\n" +
			"Start this node then as always, and the others with empty directories and --join: they get the data from it.\n" +
			"Every restoring makes a cluster of its own. Run it as the user that the node runs as.",
		declare: func(fs *pflag.FlagSet) func(c *invocation) error {
			said := map[string]*string{
				"config":  fs.StringP("config", "c", "", "configuration `file` of the node: its id, directory and address"),
				"dir":     fs.String("dir", "", "data directory to make"),
				"id":      fs.String("id", "", "id of the node"),
				"cluster": fs.String("cluster", "", "where the others will reach it, http://host:port or https://host:port; of a list, the URL of this id"),
			}
			check := fs.Bool("check", false, "only look whether the backup is whole and in order")
			return func(c *invocation) error {
				if len(c.args) != 1 {
					return fmt.Errorf("one file is needed, or - for the standard input (%w)", errUsage)
				}
				in, err := openBackup(c.args[0])
				if err != nil {
					return err
				}
				defer func() { _ = in.Close() }() // only read from
				if *check {
					return checkBackup(in, c.out)
				}
				var args []string
				for _, name := range []string{"config", "dir", "id", "cluster"} {
					if *said[name] != "" {
						args = append(args, "--"+name, *said[name])
					}
				}
				o, err := parseOptions(args, c.environ)
				if err != nil {
					return err
				}
				return o.restore(in, c.out)
			}
		},
	}
}

func openBackup(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	return os.Open(name)
}

// checkBackup reads all of a backup.
func checkBackup(in io.Reader, w io.Writer) error {
	b, err := raftnode.NewBackupReader(in)
	if err != nil {
		return err
	}
	renewErr := machine.Renew(io.Discard, b, b.Index)
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	if renewErr != nil {
		return renewErr
	}
	fmt.Fprintf(w, "%s: whole and in order.\n", describeBackup(b.BackupHeader))
	return nil
}

func describeBackup(b raftnode.BackupHeader) string {
	return fmt.Sprintf("Backup of cluster %x at index %d, taken of member %d on %s, %d bytes", b.Cluster, b.Index, b.Member, b.Taken.Format("2006-01-02 15:04:05 MST"), b.Size)
}

func (o *options) restore(in io.Reader, w io.Writer) error {
	o.join = false // the file may have it for later
	peers, err := o.peers()
	if err != nil {
		return err
	}
	cfg := o.raftConfig(peers)
	cfg.Logger = zap.NewNop()
	r, err := raftnode.Restore(cfg, bufio.NewReaderSize(in, 1<<20), machine.Renew)
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w (run it as the user that the node runs as)", err)
	}
	if err != nil {
		return err
	}
	self := raftnode.Peer{ID: cfg.ID}
	for _, p := range peers {
		if p.ID == cfg.ID {
			self = p
		}
	}
	fmt.Fprintf(w, "%s.\n", describeBackup(r.From))
	fmt.Fprintf(w, "%s is now the data of member %d at %s, alone in the new cluster %x, whose log begins behind index %d.\n", cfg.Dir, self.ID, self.URL, r.Cluster, r.Index)
	fmt.Fprintf(w, "Start it; then start the others, each with an empty directory, --join and --cluster %d=%s,<its id>=<its URL>.\n", self.ID, self.URL)
	return nil
}
