package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// overdue answers both of what billing show asks: who the tenant is, and what it buys.
const overdue = `{"data":{"tenants":[{"id":"7d1e","slug":"acme","name":"Acme","status":"active","plan":"pro"}],
 "accounts":[{"state":"past_due","since":"2027-01-01T01:00:00Z","grace_until":"2027-01-08T01:00:00Z","due_at":"2027-01-04T01:00:00Z","reminders":1}],
 "subscriptions":[{"id":"sub_1","status":"past_due","plan":"pro","quantity":3,"amount_minor":"10900","currency":"jpy","current_period_start":"2027-01-01T00:00:00Z","current_period_end":"2027-02-01T00:00:00Z","created_at":"2026-12-01T00:00:00Z"}],
 "customers":[{"id":"cus_1","currency":"jpy","balance_minor":-1250,"default_payment_method":"pm_1","clock_at":"2027-01-02T00:00:00Z"}],
 "payment_methods":[{"id":"pm_1","kind":"card","brand":"visa","last4":"4242","exp_month":2,"exp_year":2030}],
 "addons":[{"addon":"extra-storage","quantity":2}],
 "open_invoices":[{"id":"in_1","number":"A-0002","status":"open","currency":"jpy","remaining_minor":10900,"attempts":1,"next_attempt_at":"2027-01-04T00:00:00Z","hosted_url":"https://pay.example/in_1"}],
 "operations":[{"id":"0a1b","kind":"change_plan","created_at":"2027-01-02T00:00:00Z"}]}}`

func TestBillingShowTellsWhatIsOwedAndWhatComesNext(t *testing.T) {
	const want = `Tenant:       acme
Status:       active
Plan:         pro
Billing:      past_due since 2027-01-01 01:00:00 UTC
Grace until:  2027-01-08 01:00:00 UTC
Next step:    reminder on 2027-01-04 01:00:00 UTC, out of service on 2027-01-08 01:00:00 UTC (¥10,900 at https://pay.example/in_1)
Subscription: sub_1
At Stripe:    past_due
Price:        ¥10,900 a month
Seats:        3
Period:       2027-01-01 00:00:00 UTC to 2027-02-01 00:00:00 UTC
Add-ons:      2 of extra-storage
Pays by:      visa ending 4242, good until 02/2030 (pm_1)
Credit:       ¥1,250
Customer:     cus_1
Test clock:   2027-01-02 00:00:00 UTC
Owes:         ¥10,900 of invoice A-0002, tried once, again on 2027-01-04 00:00:00 UTC, to be paid at https://pay.example/in_1
Under way:    change_plan since 2027-01-02 00:00:00 UTC (operation 0a1b)
`
	if diff := cmp.Diff(want, hasuraSaying(t, overdue).mustDo(t, "billing", "show", "acme")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	json := hasuraSaying(t, overdue).mustDo(t, "billing", "show", "acme", "--json")
	for _, part := range []string{`"slug": "acme"`, `"account": {`, `"amount_minor": 10900`, `"balance_minor": -1250`, `"hosted_url": "https://pay.example/in_1"`} {
		if !strings.Contains(json, part) {
			t.Errorf("no %s in\n%s", part, json)
		}
	}
}

func TestTenantShowTellsHowTheAccountStands(t *testing.T) {
	env := hasuraSaying(t, overdue)
	const want = "Billing:     past_due since 2027-01-01 01:00:00 UTC\nGrace until: 2027-01-08 01:00:00 UTC\nNext step:   reminder on 2027-01-04 01:00:00 UTC, out of service on "
	if out := env.mustDo(t, "tenant", "show", "acme"); !strings.Contains(out, want) {
		t.Errorf("%s", out)
	}
	if out := env.mustDo(t, "tenant", "show", "acme", "--json"); !strings.Contains(out, `"grace_until": "2027-01-08T01:00:00Z"`) || !strings.Contains(out, `"next_step": "reminder on `) {
		t.Errorf("%s", out)
	}
}

func TestTheNextStepFollowsFromTheState(t *testing.T) {
	const bought = `"plan":"pro","amount_minor":9900,"currency":"usd","current_period_end":"2027-02-01T00:00:00Z"`
	for want, rows := range map[string]string{
		"renews on 2027-02-01 00:00:00 UTC for at least $99.00":                                                             `"accounts":[{"state":"active"}],"subscriptions":[{"status":"active",` + bought + `}]`,
		"ends on 2027-02-01 00:00:00 UTC":                                                                                   `"accounts":[{"state":"active"}],"subscriptions":[{"status":"active","cancel_at_period_end":true,` + bought + `}]`,
		"ends on 2027-01-15 00:00:00 UTC":                                                                                   `"accounts":[{"state":"active"}],"subscriptions":[{"status":"active","cancel_at":"2027-01-15T00:00:00Z",` + bought + `}]`,
		"goes from enterprise to pro on 2027-02-01 00:00:00 UTC, $99.00 is charged then":                                    `"accounts":[{"state":"active"}],"subscriptions":[{"status":"active","keeps_plan":"enterprise","keeps_until":"2027-02-01T00:00:00Z",` + bought + `}]`,
		"the trial ends on 2027-01-14 00:00:00 UTC, $99.00 is charged then: a card is needed":                               `"accounts":[{"state":"trialing"}],"subscriptions":[{"status":"trialing","trial_end":"2027-01-14T00:00:00Z",` + bought + `}]`,
		"the first payment ($99.00)":                                                                                        `"accounts":[{"state":"pending"}],"open_invoices":[{"remaining_minor":9900,"currency":"usd"}]`,
		"out of service on 2027-02-08 00:00:00 UTC, unless it subscribes again":                                             `"accounts":[{"state":"canceled","grace_until":"2027-02-08T00:00:00Z","due_at":"2027-02-08T00:00:00Z"}]`,
		"back in service once paid ($99.00 at https://pay.example/in_1)":                                                    `"accounts":[{"state":"suspended"}],"open_invoices":[{"remaining_minor":9900,"currency":"usd","hosted_url":"https://pay.example/in_1"}]`,
		"back in service once it subscribes again":                                                                          `"accounts":[{"state":"suspended"}]`,
		"the plan is free until a card is set (nself billing card set) and the subscription resumed (nself billing resume)": `"accounts":[{"state":"paused"}]`,
		"out of service on 2027-02-08 00:00:00 UTC ($99.00 at https://pay.example/in_1)":                                    `"accounts":[{"state":"past_due","grace_until":"2027-02-08T00:00:00Z"}],"open_invoices":[{"remaining_minor":9900,"currency":"usd","hosted_url":"https://pay.example/in_1"}]`,
	} {
		out := hasuraSaying(t, `{"data":{"tenants":[{"id":"7d1e","slug":"acme"}],`+rows+`}}`).mustDo(t, "billing", "show", "acme")
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%s: no %q in\n%s", rows, want, out)
		}
	}
}

