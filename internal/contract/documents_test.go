package contract

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are what people read, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(module, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			relative, err := filepath.Rel(module, path)
			if err != nil {
				t.Fatal(err)
			}
			found[relative] = readFile(t, relative)
		}
	}
	if len(found) < 5 {
		t.Fatalf("only %d documents were found", len(found))
	}
	return found
}

var (
	link       = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	makeTarget = regexp.MustCompile(`\bmake ([a-z]+)\b`)
	codePath   = regexp.MustCompile("`((?:cmd|deploy|docs|handlers|hasura|internal)/[A-Za-z0-9_./-]*)`")
	prose      = regexp.MustCompile("(?m)^```[a-z]*\n(?:.*\n)*?```$|`[^`\n]+`")
)

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	for name, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(module, filepath.Dir(name), match[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
			}
		}
		for _, match := range codePath.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(module, match[1])); err != nil {
				t.Errorf("%s speaks of %s, which is not there", name, match[1])
			}
		}
	}
}

func TestDocumentsNameTargetsOfTheMakefile(t *testing.T) {
	targets := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^([a-z]+):.*## `).FindAllStringSubmatch(readFile(t, "Makefile"), -1) {
		targets[match[1]] = true
	}
	for _, wanted := range []string{"help", "dev", "test", "race", "lint", "bench", "cover", "docs", "ci"} {
		if !targets[wanted] {
			t.Errorf("make %s does not exist, or says nothing of itself", wanted)
		}
	}
	for name, text := range documents(t) {
		for _, code := range prose.FindAllString(text, -1) {
			for _, match := range makeTarget.FindAllStringSubmatch(code, -1) {
				if !targets[match[1]] {
					t.Errorf("%s says make %s, which does not exist", name, match[1])
				}
			}
		}
	}
}

// Documents name the statements, functions and types of the walked request: they are to
// be found where the document says.
func TestDocumentsOfTheWalkedRequestNameWhatIsThere(t *testing.T) {
	text := readFile(t, "docs/architecture.md")
	named := regexp.MustCompile("`([a-z/_]+\\.go)`: `([A-Za-z]+)`").FindAllStringSubmatch(text, -1)
	if len(named) < 6 {
		t.Fatalf("the walked request names %d places", len(named))
	}
	for _, place := range named {
		words := regexp.MustCompile(`\w+`).FindAllString(readFile(t, place[1]), -1)
		if !slices.Contains(words, place[2]) {
			t.Errorf("%s does not hold %s any more", place[1], place[2])
		}
	}
}
