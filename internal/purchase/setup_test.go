package purchase_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

func (w *world) setup(t *testing.T, in purchase.SetupInput) (purchase.SetupReport, map[string]string) {
	t.Helper()
	report, err := w.desk(t, nil).Setup(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, p := range report.Prices {
		states[p.Plan+p.Addon] = p.State
	}
	return report, states
}

func TestSetupMakesWhatIsSoldAndThenNothing(t *testing.T) {
	w := newWorld(t) // runs it once
	hook := purchase.SetupInput{WebhookURL: "https://auth.example.com/webhooks/stripe"}
	report, states := w.setup(t, hook)
	all := map[string]string{"starter": "unchanged", "pro": "unchanged", "enterprise": "unchanged", "extra-storage": "unchanged"}
	if diff := cmp.Diff(all, states); diff != "" {
		t.Error(diff)
	}
	if report.WebhookState != "created" || report.WebhookSecret == "" || report.WebhookEndpoint == "" {
		t.Errorf("%+v", report)
	}
	again, _ := w.setup(t, hook)
	if again.WebhookState != "unchanged" || again.WebhookSecret != "" || again.WebhookEndpoint != report.WebhookEndpoint {
		t.Errorf("%+v", again)
	}
	endpoints := collect(t, w.client(t).WebhookEndpoints(t.Context()))
	if len(endpoints) != 1 || endpoints[0].APIVersion != stripeapi.Version || !cmp.Equal(endpoints[0].Events, stripesync.Types()) {
		t.Errorf("%+v", endpoints)
	}
	if _, err := w.desk(t, nil).Setup(t.Context(), purchase.SetupInput{WebhookURL: "nowhere"}); !fault.Is(err, fault.InvalidInput) {
		t.Errorf("an endpoint nowhere: %v", err)
	}
}

func TestAChangedPriceIsForNewSubscribersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early, late := w.team(t), w.team(t)
	w.must(t, early, buyPro)
	w.exec(t, `UPDATE billing.plans SET price_minor = 12900 WHERE code = 'pro'`)
	if _, states := w.setup(t, purchase.SetupInput{}); states["pro"] != "replaced" || states["starter"] != "unchanged" {
		t.Errorf("%v", states)
	}
	w.must(t, late, buyPro)
	w.pays(t, early, 9900)
	w.pays(t, late, 12900)
	if item := w.main(t, early).Items[0]; item.AmountMinor != 9900 || w.plan(t, early) != "pro" {
		t.Errorf("%+v", item)
	}
	w.exec(t, `UPDATE billing.plans SET price_minor = 9900 WHERE code = 'pro'`)
	if _, states := w.setup(t, purchase.SetupInput{}); states["pro"] != "replaced" {
		t.Errorf("back: %v", states)
	}
	prices := collect(t, w.client(t).Prices(t.Context(), stripeapi.PriceFilter{Product: "nself_plan_pro"}))
	if len(prices) != 3 {
		t.Errorf("%d prices: %+v", len(prices), prices)
	}
	if n := scan[int](t, w, `SELECT count(*) FROM billing.prices WHERE plan = 'pro'`); n != 3 {
		t.Errorf("%d prices are known", n)
	}
}

func TestSetupGoesOnWhereItWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET price_minor = price_minor + 100 WHERE price_minor > 0`)
	for nth := 1; ; nth++ {
		way := &trouble{nth: nth, what: lostAfter}
		if _, err := w.desk(t, way).Setup(t.Context(), purchase.SetupInput{}); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatalf("call %d: %v", nth, err)
		}
		if way.calls < nth {
			break
		}
	}
	_, states := w.setup(t, purchase.SetupInput{})
	for what, state := range states {
		if state != "unchanged" {
			t.Errorf("%s is %s", what, state)
		}
	}
	if prices := collect(t, w.client(t).Prices(t.Context(), stripeapi.PriceFilter{Product: "nself_plan_pro"})); len(prices) != 2 {
		t.Errorf("%d prices of pro", len(prices))
	}
}

func TestAPriceThatStripeTakesInPartIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `INSERT INTO billing.plans (code, name, price_minor, currency) VALUES ('dinar', 'Dinar', 9905, 'kwd')`)
	_, err := w.desk(t, nil).Setup(t.Context(), purchase.SetupInput{})
	contains(t, err, "plan dinar costs 9905")
	if !fault.Is(err, fault.InvalidInput) {
		t.Error(err)
	}
}
