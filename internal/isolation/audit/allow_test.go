package audit

import (
	"strings"
	"testing"
	"time"
)

const oneAllowed = `
allow:
  - rule: unique-across-tenants
    object: crm.contacts (by_email)
    reason: addresses are published
    until: 2026-12-31
`

// allowing audits a database with a global UNIQUE under an allow-list.
func allowing(t *testing.T, text string, today time.Time) []Finding {
	t.Helper()
	entries, err := ParseAllowances([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := newCRM(t)
	execute(t, c.tx, `CREATE UNIQUE INDEX by_email ON crm.contacts (email)`)
	return audited(t, c.tx, Config{List: c.list, Metadata: c.metadata, Allow: entries, Today: today})
}

// open are the findings that count, with notices.
func open(findings []Finding) string {
	var left []Finding
	for _, f := range findings {
		if f.Counts(true) {
			left = append(left, f)
		}
	}
	return told(left)
}

func TestAllowedFindingsStayWithTheirReasonAndDoNotCount(t *testing.T) {
	found := allowing(t, oneAllowed, time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC))
	if got := open(found); got != "" {
		t.Errorf("these count:\n%s", got)
	}
	for _, f := range found {
		if f.Rule == "unique-across-tenants" && f.Allowed != "addresses are published" {
			t.Errorf("%+v", f)
		}
	}
}

func TestAnAllowanceRunsOut(t *testing.T) {
	found := allowing(t, oneAllowed, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if got, want := open(found), "allow-expired: unique-across-tenants: crm.contacts (by_email)\nunique-across-tenants: crm.contacts (by_email)"; got != want {
		t.Errorf("these count:\n%s\nwant:\n%s", got, want)
	}
}

func TestAnAllowanceThatMatchesNothingIsAFinding(t *testing.T) {
	text := oneAllowed + "  - {rule: rls-disabled, object: crm.gone, reason: it was there once}\n"
	found := allowing(t, text, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if got, want := open(found), "allow-unmatched: rls-disabled: crm.gone"; got != want {
		t.Errorf("these count:\n%s\nwant:\n%s", got, want)
	}
}

func TestAStarInAnAllowanceIsAnyText(t *testing.T) {
	for pattern, texts := range map[string]map[string]bool{
		"crm.contacts":       {"crm.contacts": true, "crm.contacts2": false},
		"crm.*":              {"crm.contacts": true, "billing.crm.x": false},
		"*":                  {"anything": true},
		"crm.* (policy *)":   {"crm.a (policy p)": true, "crm.a (p)": false},
		"*a*b*":              {"xaxbx": true, "xbxa": false},
		"crm.contacts*tacts": {"crm.contacts": false},
	} {
		for text, want := range texts {
			if matches(pattern, text) != want {
				t.Errorf("%q matches %q: %v", pattern, text, !want)
			}
		}
	}
}

func TestAnAllowListThatSaysTooLittleIsRefused(t *testing.T) {
	for text, words := range map[string]string{
		"allow: [{rule: rls-of, object: a.b, reason: r}]":              `"rls-of" is no rule`,
		"allow: [{rule: rls-disabled, object: a.b}]":                   "gives no reason",
		"allow: [{rule: rls-disabled, object: a.b, reason: ' '}]":      "gives no reason",
		"allow: [{rule: rls-disabled, reason: r}]":                     "names no object",
		"allow: [{rule: rls-disabled, object: a, reason: r, till: x}]": "till",
		"allow: 1": "cannot be read",
	} {
		if _, err := ParseAllowances([]byte(text)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", text, err, words)
		}
	}
	if entries, err := ParseAllowances(nil); err != nil || len(entries) != 0 {
		t.Errorf("an empty list: %v, %v", entries, err)
	}
}
