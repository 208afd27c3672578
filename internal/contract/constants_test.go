package contract

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statement is one constant whose name ends in SQL.
type statement struct {
	name string // directory and constant
	text string
}

func (s statement) short() string { return s.name[strings.LastIndex(s.name, ".")+1:] }

// statementsOf evaluates the SQL constants of the package in a directory, tests left
// out. Concatenations are the compiler's to work out, so go/types does; what it cannot
// resolve (imports) no constant needs.
func statementsOf(dir string) ([]statement, error) {
	files, err := parseDir(dir)
	if err != nil || len(files.list) == 0 {
		return nil, err
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	checker := types.Config{Error: func(error) {}}
	_, _ = checker.Check(dir, files.set, files.list, info) // imports stay unresolved
	var found []statement
	for _, object := range info.Defs {
		declared, ok := object.(*types.Const)
		if !ok || !strings.HasSuffix(declared.Name(), "SQL") {
			continue
		}
		if declared.Val().Kind() != constant.String {
			return nil, fmt.Errorf("%s.%s cannot be evaluated: build it from constants of its own package", dir, declared.Name())
		}
		found = append(found, statement{dir + "." + declared.Name(), constant.StringVal(declared.Val())})
	}
	return found, nil
}

type files struct {
	set  *token.FileSet
	list []*ast.File
}

func parseDir(dir string) (files, error) {
	parsed := files{set: token.NewFileSet()}
	entries, err := os.ReadDir(filepath.Join(module, dir))
	if err != nil {
		return parsed, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(parsed.set, filepath.Join(module, dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return parsed, err
		}
		parsed.list = append(parsed.list, file)
	}
	return parsed, nil
}

// elsewhere are directories whose statements are about another schema than ours.
var elsewhere = map[string]string{
	"internal/local/engine/eventlog": "the event log's own catalogue, which Hasura's stand-in makes",
}

// directories lists the module's directories.
func directories(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case path != module && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"bin", "testdata"}, entry.Name())):
			return fs.SkipDir
		}
		dir, err := filepath.Rel(module, path)
		dirs = append(dirs, dir)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// statements lists every SQL constant of the module by name.
func statements(t *testing.T) []statement {
	t.Helper()
	var all []statement
	for _, dir := range directories(t) {
		if elsewhere[dir] != "" {
			continue
		}
		found, err := statementsOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b statement) int { return strings.Compare(a.name, b.name) })
	return all
}

var statementForm = regexp.MustCompile(`^.\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s`)

// looseStatements finds string literals that read like SQL and are not in a constant
// that statements would find.
func looseStatements(t *testing.T, dir string) []string {
	t.Helper()
	parsed, err := parseDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	visit := func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ValueSpec:
			return !strings.HasSuffix(node.Names[0].Name, "SQL")
		case *ast.BasicLit:
			if node.Kind == token.STRING && statementForm.MatchString(node.Value) {
				found = append(found, parsed.set.Position(node.Pos()).String())
			}
		}
		return true
	}
	for _, file := range parsed.list {
		ast.Inspect(file, visit)
	}
	return found
}
