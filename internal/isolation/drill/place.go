package drill

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// maxPlaces bounds how many tenants' own schemas are tried: they are walled alike.
const maxPlaces = 3

const ownPlaceSQL = `SELECT coalesce(tenants.tenant_schema(), '')`

const placeTablesSQL = `
SELECT c.relname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = @schema AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname`

// places tries the tables of the schemas that are one tenant's alone: no column of theirs
// says whose a row is, so every row that another session reaches is a leak.
func (x *exercise) places(ctx context.Context, candidates []Tenant) ([]Check, error) {
	var checks []Check
	tried := 0
	for _, owner := range candidates {
		if tried == maxPlaces {
			break
		}
		if err := x.enter(ctx, service(owner).setting); err != nil {
			return nil, err
		}
		schema, err := pg.Scalar[string](ctx, x.tx, ownPlaceSQL, nil)
		if err != nil {
			return nil, fmt.Errorf("look for the schema of %s: %w", owner.Name, err)
		}
		if schema == "" {
			continue
		}
		tried++
		type table struct{ Name string }
		tables, err := pg.All[table](ctx, x.tx, placeTablesSQL, pgx.NamedArgs{"schema": schema})
		if err != nil {
			return nil, fmt.Errorf("look for the tables of %s: %w", schema, err)
		}
		for _, t := range tables {
			found, err := x.place(ctx, owner, isolation.Name{Schema: schema, Name: t.Name})
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", schema, t.Name, err)
			}
			checks = append(checks, found...)
		}
	}
	return checks, nil
}

// place tries one table of a tenant's schema as another tenant, in every role, and
// without a context.
func (x *exercise) place(ctx context.Context, owner Tenant, table isolation.Name) ([]Check, error) {
	intruder := x.a
	if intruder.ID == owner.ID {
		intruder = x.b
	}
	actors, err := x.actorsOf(ctx, intruder)
	if err != nil {
		return nil, err
	}
	if err := x.enter(ctx, service(owner).setting); err != nil {
		return nil, err
	}
	own, err := x.rows(ctx, table)
	if err != nil {
		return nil, err
	}
	tell := func(name string, leak, proved bool, detail string) Check {
		return Check{Table: table.String(), Name: name, Leak: leak, Proved: proved, Detail: detail}
	}
	checks := []Check{tell(seesOwn, false, own > 0, fmt.Sprintf("%s sees %d rows of its own", owner.Name, own))}
	worst := map[string]int64{}
	for _, who := range append([]actor{{words: "nobody"}}, actors...) {
		if err := x.intrude(ctx, who, table, worst); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{seesNoOther, noContext, updates, deletes, inserts} {
		proved := own > 0 || name == inserts
		checks = append(checks, tell(name, worst[name] > 0, proved, fmt.Sprintf("%d rows, %s has %d", worst[name], owner.Name, own)))
	}
	return checks, nil
}

// intrude reads and writes the table as somebody, and notes the most that was reached.
func (x *exercise) intrude(ctx context.Context, who actor, table isolation.Name, worst map[string]int64) error {
	if err := x.enter(ctx, who.setting); err != nil {
		return err
	}
	seen, err := x.rows(ctx, table)
	if err != nil {
		return err
	}
	reads := seesNoOther
	if who.setting == "" {
		reads = noContext
	}
	worst[reads] = max(worst[reads], seen)
	column, err := pg.Scalar[string](ctx, x.tx, anyColumnSQL, pgx.NamedArgs{"schema": table.Schema, "name": table.Name})
	if err != nil {
		return err
	}
	for name, statement := range map[string]string{
		updates: fmt.Sprintf("UPDATE %s SET %s = %[2]s", table.Quoted(), isolation.Quote(column)),
		deletes: "DELETE FROM " + table.Quoted(),
		inserts: "INSERT INTO " + table.Quoted() + " DEFAULT VALUES",
	} {
		reached, err := x.attempt(ctx, statement)
		if err != nil {
			return err
		}
		worst[name] = max(worst[name], reached)
	}
	return nil
}

// anyColumnSQL is a column that may be written, "" where there is none.
const anyColumnSQL = `
SELECT coalesce((SELECT a.attname::text FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = @schema AND c.relname = @name AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
  ORDER BY a.attnum LIMIT 1), '')`

func (x *exercise) rows(ctx context.Context, table isolation.Name) (int64, error) {
	return pg.Scalar[int64](ctx, x.tx, "SELECT count(*) FROM "+table.Quoted(), nil)
}

// attempt runs a statement in a savepoint that is taken back, and tells how many rows it
// reached. Postgres asks the policies before any constraint: what a constraint refuses was
// let through, and counts as one.
func (x *exercise) attempt(ctx context.Context, statement string) (reached int64, err error) {
	inner, err := x.tx.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, inner.Rollback(ctx)) }()
	tag, err := inner.Exec(ctx, statement)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && (refused.Code == "42501" || refused.Code == "42601"):
		return 0, nil
	case errors.As(err, &refused):
		return 1, nil
	}
	return tag.RowsAffected(), err
}
