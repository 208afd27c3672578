package shard

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// leastMajor is the first version with schemas that are distributed as a whole.
const leastMajor = 12

const versionSQL = `SELECT coalesce((SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'), '')`

// Check refuses a database that is no Citus of version 12.0 or newer, in words that say what
// to do.
func Check(ctx context.Context, db pg.DB) error {
	version, err := pg.Scalar[string](ctx, db, versionSQL, nil)
	if err != nil {
		return fmt.Errorf("ask for the version of Citus: %w", err)
	}
	major, _, _ := strings.Cut(version, ".")
	number, err := strconv.Atoi(strings.SplitN(major, "-", 2)[0])
	switch {
	case version == "":
		return fmt.Errorf("the database of CITUS_DATABASE_URL has no extension citus: add citus to shared_preload_libraries, start Postgres anew and run CREATE EXTENSION citus")
	case err != nil || number < leastMajor:
		return fmt.Errorf("the database of CITUS_DATABASE_URL has Citus %.40s; %d.0 is the first that this plan is for: update it", version, leastMajor)
	}
	return nil
}

const distributedSQL = `SELECT relation, method FROM nself.citus_tables()`

// readDistributed notes what Citus has already.
func readDistributed(ctx context.Context, db pg.DB, by map[uint32]*table) error {
	type row struct {
		Relation uint32
		Method   string
	}
	return part(ctx, db, distributedSQL, func(x row) {
		if t := by[x.Relation]; t != nil {
			t.DistributedAs = x.Method
		}
	})
}

// Apply runs the steps one after the other, each by itself, and tells each before it. It
// ends at the first that fails; planning again gives what is left. A plan with refusals is
// not begun.
func Apply(ctx context.Context, conn *pgx.Conn, plan Plan, tell func(at int, step Step)) error {
	if len(plan.Refused) > 0 {
		return fmt.Errorf("of this plan a Citus refuses %d parts: mend them first", len(plan.Refused))
	}
	for i, step := range plan.Steps {
		tell(i, step)
		if _, err := conn.Exec(ctx, step.SQL); err != nil {
			return fmt.Errorf("step %d of %d, %s: %w", i+1, len(plan.Steps), step.SQL, err)
		}
	}
	return nil
}
