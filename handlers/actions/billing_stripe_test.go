package actions_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

// shop is a house that charges, at the stand-in for Stripe, where its plans have prices.
type shop struct {
	house
	stripe *stripe.Server
	line   *line
	team   pgtest.Team
	logs   *bytes.Buffer
}

// line is the way to Stripe, which may be slow.
type line struct {
	http.RoundTripper
	delay atomic.Int64 // of each call, in nanoseconds
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Duration(l.delay.Load()))
	return l.RoundTripper.RoundTrip(r)
}

const publishable = "pk_test_shown"

func newShop(t testing.TB) shop {
	t.Helper()
	s := shop{house: newHouse(t), logs: &bytes.Buffer{}}
	standIn, err := stripe.New(stripe.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.line = &line{RoundTripper: standIn.Transport()}
	client, err := stripeapi.New(stripeapi.Config{Key: "sk_test_doors", HTTP: &http.Client{Transport: s.line}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(s.logs, nil))
	follow := stripesync.New(stripesync.Config{
		DB: s.db, Stripe: client, Book: billing.New(billing.Rules{Grace: 168 * time.Hour}, nil), Log: log,
		Push: func(context.Context, pgx.Tx, ...string) error { return nil },
	})
	desk := purchase.New(purchase.Config{
		DB: s.db, Stripe: client, Sync: follow, Events: stripesync.Types(), BaseDomain: "example.com", PublishableKey: publishable, Log: log,
		Push: func(context.Context, pgx.Tx, id.Tenant, id.Operation) error { return nil },
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs.String())
		}
	})
	s.follow(t, follow)
	s.stripe = standIn
	s.router = handlers.New(handlers.Config{
		DB: s.db, Actions: actions.Config{Tenants: pgtest.Defaults, Minter: s.minter, BaseDomain: "example.com", Links: pages{}, Billing: desk, StripeSync: follow},
		WebhookSecrets: []string{secret}, MaxBodyBytes: 1 << 20, RequestTimeout: 20 * time.Second,
		Metrics: prometheus.NewRegistry(), Log: log,
	})
	if _, err := s.under.Superuser(t).Exec(t.Context(), `INSERT INTO billing.addons (code, name, price_minor) VALUES ('extra-storage', 'Extra storage', 500)`); err != nil {
		t.Fatal(err)
	}
	s.must(t, pgtest.Operator, "setupBilling", nil)
	s.team = pgtest.NewTeam(t, s.db)
	return s
}

