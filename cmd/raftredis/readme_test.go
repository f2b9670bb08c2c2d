package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/store/command"
)

//go:generate go test -run ^TestReadmeCommands$ . -update

var update = flag.Bool("update", false, "rewrite what the tests check against")

const (
	tableBegin = "<!-- commands: written by go generate ./cmd/raftredis -->\n"
	tableEnd   = "<!-- end of commands -->\n"
)

// TestReadmeCommands keeps the README's table of commands that of the binary.
func TestReadmeCommands(t *testing.T) {
	const path = "../../README.md"
	table, err := command.NewTable(command.Data(), resp.Commands())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(content), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatal("README.md has no place for the commands")
	}
	want := before + tableBegin + commandTable(table) + tableEnd + after
	if want == string(content) {
		return
	}
	if !*update {
		t.Fatal("README.md's table of commands is not that of the binary: go generate ./cmd/raftredis")
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commandTable renders one row for each group of commands.
func commandTable(table *command.Table) string {
	groups := map[string][]string{}
	count := 0
	for _, s := range table.All() {
		name := strings.ToUpper(s.Name)
		if len(s.Subcommands) > 0 {
			var subs []string
			for _, sub := range s.Subcommands {
				if sub.Name != "help" {
					subs = append(subs, strings.ToUpper(sub.Name))
				}
			}
			sort.Strings(subs)
			name += " (" + strings.Join(subs, ", ") + ")"
		}
		groups[s.Group] = append(groups[s.Group], name)
		count++
	}
	order := []string{"string", "generic", "list", "hash", "set", "sorted-set", "stream", "bitmap", "hyperloglog", "geo", "transactions", "pubsub", "scripting", "connection", "server", "cluster", "sentinel", "raft"}
	var names []string
	for g := range groups {
		names = append(names, g)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := slices.Index(order, a), slices.Index(order, b)
		if x < 0 || y < 0 {
			return strings.Compare(a, b)
		}
		return x - y
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%d commands, with Redis 7.0's options, replies and error texts:\n\n| Group | Commands |\n|---|---|\n", count)
	for _, g := range names {
		fmt.Fprintf(&b, "| %s | %s |\n", g, strings.Join(groups[g], ", "))
	}
	return b.String()
}
