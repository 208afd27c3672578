package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instructions are the Dockerfile's, each as its words, continued lines joined.
func instructions(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var found [][]string
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			found = append(found, words)
		}
	}
	return found
}

// argumentsOf are the words after each instruction of this name.
func argumentsOf(t *testing.T, name string) [][]string {
	t.Helper()
	var found [][]string
	for _, words := range instructions(t) {
		if words[0] == name {
			found = append(found, words[1:])
		}
	}
	if len(found) == 0 {
		t.Fatalf("the Dockerfile has no %s", name)
	}
	return found
}

func TestImageIsMadeFromPinnedImages(t *testing.T) {
	for _, from := range argumentsOf(t, "FROM") {
		if !regexp.MustCompile(`^[a-z]+:\d+\.\d+\.\d+(-[a-z]+)?$`).MatchString(from[0]) {
			t.Errorf("%s is not pinned down to the patch", from[0])
		}
	}
}

func TestImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(text))
	if from := argumentsOf(t, "FROM")[0][0]; !strings.HasPrefix(from, "golang:"+wanted[1]+".") {
		t.Errorf("go.mod says go %s; the image is built with %s", wanted[1], from)
	}
}

func TestImageRunsAsNobody(t *testing.T) {
	users := argumentsOf(t, "USER")
	uid, err := strconv.Atoi(strings.Split(users[len(users)-1][0], ":")[0])
	if err != nil || uid == 0 {
		t.Errorf("USER is %s", users[len(users)-1][0])
	}
}

func TestImageIsHealthyWhereTheServerIsReady(t *testing.T) {
	if check := strings.Join(argumentsOf(t, "HEALTHCHECK")[0], " "); !strings.Contains(check, "http://127.0.0.1:8080/readyz") {
		t.Errorf("HEALTHCHECK is %s", check)
	}
}

// The build sees what COPY names and the ignore file lets through, nothing else of the
// tree: both commands and all they embed must be there.
func TestImageHoldsAllThatTheCommandsNeed(t *testing.T) {
	ignore, err := os.ReadFile("Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	context := t.TempDir()
	for _, words := range argumentsOf(t, "COPY") {
		if strings.HasPrefix(words[0], "--from") {
			continue
		}
		for _, source := range words[:len(words)-1] {
			if !slices.Contains(strings.Fields(string(ignore)), "!"+source) {
				t.Errorf("Dockerfile.dockerignore keeps %s away", source)
			}
			copyInto(t, context, source)
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/server", "./cmd/nself")
	list.Dir = context
	if out, err := list.CombinedOutput(); err != nil {
		t.Errorf("the image cannot be built: %v\n%s", err, out)
	}
}

// copyInto copies a file or directory of the module, tests and their data left out.
func copyInto(t *testing.T, context, source string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", source), func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return filepath.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(context, strings.TrimPrefix(path, "../"))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
