package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrint: what packages are made of names every option and subcommand.
func TestPrint(t *testing.T) {
	for _, kind := range []string{"conf", "man", "bash", "zsh", "fish"} {
		var out, errs bytes.Buffer
		sub, ok := findSubcommand([]string{"print"})
		if !ok {
			t.Fatal("there is no print")
		}
		if status := sub.exec([]string{kind}, nil, nil, &out, &errs); status != 0 {
			t.Fatalf("print %s: %d: %s", kind, status, errs.String())
		}
		text := strings.ReplaceAll(out.String(), `\-`, "-")
		for _, opt := range newOptions().shown() {
			once := opt.Name == "config" || strings.HasPrefix(opt.Name, "force-")
			if !strings.Contains(text, opt.Name) && !(kind == "conf" && once) {
				t.Errorf("print %s leaves out %s", kind, opt.Name)
			}
		}
		for _, s := range subcommands() {
			if kind != "conf" && !strings.Contains(text, s.name) {
				t.Errorf("print %s leaves out %s", kind, s.name)
			}
		}
		if kind == "conf" {
			checkPrintedConf(t, out.String())
		}
	}
}

// checkPrintedConf: as it is the file changes nothing, and without the marks of comments
// each line is one that a node takes, and the default.
func checkPrintedConf(t *testing.T, conf string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raftredis.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.given) > 1 { // config itself
		t.Errorf("the file says something: %v", o.given)
	}
	for _, opt := range o.shown() {
		_, rest, ok := strings.Cut(conf, "\n#"+opt.Name+" ")
		if !ok {
			if opt.Name != "config" && !strings.HasPrefix(opt.Name, "force-") {
				t.Errorf("the file has no line #%s", opt.Name)
			}
			continue
		}
		if opt.Name == "user" {
			continue // one more each time
		}
		line, _, _ := strings.Cut(rest, "\n")
		words, err := splitArgs(opt.Name + " " + line)
		if err != nil {
			t.Fatal(err)
		}
		was := opt.value.String()
		if err := opt.value.Set(strings.Join(words[1:], " ")); err != nil || opt.value.String() != was {
			t.Errorf("%s %s: %v; it is %q then, not %q", opt.Name, line, err, opt.value.String(), was)
		}
	}
}

func TestPodName(t *testing.T) {
	for name, want := range map[string]string{"raftredis-3": "http://raftredis-3.peers:1", "a-b-0": "http://a-b-0.peers:1", "raftredis": "", "-1": "", "x-y": ""} {
		p := pod{name: name, peers: "http://{pod}.peers:1"}
		err := p.locate()
		if got := p.url(p.ordinal); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
