package tenant

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenantschema"
)

// Defaults are what an installation decides about new and deleted tenants.
type Defaults struct {
	Strategies   []Strategy // those allowed; the first is used where none is asked for
	SchemaPrefix string     // of the schemas of strategy Schema
	RestoreDays  int        // how long a deleted tenant can be restored
}

// CreateInput is what a new tenant is made from. Validate before Create.
type CreateInput struct {
	Name     string
	Slug     string   // empty: made from the name
	Plan     string   // empty: free
	Owner    id.User  // zero: the actor
	Strategy Strategy // empty: the installation's default
}

// Validate cleans the input and collects what is wrong with it.
func (in *CreateInput) Validate(actor session.Session, problems *fault.Problems) {
	in.Name = cleanName(in.Name, problems)
	if in.Slug != "" {
		checkSlug(in.Slug, problems)
	}
	if in.Owner.IsZero() {
		in.Owner = actor.User
	}
	if in.Owner.IsZero() {
		problems.Add("ownerUserId", "must name the owner where the operator creates a tenant")
	}
	if in.Strategy != "" && in.Strategy != RLS && in.Strategy != Schema {
		problems.Add("strategy", "must be rls or schema; got %.40q", in.Strategy)
	}
	if in.Plan == "" {
		in.Plan = "free"
	}
}

// choose settles the strategy of a new tenant.
func (d Defaults) choose(asked Strategy) (Strategy, error) {
	switch {
	case asked == "":
		return d.Strategies[0], nil
	case slices.Contains(d.Strategies, asked):
		return asked, nil
	}
	return "", fault.New(fault.InvalidInput, "strategy %s is not offered here; this installation has %v", asked, d.Strategies)
}

const insertSQL = `
INSERT INTO tenants.tenants (id, slug, name, strategy, plan, owner_user_id)
VALUES (@tenant_id, @slug, @name, @strategy, @plan, @owner_user_id)
ON CONFLICT (slug) DO NOTHING
RETURNING ` + columns

const insertOwnerSQL = `
INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES (@tenant_id, @user_id, 'owner')`

const insertSettingsSQL = `
INSERT INTO tenants.tenant_settings (tenant_id, key, value)
VALUES (@tenant_id, 'time_zone', '"UTC"'), (@tenant_id, 'locale', '"en"')`

const createSchemaSQL = `SELECT tenants.create_tenant_schema(@tenant_id, @prefix)`

// Create makes the tenant, its owner's membership, its first settings, its schema where
// the strategy asks for one, and the audit row, all or nothing. Only the operator may
// choose a plan or another owner than itself.
func Create(ctx context.Context, db pg.DB, actor session.Session, in CreateInput, defaults Defaults) (Tenant, error) {
	if err := mayCreate(actor, in); err != nil {
		return Tenant{}, err
	}
	strategy, err := defaults.choose(in.Strategy)
	if err != nil {
		return Tenant{}, err
	}
	in.Strategy = strategy
	var made Tenant
	err = pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if made, err = insert(ctx, tx, in); err != nil {
			return err
		}
		args := pgx.NamedArgs{"tenant_id": made.ID, "user_id": in.Owner, "prefix": defaults.SchemaPrefix}
		statements := []string{insertOwnerSQL, insertSettingsSQL}
		if made.Strategy == Schema {
			statements = append(statements, createSchemaSQL)
		}
		for _, sql := range statements {
			if _, err := tx.Exec(ctx, sql, args); err != nil {
				return createFault(schemaFault(err, actor), in)
			}
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: made.ID, Action: "create_tenant", Target: "tenant:" + made.ID.String(),
			After: map[string]any{"slug": made.Slug, "name": made.Name, "plan": made.Plan, "strategy": made.Strategy, "owner_user_id": in.Owner},
		})
	})
	if pg.Constraint(err) == ownedElsewhere {
		err = refuseOwner(ctx, db, in.Owner)
	}
	return made, err
}

// ownedElsewhere is what refuses an identity local to one tenant as another's owner.
const ownedElsewhere = "tenant_members_local_identity"

const machineSQL = `SELECT EXISTS (SELECT FROM auth.users WHERE id = @user_id AND kind = 'service')`