func TestAChangeThatWaitsForSomethingIsNotDone(t *testing.T) {
	unpaid := hasuraSaying(t, `{"data":{"reply":{"operation_id":"0a1b","state":"done","subscription_id":"sub_1","status":"incomplete","plan":"pro","current_period_end":"2027-02-01T00:00:00Z","hosted_invoice_url":"https://pay.example/in_1"}}}`)
	got := unpaid.nself(t, "billing", "subscribe", "acme", "pro")
	if want := (result{exitRefused, "✗ Not yet: Subscribed: acme to pro\n  Status: incomplete\n  Plan:   pro\n  Pay at: https://pay.example/in_1\n", "nself: the first payment of sub_1 has not come\n"}); got != want {
		t.Errorf("%+v", got)
	}
	open := hasuraSaying(t, `{"data":{"reply":{"operation_id":"0a1b","state":"open","status":"active","plan":"pro","current_period_end":"2027-02-01T00:00:00Z"}}}`)
	got = open.nself(t, "billing", "change", "acme", "starter", "--json")
	if got.code != exitRefused || got.err != "nself: operation 0a1b is not done yet; it goes on by itself\n" || !strings.Contains(got.out, `"state": "open"`) {
		t.Errorf("%+v", got)
	}
}

func TestDriftThatIsLeftEndsWithOne(t *testing.T) {
	env := hasuraSaying(t, `{"data":{"tenants":[{"id":"7d1e","slug":"acme"}],"reply":{"customers":2,"subscriptions":1,"invoices":12,"charges":14,"fixed":1,"drift":[
		{"tenant_id":"7d1e","object_id":"in_1","what":"differs: status","here":"open","there":"paid"},{"object_id":"cus_9","what":"of no tenant","there":"eve@example.com"}]}}}`)
	const want = `TENANT  OBJECT  WHAT             HERE  AT STRIPE
acme    in_1    differs: status  open  paid
-       cus_9   of no tenant     -     eve@example.com
  Compared: 2 customers, 1 subscription, 12 invoices, 14 charges
  Fixed:    1 difference
`
	if got := env.nself(t, "billing", "reconcile", "--fix"); got != (result{exitRefused, want, "nself: 2 differences left\n"}) {
		t.Errorf("%+v", got)
	}
	same := hasuraSaying(t, `{"data":{"reply":{"customers":1,"subscriptions":1,"invoices":1,"charges":1,"fixed":0,"drift":[]}}}`)
	if out := same.mustDo(t, "billing", "reconcile", "acme"); out != "✓ Everything is as Stripe has it\n  Compared: 1 customer, 1 subscription, 1 invoice, 1 charge\n" {
		t.Errorf("%s", out)
	}
}

