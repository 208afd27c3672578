package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripeapi"
)

// key is an idempotency key that was not used before.
func (t *till) key() string { return fmt.Sprintf("bench:%d", t.serial.Add(1)) }

// price is Stripe's id of a plan's price.
func (t *till) price(b *testing.B, plan string) string {
	b.Helper()
	var price string
	must(b, t.super.QueryRow(b.Context(), `SELECT price_id FROM billing.prices WHERE plan = $1 AND active`, plan).Scan(&price))
	return price
}

// buy is the least that Stripe has to be asked for a customer with a card and a
// subscription: four calls.
func (t *till) buy(b *testing.B, origin stripeapi.Origin, price string) billing.Subscription {
	b.Helper()
	ctx := b.Context()
	customer, err := t.stripe.CreateCustomer(ctx, t.key(), stripeapi.CustomerInput{Origin: origin, Email: "owner@example.com", Name: "Owner"})
	must(b, err)
	card, err := t.stripe.AttachPaymentMethod(ctx, t.key(), "pm_card_visa", customer.ID)
	must(b, err)
	_, err = t.stripe.UpdateCustomer(ctx, t.key(), customer.ID, stripeapi.CustomerChange{DefaultPaymentMethod: card.ID})
	must(b, err)
	made, err := t.stripe.CreateSubscription(ctx, t.key(), stripeapi.SubscriptionInput{
		Origin: origin, Customer: customer.ID, Items: []stripeapi.SubscriptionItem{{Price: price, Quantity: 1}},
	})
	must(b, err)
	return made
}

// sample is an event of a purchase, and the id of what it is about.
func (t *till) sample(b *testing.B, kind string) (event stripe.Event, object string) {
	b.Helper()
	t.buy(b, stripeapi.Origin{}, t.price(b, "pro"))
	all := t.there.Events()
	i := slices.IndexFunc(all, func(e stripe.Event) bool { return e.Type == kind })
	if i < 0 {
		b.Fatalf("a purchase makes no %s", kind)
	}
	var body struct {
		Data struct{ Object struct{ ID string } }
	}
	must(b, json.Unmarshal(all[i].Body, &body))
	return all[i], body.Data.Object.ID
}

// crowdSQL makes tenants on the free plan, with an owner each. No trigger looks at them.
const crowdSQL = `
SET LOCAL session_replication_role = replica;
INSERT INTO auth.users (id, email)
  SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n || '@example.com' FROM generate_series(%[1]d, %[2]d) n;
INSERT INTO tenants.tenants (id, slug, name, plan, owner_user_id)
  SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'tenant-' || n, 'Tenant ' || n, 'free',
    ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid FROM generate_series(%[1]d, %[2]d) n;
INSERT INTO tenants.tenant_members (tenant_id, user_id, role)
  SELECT id, owner_user_id, 'owner' FROM tenants.tenants WHERE slug IN (SELECT 'tenant-' || n FROM generate_series(%[1]d, %[2]d) n);`

// crowd makes so many tenants, and gives the sessions of their owners.
func (t *till) crowd(b *testing.B, count int) []session.Session {
	b.Helper()
	first := t.people + 1
	t.people += count
	conn, err := t.super.Acquire(b.Context())
	must(b, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(b.Context(), fmt.Sprintf(crowdSQL, first, t.people)).ReadAll()
	must(b, err)
	made := make([]session.Session, count)
	for i := range made {
		made[i] = ownerOf(b, first+i)
		made[i].ID = id.Session{} // nobody signed in
	}
	return made
}
