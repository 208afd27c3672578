package tenantschema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatementsEndWhereTheyEnd(t *testing.T) {
	for body, want := range map[string][]string{
		"":                             nil,
		" ; ;\n":                       nil,
		"SELECT 1":                     {"SELECT 1"},
		"-- a; b\nSELECT 1;":           {"SELECT 1;"},
		"/* a; /* b; */ c; */ A; B":    {"A;", "B"},
		`SELECT ';', E'\';', "a;b"; B`: {`SELECT ';', E'\';', "a;b";`, "B"},
		"DO $$ a; $b$ ; $$; B":         {"DO $$ a; $b$ ; $$;", "B"},
		"DO $b$ a; $$ ; $b$; B":        {"DO $b$ a; $$ ; $b$;", "B"},
		"CREATE RULE r AS ON INSERT TO t DO (A; B); C":                                     {"CREATE RULE r AS ON INSERT TO t DO (A; B);", "C"},
		"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END; B": {"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END;", "B"},
		"SELECT CASE WHEN a THEN 1 END; B":                                                 {"SELECT CASE WHEN a THEN 1 END;", "B"},
		"SELECT weekend, done; B":                                                          {"SELECT weekend, done;", "B"},
		"SELECT 'never closed; B":                                                          {"SELECT 'never closed;", "B"},
	} {
		var got []string
		for _, s := range split(body) {
			got = append(got, strings.TrimSpace(body[s.begin:s.end]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	}
}

func FuzzSplitCoversEveryStatementOnce(f *testing.F) {
	f.Add("SELECT 1; DO $$ ; $$; /* ; */ E'\\'' ;")
	f.Fuzz(func(t *testing.T, body string) {
		last := 0
		for _, s := range split(body) {
			if s.begin < last || s.end <= s.begin || s.end > len(body) {
				t.Fatalf("%q: a statement from %d to %d behind %d", body, s.begin, s.end, last)
			}
			last = s.end
		}
	})
}
