package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/resp/directive"
)

// printCommand prints what packages are made of. It follows from the table of options, as
// --help does, so that none of it can be out of date.
func printCommand() subcommand {
	kinds := map[string]func(io.Writer, *options){
		"conf": printConf, "man": printMan, "bash": printBash, "zsh": printZsh, "fish": printFish,
	}
	names := slices.Sorted(maps.Keys(kinds))
	return subcommand{
		name: "print",
		args: strings.Join(names, "|"),
		summary: "Print a configuration file with every option explained (conf), the manual page (man), or what completes command lines\n" +
			"in a shell (bash, zsh, fish).",
		declare: func(*pflag.FlagSet) func(*invocation) error {
			return func(c *invocation) error {
				if len(c.args) != 1 || kinds[c.args[0]] == nil {
					return fmt.Errorf("it prints one of %s (%w)", orList(names), errUsage)
				}
				var b strings.Builder
				kinds[c.args[0]](&b, newOptions())
				_, err := io.WriteString(c.out, b.String())
				return err
			}
		},
	}
}

// shown are the options that --help lists.
func (o *options) shown() []*option {
	var all []*option
	for i := range o.registry.all {
		if opt := &o.registry.all[i]; opt.Owner != directive.Nobody && !opt.Hidden {
			all = append(all, opt)
		}
	}
	return all
}

// printConf writes a file in which every option stands, with its default, as a comment:
// one that is not touched changes nothing.
func printConf(w io.Writer, o *options) {
	fmt.Fprint(w, "# Configuration of raftredis, in the format of redis.conf. The command line and the\n"+
		"# environment (RAFTREDIS_READ_MODE for read-mode) win over this file. A line like #port 6379\n"+
		"# shows a default. Sizes may be written as 100mb or 1gb.\n")
	group := ""
	for _, opt := range o.shown() {
		if opt.Name == "config" || opt.Name == "force-new-cluster" || opt.Name == "force-formation" {
			continue // for one start, from the command line
		}
		if opt.group != group {
			group = opt.group
			fmt.Fprintf(w, "\n%s\n# %s\n%s\n", strings.Repeat("#", 96), group, strings.Repeat("#", 96))
		}
		fmt.Fprintln(w)
		var b strings.Builder
		wrap(&b, opt.Summary, "# ")
		if opt.Redis != "" {
			wrap(&b, "In Redis the default is "+opt.Redis+".", "# ")
		}
		wrap(&b, "Values: "+opt.value.Type(), "# ")
		fmt.Fprint(w, b.String())
		if opt.example != "" {
			fmt.Fprintf(w, "# For example: %s %s\n", opt.Name, opt.example)
		}
		fmt.Fprintf(w, "#%s %s\n", opt.Name, confQuote(opt.Default)) // no blank: that is prose
	}
}