// refuseOwner says why an identity local to one tenant owns no other.
func refuseOwner(ctx context.Context, db pg.DB, owner id.User) error {
	machine, err := pg.Scalar[bool](ctx, db, machineSQL, pgx.NamedArgs{"user_id": owner})
	switch {
	case err != nil:
		return fmt.Errorf("read what user %s is: %w", owner, err)
	case machine:
		return fault.New(fault.Forbidden, "user %s is the identity of an API key: a machine owns no tenant", owner)
	}
	return noUser(owner)
}

func noUser(owner id.User) error {
	return fault.New(fault.NotFound, "there is no user %s", owner)
}

func mayCreate(actor session.Session, in CreateInput) error {
	switch {
	case actor.IsOperator():
		return nil
	case in.Plan != "free":
		return fault.New(fault.Forbidden, "only the operator may create a tenant on plan %.80q; create it on free and subscribe", in.Plan)
	case in.Owner != actor.User:
		return fault.New(fault.Forbidden, "only the operator may create a tenant for another user; leave ownerUserId out")
	}
	return nil
}

// insert writes the tenant's row under the slug asked for, or under the first free one
// made from the name.
func insert(ctx context.Context, tx pgx.Tx, in CreateInput) (Tenant, error) {
	slug := in.Slug
	chosen := slug != ""
	if !chosen {
		slug = slugFrom(in.Name)
	}
	if chosen && isReserved(slug) {
		return Tenant{}, refuseSlug(ctx, tx, fault.SlugReserved, slug)
	}
	for {
		if !isReserved(slug) {
			made, err := pg.One[Tenant](ctx, tx, insertSQL, pgx.NamedArgs{
				"tenant_id": id.New[id.Tenant](), "slug": slug, "name": in.Name, "strategy": string(in.Strategy),
				"plan": in.Plan, "owner_user_id": in.Owner,
			})
			if !pg.NoRow(err) {
				return made, createFault(err, in)
			}
		}
		if chosen {
			return Tenant{}, refuseSlug(ctx, tx, fault.SlugTaken, slug)
		}
		var err error
		if slug, err = suggest(ctx, tx, slugFrom(in.Name)); err != nil {
			return Tenant{}, err
		}
	}
}

// refuseSlug says why a slug cannot be had and proposes one that can.
func refuseSlug(ctx context.Context, db pg.DB, code fault.Code, slug string) error {
	free, err := suggest(ctx, db, slug)
	if err != nil {
		return err
	}
	why := "taken"
	if code == fault.SlugReserved {
		why = "reserved"
	}
	return fault.New(code, "the slug %q is %s; %q is free", slug, why, free).With("slug", slug).With("suggestion", free)
}

// suggest finds a free slug near the one asked for: the lowest number up to 50, and
// past that a random one, so that a popular name costs no more than a rare one.
func suggest(ctx context.Context, db pg.DB, slug string) (string, error) {
	candidates := make([]string, 0, 50)
	for n := 2; n <= 50; n++ {
		candidates = append(candidates, numbered(slug, strconv.Itoa(n)))
	}
	var random [4]byte
	_, _ = rand.Read(random[:])
	candidates = append(candidates, numbered(slug, hex.EncodeToString(random[:])))
	return freeSlug(ctx, db, candidates)
}

// schemaFault tells a migration of the customer's that failed from what else can. What it
// failed with is for the operator, whose migration it is.
func schemaFault(err error, actor session.Session) error {
	failed := tenantschema.FailureOf(err)
	if failed == nil {
		return err
	}
	said := "the operator finds which in the server's log"
	if actor.IsOperator() {
		said = failed.Error()
	}
	return fault.New(fault.TenantMigration, "a migration of the tenant's schema failed: %s", said).Because(errors.Join(failed, err))
}

func createFault(err error, in CreateInput) error {
	switch pg.Constraint(err) {
	case "tenants_plan_fkey":
		return fault.New(fault.NotFound, "there is no plan %.80q; the query plans lists them", in.Plan)
	case "tenants_owner_user_id_fkey", "tenant_members_user_id_fkey":
		return noUser(in.Owner)
	case "tenant_members_user_quota": // the first user of the tenant is one too many
		return fault.New(fault.QuotaExceeded, "plan %q is for no users at all; choose another", in.Plan).
			With("meter", "users").With("limit", 0).With("current", 0).With("remaining", 0)
	}
	if err != nil {
		return fmt.Errorf("create tenant %q: %w", in.Name, err)
	}
	return nil
}
