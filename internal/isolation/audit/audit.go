// Package audit is the linter of the wall between tenants: it reads the Postgres catalog
// and Hasura's metadata whole, holds them against the declared list and the rules of this
// package, and says of each fault where it is, what is wrong and what puts it right. It
// changes nothing, but for Repair, which applies the fixes that take something away and
// break no row. It decides no request and knows no HTTP; what is let off (Allowance) is
// for the operator to say, with a reason.
package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// Config says what is audited.
type Config struct {
	Conn     *pgx.Conn          // as nself_owner or a superuser
	List     isolation.List     // nil: the list that the database has registered
	Metadata *metadata.Metadata // nil: the database alone is audited
	Allow    []Allowance        // what is let off, beside what the product's own schema has on purpose
	Today    time.Time          // decides which allowances have run out; zero: now
}

// Report is one audit.
type Report struct {
	Database string    `json:"database"`
	Version  string    `json:"postgres"`
	Tables   int       `json:"tenant_tables"` // how many were examined
	Rules    int       `json:"rules"`
	Skipped  []string  `json:"skipped"` // what could not be examined, and why
	Findings []Finding `json:"findings"`
}

// Finding is one fault in one place.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object"`             // such as crm.contacts, or crm.contacts (policy p)
	What     string   `json:"what"`               // one sentence
	Fix      Fix      `json:"fix"`                // how to put it right
	Evidence string   `json:"evidence,omitempty"` // what Postgres said, such as an EXPLAIN
	Allowed  string   `json:"allowed,omitempty"`  // the reason it is let off; "" where it is not
}

// Counts reports whether the finding makes the audit fail: notices only do where strict.
func (f Finding) Counts(strict bool) bool {
	return f.Allowed == "" && (strict || f.Severity != Notice)
}

// Failed reports whether any finding counts.
func (r *Report) Failed(strict bool) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Counts(strict) })
}

// Run makes the audit in one read-only transaction. The catalog is read by a fixed number
// of queries, however many tables there are; on top of that Postgres is asked for one plan
// for each index whose operator is not leakproof and each table with a tenant far larger
// than the planner thinks.
func Run(ctx context.Context, config Config) (*Report, error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	var report *Report
	err := pgx.BeginTxFunc(ctx, config.Conn, options, func(tx pgx.Tx) (err error) {
		report, err = run(ctx, tx, config)
		return err
	})
	return report, err
}

func run(ctx context.Context, tx pgx.Tx, config Config) (*Report, error) {
	s, err := examine(ctx, tx, config)
	if err != nil {
		return nil, err
	}
	findings, _ := allow(s.findings(ctx), ours, time.Time{})
	findings, unused := allow(findings, config.Allow, config.today())
	findings = append(findings, unused...)
	sortFindings(findings)
	return &Report{
		Database: s.server.Database, Version: s.server.Release, Tables: len(s.tenants), Rules: len(rules),
		Skipped: append([]string{}, s.skipped...), Findings: findings,
	}, nil
}

func (c Config) today() time.Time {
	if c.Today.IsZero() {
		return time.Now()
	}
	return c.Today
}

// findings applies every rule whose matter was examined.
func (s *state) findings(ctx context.Context) []Finding {
	found := []Finding{}
	for _, rule := range rules {
		if rule.check == nil || rule.Group == metadataGroup && s.metadata == nil || rule.Group != serverGroup && s.outdated {
			continue
		}
		for _, fault := range rule.check(ctx, s) {
			found = append(found, Finding{Rule: rule.ID, Severity: rule.Severity, Object: fault.object, What: fault.what, Fix: s.protectInstead(rule.Group, fault), Evidence: fault.evidence})
		}
	}
	return found
}

func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.What, b.What))
	})
}

// fault is what a rule finds.
type fault struct {
	object, what string
	fix          Fix
	evidence     string
}

func at(object string, fix Fix, what string, args ...any) fault {
	return fault{object: object, what: fmt.Sprintf(what, args...), fix: fix}
}
