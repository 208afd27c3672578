package audit

import (
	"strings"
	"testing"
)

// faultsOf are the known faults of a release.
func faultsOf(t *testing.T, number int) string {
	t.Helper()
	s := &state{catalog: &catalog{server: server{Number: number}}}
	var ids []string
	for _, f := range postgresFaults(t.Context(), s) {
		ids = append(ids, f.object+" "+f.fix.Text)
	}
	return strings.Join(ids, "; ")
}

func TestEachReleaseHasTheFaultsThatWereMendedAfterIt(t *testing.T) {
	for number, want := range map[int]string{
		180007: "", 190000: "",
		180006: "CVE-2026-120154 upgrade to PostgreSQL 18.7 or later",
		170012: "",
		170005: "CVE-2026-120154 upgrade to PostgreSQL 17.12 or later; CVE-2025-8713 upgrade to PostgreSQL 17.6 or later",
		160004: "CVE-2026-120154 upgrade to PostgreSQL 16.16 or later; CVE-2025-8713 upgrade to PostgreSQL 16.10 or later; CVE-2024-10976 upgrade to PostgreSQL 16.5 or later",
		150020: "",
		150003: "CVE-2026-120154 upgrade to PostgreSQL 15.20 or later; CVE-2025-8713 upgrade to PostgreSQL 15.14 or later; CVE-2024-10976 upgrade to PostgreSQL 15.9 or later; CVE-2023-39418 upgrade to PostgreSQL 15.4 or later",
		150002: "CVE-2026-120154 upgrade to PostgreSQL 15.20 or later; CVE-2025-8713 upgrade to PostgreSQL 15.14 or later; CVE-2024-10976 upgrade to PostgreSQL 15.9 or later; CVE-2023-39418 upgrade to PostgreSQL 15.4 or later; CVE-2023-2455 upgrade to PostgreSQL 15.3 or later",
		140025: "",
		110002: "CVE-2026-120154 upgrade to PostgreSQL 14.25 or later; CVE-2025-8713 upgrade to PostgreSQL 13.22 or later; CVE-2024-10976 upgrade to PostgreSQL 12.21 or later; CVE-2023-2455 upgrade to PostgreSQL 11.20 or later; CVE-2019-10130 upgrade to PostgreSQL 11.3 or later",
	} {
		if got := faultsOf(t, number); got != want {
			t.Errorf("%d has %q, want %q", number, got, want)
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
