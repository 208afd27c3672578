package stripesync

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// knownTime is the customer with the time that its test clock shows here already: a clock
// moves on here by its own event, after the facts of the time that passed.
func knownTime(ctx context.Context, tx pgx.Tx, tenant id.Tenant, c billing.Customer) (billing.Customer, error) {
	if c.ClockID == "" {
		return c, nil
	}
	row, err := billing.CustomerOf(ctx, tx, tenant)
	if fault.Is(err, fault.NotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if row.StripeID == c.ID && row.ClockAt != nil {
		c.ClockAt = *row.ClockAt
	}
	return c, nil
}

// What failed once is waited for no longer.
const behindAllTenantsSQL = `
SELECT EXISTS (SELECT FROM billing.stripe_objects o JOIN billing.customers c ON c.stripe_id = o.customer_id
	WHERE c.clock_id = @clock AND o.kind <> 'test_clock' AND o.state = 'waiting' AND o.tries = 0)`

// awaitFacts is busy while facts of customers of a clock are still to be applied.
func awaitFacts(ctx context.Context, tx pgx.Tx, clock string) error {
	behind, err := pg.Scalar[bool](ctx, tx, behindAllTenantsSQL, pgx.NamedArgs{"clock": clock})
	switch {
	case err != nil:
		return fmt.Errorf("read what is to follow of clock %s: %w", clock, err)
	case behind:
		return errBusy("what happened on clock " + clock)
	}
	return nil
}

// inOrder is the order in which accounts are locked.
func inOrder(tenants []id.Tenant) []id.Tenant {
	return slices.SortedFunc(slices.Values(tenants), func(a, b id.Tenant) int { return cmp.Compare(a.String(), b.String()) })
}
