package contract

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// module is the root of the module, seen from this package.
const module = "../.."

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// check lists what is wrong with the metadata, one sentence a fault.
type check func(*metadata.Metadata) []string

func loadMetadata(t *testing.T) *metadata.Metadata {
	t.Helper()
	tree, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		t.Fatal(err)
	}
	return load(t, tree)
}

func load(t *testing.T, tree fs.FS) *metadata.Metadata {
	t.Helper()
	loaded, err := metadata.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// holds reports every fault that the check finds in the metadata as it is.
func holds(t *testing.T, c check) {
	t.Helper()
	for _, fault := range c(loadMetadata(t)) {
		t.Error(fault)
	}
}

// sabotage is an edit of one metadata file that a check must not miss.
type sabotage struct {
	name     string
	file     string
	old, new string // the first occurrence of old becomes new
	want     string // part of the sentence that tells it
}

// sees reports every sabotage that the check misses.
func sees(t *testing.T, c check, sabotages []sabotage) {
	t.Helper()
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			faults := strings.Join(c(load(t, s.tree(t))), "\n")
			if !strings.Contains(faults, s.want) {
				t.Errorf("the check said nothing of %q; it said %q", s.want, faults)
			}
		})
	}
}

func (s sabotage) tree(t *testing.T) fs.FS {
	t.Helper()
	tree := fstest.MapFS{}
	copyFile := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(hasura.Metadata, path)
		tree[strings.TrimPrefix(path, "metadata/")] = &fstest.MapFile{Data: text}
		return err
	}
	if err := fs.WalkDir(hasura.Metadata, "metadata", copyFile); err != nil {
		t.Fatal(err)
	}
	file, ok := tree[s.file]
	if !ok || !strings.Contains(string(file.Data), s.old) {
		t.Fatalf("%s does not hold %q any more: sabotage something else", s.file, s.old)
	}
	file.Data = []byte(strings.Replace(string(file.Data), s.old, s.new, 1))
	return tree
}
