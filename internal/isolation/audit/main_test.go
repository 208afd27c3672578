package audit

import (
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestOurOwnSchemaAndMetadataAreClean(t *testing.T) {
	tx := pgtest.Tx(t, "postgres")
	execute(t, tx, noTempSQL)
	for _, f := range audited(t, tx, Config{Metadata: ourMetadata(t)}) {
		if f.Allowed == "" {
			t.Errorf("%s %s: %s\n\t%s\n\t%s", f.Severity, f.Rule, f.Object, f.What, f.Fix.Text)
		}
	}
}

func TestTablesBehindTheWallAreClean(t *testing.T) {
	if findings := told(newCRM(t).audit(t)); findings != "" {
		t.Error(findings)
	}
}
