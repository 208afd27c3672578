package adoption

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// beginAnew is what is left where a plan rests on what is no longer so.
const beginAnew = "the plan was made before that: take it back with --undo, and begin anew"

// ruledSQL tells the state of what no lock short of the switch's own keeps still: views and
// rules over the tables.
const ruledSQL = `
	SELECT coalesce(string_agg(DISTINCT concat_ws(' ', d.objid, d.refobjid), ',' ORDER BY concat_ws(' ', d.objid, d.refobjid)), '')
	FROM pg_catalog.pg_depend d
	WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
	  AND d.refobjid = ANY (SELECT to_regclass(t) FROM unnest(@tables::text[]) AS t)`

// unchanged refuses the switch where the plan rests on what is no longer so. tx holds the
// locks that keep other changes of the tables away; what they do not keep away is looked at
// by the function it returns, once tx has the tables.
func (r *Runner) unchanged(ctx context.Context, tx pgx.Tx) (stands func() error, err error) {
	tables := []string{}
	for _, o := range r.of.Options.Outlines {
		tables = append(tables, o.Table.Quoted())
	}
	ruled := func() (string, error) {
		return pg.Scalar[string](ctx, tx, ruledSQL, pgx.NamedArgs{"tables": tables})
	}
	before, err := ruled()
	if err != nil {
		return nil, fmt.Errorf("look for views of the tables: %w", err)
	}
	var changes []string
	for _, o := range r.of.Options.Outlines {
		lines, err := isolation.Outline(ctx, tx, isolation.Converted{Name: o.Table, Column: o.Column}, own)
		if err != nil {
			return nil, err
		}
		changes = append(changes, differences(o, lines)...)
	}
	if len(changes) > 0 {
		return nil, fmt.Errorf("%s; %s", strings.Join(changes, ", "), beginAnew)
	}
	return func() error {
		if now, err := ruled(); err != nil {
			return fmt.Errorf("look for views of the tables: %w", err)
		} else if now != before {
			return errors.New("somebody made or dropped a view of the tables just now: run the command again")
		}
		return stillTakes(ctx, tx, r.of.Options)
	}, nil
}

func differences(o Outlined, now []string) []string {
	if now == nil {
		return []string{o.Table.String() + " is gone"}
	}
	var found []string
	before := map[string]bool{}
	for _, line := range o.Lines {
		before[line] = true
	}
	for _, line := range now {
		if !before[line] {
			found = append(found, o.Table.String()+" has "+line+" now")
		}
		delete(before, line)
	}
	for line := range before {
		found = append(found, o.Table.String()+" has no more "+line)
	}
	return found
}
