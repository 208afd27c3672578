package bench

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

const (
	planted  = 10_000 // subscriptions, each of another tenant's customer and with one invoice that was paid
	lists    = 4      // of customers, subscriptions, invoices and charges
	together = 500    // facts that are planted in one transaction
)

// reconcile compares ten thousand tenants who differ in nothing with going through the same
// four lists of Stripe's and doing nothing; and brings back one in a hundred that was
// forgotten here. The stand-in answers without a network: what a page costs
// there is on both sides.
func (t *till) reconcile(b *testing.B) {
	t.open(b)
	t.plant(b)
	b.Run("nothing-differs", t.reconcileAll)
	b.Run("one-in-100-missing", t.reconcileFix)
}

// reconcileAll does each side once in a round: with ten thousand a round takes seconds, and
// more of them say little more.
func (t *till) reconcileAll(b *testing.B) {
	held, allocated := t.memory(b)
	rounds, ours, bare := 0, time.Duration(0), time.Duration(0)
	for b.Loop() {
		rounds++
		before, start := t.calls.Load(), time.Now()
		report, err := t.sync.Reconcile(b.Context(), stripesync.ReconcileInput{})
		must(b, err)
		ours += time.Since(start)
		calls := t.calls.Load() - before
		if report.Subscriptions != planted || len(report.Drift) > 0 {
			b.Fatalf("%d subscriptions, %d differences, such as %+v", report.Subscriptions, len(report.Drift), report.Drift[:min(1, len(report.Drift))])
		}
		start = time.Now()
		must(b, t.pages())
		bare += time.Since(start)
		b.ReportMetric(float64(calls), "calls")
		b.ReportMetric(float64(t.calls.Load()-before-calls), "bare-calls")
	}
	each := float64(rounds)
	b.ReportMetric(ours.Seconds()/each, "s")
	b.ReportMetric(bare.Seconds()/each, "bare-s")
	b.ReportMetric(ours.Seconds()/bare.Seconds(), "x-bare-time")
	b.ReportMetric(held, "MB-held")
	b.ReportMetric(allocated, "MB-allocated")
	b.ReportMetric(0, "ns/op")
}

// reconcileFix is done once: what it mends is there afterwards.
func (t *till) reconcileFix(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		t.exec(b, `DELETE FROM billing.subscriptions WHERE hashtext(stripe_id) % 100 = 0`)
		b.StartTimer()
		before := t.calls.Load()
		report, err := t.sync.Reconcile(b.Context(), stripesync.ReconcileInput{Fix: true})
		must(b, err)
		if report.Fixed == 0 || len(report.Drift) > 0 {
			b.Fatalf("%d mended, %d left", report.Fixed, len(report.Drift))
		}
		b.ReportMetric(float64(report.Fixed), "mended")
		b.ReportMetric(float64(t.calls.Load()-before), "calls")
	}
}

// memory is what a reconciliation holds when it has met everything, and what it allocates
// until then, the stand-in's part included, in MB.
func (t *till) memory(b *testing.B) (held, allocated float64) {
	b.Helper()
	var before, full runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := t.sync.Reconcile(b.Context(), stripesync.ReconcileInput{Progress: func(done int) {
		if done == lists*planted {
			runtime.GC()
			runtime.ReadMemStats(&full)
		}
	}})
	must(b, err)
	if full.HeapAlloc == 0 {
		b.Fatalf("fewer than %d objects were compared", lists*planted)
	}
	const mb = 1 << 20
	return float64(int64(full.HeapAlloc)-int64(before.HeapAlloc)) / mb, float64(full.TotalAlloc-before.TotalAlloc) / mb
}

// pages goes through the lists that a reconciliation goes through.
func (t *till) pages() error {
	ctx, since := context.Background(), time.Now().AddDate(0, 0, -90)
	customers, err := length(t.stripe.Customers(ctx, stripeapi.CustomerFilter{}))
	if err != nil {
		return err
	}
	subscriptions, err := length(t.stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{}))
	if err != nil {
		return err
	}
	invoices, err := length(t.stripe.Invoices(ctx, stripeapi.InvoiceFilter{Since: since}))
	if err != nil {
		return err
	}
	charges, err := length(t.stripe.Charges(ctx, stripeapi.ChargeFilter{Since: since}))
	if err == nil && customers+subscriptions+invoices+charges != lists*planted {
		err = fmt.Errorf("%d customers, %d subscriptions, %d invoices, %d charges", customers, subscriptions, invoices, charges)
	}
	return err
}

func length[T any](list iter.Seq2[T, error]) (n int, err error) {
	for _, err := range list {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// plant makes the tenants' subscriptions at Stripe, and has them stand here.
func (t *till) plant(b *testing.B) {
	b.Helper()
	price, of := t.price(b, "pro"), map[string]id.Tenant{}
	for _, owner := range t.crowd(b, planted) {
		of[t.buy(b, stripeapi.Origin{Tenant: owner.Tenant}, price).Customer] = owner.Tenant
	}
	ctx := b.Context()
	stand(b, t, t.stripe.Customers(ctx, stripeapi.CustomerFilter{}), func(tx pgx.Tx, c billing.Customer) error {
		return t.book.ApplyCustomer(ctx, tx, of[c.ID], c)
	})
	stand(b, t, t.stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{}), func(tx pgx.Tx, s billing.Subscription) error {
		_, err := t.book.ApplySubscription(ctx, tx, of[s.Customer], s)
		return err
	})
	stand(b, t, t.stripe.Invoices(ctx, stripeapi.InvoiceFilter{}), func(tx pgx.Tx, in billing.Invoice) error {
		return t.book.ApplyInvoice(ctx, tx, of[in.Customer], in)
	})
	stand(b, t, t.stripe.Charges(ctx, stripeapi.ChargeFilter{}), func(tx pgx.Tx, c billing.Charge) error {
		return t.book.ApplyCharge(ctx, tx, of[c.Customer], c)
	})
	for _, table := range []string{"customers", "subscriptions", "subscription_items", "invoices", "payments"} {
		t.exec(b, "ANALYZE billing."+table)
	}
	t.exec(b, `UPDATE billing.subscriptions SET main = true`)
}

// stand applies a list of facts, many in a transaction.
func stand[T any](b *testing.B, t *till, list iter.Seq2[T, error], apply func(pgx.Tx, T) error) {
	b.Helper()
	var facts []T
	plant := func() {
		must(b, pg.InTx(b.Context(), t.server, func(tx pgx.Tx) error {
			for _, fact := range facts {
				if err := apply(tx, fact); err != nil {
					return err
				}
			}
			return nil
		}))
		facts = facts[:0]
	}
	for fact, err := range list {
		must(b, err)
		if facts = append(facts, fact); len(facts) == together {
			plant()
		}
	}
	plant()
}