func TestReplayGoesOnWhereTheServerStopped(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		answer := `{"data":{"reply":{"replayed":2000,"applied":1999,"parked":0,"dead":0,"waiting":1,"next":"2027-01-02T00:00:00.5Z"}}}`
		if strings.Contains(string(sent), "2027-01-02T00:00:00.5Z") {
			answer = `{"data":{"reply":{"replayed":7,"applied":7,"parked":0,"dead":0,"waiting":0,"next":null}}}`
		}
		asked.Add(1)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	env := environment{"HASURA_GRAPHQL_ENDPOINT": server.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "hush"}
	const want = "✓ Events followed again: 2,007\n  Objects applied: 2,006\n  Objects parked:  0\n  Objects dead:    0\n  Still to come:   1, by itself\n"
	if out := env.mustDo(t, "billing", "events", "replay", "--since", "2027-01-01"); out != want || asked.Load() != 2 {
		t.Errorf("asked %d times: %s", asked.Load(), out)
	}
}

// A difference of nobody's is told too, and no tenant is asked for.
func TestDriftOfNobodyIsTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		answer := `{"errors":[{"message":"unexpected null value for type 'uuid'","extensions":{"code":"validation-failed"}}]}`
		if strings.Contains(string(asked), "reconcileBilling") {
			answer = `{"data":{"reply":{"customers":1,"subscriptions":0,"invoices":0,"fixed":0,"drift":[{"object_id":"cus_9","what":"of no tenant","there":"eve@example.com"}]}}}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	env := environment{"HASURA_GRAPHQL_ENDPOINT": server.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "hush"}
	got := env.nself(t, "billing", "reconcile")
	if want := "TENANT  OBJECT  WHAT          HERE  AT STRIPE\n-       cus_9   of no tenant  -     eve@example.com\n  Compared: 1 customer, 0 subscriptions, 0 invoices, 0 charges\n"; got != (result{exitRefused, want, "nself: 1 difference left\n"}) {
		t.Errorf("%+v", got)
	}
}

func TestASimulationThatCannotChargeMakesNothing(t *testing.T) {
	var made atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		answer := `{"data":{"plans":[{"code":"pro","price_minor":9900,"currency":"usd"}]}}`
		switch {
		case strings.Contains(string(asked), "mutation"):
			made.Store(true)
			fallthrough
		case strings.Contains(string(asked), "billingEvents"):
			answer = `{"errors":[{"message":"this installation does not charge","extensions":{"code":"billing-disabled"}}]}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	env := environment{"HASURA_GRAPHQL_ENDPOINT": server.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "hush"}
	env.mustRefuse(t, exitRefused, "does not charge", "billing", "simulate")
	if made.Load() {
		t.Error("something was made")
	}
}

