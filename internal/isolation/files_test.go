package isolation_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

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
	for _, entry := range (isolation.Protection{Tables: ours(t)}).Metadata(tracked) {
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
