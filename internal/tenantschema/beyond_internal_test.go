package tenantschema

import (
	"strings"
	"testing"
)

func TestARefusalNamesTheTablesFirstAndNotEverything(t *testing.T) {
	what := []string{"the index a.i", "the table a.t"}
	for range 20 {
		what = append(what, "the type a.t")
	}
	got := beyond(File{Version: 1, Name: "a"}, what, "").Message
	if !strings.Contains(got, ": the table a.t, the ") || !strings.HasSuffix(got, "and 12 more") {
		t.Errorf("%s", got)
	}
}
