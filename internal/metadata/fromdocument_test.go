package metadata_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nself/tenancy/internal/metadata"
)

// What Hasura was given and what it exports are the same metadata.
func TestDocumentReadsAsTheDirectoryDoes(t *testing.T) {
	// The CLI takes an enum's description from actions.yaml; Load, from the SDL alone.
	ignored := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(metadata.Metadata{}, "JSON"), cmpopts.IgnoreFields(metadata.CustomEnum{}, "Description")}
	for _, dir := range []string{"testdata/project", "../../hasura/metadata", "testdata/functions"} {
		loaded, err := metadata.Load(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := json.Marshal(map[string]any{"resource_version": 7, "metadata": loaded.JSON})
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range [][]byte{loaded.JSON, wrapped} {
			read, err := metadata.FromDocument(document)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(loaded, read, ignored); diff != "" {
				t.Errorf("%s (-loaded +read):\n%s", dir, diff)
			}
			if diff := cmp.Diff(decode(t, loaded.JSON), decode(t, read.JSON)); diff != "" {
				t.Errorf("%s: JSON (-loaded +read):\n%s", dir, diff)
			}
		}
	}
}

const foreignDocument = `{"version": 3, "later": {"key": 1}, "sources": [
	{"name": "default", "kind": "postgres", "tables": [
		{"table": "bare", "apollo_federation_config": {"enable": "v1"}, "select_permissions": [
			{"role": "r", "permission": {"columns": "*", "filter": {"id": {"_eq": 9007199254740993}}, "validate": 1}, "comment": "c"}]},
		{"table": {"name": "half"}, "object_relationships": [
			{"name": "a", "using": {"manual_configuration": {"remote_table": {"name": "bare"}, "column_mapping": {"x": "y"}, "insertion_order": null}}}],
		 "remote_relationships": [{"name": "far", "definition": {"to_source": {"source": "other", "table": "t"}}}]},
		{"table": {"schema": "s", "name": "odd"}, "select_permissions": 7}],
	 "functions": [{"function": "f", "configuration": {"session_argument": "s", "naming": "x"}}]},
	{"name": "other", "kind": "mssql", "tables": [{"table": ["a", "b"]}]}],
 "actions": [{"name": "go", "definition": {"kind": "asynchronous", "handler": "http://h", "output_type": "Out!", "ignored_client_headers": ["a"],
	"arguments": [{"name": "n", "type": "Int!"}], "request_transform": {}}, "permissions": [{"role": "r"}]}, {"name": 7, "definition": []}],
 "remote_schemas": [{"name": "rs", "definition": {"url": "http://x"}, "permissions": [{"role": "r", "definition": {"schema": "type Query { a: Int }"}}]}],
 "inherited_roles": [{"role_name": "i", "role_set": ["r"]}]}`

func TestDocumentOfAnyoneIsReadLeniently(t *testing.T) {
	read, err := metadata.FromDocument([]byte(foreignDocument))
	if err != nil {
		t.Fatal(err)
	}
	bare := metadata.TableName{Schema: "public", Name: "bare"}
	want := &metadata.Metadata{
		Sources: []metadata.Source{{Name: "default", Kind: "postgres", Tables: 3}, {Name: "other", Kind: "mssql", Tables: 1}},
		Tables: []metadata.Table{
			{Table: bare, SelectPermissions: []metadata.Permission[metadata.Select]{{Role: "r", Comment: "c", Permission: metadata.Select{
				Columns: metadata.Columns{All: true}, Filter: metadata.BoolExp{"id": map[string]any{"_eq": 9007199254740993}}}}}},
			{
				Table: metadata.TableName{Schema: "public", Name: "half"},
				ObjectRelationships: []metadata.Relationship{{Name: "a", Using: metadata.RelationshipUsing{
					Manual: &metadata.ManualRelationship{RemoteTable: bare, ColumnMapping: map[string]string{"x": "y"}}}}},
				RemoteRelationships: []metadata.RemoteRelationship{{Name: "far", Definition: map[string]any{"to_source": map[string]any{"source": "other", "table": "t"}}}},
			},
		},
		Functions: []metadata.Function{{Function: metadata.FunctionName{Schema: "public", Name: "f"}, Configuration: metadata.FunctionConfiguration{SessionArgument: "s"}}},
		Actions: []metadata.Action{{
			Name: "go", Output: "Out!", Handler: "http://h", Kind: "asynchronous", TimeoutSec: 30, Roles: []string{"r"},
			Arguments: []metadata.Argument{{Name: "n", Type: "Int!"}},
		}},
		InheritedRoles: []metadata.InheritedRole{{Name: "i", RoleSet: []string{"r"}}},
		RemoteSchemas: []metadata.RemoteSchema{{Name: "rs", Definition: map[string]any{"url": "http://x"}, Permissions: []metadata.RemoteSchemaPermission{
			{Role: "r", Definition: metadata.RemoteSchemaDefinition{Schema: "type Query { a: Int }"}}}}},
	}
	if diff := cmp.Diff(want, read, cmpopts.IgnoreFields(metadata.Metadata{}, "JSON", "Unread")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if unread := strings.Join(read.Unread, "\n"); len(read.Unread) != 2 || !strings.Contains(unread, "sources[0].tables[2] (s.odd): ") || !strings.Contains(unread, "actions[1]: ") {
		t.Errorf("unread = %q", read.Unread)
	}
}

func TestDocumentThatIsNoMetadataIsRefused(t *testing.T) {
	for _, c := range []struct{ document, want string }{
		{`{`, "not JSON"},
		{`[]`, `no list "sources"`},
		{`{"version": 2, "tables": []}`, "not version 2"},
		{`{"error": "x", "code": "access-denied"}`, `no list "sources"`},
	} {
		if _, err := metadata.FromDocument([]byte(c.document)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want one that says %q", c.document, err, c.want)
		}
	}
	read, err := metadata.FromDocument([]byte(`{"sources": [7, {"name": "default", "kind": "mssql", "tables": [{"table": "t"}]}]}`))
	if err != nil || len(read.Unread) != 2 || len(read.Tables) != 0 {
		t.Errorf("sources that cannot be read: %+v, %v", read, err)
	}
}
