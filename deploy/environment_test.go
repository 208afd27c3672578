package deploy

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/config"
)

var exampleLine = regexp.MustCompile(`^#?([A-Z][A-Z0-9_]*)=(.*)$`)

// examples are the names of .env.example with their values. A name that is commented
// out has its default.
func examples(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	previous := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if match := exampleLine.FindStringSubmatch(line); match != nil {
			if _, twice := found[match[1]]; twice {
				t.Errorf("%s stands twice", match[1])
			}
			if !strings.HasPrefix(previous, "# ") || strings.HasPrefix(previous, "# ---") {
				t.Errorf("%s is not explained in the line above it", match[1])
			}
			found[match[1]] = match[2]
		}
		previous = line
	}
	return found
}

var (
	getenv      = regexp.MustCompile(`[gG]etenv\("([A-Z_]+)"\)`)
	inMetadata  = regexp.MustCompile(`\{\{([A-Z_]+)\}\}|(?:from_env|value_from_env): ([A-Z_]+)`)
	ofTerminals = []string{"NO_COLOR", "TERM"}
)

// readByCommand finds the variables that `nself` reads.
func readByCommand(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../cmd/nself/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, match := range getenv.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(ofTerminals, match[1]) {
				names = append(names, match[1])
			}
		}
	}
	return names
}

// readByHasura finds the variables that the metadata has Hasura read.
func readByHasura(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(hasura.Metadata, "metadata", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(hasura.Metadata, path)
		for _, match := range inMetadata.FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1]+match[2])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestExampleListsExactlyTheVariablesRead(t *testing.T) {
	read := map[string]bool{}
	for where, names := range map[string][]string{
		"the server": config.Names(), "nself": readByCommand(t), "Hasura": readByHasura(t),
		"docker-compose.yml": slices.Collect(maps.Keys(variables(t))),
	} {
		if len(names) == 0 {
			t.Fatalf("no variable of %s was found", where)
		}
		for _, name := range names {
			read[name] = true
		}
	}
	want := slices.Sorted(maps.Keys(read))
	got := slices.Sorted(maps.Keys(examples(t)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables read (-) and .env.example (+):\n%s", diff)
	}
}

// The defaults told are the server's own: a server set up with them is the one set up
// without.
func TestExampleTellsTheServersDefaults(t *testing.T) {
	told := examples(t)
	required := map[string]string{
		"DATABASE_URL": "postgres://nself_server@db/app", "NSELF_WEBHOOK_SECRET": strings.Repeat("s", 16),
		"NSELF_ENCRYPTION_KEY": strings.Repeat("A", 43) + "=",
	}
	bare, err := config.Load[config.Server](func(name string) string { return required[name] })
	if err != nil {
		t.Fatal(err)
	}
	full, err := config.Load[config.Server](func(name string) string {
		if value, ok := required[name]; ok {
			return value
		}
		if told[name] == "" && hasDefault(t, name) {
			t.Errorf("the default of %s is not in .env.example", name)
		}
		return told[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bare, full); diff != "" {
		t.Errorf("the server's defaults (-) and .env.example (+):\n%s", diff)
	}
}

// hasDefault reports whether the server has a value for a variable that is not set.
func hasDefault(t *testing.T, name string) bool {
	t.Helper()
	fields, err := env.GetFieldParams(&config.Server{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(fields, func(f env.FieldParams) bool { return f.Key == name && f.DefaultValue != "" })
}

func TestEnvIsNeverCommitted(t *testing.T) {
	text, err := os.ReadFile("../.gitignore")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Fields(string(text)), "/.env") {
		t.Error(".gitignore does not name .env")
	}
}
