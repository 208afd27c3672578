package isolation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/nself/tenancy/internal/metadata"
)

// Fragment is a metadata document of what Hasura is to hold of the tables, to be merged
// into its own: Metadata, and a name for each newly tracked table whose usual name in
// GraphQL another table has.
func (p Protection) Fragment(tracked *metadata.Metadata) (json.RawMessage, error) {
	entries, err := p.Metadata(tracked)
	if err != nil {
		return nil, err
	}
	fragment, err := metadata.Fragment(entries)
	names := p.CustomNames(tracked)
	if err != nil || len(names) == 0 {
		return fragment, err
	}
	var document map[string]any
	if err := json.Unmarshal(fragment, &document); err != nil {
		return nil, err
	}
	for _, source := range metadata.Objects(document["sources"]) {
		for _, table := range metadata.Objects(source["tables"]) {
			for name, custom := range names {
				if metadata.TableText(table["table"]) == name.String() {
					table["configuration"] = map[string]any{"custom_name": custom}
				}
			}
		}
	}
	return json.Marshal(document)
}

// usualName is how Hasura begins the names of a table in GraphQL.
func usualName(t metadata.Table) string {
	switch {
	case t.Configuration.CustomName != "":
		return t.Configuration.CustomName
	case t.Table.Schema == "public":
		return t.Table.Name
	}
	return t.Table.Schema + "_" + t.Table.Name
}

// CustomNames are the names that the tables get in GraphQL which are not tracked yet and
// whose usual one is taken; none where none is.
func (p Protection) CustomNames(tracked *metadata.Metadata) map[Name]string {
	var taken []string
	for _, t := range tracked.Tables {
		taken = append(taken, usualName(t))
	}
	custom := map[Name]string{}
	for _, t := range p.Tables {
		if len(t.Permissions) == 0 || slices.ContainsFunc(tracked.Tables, func(known metadata.Table) bool { return Name(known.Table) == t.Name }) {
			continue
		}
		name := usualName(metadata.Table{Table: metadata.TableName(t.Name)})
		for n := 1; slices.Contains(taken, name); n++ {
			name = t.Name.Schema + "_" + t.Name.Name
			if n > 1 {
				name = fmt.Sprintf("%s_%d", name, n)
			}
			custom[t.Name] = name
		}
		taken = append(taken, name)
	}
	return custom
}

// customNamesIn is CustomNames by the metadata of a project directory; "" and one without
// metadata have none.
func (p Protection) customNamesIn(dir string) (map[Name]string, error) {
	if dir == "" {
		return nil, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "metadata", "version.yaml")); os.IsNotExist(err) {
		return nil, nil
	}
	tracked, err := MetadataIn(dir)
	if err != nil {
		return nil, err
	}
	return p.CustomNames(tracked), nil
}

// namedFile is the beginning of the file of a table with a name of its own.
func namedFile(name Name, custom string) ([]byte, error) {
	type table struct {
		Schema string `yaml:"schema"`
		Name   string `yaml:"name"`
	}
	return yaml.Marshal(struct {
		Table         table `yaml:"table"`
		Configuration struct {
			CustomName string `yaml:"custom_name"`
		} `yaml:"configuration"`
	}{table(name), struct {
		CustomName string `yaml:"custom_name"`
	}{custom}})
}