func TestEventsThatAreParkedAgainEndWithOne(t *testing.T) {
	env := hasuraSaying(t, `{"data":{"reply":{"replayed":3,"applied":1,"parked":1,"dead":0}}}`)
	got := env.nself(t, "billing", "events", "replay", "--since", "24h")
	if want := (result{exitRefused, "✗ Events followed again: 3\n  Objects applied: 1\n  Objects parked:  1\n  Objects dead:    0\n",
		"nself: 1 object still not applied; nself billing events list --state parked tells why\n"}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestTheSecretOfAWebhookIsToldWhereItWasMade(t *testing.T) {
	const prices = `"prices":[{"plan":"pro","price_id":"price_1","amount_minor":9900,"currency":"usd","state":"made"},{"addon":"seats","price_id":"price_2","amount_minor":1250,"currency":"kwd","state":"unchanged"}]`
	const table = "OF            PRICE      AT STRIPE  STATE\nplan pro      $99.00     price_1    made\nadd-on seats  KWD 1.250  price_2    unchanged\n"
	made := hasuraSaying(t, `{"data":{"reply":{`+prices+`,"webhook_endpoint":"we_1","webhook_state":"made","webhook_secret":"whsec_1"}}}`)
	if out := made.mustDo(t, "billing", "setup", "--webhook-url", "https://a.example/webhooks/stripe"); !strings.HasPrefix(out, table+"✓ Webhook endpoint we_1: made\n  Its secret, told this once: whsec_1\n") {
		t.Errorf("%s", out)
	}
	again := hasuraSaying(t, `{"data":{"reply":{`+prices+`,"webhook_endpoint":"we_1","webhook_state":"unchanged"}}}`)
	if out := again.mustDo(t, "billing", "setup"); out != table+"✓ Webhook endpoint we_1: unchanged\n" {
		t.Errorf("%s", out)
	}
}

func TestAListSaysWhereThereIsMore(t *testing.T) {
	env := hasuraSaying(t, `{"data":{"tenants":[{"id":"7d1e","slug":"acme"}],"rows":[
		{"id":"ch_2","invoice_id":"in_2","status":"succeeded","amount_minor":9900,"refunded_minor":900,"currency":"usd","brand":"visa","last4":"4242","created_at":"2027-01-02T00:00:00Z"},
		{"id":"ch_1","invoice_id":"in_1","status":"failed","amount_minor":9900,"currency":"usd","failure_code":"card_declined","failure_message":"Your card was declined.","created_at":"2027-01-01T00:00:00Z"}]}}`)
	got := env.nself(t, "billing", "payments", "acme", "--limit", "1")
	if want := (result{exitDone, "PAYMENT  INVOICE  STATUS     AMOUNT  REFUNDED  CARD       AT                       FAILURE\n" +
		"ch_2     in_2     succeeded  $99.00  $9.00     visa 4242  2027-01-02 00:00:00 UTC  -\n",
		"nself: these are the 1 newest, and there are more; --limit 0 lists all\n"}); got != want {
		t.Errorf("%+v", got)
	}
	if out := env.mustDo(t, "billing", "payments", "acme"); !strings.Contains(out, "Your card was declined. (card_declined)\n") {
		t.Errorf("%s", out)
	}
}

func TestASimulationChangesThePlanInMonthsThatAreLeft(t *testing.T) {
	for _, c := range []struct{ months, failIn, there, back int }{{12, 5, 7, 11}, {12, 0, 6, 11}, {4, 0, 2, 3}, {4, 2, 0, 0}, {1, 0, 0, 0}, {5, 3, 2, 4}} {
		s := simulation{months: c.months, failIn: c.failIn, otherPlan: "enterprise"}
		if there, back := s.changes(); there != c.there || back != c.back {
			t.Errorf("%d months, %d fails: %d and %d, want %d and %d", c.months, c.failIn, there, back, c.there, c.back)
		}
	}
	plans := []plan{{Code: "free", Currency: "usd"}, {Code: "starter", PriceMinor: 29, Currency: "usd"}, {Code: "pro", PriceMinor: 99, Currency: "usd"},
		{Code: "enterprise", PriceMinor: 499, Currency: "usd"}, {Code: "huge", PriceMinor: 999, Currency: "usd"}, {Code: "euro", PriceMinor: 150, Currency: "eur"}}
	for n, want := range map[int]string{1: "pro", 2: "enterprise", 3: "huge", 4: "enterprise", 5: ""} {
		if got := otherPlan(plans, plans[n]); got != want {
			t.Errorf("beside %s: %q, want %q", plans[n].Code, got, want)
		}
	}
}
