package audit

import (
	"strings"
	"testing"
)

// adviceOn is the release to upgrade to for one CVE; "" where this release is free of it.
func adviceOn(t *testing.T, cve string, number int) string {
	t.Helper()
	s := &state{catalog: &catalog{server: server{Number: number}}}
	for _, f := range postgresFaults(t.Context(), s) {
		if f.object == cve {
			return strings.TrimSuffix(strings.TrimPrefix(f.fix.Text, "upgrade to PostgreSQL "), " or later")
		}
	}
	return ""
}

func TestAReleaseHasAFaultUntilTheOneThatMendsIt(t *testing.T) {
	for _, c := range []struct {
		why, cve string
		number   int
		want     string
	}{
		{"the last release with it", "CVE-2026-120154", 150019, "15.20"},
		{"the first without", "CVE-2026-120154", 150020, ""},
		{"a later minor", "CVE-2026-120154", 150021, ""},
		{"a major of which every release is too old", "CVE-2026-120154", 180006, "18.7"},
		{"a major that came after it was mended", "CVE-2026-120154", 190000, ""},
		{"a major that came after it was mended", "CVE-2025-8713", 180000, ""},
		{"a major that nobody mended: the oldest that was", "CVE-2026-120154", 130022, "14.25"},
		{"what came with a major is in no older one", "CVE-2023-39418", 140000, ""},
		{"what came with a major", "CVE-2023-39418", 150003, "15.4"},
		{"what came with a major, mended", "CVE-2023-39418", 150004, ""},
	} {
		if got := adviceOn(t, c.cve, c.number); got != c.want {
			t.Errorf("%s: of %s, %d is told to upgrade to %q, want %q", c.why, c.cve, c.number, got, c.want)
		}
	}
}

func TestAnOldMajorVersionIsTheOnlyFinding(t *testing.T) {
	s := &state{catalog: &catalog{server: server{Number: 140025, Release: "14.25"}}, outdated: true}
	if got := told(s.findings(t.Context())); got != "postgres-too-old: PostgreSQL 14.25" {
		t.Errorf("found %q", got)
	}
	s.outdated, s.server.Number = false, 150020
	if found := postgresTooOld(t.Context(), s); len(found) != 0 {
		t.Errorf("15 is too old: %v", found)
	}
}
