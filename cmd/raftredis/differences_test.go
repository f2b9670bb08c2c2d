package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/resp/directive"
	"github.com/raftredis/raftredis/store/command"
)

//go:generate go test -run ^TestDifferences$ . -update

var update = flag.Bool("update", false, "rewrite what the tests check against")

// TestDifferences keeps the lists of docs/differences.md those of the binary. Each
// stands between two comments that say so.
func TestDifferences(t *testing.T) {
	const path = "../../docs/differences.md"
	table, err := command.NewTable(command.Data(), resp.Commands())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile("testdata/redis-7.0-commands.txt") // COMMAND LIST of Redis 7.0.15
	if err != nil {
		t.Fatal(err)
	}
	registry := newOptions().registry
	missing, added := commandDifferences(table, strings.Fields(string(theirs)))
	got := string(content)
	for name, text := range map[string]string{
		"commands":         commandTable(table),
		"missing commands": missing,
		"added commands":   added,
		"other defaults":   defaultsTable(registry),
		"no options":       foreignTable(registry),
		"own options":      ownTable(t, registry),
	} {
		begin, end := "<!-- "+name+": written by go generate ./cmd/raftredis -->\n", "<!-- end of "+name+" -->\n"
		before, rest, ok1 := strings.Cut(got, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no place for %s", path, name)
		}
		got = before + begin + text + end + after
	}
	if got == string(content) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the binary says: go generate ./cmd/raftredis", path)
	}
	if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commandDifferences lists what only Redis has, and what only we have.
func commandDifferences(table *command.Table, theirs []string) (missing, added string) {
	ours := map[string]*command.Spec{}
	for _, s := range table.All() {
		ours[s.Name] = s
		for _, sub := range s.Subcommands {
			ours[s.Name+"|"+sub.Name] = sub
		}
	}
	shown := func(name string) string { return "`" + strings.ToUpper(strings.ReplaceAll(name, "|", " ")) + "`" }
	var gone []string
	for _, name := range theirs {
		if container, _, sub := strings.Cut(name, "|"); ours[name] == nil && (!sub || ours[container] != nil) {
			gone = append(gone, shown(name))
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		container, _, sub := strings.Cut(name, "|")
		whole := sub && !slices.Contains(theirs, container) // it stands there with its container
		if !slices.Contains(theirs, name) && !whole && !strings.HasSuffix(name, "|help") && ours[name].Group != "sentinel" {
			fmt.Fprintf(&b, "| %s | %s |\n", shown(name), ours[name].Summary)
		}
	}
	return strings.Join(gone, ", ") + "\n", "| Command | |\n|---|---|\n" + b.String()
}

// code is a value as a table shows it.
func code(s string) string {
	if s == "" {
		return "none"
	}
	return "`" + strings.ReplaceAll(s, "|", "\\|") + "`"
}

// defaultsTable lists the directives of Redis with another default here.
func defaultsTable(r *registry) string {
	var b strings.Builder
	b.WriteString("| Directive | Here | In Redis |\n|---|---|---|\n")
	for i := range r.all {
		if opt := &r.all[i]; opt.Redis != "" && !opt.Hidden {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", opt.Name, code(opt.Default), code(opt.Redis))
		}
	}
	return b.String()
}

// foreignTable lists the directives that have no meaning here, by reason.
func foreignTable(r *registry) string {
	names, refused := map[string][]string{}, map[string]bool{}
	var reasons []string
	for i := range r.all {
		opt := &r.all[i]
		if opt.Owner != directive.Nobody {
			continue
		}
		if names[opt.Why] == nil {
			reasons = append(reasons, opt.Why)
		}
		name := "`" + opt.Name + "`"
		if opt.Refuse {
			name += "\\*"
			refused[opt.Why] = true
		}
		names[opt.Why] = append(names[opt.Why], name)
	}
	slices.SortStableFunc(reasons, func(a, b string) int { // what is refused comes first
		switch {
		case refused[a] == refused[b]:
			return 0
		case refused[a]:
			return -1
		}
		return 1
	})
	var b strings.Builder
	b.WriteString("| Directives | Because |\n|---|---|\n")
	for _, why := range reasons {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names[why], ", "), strings.ReplaceAll(why, "|", "\\|"))
	}
	return b.String()
}

// ownTable lists the options that Redis does not have.
func ownTable(t *testing.T, r *registry) string {
	t.Helper()
	theirs, err := os.ReadFile("testdata/redis-7.0-directives.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| Option | |\n|---|---|\n")
	for i := range r.all {
		opt := &r.all[i]
		if opt.Owner == directive.Nobody || opt.Hidden || slices.Contains(strings.Fields(string(theirs)), opt.Name) {
			continue
		}
		text := opt.Summary
		if opt.Default != "" {
			text += " (" + code(opt.Default) + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", opt.Name, strings.ReplaceAll(strings.ReplaceAll(text, "<", "&lt;"), "|", "\\|"))
	}
	return b.String()
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
