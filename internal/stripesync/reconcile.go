package stripesync

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/billing"
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
	Charges       int     // the same
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
	leads          []named   // what the object names
}

func (d Drift) object() named { return named{d.kind, d.ObjectID, d.customer} }

// lead adds what the object names; an empty id names nothing.
func (d *Drift) lead(kind, object string) {
	if object != "" {
		d.leads = append(d.leads, named{kind, object, d.customer})
	}
}

// curable reports whether following the object again can help.
func (d Drift) curable() bool {
	switch d.What {
	case GoneThere:
		return d.kind == Invoice && d.Here == billing.InvoiceDraft
	case SecondSubscription, OfNoTenant, differs + "tenant":
		return false
	}
	return true
}

// followOrder has a customer come before what is its.
var followOrder = map[string]int{Customer: 1, Subscription: 2, Invoice: 3, Charge: 4}

func inTurn(a, b Drift) int {
	return cmp.Or(cmp.Compare(followOrder[a.kind], followOrder[b.kind]), strings.Compare(a.ObjectID, b.ObjectID), strings.Compare(a.What, b.What))
}

// Reconcile goes once through Stripe's lists (of one tenant: those of its customer),
// compares them with the rows here, and writes what differs to billing.drift in place of
// what was found before; what is of no tenant is in the report alone. What an event is on
// the way for is no difference. With Fix it follows each object that differs and binds a
// customer of no tenant where its metadata names a tenant that has none and that no other
// customer names; what is left after that is the report's. Where ctx is about to end it
// mends no more, and what it did not look at again is left as it was found.
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
	_, err = s.hintAll(ctx, append(curables(report.Drift), priced...))
	return int64(len(report.Drift)), err
}

// curables are the objects to follow again, in the order of the differences, and after them
// what they name, which may be lost here although it was followed once; each once.
func curables(drift []Drift) []named {
	var objects, leads []named
	met := make(map[string]bool, len(drift))
	for _, d := range drift {
		if d.curable() && !met[d.ObjectID] {
			met[d.ObjectID] = true
			objects, leads = append(objects, d.object()), append(leads, d.leads...)
		}
	}
	for _, lead := range leads {
		if !met[lead.id] {
			met[lead.id] = true
			objects = append(objects, lead)
		}
	}
	return objects
}
