package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/raftredis/raftredis/resp/directive"
)

// helpWidth is the column at which descriptions are broken.
const helpWidth = 96

const helpHead = `raftredis: a replicated cache that any Redis client can use.

Usage:
  raftredis [file.conf] [--option value ...]

Alone on this machine, data in ./raftredis-data:
  raftredis
  redis-cli set greeting hello

Three nodes; the same --cluster on each, and its own --id:
  raftredis --id 1 --cluster http://10.0.0.1:16379,http://10.0.0.2:16379,http://10.0.0.3:16379 --bind 10.0.0.1 --requirepass secret

One more node, later:
  raftredis --id 4 --join --cluster 1=http://10.0.0.1:16379,4=http://10.0.0.4:16379 --bind 10.0.0.4 --requirepass secret

Again, after a stop: id, members and addresses are in the data directory.
  raftredis --dir ./raftredis-data
`

const helpTail = `
Every option can also stand in the environment (--read-mode is RAFTREDIS_READ_MODE) or in a file as a
redis.conf directive (read-mode linearizable). The command line wins over the environment, and that
over the file. Sizes may be written as 100mb or 1gb, times as 5s or 1m30s.
`

// printHelp writes what --help shows.
func (o *options) printHelp(w io.Writer) {
	var b strings.Builder
	b.WriteString(helpHead)
	group := ""
	for i := range o.registry.all {
		opt := &o.registry.all[i]
		if opt.Owner == directive.Nobody || opt.Hidden {
			continue
		}
		if opt.group != group {
			group = opt.group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		fmt.Fprintf(&b, "  --%s %s\n", opt.Name, opt.value.Type())
		text := opt.Summary
		if opt.Default != "" {
			text += " (default " + opt.Default + ")"
		}
		wrap(&b, text, "        ")
		if opt.example != "" {
			fmt.Fprintf(&b, "        for example --%s %s\n", opt.Name, quoted(opt.example))
		}
	}
	b.WriteString("\n  -h, --help\n  -v, --version\n")
	b.WriteString(helpTail)
	fmt.Fprint(w, b.String())
}

func quoted(s string) string {
	if strings.Contains(s, " ") {
		return "'" + s + "'"
	}
	return s
}

func wrap(b *strings.Builder, text, indent string) {
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+len(word) > helpWidth:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}

// built is what git describes the source as. make dist sets it with -ldflags -X.
var built string

// version is the release, and what the build knows of its source.
func version() string {
	v := "raftredis " + release
	if built != "" {
		v += " " + built
	} else if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				v += " " + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				v += "+changes"
			}
		}
	}
	return fmt.Sprintf("%s (%s %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// release is the version of this source, or with -dev behind it the one that it becomes.
const release = "0.3.0-dev"
