package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripeapi"
)

// subscribe compares the whole operation, by the tenant's owner under row-level security,
// from the first statement until the subscription, its invoice and the plan stand here, with
// the four calls that it cannot do without. At Stripe a call takes some hundred ms: there the
// calls are what is waited for, and how many they are is the figure.
func (t *till) subscribe(b *testing.B) {
	t.open(b)
	price := t.price(b, "pro")
	var owners []session.Session
	ours := side{"subscribe", func() error {
		if len(owners) == 0 {
			owners = t.crowd(b, 500)
		}
		owner := owners[0]
		owners = owners[1:]
		return t.subscribeOne(owner)
	}}
	bare := side{"bare calls", func() error { t.buy(b, stripeapi.Origin{}, price); return nil }}
	calls, bareCalls := t.callsOf(b, ours), t.callsOf(b, bare)
	all := compare(b, 1, ours, bare)
	b.ReportMetric(calls, "calls")
	b.ReportMetric(bareCalls, "bare-calls")
	b.ReportMetric(all.micros(0)/1000, "ms")
	b.ReportMetric(all.micros(1)/1000, "bare-ms")
	b.ReportMetric((all.micros(0)-all.micros(1))/1000, "ms-more")
}

func (t *till) subscribeOne(owner session.Session) error {
	ctx := context.Background()
	var op id.Operation
	err := pg.InTx(ctx, t.server, func(tx pgx.Tx) (err error) {
		if err := pg.EnterTenant(ctx, tx, owner); err != nil {
			return err
		}
		op, err = t.desk.Begin(ctx, tx, owner, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_visa"})
		return err
	})
	if err != nil {
		return err
	}
	result, err := t.desk.Run(ctx, owner.Tenant, op)
	if err == nil && (result.Subscription == nil || result.Subscription.Status != "active") {
		err = fmt.Errorf("%s is %+v", owner.Tenant, result)
	}
	return err
}

func (t *till) callsOf(b *testing.B, s side) float64 {
	b.Helper()
	before := t.calls.Load()
	must(b, s.do())
	return float64(t.calls.Load() - before)
}