// printMan writes raftredis(1).
func printMan(w io.Writer, o *options) {
	fmt.Fprintf(w, ".TH RAFTREDIS 1 \"\" \"raftredis %s\" \"User Commands\"\n", release)
	fmt.Fprint(w, ".SH NAME\nraftredis \\- a replicated cache that any Redis client can use\n")
	fmt.Fprint(w, ".SH SYNOPSIS\n.B raftredis\n[\\fIfile.conf\\fR] [\\fB\\-\\-option\\fR \\fIvalue\\fR ...]\n")
	for _, s := range subcommands() {
		fmt.Fprintf(w, ".br\n.B raftredis %s\n[\\fB\\-\\-option\\fR \\fIvalue\\fR ...] %s\n", roff(s.name), roff(s.args))
	}
	fmt.Fprint(w, ".SH DESCRIPTION\nThree nodes, or one, or five, keep the same data with Raft. A client connects to any of them, and no write that\n"+
		"was acknowledged is lost, whichever node dies. Without arguments it is a cluster of one on 127.0.0.1:6379, with its data in ./raftredis\\-data.\n.PP\n"+
		"Every option can also stand in the environment (\\fBRAFTREDIS_READ_MODE\\fR for \\fB\\-\\-read\\-mode\\fR) or in a file in the format of redis.conf. The command\n"+
		"line wins over the environment, and that over the file. Sizes may be written as 100mb or 1gb, times as 5s or 1m30s.\n")
	group := ""
	for _, opt := range o.shown() {
		if opt.group != group {
			if group == "" {
				fmt.Fprint(w, ".SH OPTIONS\n")
			}
			group = opt.group
			fmt.Fprintf(w, ".SS %s\n", roff(group))
		}
		fmt.Fprintf(w, ".TP\n\\fB\\-\\-%s\\fR \\fI%s\\fR\n%s\n", roff(opt.Name), roff(opt.value.Type()), roff(opt.Summary))
		if opt.Default != "" {
			fmt.Fprintf(w, "(default %s)\n", roff(opt.Default))
		}
		if opt.example != "" {
			fmt.Fprintf(w, ".br\nFor example: \\fB\\-\\-%s %s\\fR\n", roff(opt.Name), roff(quoted(opt.example)))
		}
	}
	fmt.Fprint(w, ".SH SUBCOMMANDS\n")
	for _, s := range subcommands() {
		fmt.Fprintf(w, ".SS raftredis %s\n%s\n", roff(s.name), roff(s.summary))
		s.flags().VisitAll(func(f *pflag.Flag) {
			kind, usage := pflag.UnquoteUsage(f)
			fmt.Fprintf(w, ".TP\n\\fB\\-\\-%s\\fR \\fI%s\\fR\n%s\n", roff(f.Name), roff(kind), roff(usage))
		})
	}
	fmt.Fprint(w, ".SH FILES\n.TP\n.I /etc/raftredis/raftredis.conf\nthe configuration of the service\n.TP\n.I /var/lib/raftredis\nits data\n"+
		".SH EXIT STATUS\n0 after SIGTERM, SIGINT and SHUTDOWN; 1 if the node cannot go on; 2 for a wrong option.\n.SH SEE ALSO\n.BR redis\\-cli (1)\n")
}

// roff escapes a text that may begin a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// completion is what a shell offers for one flag.
type completion struct {
	name, summary string
	values        []string // nil: anything, or files
}

func (o *options) completions() []completion {
	var all []completion
	for _, opt := range o.shown() {
		c := completion{name: opt.Name, summary: opt.Summary}
		if t := opt.value.Type(); strings.Contains(t, "|") {
			c.values = strings.Split(t, "|")
		}
		all = append(all, c)
	}
	return append(all, completion{name: "help", summary: "print all options"}, completion{name: "version", summary: "print the version"})
}

func (s subcommand) completions() []completion {
	all := []completion{{name: "help", summary: "print its options"}}
	s.flags().VisitAll(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		all = append(all, completion{name: f.Name, summary: usage})
	})
	return all
}

// flags are a subcommand's options, for those who describe them.
func (s subcommand) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	fs.SortFlags = false
	s.declare(fs)
	return fs
}

func dashed(all []completion) string {
	var names []string
	for _, c := range all {
		names = append(names, "--"+c.name)
	}
	return strings.Join(names, " ")
}

func subcommandNames() string {
	var names []string
	for _, s := range subcommands() {
		names = append(names, s.name)
	}
	return strings.Join(names, " ")
}

