package adoption

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
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
	for _, t := range c.Tables {
		a.Options.Outlines = append(a.Options.Outlines, Outlined{Table: t.Name, Column: t.Column, Lines: t.Outline})
	}
	return a, a.render(ctx, db, c)
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

type chosenTenant struct {
	ID   id.Tenant
	Slug string
}

const adoptingAllTenantsSQL = `
	SELECT id, slug FROM tenants.tenants
	WHERE status <> 'deleted' AND (@ref::text = '' OR @ref::text IN (id::text, slug))
	ORDER BY created_at LIMIT 2`

// chooseTenant is the tenant whose the rows of before are.
func chooseTenant(ctx context.Context, db pg.DB, ref string) (chosenTenant, error) {
	found, err := pg.All[chosenTenant](ctx, db, adoptingAllTenantsSQL, pgx.NamedArgs{"ref": ref})
	switch {
	case err != nil:
		return chosenTenant{}, fmt.Errorf("look for the tenant: %w", err)
	case len(found) == 0 && ref == "":
		return chosenTenant{}, errors.New("there is no tenant whose the rows could be: make one with nself tenant create")
	case len(found) == 0:
		return chosenTenant{}, fmt.Errorf("there is no tenant %.60q: nself tenant list shows them", ref)
	case len(found) > 1:
		return chosenTenant{}, errors.New("there are several tenants: say with --tenant whose the rows are, by id or slug")
	}
	return found[0], nil
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
