package stripesync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// invoiceAge is how far back invoices are compared.
const invoiceAge = 90 * 24 * time.Hour

// ReconcileInput says what is compared.
type ReconcileInput struct {
	Tenant   *id.Tenant     // nil: everything
	Fix      bool           // apply what differs, and bind customers that only one tenant can be meant by
	Progress func(done int) // told how many of Stripe's objects were compared; nil: nobody is
}

// Report is what a reconciliation found.
type Report struct {
	Customers     int // at Stripe, as the following two
	Subscriptions int
	Invoices      int     // of the last 90 days
	Drift         []Drift // what is left
	Fixed         int     // how many differences were there and are no more
}

// What a difference can be, beside "differs: <field>".
const (
	MissingHere        = "missing here"
	GoneThere          = "gone there"
	OfNoTenant         = "of no tenant"
	SecondSubscription = "second subscription"
	ChargedNotApplied  = "charged but not applied"
)

// Drift is one difference between Stripe and the rows here.
type Drift struct {
	TenantID id.Tenant // zero: of no tenant
	ObjectID string
	What     string
	Here     string // empty: nothing
	There    string // the same

	kind, customer string
	claim          id.Tenant // of a customer of no tenant: whom its metadata names
}

func (d Drift) object() named { return named{d.kind, d.ObjectID, d.customer} }

// curable reports whether following the object again can help.
func (d Drift) curable() bool {
	return d.What != GoneThere && d.What != SecondSubscription && d.What != OfNoTenant && d.What != differs+"tenant"
}

// Reconcile goes once through Stripe's lists (of one tenant: those of its customer),
// compares them with the rows here, and writes what differs to billing.drift in place of
// what was found before; what is of no tenant is in the report alone. What an event is on
// the way for is no difference. With Fix it follows each object that differs and binds a
// customer of no tenant where its metadata names a tenant that has none and that no other
// customer names; what is left after that is the report's.
func (s *Sync) Reconcile(ctx context.Context, in ReconcileInput) (Report, error) {
	c, err := s.compare(ctx, in.Tenant, in.Progress)
	if err != nil {
		return Report{}, pg.Explain(err)
	}
	if in.Fix {
		if c.report.Drift, c.report.Fixed, err = s.fix(ctx, c); err != nil {
			return Report{}, pg.Explain(err)
		}
	} else if c.report.Drift, err = s.settled(ctx, c); err != nil {
		return Report{}, pg.Explain(err)
	}
	second, err := s.secondSubscriptions(ctx, in.Tenant)
	if err != nil {
		return Report{}, pg.Explain(err)
	}
	c.report.Drift = append(c.report.Drift, second...)
	if err := s.writeDrift(ctx, in.Tenant, c.report.Drift); err != nil {
		return Report{}, pg.Explain(err)
	}
	return c.report, nil
}

// ReconcileRoutine compares everything and has the queue follow each object that differs,
// and those that waited for a price which is known by now. It returns how many differences
// it found. The database is the Sync's own.
func (s *Sync) ReconcileRoutine(ctx context.Context, _ pg.DB) (int64, error) {
	report, err := s.Reconcile(ctx, ReconcileInput{})
	if err != nil {
		return 0, fmt.Errorf("compare Stripe with the rows here: %w", err)
	}
	priced, err := s.nowPriced(ctx, nil)
	if err != nil {
		return int64(len(report.Drift)), err
	}
	for _, object := range append(curables(report.Drift), priced...) {
		if err := s.hintAt(ctx, object); err != nil {
			return int64(len(report.Drift)), err
		}
	}
	return int64(len(report.Drift)), nil
}

// curables are the objects to follow again, each once. A customer comes before what is its.
func curables(drift []Drift) []named {
	var objects []named
	for _, d := range drift {
		if d.curable() && !slices.Contains(objects, d.object()) {
			objects = append(objects, d.object())
		}
	}
	return objects
}
