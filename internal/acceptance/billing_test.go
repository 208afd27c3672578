package acceptance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	subscribeIt = `mutation($p: String!, $c: String) { subscribe(plan: $p, paymentMethod: $c) { state status plan } }`
	cardIt      = `mutation($c: String!) { setPaymentMethod(paymentMethod: $c) { state status } }`
	standingIt  = `{ billingStanding { state graceUntil plan status } }`
	invoicesIt  = `{ invoices(order_by: {created_at: asc}) { status total_minor paid_minor currency hosted_url tenant_id }
		payments { status amount_minor } subscriptions { status plan main } paymentMethods { last4 } }`
	tenantPlan = `{ tenants { plan status } }`
	clockIt    = `mutation($t: String!, $a: timestamptz!) { startBillingClock(tenant: $t, at: $a) { clockAt } }`
	advanceIt  = `mutation($t: String!, $a: timestamptz!) { advanceBillingClock(tenant: $t, to: $a) { clockAt } }`
)

// stands demands what the account is, as the owner is told it.
func (h house) stands(t *testing.T, want string) {
	t.Helper()
	if r := h.owner.must(t, standingIt, nil); r.text(t, "billingStanding.state") != want {
		t.Errorf("the account stands %s, want %s", r.raw, want)
	}
}

// bought is what a house's owner reads of what it bought.
func (h house) bought(t *testing.T) (r reply, invoices []map[string]any) {
	t.Helper()
	r = h.owner.must(t, invoicesIt, nil)
	if err := json.Unmarshal(r.Data["invoices"], &invoices); err != nil {
		t.Fatalf("%v: %s", err, r.raw)
	}
	for _, invoice := range invoices {
		if invoice["tenant_id"] != h.id {
			t.Errorf("an invoice of another tenant: %s", r.raw)
		}
	}
	return r, invoices
}

// wantOwnersAlone demands that nobody but the house's owner reads or changes what it pays.
func (h house) wantOwnersAlone(t *testing.T, stranger house) {
	t.Helper()
	for _, p := range []person{h.admin, h.member, h.guest} {
		for _, question := range []string{invoicesIt, standingIt, `{ customers { email } }`, `mutation { subscribe(plan: "starter") { state } }`,
			`mutation { cancelSubscription { state } }`, `mutation { createPortalSession { url } }`} {
			if r := p.ask(t, question, nil); len(r.Errors) == 0 {
				t.Errorf("a %s is answered: %s", p.role, r.raw)
			}
		}
	}
	if r, invoices := stranger.bought(t); len(invoices) > 0 || strings.Contains(r.raw, h.id) {
		t.Errorf("another tenant's owner reads %s", r.raw)
	}
	stranger.owner.refused(t, `mutation($t: String!) { cancelSubscription(tenant: $t) { state } }`, h.ref())
}

// pay pays an invoice on the page that its link leads to, as whoever got the link does.
func pay(t *testing.T, link, card string) {
	t.Helper()
	if answer, err := client.PostForm(link, url.Values{"do": {card}}); err != nil || answer.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s: %v, %v", link, answer, err)
	} else if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
}

// A tenant on a clock of its own buys, cannot pay the renewal, is out of service when the
// grace is over, and pays the invoice by its link.
func TestFromBuyingToRecovery(t *testing.T) {
	t.Parallel()
	h, stranger := newHouse(t), newHouse(t)
	begin := time.Now().UTC().Truncate(time.Second)
	advance := func(days int) { operator().must(t, advanceIt, args{"t": h.id, "a": begin.AddDate(0, 0, days)}) }
	operator().must(t, clockIt, args{"t": h.id, "a": begin})

	if r := h.owner.must(t, subscribeIt, args{"p": "starter", "c": "pm_card_visa"}); r.text(t, "subscribe.status") != "active" || r.text(t, "subscribe.plan") != "starter" {
		t.Fatalf("subscribed %s", r.raw)
	}
	if e := h.owner.refused(t, subscribeIt, args{"p": "pro"}); e.code() != "already-subscribed" {
		t.Errorf("a second subscription: %+v", e)
	}
	r, invoices := h.bought(t)
	if len(invoices) != 1 || invoices[0]["status"] != "paid" || invoices[0]["paid_minor"] != 2900.0 || r.at(t, "payments.0.status") != "succeeded" {
		t.Errorf("bought %s", r.raw)
	}
	if r := h.owner.must(t, tenantPlan, nil); r.text(t, "tenants.0.plan") != "starter" {
		t.Errorf("has %s", r.raw)
	}
	h.stands(t, "active")
	h.wantOwnersAlone(t, stranger)

	h.owner.must(t, cardIt, args{"c": "pm_card_chargeCustomerFail"})
	advance(32)
	h.stands(t, "past_due")
	_, invoices = h.bought(t)
	if len(invoices) != 2 || invoices[1]["status"] != "open" {
		t.Fatalf("after a renewal that failed: %v", invoices)
	}
	if !channels(t, h.admin).Query {
		t.Error("it is out of service within the grace")
	}

	advance(40)
	if got := operator().must(t, `query($t: uuid!) { tenants_by_pk(id: $t) { status } }`, h.ref()).text(t, "tenants_by_pk.status"); got != "suspended" {
		t.Errorf("after the grace it is %s", got)
	}
	wantChannels(t, h.admin, allShut, "suspended")
	if r := h.owner.ask(t, invoicesIt, nil); len(r.Errors) == 0 && r.count(t, "invoices") > 0 {
		t.Errorf("out of service, its owner reads %s", r.raw)
	}

	pay(t, invoices[1]["hosted_url"].(string), "pm_card_visa")
	eventually(t, "it is in service again", func() bool {
		return operator().must(t, `query($t: uuid!) { tenants_by_pk(id: $t) { status } }`, h.ref()).text(t, "tenants_by_pk.status") == "active"
	})
	h.owner = h.owner.signIn(t, h.id)
	eventually(t, "the account is settled", func() bool {
		return h.owner.must(t, standingIt, nil).text(t, "billingStanding.state") == "active"
	})
	if _, invoices = h.bought(t); len(invoices) != 2 || invoices[1]["status"] != "paid" {
		t.Errorf("recovered with %v", invoices)
	}
	for action, want := range map[string]int{"billing_suspended": 1, "billing_active": 2} {
		if n := number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = $2`, h.id, action); n != want {
			t.Errorf("%s is in the audit log %d times, want %d", action, n, want)
		}
	}
	letters := func(p person) int {
		_, text := send(t, http.MethodGet, "/dev/mailbox?format=json&to="+url.QueryEscape(p.email), nil, nil)
		return strings.Count(text, invoices[1]["hosted_url"].(string))
	}
	eventually(t, "the owner is written to about the invoice", func() bool { return letters(h.owner) > 0 })
	if letters(h.admin) > 0 {
		t.Error("an admin is written to about an invoice")
	}
}