func printBash(w io.Writer, o *options) {
	fmt.Fprint(w, "# bash completion for raftredis\n_raftredis() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n\tCOMPREPLY=()\n\tcase ${COMP_WORDS[1]} in\n")
	for _, s := range subcommands() {
		words := dashed(s.completions())
		if s.name == "print" {
			words += " " + strings.ReplaceAll(s.args, "|", " ")
		}
		fmt.Fprintf(w, "\t%s) [ \"$COMP_CWORD\" -gt 1 ] && words='%s' ;;\n", s.name, words)
	}
	fmt.Fprint(w, "\tesac\n\tif [ -z \"$words\" ]; then\n\t\tcase $prev in\n")
	for _, c := range o.completions() {
		if c.values != nil {
			fmt.Fprintf(w, "\t\t--%s) words='%s' ;;\n", c.name, strings.Join(c.values, " "))
		}
	}
	fmt.Fprintf(w, "\t\t*)\n\t\t\twords='%s'\n\t\t\t[ \"$COMP_CWORD\" -eq 1 ] && words=\"$words %s\"\n\t\t\t;;\n\t\tesac\n\tfi\n", dashed(o.completions()), subcommandNames())
	fmt.Fprint(w, "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\ncomplete -o default -F _raftredis raftredis\n")
}

// zshQuote is for the inside of single quotes in a specification of _arguments.
func zshQuote(s string) string {
	return strings.NewReplacer(`'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`, "\n", " ").Replace(s)
}

func printZsh(w io.Writer, o *options) {
	fmt.Fprint(w, "#compdef raftredis\n_raftredis() {\n\tif (( CURRENT > 2 )); then\n\t\tcase $words[2] in\n")
	for _, s := range subcommands() {
		fmt.Fprintf(w, "\t\t(%s)\n\t\t\t_arguments", s.name)
		for _, c := range s.completions() {
			fmt.Fprintf(w, " \\\n\t\t\t\t'--%s[%s]'", c.name, zshQuote(c.summary))
		}
		fmt.Fprint(w, " '*:argument:_files'\n\t\t\treturn\n\t\t\t;;\n")
	}
	fmt.Fprint(w, "\t\tesac\n\tfi\n\tlocal -a subcommands\n\tsubcommands=(\n")
	for _, s := range subcommands() {
		first, _, _ := strings.Cut(s.summary, "\n")
		fmt.Fprintf(w, "\t\t'%s:%s'\n", s.name, zshQuote(first))
	}
	fmt.Fprint(w, "\t)\n\t(( CURRENT == 2 )) && _describe subcommand subcommands\n\t_arguments")
	for _, c := range o.completions() {
		fmt.Fprintf(w, " \\\n\t\t'--%s[%s]", c.name, zshQuote(c.summary))
		switch {
		case c.values != nil:
			fmt.Fprintf(w, ":value:(%s)'", strings.Join(c.values, " "))
		case c.name == "help" || c.name == "version":
			fmt.Fprint(w, "'")
		default:
			fmt.Fprint(w, ":value:_files'")
		}
	}
	fmt.Fprint(w, " \\\n\t\t'*:configuration file:_files'\n}\n_raftredis \"$@\"\n")
}

func fishQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", " ").Replace(s)
}

func printFish(w io.Writer, o *options) {
	const first = "__fish_use_subcommand"
	fmt.Fprint(w, "# fish completion for raftredis\n")
	for _, s := range subcommands() {
		line, _, _ := strings.Cut(s.summary, "\n")
		fmt.Fprintf(w, "complete -c raftredis -n %s -a %s -d '%s'\n", first, s.name, fishQuote(line))
		for _, c := range s.completions() {
			fmt.Fprintf(w, "complete -c raftredis -n '__fish_seen_subcommand_from %s' -l %s -d '%s'\n", s.name, c.name, fishQuote(c.summary))
		}
		if s.name == "print" {
			fmt.Fprintf(w, "complete -c raftredis -n '__fish_seen_subcommand_from print' -f -a '%s'\n", strings.ReplaceAll(s.args, "|", " "))
		}
	}
	for _, c := range o.completions() {
		fmt.Fprintf(w, "complete -c raftredis -n 'not __fish_seen_subcommand_from %s' -l %s -d '%s'", subcommandNames(), c.name, fishQuote(c.summary))
		switch {
		case c.values != nil:
			fmt.Fprintf(w, " -x -a '%s'", strings.Join(c.values, " "))
		case c.name != "help" && c.name != "version":
			fmt.Fprint(w, " -r")
		}
		fmt.Fprintln(w)
	}
}
