package adoption

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// Input is what Plan is asked for.
type Input struct {
	List   isolation.List // what is declared; of other tables a standard declaration is made
	Tables []isolation.Name
	Column string // the tenant column of those that are not declared
	Tenant string // id or slug of the default tenant; "" is the only one there is
}

// Plan is the steps that bring the tables behind the wall. It changes nothing, and reports
// everything that stands against it at once. db connects as who will carry it out.
func Plan(ctx context.Context, db pg.DB, in Input) (Adoption, error) {
	a := Adoption{ID: uuid.New(), Tables: in.Tables, State: Running, Options: Options{At: time.Now().UTC()}}
	var faults []error
	chosen, err := chooseTenant(ctx, db, in.Tenant)
	faults = append(faults, err)
	a.Options.Tenant, a.Options.Slug = chosen.ID, chosen.Slug
	c, err := isolation.Convert(ctx, db, isolation.Request{List: in.List, Names: in.Tables, Column: in.Column}, own)
	faults = append(faults, err)
	err = mayChange(ctx, db, c)
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return a, err
	}
	if err := tenantsExist(ctx, db, c); err != nil {
		return a, err
	}
	a.Options.Protection = c.Protection
	if err := a.noteTriggers(ctx, db, c); err != nil {
		return a, err
	}
	for _, t := range c.Tables {
		a.Options.Outlines = append(a.Options.Outlines, Outlined{Table: t.Name, Column: t.Column, Lines: t.Outline})
	}
	return a, a.render(ctx, db, c)
}

// noteTriggers tells whose triggers will see every row that is filled.
func (a *Adoption) noteTriggers(ctx context.Context, db pg.DB, c isolation.Conversion) error {
	for _, t := range c.Tables {
		if !t.Exists || t.NotNull || len(t.Triggers) == 0 {
			continue
		}
		quiet, err := quietly(ctx, db, t.Name, t.Column)
		if err != nil {
			return err
		}
		if !quiet {
			a.Options.Protection.Notes = append(a.Options.Protection.Notes, fmt.Sprintf("%s has triggers (%s), and they run for every row that is filled: "+
				"only a superuser can keep them out, and only where no reference goes by %s; what they do is not taken back", t.Name, strings.Join(t.Triggers, ", "), t.Column))
		}
	}
	return nil
}

// render writes the steps.
func (a *Adoption) render(ctx context.Context, db pg.DB, c isolation.Conversion) error {
	sizes, err := readSizes(ctx, db, c)
	if err != nil {
		return err
	}
	r := renderer{tenant: a.Options.Tenant, sizes: sizes}
	r.conversion(c, a.Options.At)
	for i, step := range r.steps {
		a.Steps = append(a.Steps, Standing{Step: step, Position: i + 1})
	}
	return nil
}

const mayAlterSQL = `
	SELECT r.rolname AS login, r.rolsuper OR pg_has_role(r.oid, 'nself_owner', 'USAGE') AS owner,
	       ARRAY(SELECT o.name FROM unnest(@owners::text[]) AS o (name) WHERE NOT (r.rolsuper OR pg_has_role(r.oid, o.name, 'USAGE'))) AS lacking
	FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`

// mayChange tells which of the tables are not the login's to change.
func mayChange(ctx context.Context, db pg.DB, c isolation.Conversion) error {
	owners := []string{}
	for _, t := range c.Tables {
		owners = append(owners, t.Owner)
	}
	type rights struct {
		Login   string
		Owner   bool
		Lacking []string
	}
	may, err := pg.One[rights](ctx, db, mayAlterSQL, pgx.NamedArgs{"owners": owners})
	switch {
	case err != nil:
		return fmt.Errorf("read what the login may do: %w", err)
	case !may.Owner:
		return fmt.Errorf("DATABASE_URL connects as %s, which is no member of nself_owner: connect as nself_owner, or as a superuser", may.Login)
	case len(may.Lacking) > 0:
		return fmt.Errorf("DATABASE_URL connects as %s, which may not change tables of %s: connect as a superuser, or make it a member of them", may.Login, strings.Join(may.Lacking, ", "))
	}
	return nil
}

// tenantsExist looks for rows whose tenant column, which was there before, names no tenant.
func tenantsExist(ctx context.Context, db pg.DB, c isolation.Conversion) error {
	var faults []error
	for _, t := range c.Tables {
		if !t.Exists || t.Reference == "" {
			continue
		}
		column := t.Name.Quoted() + "." + isolation.Quote(t.Column)
		lost := strings.Join([]string{"SELECT", column + "::text", "FROM", t.Name.Quoted(), "WHERE", column,
			"IS NOT NULL AND NOT EXISTS (SELECT FROM tenants.tenants AS t WHERE t.id =", column, ") LIMIT 1"}, " ")
		tenant, err := pg.Scalar[string](ctx, db, lost, nil)
		switch {
		case pg.NoRow(err):
		case err != nil:
			faults = append(faults, fmt.Errorf("look for the tenants of %s: %w", t.Name, err))
		default:
			faults = append(faults, fmt.Errorf("%s has rows whose %s is %s, and there is no such tenant: make it, or clear them", t.Name, t.Column, tenant))
		}
	}
	return errors.Join(faults...)
}
