package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks looks whether what the documents point at is there: files, and headings in them.
func TestLinks(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	if len(documents) < 10 {
		t.Fatalf("only %v", documents)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, heading, _ := strings.Cut(m[1], "#")
			at := path
			if file != "" {
				at = filepath.Join(filepath.Dir(path), file)
			}
			target, err := os.ReadFile(at)
			if err != nil {
				if info, serr := os.Stat(at); serr != nil || !info.IsDir() {
					t.Errorf("%s points to %s: %v", path, m[1], err)
				}
				continue
			}
			if heading != "" && !hasHeading(string(target), heading) {
				t.Errorf("%s points to %s: there is no such heading", path, m[1])
			}
		}
	}
}

// hasHeading finds a heading by the name that links have for it.
func hasHeading(text, name string) bool {
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-") == name {
			return true
		}
	}
	return false
}
