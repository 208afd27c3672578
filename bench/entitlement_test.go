package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/nself/tenancy/internal/id"
)

// addonsSQL are three add-ons, of which each adds to storage.
const addonsSQL = `
INSERT INTO billing.addons (code, name, price_minor) SELECT 'bench-' || n, 'Bench', 500 FROM generate_series(1, 3) n`

const (
	addonLimitsSQL = `INSERT INTO billing.addon_limits (addon, meter, amount) SELECT 'bench-' || n, 'storage', 1000 FROM generate_series(1, 3) n`
	soldSQL        = `INSERT INTO billing.tenant_addons (tenant_id, addon, quantity) SELECT $1, 'bench-' || n, n FROM generate_series(1, $2::int) n`
	entitledSQL    = `SELECT "limit", enforcement, source FROM billing.entitlement($1, 'storage')`
)

// entitlement compares what a tenant with three add-ons may use with what one without any
// may, where a thousand other tenants have add-ons too.
func (t *till) entitlement(b *testing.B) {
	t.open(b)
	t.exec(b, addonsSQL)
	t.exec(b, addonLimitsSQL)
	all := t.crowd(b, 1002)
	for _, owner := range all[1:] {
		t.exec(b, soldSQL, owner.Tenant, 3)
	}
	t.exec(b, `ANALYZE billing.tenant_addons`)
	took := compare(b, 100, side{"with", t.entitled(all[1].Tenant, "addon")}, side{"without", t.entitled(all[0].Tenant, "plan")})
	b.ReportMetric(took.micros(0), "µs")
	b.ReportMetric(took.micros(1), "µs-without")
	b.ReportMetric(took.ratio(0, 1), "x-without")
}

func (t *till) entitled(tenant id.Tenant, want string) func() error {
	return func() error {
		var limit int64
		var enforcement, source string
		err := t.server.QueryRow(context.Background(), entitledSQL, tenant).Scan(&limit, &enforcement, &source)
		if err == nil && source != want {
			err = fmt.Errorf("%s is entitled by %s, not %s", tenant, source, want)
		}
		return err
	}
}
