package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDeployedOptions: what deploy/ and docs/ say in the environment, on command lines and in
// configuration files are options that there are.
func TestDeployedOptions(t *testing.T) {
	known := map[string]bool{}
	all := newOptions().registry.all
	for i := range all {
		known[all[i].Name] = true
	}
	found := map[string]int{}
	check := func(path, kind, name string) {
		t.Helper()
		found[kind]++
		if !known[name] {
			t.Errorf("%s: there is no option %s", path, name)
		}
	}
	environment := regexp.MustCompile(`(?:^|[^{A-Z_])RAFTREDIS_([A-Z0-9_]+)`) // ${RAFTREDIS_...} is compose's
	line := regexp.MustCompile(`(?m)^    ([a-z][a-z-]+) .*$`)
	node := regexp.MustCompile(`(?m)(?:^|/|\| ?)raftredis(?: [^\s|-]*\.conf)?((?: --[a-z][a-z-]*[ =][^-\s]\S*| --join)+)`)
	option := regexp.MustCompile(`--([a-z][a-z-]*)`)
	for _, root := range []string{"../../deploy", "../../docs", "../../README.md", "../../SECURITY.md"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".png") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text := string(content)
			for _, m := range environment.FindAllStringSubmatch(text, -1) {
				check(path, "environment", strings.ReplaceAll(strings.ToLower(m[1]), "_", "-"))
			}
			for _, m := range node.FindAllStringSubmatch(text, -1) {
				for _, o := range option.FindAllStringSubmatch(m[1], -1) {
					check(path, "command line", o[1])
				}
			}
			if filepath.Base(path) == "configmap.yaml" {
				_, conf, _ := strings.Cut(text, "raftredis.conf: |\n")
				for _, m := range line.FindAllStringSubmatch(conf, -1) {
					check(path, "file", m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found["environment"] < 10 || found["command line"] < 10 || found["file"] < 10 {
		t.Errorf("only %v were looked at: is all where it was?", found)
	}
}
