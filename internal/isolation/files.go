package isolation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/nself/tenancy/internal/metadata"
)

// Where a Hasura project keeps what Protect writes.
const (
	listFile      = "tenant_tables.yaml"
	migrationsDir = "migrations/default"
	tablesDir     = "metadata/databases/default/tables"
	tablesFile    = tablesDir + "/tables.yaml"
)

// ListIn reads the list of a Hasura project directory. One without the file has none.
func ListIn(dir string) (List, error) {
	file, err := readIfAny(filepath.Join(dir, listFile))
	if err != nil {
		return nil, err
	}
	list, err := Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, listFile), err)
	}
	return list, nil
}

// MetadataIn reads the metadata of a Hasura project directory.
func MetadataIn(dir string) (*metadata.Metadata, error) {
	return metadata.Load(os.DirFS(filepath.Join(dir, "metadata")))
}

// Write puts the files into the Hasura project directory, which exists, and nowhere else.
func Write(dir string, files []File) error {
	project, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("the project directory: %w", err)
	}
	defer func() { _ = project.Close() }() // what was written is closed
	for _, f := range files {
		if err := project.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := project.WriteFile(f.Path, f.Text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// File is one file of a Hasura project.
type File struct {
	Path string // in the project directory
	Text []byte
}

// Files are the files of the project directory as the protection makes them: those that
// are new, and those that change, the migration last; without statements there is none.
// Files that stay as they are are left out. An empty dir stands for a project without any.
func (p Protection) Files(dir string, at time.Time) ([]File, error) {
	var migrated []File
	if migration := p.Migration(at); len(p.Statements) > 0 {
		migrated = []File{
			{filepath.Join(migration.Path(), "up.sql"), []byte(migration.Up)},
			{filepath.Join(migration.Path(), "down.sql"), []byte(migration.Down)},
		}
	}
	if p.verb != "" {
		return migrated, nil
	}
	list, err := edit(dir, listFile, func(file []byte) ([]byte, error) { return declare(file, p.Tables) })
	if err != nil {
		return nil, err
	}
	names, err := p.customNamesIn(dir)
	if err != nil {
		return nil, err
	}
	made := []File{list}
	var tracked []metadata.Table
	for _, t := range p.concerned() {
		file, entry, err := p.tableFile(dir, t, names[t.Name])
		if err != nil {
			return nil, err
		}
		if file.Text == nil {
			continue
		}
		if slices.ContainsFunc(made, func(other File) bool { return other.Path == file.Path }) {
			return nil, fmt.Errorf("two of the tables would have the file %s: write them one after the other, and rename one", file.Path)
		}
		made, tracked = append(made, file), append(tracked, entry)
	}
	included, err := edit(dir, tablesFile, func(file []byte) ([]byte, error) { return include(file, tracked) })
	if err != nil {
		return nil, err
	}
	return changed(dir, append(append(made, included), migrated...))
}

// tableFile is the file of a table's metadata; without text where the table needs none. A
// new one gets the name of its own, if any.
func (p Protection) tableFile(dir string, t Table, custom string) (File, metadata.Table, error) {
	path := filepath.Join(tablesDir, fileOf(t.Name))
	var entry metadata.Table
	file, err := edit(dir, path, func(file []byte) (_ []byte, err error) {
		if err := yaml.Unmarshal(file, &entry); err != nil {
			return nil, err
		}
		there := entry.Table != metadata.TableName{}
		for _, extra := range extras(entry) {
			return nil, fmt.Errorf("%s, which the list cannot declare: take it out first", extra)
		}
		var moved bool
		entry, moved = p.rewire(entry)
		entry = t.Tracked(entry)
		own := slices.ContainsFunc(p.Tables, func(own Table) bool { return own.Name == t.Name })
		if !moved && (!own || !there && len(t.Permissions) == 0) {
			return nil, nil
		}
		if !there && custom != "" {
			if file, err = namedFile(t.Name, custom); err != nil {
				return nil, err
			}
		}
		return metadata.WritePermissions(file, entry)
	})
	return file, entry, err
}

// include adds the tables' files to the list of them.
func include(file []byte, entries []metadata.Table) ([]byte, error) {
	var listed []any
	if err := yaml.Unmarshal(file, &listed); err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if slices.ContainsFunc(listed, func(item any) bool { return inline(item, entry.Table) }) {
			return nil, fmt.Errorf("%s stands in this file itself: move it to %s and include that", Name(entry.Table), fileOf(Name(entry.Table)))
		}
		if slices.ContainsFunc(listed, func(item any) bool { return includes(item, fileOf(Name(entry.Table))) }) {
			continue
		}
		file = bytes.TrimSuffix(bytes.TrimSpace(file), []byte("[]"))
		if len(file) > 0 {
			file = append(file, '\n')
		}
		file = append(file, fmt.Sprintf("- \"!include %s\"\n", fileOf(Name(entry.Table)))...)
	}
	return file, nil
}

// inline reports whether an item of the list is the table itself.
func inline(item any, table metadata.TableName) bool {
	entry, _ := item.(map[string]any)
	named, _ := entry["table"].(map[string]any)
	return named["schema"] == table.Schema && named["name"] == table.Name
}

// includes reports whether an item of the list, a quoted "!include file" or the tag, is of
// this file.
func includes(item any, file string) bool {
	text, _ := item.(string)
	return strings.TrimSpace(strings.TrimPrefix(text, "!include")) == file
}

// fileOf is the name of a table's file, as Hasura's CLI has it. What would mean something
// to a file system or to YAML is left out.
func fileOf(name Name) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, name.Schema+"_"+name.Name) + ".yaml"
}

func edit(dir, path string, change func([]byte) ([]byte, error)) (File, error) {
	var file []byte
	if dir != "" {
		var err error
		if file, err = readIfAny(filepath.Join(dir, path)); err != nil {
			return File{}, err
		}
	}
	text, err := change(bytes.Clone(file))
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return File{path, text}, nil
}

// changed leaves out the files that are there already, word for word.
func changed(dir string, files []File) ([]File, error) {
	var kept []File
	for _, f := range files {
		if dir != "" {
			there, err := readIfAny(filepath.Join(dir, f.Path))
			if err != nil {
				return nil, err
			}
			if bytes.Equal(there, f.Text) {
				continue
			}
		}
		kept = append(kept, f)
	}
	return kept, nil
}

func readIfAny(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
