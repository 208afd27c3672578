package prove

import (
	"strings"
	"testing"
	"testing/fstest"
)

// selects rewrites what every role may select of contacts; "" is nothing at all.
func selects(columns string) func(*testing.T, fstest.MapFS) {
	return func(t *testing.T, tree fstest.MapFS) {
		t.Helper()
		file := tree[crm+"contacts.yaml"]
		text := string(file.Data)
		from, to := strings.Index(text, "select_permissions:"), strings.Index(text, "insert_permissions:")
		section := ""
		if columns != "" {
			section = strings.ReplaceAll(text[from:to], "columns: ["+crmTables["contacts"].columns+"]", "columns: ["+columns+"]")
		}
		file.Data = []byte(text[:from] + section + text[to:])
	}
}

// deletesOnly narrows what every role may delete of contacts.
func deletesOnly(more string) func(*testing.T, fstest.MapFS) {
	return func(t *testing.T, tree fstest.MapFS) {
		t.Helper()
		file := tree[crm+"contacts.yaml"]
		text := string(file.Data)
		from := strings.Index(text, "delete_permissions:")
		file.Data = []byte(text[:from] + strings.ReplaceAll(text[from:], "filter: "+tenantFilter, "filter: {_and: ["+tenantFilter+", "+more+"]}"))
	}
}

func TestAWallThatHoldsLeavesNothingUntoldAndLeaksNothing(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*testing.T, fstest.MapFS){
		"only names are seen":         selects("name"),
		"nothing is seen":             selects(""),
		"others alone can be deleted": deletesOnly("{phone: {_eq: none}}"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, broken{edit: edit}.tree(t), "", nowhereElse)
			report := s.prove(t, "")
			stayed := s.everything(t)
			for _, leak := range report.Leaks {
				t.Errorf("false leak: %s at %s: %s %s %v", leak.Kind, leak.Field, leak.Finding, leak.Query, leak.Variables)
			}
			if n := strings.Count(stayed, "contact "); n > len(report.Left) {
				t.Errorf("%d contacts stayed, %d are told: %v", n, len(report.Left), report.Left)
			}
			if len(report.Faults) > 0 || report.Attempts < 100 {
				t.Errorf("only %d attempts, faults %v", report.Attempts, report.Faults)
			}
		})
	}
}
