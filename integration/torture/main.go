package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/raftredis/raftredis/integration/cluster"
)

func main() {
	cfg := config{out: os.Stdout}
	flag.Uint64Var(&cfg.seed, "seed", 0, "`seed` of everything that this program chooses; 0 takes one from the clock")
	flag.DurationVar(&cfg.duration, "duration", time.Minute, "how `long` to go on")
	flag.IntVar(&cfg.nodes, "nodes", 3, "`members` to begin with")
	flag.DurationVar(&cfg.skew, "skew", time.Hour, "how far `apart` the nodes' clocks may be")
	flag.IntVar(&cfg.rounds, "kill-rounds", 0, "instead of anything else, kill the leader so many `times`")
	flag.StringVar(&cfg.binary, "binary", "", "raftredis `binary`; built from this checkout if empty")
	flag.StringVar(&cfg.older, "upgrade-from", "", "an older `binary` that the nodes begin with, and change to and from for half of the time; \"first\" builds that of the first release")
	flag.StringVar(&cfg.dir, "dir", "", "`directory` for data and logs; a temporary one, removed after success, if empty")
	race := flag.Bool("race", false, "build the binary with the race detector")
	flag.Parse()
	if cfg.seed == 0 {
		cfg.seed = uint64(time.Now().UnixNano())
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := prepareAndRun(ctx, cfg, *race); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func prepareAndRun(ctx context.Context, cfg config, race bool) error {
	temporary := cfg.dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "raftredis-torture-")
		if err != nil {
			return err
		}
		cfg.dir = dir
	} else if err := os.MkdirAll(cfg.dir, 0o755); err != nil {
		return err
	}
	if cfg.binary == "" {
		var err error
		if cfg.binary, err = cluster.Build(cfg.dir, race); err != nil {
			return err
		}
	}
	if cfg.older == "first" {
		var err error
		if cfg.older, err = cluster.BuildCommit(cfg.dir, cluster.FirstRelease); err != nil {
			return err
		}
	}
	if err := run(ctx, cfg); err != nil {
		return err
	}
	if temporary {
		return os.RemoveAll(cfg.dir)
	}
	return nil
}
