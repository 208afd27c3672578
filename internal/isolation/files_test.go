package isolation_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

var update = flag.Bool("update", false, "write the permissions of the list into hasura/metadata")

const ourTables = "../../hasura/metadata/databases/default/tables"

// The permissions in our metadata are the list's, to the letter.
func TestOurMetadataIsWrittenFromTheList(t *testing.T) {
	tracked, err := doctor.OurMetadata()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := isolation.Protection{Tables: ours(t)}.Metadata(tracked)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		path := filepath.Join(ourTables, entry.Table.Schema+"_"+entry.Table.Name+".yaml")
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := metadata.WritePermissions(file, entry)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(file, want) {
			t.Errorf("%s is not as the list has it: go test ./internal/isolation -run WrittenFromTheList -update", path)
		}
	}
}

// What a person wrote into a permission and the list cannot declare is not lost in silence.
func TestWriteRefusesToLoseWhatTheListCannotSay(t *testing.T) {
	_, plan := protected(t)
	dir := t.TempDir()
	files, err := plan.Files(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := isolation.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	project(t, dir, map[string]string{
		"metadata/databases/default/tables/tables.yaml": "- '!include crm_contacts.yaml'\n- !include crm_deals.yaml\n",
	})
	again, err := plan.Files(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range again {
		if strings.HasPrefix(f.Path, "metadata") {
			t.Errorf("%s would change to\n%s", f.Path, f.Text)
		}
	}
	path := filepath.Join(dir, "metadata/databases/default/tables/crm_contacts.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	limited := strings.Replace(string(text), "allow_aggregations: true", "allow_aggregations: true\n      limit: 7", 1)
	if err := os.WriteFile(path, []byte(limited), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Files(dir, time.Now()); err == nil || !strings.Contains(err.Error(), "tenant_owner may select up to 7 rows, which the list cannot declare") {
		t.Errorf("got %v", err)
	}
}

func project(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
