// Package entitlement says what a tenant may use of each meter: what was agreed with it,
// else what its plan says, else the meter's own default. It owns billing.tenant_limits,
// the agreements with single tenants. Plans and meters are the operator's tables; what was
// used is usage's, and whether more may be used is for quota to decide.
package entitlement

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Unlimited is the limit that nothing reaches.
const Unlimited = -1

// How a limit is enforced: past a hard one nothing is granted, a soft one warns.
const (
	Hard = "hard"
	Soft = "soft"
)

// Entitlement is what a tenant may use of one meter.
type Entitlement struct {
	Meter       string `db:"meter"`
	Limit       int64  `db:"limit"`       // Unlimited: -1
	Enforcement string `db:"enforcement"` // Hard or Soft
	Source      string `db:"source"`      // tenant, plan or default: who says so
}

const ofSQL = `
SELECT @meter::text AS meter, e."limit", e.enforcement, e.source FROM billing.entitlement(@tenant_id, @meter) e`

// Of is the tenant's entitlement to one meter. Not-found: no such meter, or no such tenant
// where the role sees none.
func Of(ctx context.Context, db pg.DB, tenant id.Tenant, meter string) (Entitlement, error) {
	e, err := pg.One[Entitlement](ctx, db, ofSQL, pgx.NamedArgs{"tenant_id": tenant, "meter": meter})
	switch {
	case pg.NoRow(err):
		return e, noMeter(meter)
	case err != nil:
		return e, fmt.Errorf("read what tenant %s may use of %s: %w", tenant, meter, err)
	}
	return e, nil
}

const allSQL = `
SELECT m.code AS meter, e."limit", e.enforcement, e.source
FROM billing.meters m, LATERAL billing.entitlement(@tenant_id, m.code) e
ORDER BY NOT m.built_in, m.code`

// All is the tenant's entitlement to every meter, the built-in ones first. It is empty
// where there is no such tenant.
func All(ctx context.Context, db pg.DB, tenant id.Tenant) ([]Entitlement, error) {
	list, err := pg.All[Entitlement](ctx, db, allSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return nil, fmt.Errorf("read what tenant %s may use: %w", tenant, err)
	}
	return list, nil
}

func noMeter(meter string) error {
	return fault.New(fault.NotFound, "there is no meter %.80q; the query meters lists them", meter)
}
