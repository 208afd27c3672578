package stripesync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
)

// fact is what an object is at Stripe.
type fact struct {
	customer string            // whose it is; empty: no customer's
	binds    *billing.Customer // the customer that it is and that may bring its tenant in; nil: it is none, or deleted
	free     bool              // it is applied without a tenant
	leads    []named           // what it names
	apply    func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (reason string, err error)
}

// lead adds an object that the fact names; an empty id names none.
func (f *fact) lead(kind, object string) {
	if object != "" {
		f.leads = append(f.leads, named{kind, object, f.customer})
	}
}

// fetch asks Stripe what the object is now.
func (s *Sync) fetch(ctx context.Context, kind, object string) (fact, error) {
	stripe, book := s.config.Stripe, s.config.Book
	switch kind {
	case Customer:
		c, err := stripe.Customer(ctx, object)
		return s.customer(c), err
	case Subscription:
		sub, err := stripe.Subscription(ctx, object)
		return s.subscription(sub), err
	case Invoice:
		in, err := stripe.Invoice(ctx, object)
		f := fact{customer: in.Customer, apply: applying(book.ApplyInvoice, in)}
		f.lead(Charge, in.Charge)
		return f, err
	case Charge:
		c, err := stripe.Charge(ctx, object)
		return fact{customer: c.Customer, apply: applying(book.ApplyCharge, c)}, err
	case PaymentMethod:
		m, err := stripe.PaymentMethod(ctx, object)
		return s.paymentMethod(m), err
	case CheckoutSession:
		v, err := stripe.CheckoutSession(ctx, object)
		f := fact{customer: v.Customer, apply: func(context.Context, pgx.Tx, id.Tenant) (string, error) { return "", nil }}
		f.lead(Customer, v.Customer)
		f.lead(Subscription, v.Subscription)
		return f, err
	case TestClock:
		c, err := stripe.Clock(ctx, object)
		return s.clock(c), err
	}
	return fact{}, fmt.Errorf("this server follows no %s of Stripe; another version's may", kind)
}

// applying is the applying of what the book takes as it is.
func applying[T any](do func(context.Context, pgx.Tx, id.Tenant, T) error, what T) func(context.Context, pgx.Tx, id.Tenant) (string, error) {
	return func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (string, error) {
		return "", do(ctx, tx, tenant, what)
	}
}

func (s *Sync) customer(c billing.Customer) fact {
	f := fact{customer: c.ID, apply: func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (string, error) {
		known, err := knownTime(ctx, tx, tenant, c)
		if err != nil {
			return "", err
		}
		return "", s.config.Book.ApplyCustomer(ctx, tx, tenant, known)
	}}
	if !c.Deleted {
		f.binds = &c
		f.lead(PaymentMethod, c.DefaultPaymentMethod)
		f.lead(TestClock, c.ClockID)
	}
	return f
}

// forgotten is an invoice that Stripe does not have; reason is why it parks where it was more
// than a draft here.
func (s *Sync) forgotten(h held, reason string) fact {
	return fact{customer: h.Customer, apply: func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (string, error) {
		gone, err := s.config.Book.ForgetInvoice(ctx, tx, tenant, h.Object)
		if err != nil || gone {
			return "", err
		}
		return reason, nil
	}}
}

// unpriced begins the reason of a subscription at a price of nobody's.
const unpriced = "no plan or add-on here has the price "

func (s *Sync) subscription(sub billing.Subscription) fact {
	f := fact{customer: sub.Customer, apply: func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (string, error) {
		unknown, err := s.config.Book.ApplySubscription(ctx, tx, tenant, sub)
		if err != nil || len(unknown) == 0 {
			return "", err
		}
		return unpriced + unknown[0] + ": run `nself billing setup`, or change the subscription at Stripe", nil
	}}
	f.lead(Invoice, sub.LatestInvoice)
	return f
}

func (s *Sync) paymentMethod(m billing.PaymentMethod) fact {
	if m.Customer != "" {
		return fact{customer: m.Customer, apply: applying(s.config.Book.ApplyPaymentMethod, m)}
	}
	return fact{free: true, apply: func(ctx context.Context, tx pgx.Tx, _ id.Tenant) (string, error) {
		return "", s.config.Book.ForgetPaymentMethod(ctx, tx, m.ID)
	}}
}

// clock settles the accounts that live by a test clock. While it moves on nothing is
// applied: once it stands still there is another event.
func (s *Sync) clock(c stripeapi.Clock) fact {
	return fact{free: true, apply: func(ctx context.Context, tx pgx.Tx, _ id.Tenant) (string, error) {
		if c.Status != stripeapi.ClockReady {
			return "", nil
		}
		if err := awaitFacts(ctx, tx, c.ID); err != nil {
			return "", err
		}
		tenants, err := s.config.Book.ApplyClock(ctx, tx, c.ID, c.At)
		if err != nil {
			return "", err
		}
		for _, tenant := range inOrder(tenants) {
			if _, err := s.config.Book.Settle(ctx, tx, tenant); err != nil {
				return "", err
			}
		}
		return "", nil
	}}
}
