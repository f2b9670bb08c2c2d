package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
)

// subcommand is something that the program does besides being a node: raftredis name
// [--option value ...]. Its options are its own, and not those of a node.
type subcommand struct {
	name    string
	args    string // what stands behind the options, for --help
	summary string
	// declare declares the options and returns what to run once they are read.
	declare func(fs *pflag.FlagSet) func(c *invocation) error
}

// subcommands are all that there are. A configuration file that has such a name is
// given as ./name.
func subcommands() []subcommand {
	return []subcommand{
		statusCommand(),
		readyCommand(),
		handoverCommand(),
		leaveCommand(),
		backupCommand(),
		restoreCommand(),
		podCommand(),
		podStopCommand(),
		printCommand(),
	}
}

// invocation is one run of a subcommand.
type invocation struct {
	ctx     context.Context // ends when the program is asked to stop
	args    []string        // what was not an option
	environ []string
	out     io.Writer
	stopC   <-chan os.Signal // for the one that runs a node, which ends in its own way
}

// errUsage marks what the user has to say differently: exit status 2.
var errUsage = errors.New("see --help")

// exitError ends with an exit status of its own. Without an err all has been said.
type exitError struct {
	status int
	err    error
}

func (e exitError) Error() string { return fmt.Sprint(e.err) }
func (e exitError) Unwrap() error { return e.err }

func findSubcommand(args []string) (subcommand, bool) {
	if len(args) > 0 {
		for _, s := range subcommands() {
			if s.name == args[0] {
				return s, true
			}
		}
	}
	return subcommand{}, false
}

// exec runs a subcommand with what stands behind its name, and returns the exit status.
func (s subcommand) exec(args, environ []string, stopC <-chan os.Signal, out, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	forward := make(chan os.Signal, 2)
	go func() {
		select {
		case sig := <-stopC:
			forward <- sig
			cancel(fmt.Errorf("interrupted: %v", sig))
		case <-ctx.Done():
		}
	}()
	fs := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	run := s.declare(fs)
	help := fs.Bool("help", false, "print this")
	err := fs.Parse(args)
	if err == nil && *help {
		s.printHelp(out, fs)
		return 0
	}
	if err != nil {
		err = fmt.Errorf("%w (%w)", err, errUsage)
	} else {
		err = run(&invocation{ctx: ctx, args: fs.Args(), environ: environ, out: out, stopC: forward})
	}
	status, own := 1, exitError{}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own) && own.err == nil:
		return own.status
	case errors.As(err, &own):
		status = own.status
	case errors.Is(err, errUsage):
		status = 2
	}
	if errors.Is(err, context.Canceled) {
		err = errors.Join(err, context.Cause(ctx))
	}
	fmt.Fprintf(errOut, "raftredis %s: %v\n", s.name, err)
	return status
}

func (s subcommand) printHelp(w io.Writer, fs *pflag.FlagSet) {
	fmt.Fprintf(w, "Usage: raftredis %s [--option value ...]", s.name)
	if s.args != "" {
		fmt.Fprintf(w, " %s", s.args)
	}
	fmt.Fprintf(w, "\n\n%s\n\nOptions:\n%s", s.summary, fs.FlagUsages())
}

// noArgs refuses what a subcommand has no use for.
func (c *invocation) noArgs() error {
	if len(c.args) > 0 {
		return fmt.Errorf("unexpected argument %q (%w)", c.args[0], errUsage)
	}
	return nil
}
