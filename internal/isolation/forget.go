package isolation

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const tableExistsSQL = `SELECT to_regclass(format('%I.%I', @schema::text, @name::text)) IS NOT NULL`

// Forget plans how tables that are gone leave the list of the database. A table that still
// exists is refused: a wall is not taken down by taking its name off a list.
func Forget(ctx context.Context, db pg.DB, names []Name) (Protection, error) {
	registered, err := Registered(ctx, db)
	if err != nil {
		return Protection{}, err
	}
	plan := Protection{verb: "forget"}
	var faults []error
	for _, name := range names {
		t, known := registered.Find(name)
		if !known {
			faults = append(faults, fmt.Errorf("%s is not in the list of the database", name))
			continue
		}
		exists, err := pg.Scalar[bool](ctx, db, tableExistsSQL, pgx.NamedArgs{"schema": name.Schema, "name": name.Name})
		if err != nil {
			return Protection{}, err
		}
		if exists {
			faults = append(faults, fmt.Errorf("%s still exists: drop the table first", name))
		}
		plan.Tables = append(plan.Tables, t)
		plan.Statements = append(plan.Statements, "PERFORM nself.forget_tenant_table("+Literal(name.String())+")")
		plan.Notes = append(plan.Notes, fmt.Sprintf("%s is to go from tenant_tables.yaml and from the metadata as well", name))
	}
	return plan, errors.Join(faults...)
}
