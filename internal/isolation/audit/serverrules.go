package audit

import (
	"context"
	"fmt"
)

var serverRules = []Rule{
	{"postgres-known-fault", Error, serverGroup, "this release of Postgres has a known fault in row-level security", postgresFaults},
	{"postgres-too-old", Error, serverGroup, "this major version of Postgres is older than the product supports", postgresTooOld},
}

// knownFault is a fault of Postgres that lets rows past row-level security, with the first
// release that is free of it for each major version it was in.
type knownFault struct {
	id    string
	what  string
	since int         // the first major version that has it
	fixed map[int]int // major → minor
}

// knownFaults are what PostgreSQL, which numbers its own CVEs, has published, each with
// where its releases are from. Majors older than those named were out of support when the
// fault was mended, and have it; newer ones were released without.
var knownFaults = []knownFault{
	// The CVE's text ("Versions before PostgreSQL 18.7, 17.12, 16.16, 15.20, and 14.25 are
	// affected"), as https://www.suse.com/security/cve/CVE-2026-120154.html has it.
	{"CVE-2026-120154", "INSERT … ON CONFLICT DO UPDATE reads every row, past the policies, for who may INSERT and UPDATE", 0,
		map[int]int{18: 7, 17: 12, 16: 16, 15: 20, 14: 25}},
	// The CVE's text, as https://osv.dev/vulnerability/BIT-postgresql-2025-8713 has it.
	{"CVE-2025-8713", "the planner's statistics show values of rows that a policy hides, in partitions and inheritance children", 0,
		map[int]int{17: 6, 16: 10, 15: 14, 14: 19, 13: 22}},
	// Release notes of 2024-11-14, such as https://www.postgresql.org/docs/release/16.5/.
	{"CVE-2024-10976", "a plan that is used again under another role applies the policies of the first, below subqueries, views and SQL functions", 0,
		map[int]int{17: 1, 16: 5, 15: 9, 14: 14, 13: 17, 12: 21}},
	// https://www.postgresql.org/docs/release/15.4/: MERGE is new in 15.
	{"CVE-2023-39418", "MERGE does not apply the policies for UPDATE and SELECT", 15,
		map[int]int{15: 4}},
	// https://osv.dev/vulnerability/BIT-postgresql-2023-2455 names each release.
	{"CVE-2023-2455", "a function that is inlined applies the policies of another role", 0,
		map[int]int{15: 3, 14: 8, 13: 11, 12: 15, 11: 20}},
	// The CVE's record in https://github.com/CVEProject/cvelistV5 (also 9.6.13 and 9.5.17).
	{"CVE-2019-10130", "the planner's statistics show values of rows that a policy hides", 0,
		map[int]int{11: 3, 10: 8}},
}

func postgresFaults(_ context.Context, s *state) []fault {
	major, minor := s.server.Number/10000, s.server.Number%10000
	var found []fault
	for _, known := range knownFaults {
		if release, has := known.release(major, minor); has {
			found = append(found, at(known.id, advice("upgrade to PostgreSQL %s or later", release), "PostgreSQL %s: %s", s.server.Release, known.what))
		}
	}
	return found
}

// release is the one to upgrade to, and whether the given one has the fault.
func (k knownFault) release(major, minor int) (string, bool) {
	newest, oldest := 0, 1<<31-1
	for known := range k.fixed {
		newest, oldest = max(newest, known), min(oldest, known)
	}
	fixed, listed := k.fixed[major]
	switch {
	case major < k.since || major > newest:
		return "", false
	case listed:
		return fmt.Sprintf("%d.%d", major, fixed), minor < fixed
	}
	return fmt.Sprintf("%d.%d", oldest, k.fixed[oldest]), true
}

func postgresTooOld(_ context.Context, s *state) []fault {
	if !s.outdated {
		return nil
	}
	return []fault{at("PostgreSQL "+s.server.Release, advice("upgrade to PostgreSQL 15 or newer"),
		"security_invoker views and ON DELETE SET NULL of some columns begin with 15; nothing else was audited")}
}
