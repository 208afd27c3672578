package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const (
	tryTime    = time.Minute     // of one try
	claimed    = 2 * time.Minute // for which a place is one server's; longer than a try
	roundTime  = 50 * time.Second
	longestGap = time.Hour // between two tries
)

// dueAllTenantsSQL brings what is due in sight. It reads every row, once a round; what takes
// a place reads an index.
const dueAllTenantsSQL = `
UPDATE tenants.tenant_resources r SET next_at = now()
FROM tenants.tenants t
WHERE t.id = r.tenant_id AND r.next_at IS NULL AND r.kind = ANY (@kinds::text[]) AND (@only::uuid IS NULL OR r.tenant_id = @only)
  AND ` + due

// due is what is not as it is wanted: a tenant that is out of service has places that are
// closed.
const due = `CASE WHEN r.wanted THEN r.made < r.generation OR r.open <> (t.status = 'active') ELSE r.removed_at IS NULL END`

// A place is one server's until next_at, which is as well when it is tried again after a
// failure.
const claimAllTenantsSQL = `
UPDATE tenants.tenant_resources c SET next_at = now() + @claimed::interval, tries = c.tries + 1
FROM (
  SELECT r.tenant_id, r.kind, t.status = 'active' AS active
  FROM tenants.tenant_resources r JOIN tenants.tenants t ON t.id = r.tenant_id
  WHERE r.next_at <= now() AND r.kind = ANY (@kinds::text[]) AND (@only::uuid IS NULL OR r.tenant_id = @only)
  ORDER BY r.next_at LIMIT 1 FOR UPDATE OF r SKIP LOCKED
) d
WHERE c.tenant_id = d.tenant_id AND c.kind = d.kind
RETURNING c.tenant_id, c.kind, c.name, c.wanted, c.generation, c.secret, c.tries, d.active`

// claim is a place that is this server's for a while.
type claim struct {
	Tenant     id.Tenant `db:"tenant_id"`
	Kind       Kind      `db:"kind"`
	Name       string    `db:"name"`
	Wanted     bool      `db:"wanted"`
	Generation int       `db:"generation"`
	Secret     []byte    `db:"secret"` // sealed
	Tries      int       `db:"tries"`
	Active     bool      `db:"active"`
}

// Settle makes what is due of one tenant's places so. What fails is noted with the place and
// tried again by Sweep: it is an error of the database's alone that Settle returns.
func (k *Keeper) Settle(ctx context.Context, tenant id.Tenant) error {
	_, err := k.settle(ctx, &tenant)
	return err
}

// settle works until nothing is due, or for as long as a round may take.
func (k *Keeper) settle(ctx context.Context, tenant *id.Tenant) (done int64, err error) {
	args := pgx.NamedArgs{"claimed": claimed, "kinds": k.kinds(), "only": tenant}
	if _, err := k.config.DB.Exec(ctx, dueAllTenantsSQL, args); err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	touched := map[Kind]bool{}
	defer func() { err = errors.Join(err, k.keep(ctx, touched)) }()
	for until := time.Now().Add(roundTime); time.Now().Before(until); {
		c, err := pg.One[claim](ctx, k.config.DB, claimAllTenantsSQL, args)
		switch {
		case pg.NoRow(err):
			return done, nil
		case err != nil:
			return done, fmt.Errorf("look for a place that is due: %w", err)
		}
		changed, err := k.try(ctx, c)
		touched[c.Kind] = touched[c.Kind] || changed
		if err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// keep has the sites write down what they were told, once for all of it.
func (k *Keeper) keep(ctx context.Context, touched map[Kind]bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
	defer cancel()
	var faults []error
	for kind, changed := range touched {
		if !changed {
			continue
		}
		faults = append(faults, k.config.Sites[kind].Keep(ctx))
	}
	return errors.Join(faults...)
}

const settledSQL = `
UPDATE tenants.tenant_resources
SET made = @made, open = @open, made_at = now(), tries = 0, failure = NULL, next_at = CASE WHEN generation > @made THEN now() END
WHERE tenant_id = @tenant_id AND kind = @kind AND wanted`

const removedSQL = `
UPDATE tenants.tenant_resources
SET made = 0, open = false, removed_at = now(), secret = NULL, tries = 0, failure = NULL, next_at = NULL
WHERE tenant_id = @tenant_id AND kind = @kind AND NOT wanted`

const failedSQL = `
UPDATE tenants.tenant_resources
SET failure = left(@failure, 500), next_at = now() + @pause::interval, tries = CASE WHEN @moved THEN 0 ELSE tries END
WHERE tenant_id = @tenant_id AND kind = @kind`

// try makes one place so and notes what became of it; changed is whether it is so now.
func (k *Keeper) try(ctx context.Context, c claim) (changed bool, err error) {
	moved, cause := k.change(ctx, c)
	pause := gap(c.Tries)
	if moved {
		pause = time.Second // there is more of it than there was time
	}
	args := pgx.NamedArgs{"tenant_id": c.Tenant, "kind": c.Kind, "made": c.Generation, "open": c.Active}
	sql := settledSQL
	switch {
	case cause != nil:
		args["moved"] = moved
		sql, args["failure"], args["pause"] = failedSQL, cause.Error(), pause
		k.config.Log.WarnContext(ctx, "a tenant's resource could not be settled; it will be tried again",
			"tenant_id", c.Tenant, "kind", c.Kind, "try", c.Tries, "in", pause.String(), "error", cause)
	case !c.Wanted:
		sql = removedSQL
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := k.config.DB.Exec(noting, sql, args); err != nil {
		return cause == nil, fmt.Errorf("note what became of the %s of tenant %s: %w", c.Kind, c.Tenant, err)
	}
	return cause == nil, ctx.Err()
}

// gap is how long to wait after a try that failed.
func gap(tries int) time.Duration {
	return min(longestGap, time.Minute<<min(max(tries-1, 0), 10))
}

// change makes a place so. moved is whether something of it was removed where it was not
// done.
func (k *Keeper) change(ctx context.Context, c claim) (moved bool, err error) {
	p := Place{Name: c.Name, Open: c.Active}
	if !c.Wanted {
		return k.remove(ctx, c, p)
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	secret, err := k.config.Box.Open(c.Secret, sealedAs(c.Tenant, c.Kind))
	if err != nil {
		return false, errors.New("the credentials do not open with NSELF_ENCRYPTION_KEY; rotate the resource to make new ones")
	}
	p.Secret = string(secret)
	return false, k.config.Sites[c.Kind].Make(ctx, p)
}