// follow does the work of the queue until the test ends: what is hinted at is followed.
func (s shop) follow(t testing.TB, sync *stripesync.Sync) {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			waiting, _ := pg.Scalar[[]string](ctx, s.db, `SELECT coalesce(array_agg(object_id), '{}') FROM billing.stripe_objects WHERE state = 'waiting'`, nil)
			for _, object := range waiting {
				_ = sync.Object(ctx, object) // where it is another's just now, the next round finds it
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

// own calls an action as the tenant's owner, who may.
func (s shop) own(t testing.TB, action string, input map[string]any) map[string]any {
	t.Helper()
	return s.must(t, owner(s.team), action, input)
}

func (s shop) paid(t testing.TB) map[string]any {
	t.Helper()
	return s.own(t, "subscribe", map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa"})
}

func TestAnOwnerSubscribesChangesThePlanCancelsAndResumes(t *testing.T) {
	s := newShop(t)
	if got := s.own(t, "billingStanding", nil); got["state"] != "none" || got["plan"] != nil || got["since"] != nil {
		t.Errorf("before anything: %v", got)
	}
	bought := s.paid(t)
	if bought["state"] != "done" || bought["status"] != "active" || bought["plan"] != "pro" || bought["publishableKey"] != publishable ||
		bought["nextPlan"] != nil || bought["cancelAtPeriodEnd"] != false || bought["clientSecret"] != nil || bought["hostedInvoiceUrl"] != nil {
		t.Errorf("bought %v", bought)
	}
	standing := s.own(t, "billingStanding", nil)
	if standing["state"] != "active" || standing["plan"] != "pro" || standing["status"] != "active" || standing["currency"] != "usd" ||
		standing["currentPeriodEnd"] != bought["currentPeriodEnd"] || standing["since"] == nil {
		t.Errorf("stands %v", standing)
	}
	s.refused(t, "already-subscribed", owner(s.team), "subscribe", map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa"})
	if got := s.own(t, "changePlan", map[string]any{"plan": "enterprise"}); got["plan"] != "enterprise" || got["subscriptionId"] != bought["subscriptionId"] {
		t.Errorf("changed %v", got)
	}
	if got := s.own(t, "changePlan", map[string]any{"plan": "pro"}); got["plan"] != "enterprise" || got["nextPlan"] != "pro" {
		t.Errorf("agreed on a cheaper one: %v", got)
	}
	if got := s.own(t, "changePlan", map[string]any{"plan": "enterprise"}); got["plan"] != "enterprise" || got["nextPlan"] != nil {
		t.Errorf("and took that back: %v", got)
	}
	if got := s.own(t, "cancelSubscription", nil); got["cancelAtPeriodEnd"] != true || got["status"] != "active" {
		t.Errorf("cancelled for the end of the period: %v", got)
	}
	if got := s.own(t, "resumeSubscription", nil); got["cancelAtPeriodEnd"] != false {
		t.Errorf("resumed: %v", got)
	}
	if got := s.own(t, "setPaymentMethod", map[string]any{"paymentMethod": "pm_card_mastercard"}); got["state"] != "done" {
		t.Errorf("another card: %v", got)
	}
	if got := s.own(t, "cancelSubscription", map[string]any{"atPeriodEnd": false}); got["status"] != "canceled" {
		t.Errorf("cancelled at once: %v", got)
	}
	s.refused(t, "wrong-status", owner(s.team), "resumeSubscription", nil)
}

func TestTheSameKeyAnswersWithTheSameOperationAndChargesOnce(t *testing.T) {
	s := newShop(t)
	input := map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa", "idempotencyKey": "once"}
	first, second := s.own(t, "subscribe", input), s.own(t, "subscribe", input)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("first (-) and second (+):\n%s", diff)
	}
	if charges := s.stripe.Charges(); len(charges) != 1 {
		t.Errorf("charged %v", charges)
	}
	input["plan"] = "enterprise"
	s.refused(t, "idempotency-key-reused", owner(s.team), "subscribe", input)
	if kept := s.count(t, `SELECT count(*) FROM nself.idempotency_keys WHERE action = 'subscribe' AND reply::text NOT LIKE '%pk_%' AND reply::text NOT LIKE '%http%'`); kept != 1 {
		t.Errorf("%d replies are kept without what nobody keeps", kept)
	}
}

func TestOfARefusedCardTheReplySaysWhereToPay(t *testing.T) {
	s := newShop(t)
	got := s.own(t, "subscribe", map[string]any{"plan": "pro", "paymentMethod": "pm_card_chargeCustomerFail"})
	address, _ := got["hostedInvoiceUrl"].(string)
	if got["state"] != "done" || got["status"] != "incomplete" || address == "" {
		t.Errorf("%v", got)
	}
	if standing := s.own(t, "billingStanding", nil); standing["state"] != "pending" {
		t.Errorf("stands %v", standing)
	}
}

func TestAChangeThatCannotBePaidIsRefusedAndNothingChanges(t *testing.T) {
	s := newShop(t)
	s.paid(t)
	s.own(t, "setPaymentMethod", map[string]any{"paymentMethod": "pm_card_chargeCustomerFail"})
	got := s.refused(t, "payment-failed", owner(s.team), "changePlan", map[string]any{"plan": "enterprise"})
	if got.status != http.StatusPaymentRequired {
		t.Errorf("%d %v", got.status, got.body)
	}
	if standing := s.own(t, "billingStanding", nil); standing["plan"] != "pro" || standing["state"] != "active" {
		t.Errorf("stands %v", standing)
	}
}

func TestNobodyPaysWithAnothersCardOrForAnotherTenant(t *testing.T) {
	s := newShop(t)
	s.paid(t)
	var theirs string
	if err := s.under.Superuser(t).QueryRow(t.Context(), `SELECT stripe_id FROM billing.payment_methods`).Scan(&theirs); err != nil {
		t.Fatal(err)
	}
	other := pgtest.NewTeam(t, s.db)
	stolen := s.refused(t, "not-found", owner(other), "subscribe", map[string]any{"plan": "pro", "paymentMethod": theirs})
	invented := s.refused(t, "not-found", owner(other), "subscribe", map[string]any{"plan": "pro", "paymentMethod": "pm_invented"})
	told := strings.ReplaceAll(stolen.body["message"].(string), theirs, "it")
	if want := strings.ReplaceAll(invented.body["message"].(string), "pm_invented", "it"); told != want {
		t.Errorf("another's card is told apart: %q, %q", told, want)
	}
	for action, input := range map[string]map[string]any{
		"cancelSubscription": {}, "changePlan": {"plan": "enterprise"}, "billingStanding": {}, "createPortalSession": {},
	} {
		input["tenant"] = s.team.Slug
		s.refused(t, "not-found", owner(other), action, input)
	}
	s.refused(t, "no-subscription", owner(other), "cancelSubscription", nil)
}

func TestPagesOfStripesLeadBackToTheTenantAlone(t *testing.T) {
	s := newShop(t)
	page := s.own(t, "createCheckoutSession", map[string]any{"plan": "pro"})
	if address, _ := page["url"].(string); !strings.HasPrefix(address, "http") || page["expiresAt"] == nil {
		t.Errorf("%v", page)
	}
	s.refused(t, "invalid-input", owner(s.team), "createCheckoutSession", map[string]any{"plan": "pro", "successUrl": "https://evil.test/"})
	s.refused(t, "invalid-input", owner(s.team), "createPortalSession", map[string]any{"returnUrl": "https://example.com@evil.test/"})
	s.paid(t)
	if address, _ := s.own(t, "createPortalSession", nil)["url"].(string); !strings.HasPrefix(address, "http") {
		t.Errorf("portal at %q", address)
	}
}

func TestTheOperatorBuysForATenantThatIsNamed(t *testing.T) {
	s := newShop(t)
	s.refused(t, "tenant-required", pgtest.Operator, "subscribe", map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa"})
	got := s.must(t, pgtest.Operator, "subscribe", map[string]any{"tenant": s.team.Slug, "plan": "pro", "paymentMethod": "pm_card_visa"})
	if got["status"] != "active" {
		t.Errorf("%v", got)
	}
	if standing := s.own(t, "billingStanding", nil); standing["plan"] != "pro" {
		t.Errorf("stands %v", standing)
	}
}

func TestEveryWrongArgumentOfAChangeIsTold(t *testing.T) {
	s := newShop(t)
	for action, c := range map[string]struct {
		input map[string]any
		field string
	}{
		"subscribe":             {map[string]any{"plan": "Pro plan"}, "plan"},
		"changePlan":            {map[string]any{}, "plan"},
		"setAddon":              {map[string]any{"addon": "extra-storage", "quantity": -1}, "quantity"},
		"setPaymentMethod":      {map[string]any{"paymentMethod": "pm/../1"}, "paymentMethod"},
		"cancelSubscription":    {map[string]any{"atPeriodEnd": "no"}, "atPeriodEnd"},
		"resumeSubscription":    {map[string]any{"idempotencyKey": ""}, "idempotencyKey"},
		"createCheckoutSession": {map[string]any{"plan": "pro", "cancelUrl": "javascript:alert(1)"}, "cancelUrl"},
	} {
		got := s.refused(t, "invalid-input", owner(s.team), action, c.input)
		problem := got.body["extensions"].(map[string]any)["problems"].([]any)[0].(map[string]any)
		if problem["field"] != c.field {
			t.Errorf("%s: %v", action, problem)
		}
	}
	for action, input := range map[string]map[string]any{
		"billingEvents": {"state": "lost"}, "replayBillingEvents": {}, "startBillingClock": {"tenant": s.team.Slug},
	} {
		s.refused(t, "invalid-input", pgtest.Operator, action, input)
	}
	s.refused(t, "invalid-input", pgtest.Operator, "billingEvents", map[string]any{"limit": 1001})
	s.refused(t, "not-found", pgtest.Operator, "reconcileBilling", map[string]any{"tenant": "", "fix": true})
	s.refused(t, "not-found", pgtest.Operator, "billingEvents", map[string]any{"tenant": "nobody-here"})
}
