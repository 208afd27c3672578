package billing_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nself/tenancy/internal/billing"
)

// rowsSQL is all that facts leave behind, without what tells when it was looked at.
const rowsSQL = `
SELECT k.kind || ' ' || (k.row - '{tenant_id,updated_at,suspended_at}'::text[])::text FROM (
	SELECT 'account' AS kind, to_jsonb(a) AS row FROM billing.accounts a WHERE tenant_id = $1
	UNION ALL SELECT 'customer', to_jsonb(a) FROM billing.customers a WHERE tenant_id = $1
	UNION ALL SELECT 'subscription', to_jsonb(a) FROM billing.subscriptions a WHERE tenant_id = $1
	UNION ALL SELECT 'item', to_jsonb(a) FROM billing.subscription_items a WHERE tenant_id = $1
	UNION ALL SELECT 'invoice', to_jsonb(a) FROM billing.invoices a WHERE tenant_id = $1
	UNION ALL SELECT 'payment', to_jsonb(a) FROM billing.payments a WHERE tenant_id = $1
	UNION ALL SELECT 'payment method', to_jsonb(a) FROM billing.payment_methods a WHERE tenant_id = $1
	UNION ALL SELECT 'add-on', to_jsonb(a) FROM billing.tenant_addons a WHERE tenant_id = $1
	UNION ALL SELECT 'cycle', to_jsonb(a) FROM billing.billing_cycles a WHERE tenant_id = $1
	UNION ALL SELECT 'tenant', jsonb_build_object('plan', t.plan, 'status', t.status,
		'own', t.suspended_at IS NOT DISTINCT FROM a.suspended_at)
		FROM tenants.tenants t LEFT JOIN billing.accounts a ON a.tenant_id = t.id WHERE t.id = $1) k
ORDER BY 1`

// end applies the facts in this order, some of them twice, and returns what they leave.
func (w world) end(t *testing.T, facts []any) (rows []string, repeated string) {
	t.Helper()
	outer := w.tx
	nested, err := outer.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.tx = nested
	w.apply(t, facts...)
	w.apply(t, facts[len(facts)/2])
	rows = w.texts(t, rowsSQL, w.team.ID)
	seen := map[string]bool{}
	for _, mail := range w.mails(t) {
		text, _ := json.Marshal(mail)
		if seen[string(text)] {
			repeated = string(text)
		}
		seen[string(text)] = true
	}
	if err := nested.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rows, repeated
}

// history draws facts such as a customer's years at Stripe may leave: the present state of
// each object, of which some contradict others, as they do while changes are under way.
func history(r *rapid.T) []any {
	days := rapid.IntRange(0, 90).Draw(r, "clock")
	facts := []any{start.Add(time.Duration(days) * day), start.Add(time.Duration(days/2) * day)}
	statuses := []string{"incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused", "canceled"}
	for n := range rapid.IntRange(1, 3).Draw(r, "subscriptions") {
		name := fmt.Sprintf("sub_%d", n)
		s := subscription(name, rapid.SampledFrom(statuses).Draw(r, name))
		began := time.Duration(rapid.IntRange(0, 20).Draw(r, "began")) * day
		s.CreatedAt, s.AnchorAt, s.CurrentPeriodStart, s.CurrentPeriodEnd = start.Add(began), start.Add(began), start.Add(began), start.Add(began+30*day)
		s.Items[0].Price = rapid.SampledFrom([]string{"price_pro", "price_starter"}).Draw(r, "price")
		if rapid.Bool().Draw(r, "add-on") {
			s.Items = append(s.Items, billing.Item{ID: "si_more_" + name, Price: "price_storage", AmountMinor: 500, Quantity: rapid.Int64Range(1, 3).Draw(r, "quantity")})
		}
		if rapid.Bool().Draw(r, "keeps") {
			s.KeepsPlan, s.KeepsUntil = "enterprise", s.CurrentPeriodEnd
		}
		if s.Status == "trialing" || rapid.Bool().Draw(r, "tried") {
			s.TrialEnd = s.CreatedAt.Add(14 * day)
		}
		if s.Status == "canceled" {
			s.EndedAt = s.CreatedAt.Add(time.Duration(rapid.IntRange(0, 60).Draw(r, "ended")) * day)
		}
		for i := range rapid.IntRange(0, 3).Draw(r, "invoices") {
			in := invoice(fmt.Sprintf("in_%d_%d", n, i), name, rapid.SampledFrom([]string{"draft", "open", "paid", "void", "uncollectible"}).Draw(r, "invoice"),
				s.CreatedAt.Add(time.Duration(rapid.IntRange(0, 60).Draw(r, "finalized"))*day))
			in.Reason = rapid.SampledFrom([]string{"subscription_create", "subscription_cycle"}).Draw(r, "reason")
			in.Attempts = rapid.IntRange(0, 4).Draw(r, "attempts")
			in.ActionRequired = rapid.Bool().Draw(r, "action")
			if s.Status == "past_due" || s.Status == "unpaid" {
				in.Status, in.Attempts = "open", 1 // what is overtaken stays as it was, whatever that is
			}
			s.LatestInvoice = in.ID
			facts = append(facts, in)
			if rapid.Bool().Draw(r, "charged") {
				facts = append(facts, billing.Charge{
					ID: "ch_" + in.ID, Invoice: in.ID, Status: rapid.SampledFrom([]string{"failed", "succeeded"}).Draw(r, "charge"),
					AmountMinor: 9900, Currency: "usd", CreatedAt: in.CreatedAt.Add(day),
				})
			}
		}
		facts = append(facts, s)
	}
	return append(facts, billing.PaymentMethod{ID: "pm_1", Customer: "cus_1", Kind: "card", Brand: "visa", Last4: "4242", ExpMonth: 4, ExpYear: 2030, CreatedAt: start})
}

func TestTheOrderOfFactsMakesNoDifference(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		facts := history(r)
		want, repeated := w.end(t, facts)
		if repeated != "" {
			r.Fatalf("told twice: %s", repeated)
		}
		order := rapid.Permutation(facts).Draw(r, "order")
		got, repeated := w.end(t, order)
		if repeated != "" {
			r.Fatalf("told twice: %s", repeated)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("%+v\n%s", order, diff)
		}
	})
}
