package apps

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a program of docs/clients.md.
type snippet struct {
	title, language, code string
}

// snippets are the programs in a document: each code block in one of the languages, under
// the heading before it.
func snippets(t *testing.T, path string, languages map[string]bool) (all []snippet) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	title := ""
	var in *snippet
	for line := range strings.Lines(string(text)) {
		switch {
		case in != nil && strings.HasPrefix(line, "```"):
			all, in = append(all, *in), nil
		case in != nil:
			in.code += line
		case strings.HasPrefix(line, "## "):
			title, _, _ = strings.Cut(strings.TrimSpace(line[3:]), " ")
		case strings.HasPrefix(line, "```"):
			language := strings.TrimSpace(line[3:])
			if !languages[language] {
				t.Errorf("%s: there is no way to run %q", path, language)
			}
			in = &snippet{title: title, language: language}
		}
	}
	return all
}

// at has a program go to other addresses than those in the document. It has one a line.
func (s snippet) at(addrs []string) string {
	var code strings.Builder
	ips := regexp.MustCompile(`10\.0\.0\.([1-9])`)
	for line := range strings.Lines(s.code) {
		if m := ips.FindStringSubmatch(line); m != nil {
			host, port, _ := net.SplitHostPort(addrs[m[1][0]-'1'])
			line = strings.Replace(strings.Replace(line, m[0], host, 1), "6379", port, 1)
		}
		code.WriteString(line)
	}
	return code.String()
}

// TestClientsDocument runs every program of docs/clients.md, with all nodes up, and again after the
// leader has died: who has several addresses finds another one.
func TestClientsDocument(t *testing.T) {
	write := func(t *testing.T, dir, name, code string) string {
		t.Helper()
		f, err := os.CreateTemp(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(f.Name()) })
		if _, err := f.WriteString(code); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	// How a program of each language is made of its code: beside those that have the
	// library that it needs.
	commands := map[string]func(t *testing.T, code string) []string{
		"go": func(t *testing.T, code string) []string {
			path := filepath.Join(t.TempDir(), "program")
			dir, err := os.MkdirTemp("go", "snippet-") // within the module
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			write(t, dir, "*.go", code)
			cmd := exec.Command("go", "build", "-o", path, ".")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return []string{path}
		},
		"js": func(t *testing.T, code string) []string {
			probe := script("node", "", "node", "--input-type=module", "-e", "import 'ioredis'; import 'redis'")(t)
			return []string{probe[0], write(t, "node", "snippet-*.mjs", code)}
		},
		"python": func(t *testing.T, code string) []string {
			probe := script("python", "", "/usr/bin/python3", "-c", "import redis")(t)
			return []string{probe[0], write(t, t.TempDir(), "*.py", code)}
		},
		"ruby": func(t *testing.T, code string) []string {
			probe := script("ruby", "", "/usr/bin/ruby", "-e", "require 'redis'")(t)
			return []string{probe[0], write(t, t.TempDir(), "*.rb", code)}
		},
		"c": func(t *testing.T, code string) []string {
			if _, err := os.Stat("/usr/include/hiredis/hiredis.h"); err != nil {
				skip(t, "libhiredis-dev is not installed")
			}
			path := filepath.Join(t.TempDir(), "program")
			out, err := exec.Command("cc", "-Wall", "-Werror", "-o", path, write(t, t.TempDir(), "*.c", code), "-lhiredis").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return []string{path}
		},
	}
	languages := map[string]bool{}
	for language := range commands {
		languages[language] = true
	}
	all := snippets(t, "../../docs/clients.md", languages)
	if len(all) < 8 {
		t.Fatalf("%d programs", len(all))
	}
	c := start(t, 3)
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr)
	}
	for _, s := range all {
		t.Run(s.title, func(t *testing.T) { s.run(t, commands[s.language](t, s.at(addrs))) })
	}
	c.leader(t).Kill()
	c.leader(t)
	for _, s := range all {
		t.Run(s.title+" without a node", func(t *testing.T) { s.run(t, commands[s.language](t, s.at(addrs))) })
	}
}

func (s snippet) run(t *testing.T, command []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if want := fmt.Sprintf("hello from %s\n", s.title); err != nil || string(out) != want {
		t.Errorf("it prints %q (%v), and should print %q; it says %s", out, err, want, &said)
	}
}
