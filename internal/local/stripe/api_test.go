package stripe_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/local/stripe"
)

func TestUnknownParameterIsRefused(t *testing.T) {
	w := start(t)
	customer, price := w.customer("pm_card_visa"), w.price(1000)
	for _, c := range [][]string{
		{"/v1/customers", "nickname", "a"},
		{"/v1/subscriptions", "customer", customer, "items[0][price]", price, "items[0][prise]", "x"},
		{"/v1/products", "name", "a", "metadata[a]", "b", "kind", "c"},
		{"/v1/invoices", "customer", customer, "days_until_due", "3"},
	} {
		w.want(fmt.Sprint(c), w.refused(400, http.MethodPost, c[0], c[1:]...), "parameter_unknown")
	}
	w.want("a missing one", w.refused(400, http.MethodPost, "/v1/subscriptions", "items[0][price]", price), "parameter_missing")
	w.want("another's path", w.refused(404, http.MethodGet, "/v1/coupons"), "Unrecognized request URL. Please see https://stripe.com/docs or we can help at https://support.stripe.com/.")
}

func TestListsPage(t *testing.T) {
	w := start(t)
	var ids []string
	for i := range 7 {
		ids = append([]string{text(w.post("/v1/customers", "name", fmt.Sprint(i)), "id")}, ids...)
	}
	var got []string
	for after := ""; ; {
		pairs := []string{"limit", "3"}
		if after != "" {
			pairs = append(pairs, "starting_after", after)
		}
		list := w.get("/v1/customers", pairs...)
		for _, c := range at(list, "data").([]any) {
			after = text(c, "id")
			got = append(got, after)
		}
		if at(list, "has_more") != true {
			break
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Fatal("the pages together: " + diff)
	}
	back := w.get("/v1/customers", "limit", "2", "ending_before", ids[4])
	w.want("the page before", text(back, "data", 0, "id")+text(back, "data", 1, "id"), ids[2]+ids[3])
	w.want("more before it", at(back, "has_more"), true)
}

func TestExpandReachesIntoLists(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	list := w.get("/v1/subscriptions", "customer", customer, "expand[]", "data.latest_invoice.charge", "expand[]", "data.items.data.price.product")
	w.want("the charge", text(list, "data", 0, "latest_invoice", "charge", "status"), "succeeded")
	w.want("the product", text(list, "data", 0, "items", "data", 0, "price", "product", "name"), "Pro")
	got := w.get("/v1/customers/"+customer, "expand[]", "subscriptions", "expand[]", "test_clock")
	w.want("the customer's", text(got, "subscriptions", "data", 0, "id"), sub)
	w.refused(400, http.MethodGet, "/v1/customers/"+customer, "expand[]", "friends")
}

func TestSearchFindsByMetadata(t *testing.T) {
	w := start(t)
	for _, tenant := range []string{"a", "b"} {
		w.post("/v1/customers", "metadata[tenant_id]", tenant)
	}
	list := w.get("/v1/customers/search", "query", "metadata['tenant_id']:'b'")
	w.want("how many", len(at(list, "data").([]any)), 1)
	w.want("which", text(list, "data", 0, "metadata", "tenant_id"), "b")
	w.refused(400, http.MethodGet, "/v1/customers/search", "query", "tenant_id is b")
}

func TestDeletedCustomerLeavesAStubAndNoSubscription(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.do(http.MethodDelete, "/v1/customers/"+customer)
	w.want("the stub", at(w.get("/v1/customers/"+customer), "deleted"), true)
	w.want("the subscription", w.status(sub), "canceled")
	w.want("an update", w.refused(404, http.MethodPost, "/v1/customers/"+customer, "name", "a"), "resource_missing")
	w.pass(100 * day)
	w.want("the charges", len(w.server.Charges()), 1)
}

func TestCardsOfOthersAndRefusedOnesAreNotAttached(t *testing.T) {
	w := start(t)
	mine, other := w.customer(""), w.customer("")
	card := w.card(mine, "pm_card_visa")
	w.want("another's card", w.refused(400, http.MethodPost, "/v1/payment_methods/"+card+"/attach", "customer", other), "payment_method_unexpected_state")
	w.want("a refused card", w.refused(402, http.MethodPost, "/v1/payment_methods/pm_card_chargeDeclined/attach", "customer", mine), "card_declined")
	w.want("another's card as the default", w.refused(400, http.MethodPost, "/v1/customers/"+other, "invoice_settings[default_payment_method]", card), "resource_missing")
	w.want("no card", w.refused(400, http.MethodPost, "/v1/subscriptions", "customer", other, "items[0][price]", w.price(1)), "resource_missing")
	w.post("/v1/payment_methods/" + card + "/detach")
	w.want("the default", at(w.get("/v1/customers/"+mine), "invoice_settings", "default_payment_method"), nil)
	made := text(w.post("/v1/payment_methods", "type", "card", "card[number]", "4000 0000 0000 0341", "card[exp_month]", "5", "card[exp_year]", "2031", "card[cvc]", "123"), "id")
	w.want("a card by its number", text(w.post("/v1/payment_methods/"+made+"/attach", "customer", mine), "card", "last4"), "0341")
}

func TestLookupKeyMovesOnlyWhereItIsTransferred(t *testing.T) {
	w := start(t)
	old := w.price(1000, "lookup_key", "pro")
	product := text(w.get("/v1/prices/"+old), "product")
	fields := []string{"product", product, "currency", "usd", "unit_amount", "2000", "recurring[interval]", "month", "lookup_key", "pro"}
	w.refused(400, http.MethodPost, "/v1/prices", fields...)
	fresh := text(w.post("/v1/prices", append(fields, "transfer_lookup_key", "true")...), "id")
	w.want("who has it", text(w.get("/v1/prices", "lookup_keys[]", "pro"), "data", 0, "id"), fresh)
	w.want("the old one's", at(w.get("/v1/prices/"+old), "lookup_key"), nil)
	w.post("/v1/prices/"+fresh, "active", "false")
	w.refused(400, http.MethodPost, "/v1/subscriptions", "customer", w.customer("pm_card_visa"), "items[0][price]", fresh)
}

func TestRefundsGoBackInParts(t *testing.T) {
	w := start(t)
	w.subscribe(w.customer("pm_card_visa"), w.price(1000))
	charge := w.server.Charges()[0].ID
	w.post("/v1/refunds", "charge", charge, "amount", "300")
	w.want("refunded in part", at(w.get("/v1/charges/"+charge), "refunded"), false)
	w.refused(400, http.MethodPost, "/v1/refunds", "charge", charge, "amount", "701")
	w.post("/v1/refunds", "charge", charge)
	w.want("refunded", at(w.get("/v1/charges/"+charge), "refunded"), true)
	w.want("once more", w.refused(400, http.MethodPost, "/v1/refunds", "charge", charge), "charge_already_refunded")
	w.want("what went back", w.server.Charges()[0].Refunded, 1000)
}

func TestEventsTellWhatWasThereBefore(t *testing.T) {
	w := start(t)
	customer := text(w.post("/v1/customers", "name", "a", "metadata[x]", "1", "metadata[y]", "2"), "id")
	a, err := w.try(http.MethodPost, "/v1/customers/"+customer, "key-1", "name", "b", "metadata[x]", "", "metadata[z]", "3")
	if err != nil || a.status != 200 {
		t.Fatal(a, err)
	}
	events := w.server.Events()
	var body map[string]any
	if err := json.Unmarshal(events[len(events)-1].Body, &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"name": "a", "metadata": map[string]any{"x": "1", "z": nil}}
	if diff := cmp.Diff(want, at(body, "data", "previous_attributes")); diff != "" {
		t.Fatal("the previous attributes: " + diff)
	}
	w.want("the type", body["type"], "customer.updated")
	w.want("the key", text(body, "request", "idempotency_key"), "key-1")
	w.want("the version", body["api_version"], stripe.Version)
	w.want("the event by its id", text(w.get("/v1/events/"+text(body, "id")), "id"), text(body, "id"))
	w.want("the newest listed", text(w.get("/v1/events", "type", "customer.*"), "data", 0, "id"), text(body, "id"))
	w.post("/v1/customers/"+customer, "name", "b")
	w.want("the events after a change of nothing", len(w.server.Events()), len(events))
	w.pass(31 * day)
	w.want("what is listed after 30 days", len(at(w.get("/v1/events"), "data").([]any)), 0)
}

func TestDeliverGetsEachEventInOrder(t *testing.T) {
	var got []string
	var w *world
	w = start(t, func(c *stripe.Config) {
		c.Deliver = func(e stripe.Event) {
			got = append(got, e.ID)
			w.get("/v1/events/" + e.ID) // the API may be called
		}
	})
	w.subscribe(w.customer("pm_card_visa"), w.price(1000))
	var want []string
	for _, e := range w.server.Events() {
		want = append(want, e.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestEndpointSecretIsToldOnce(t *testing.T) {
	w := start(t)
	made := w.post("/v1/webhook_endpoints", "url", "http://localhost:8080/webhooks/stripe", "enabled_events[]", "*", "api_version", stripe.Version)
	if !strings.HasPrefix(text(made, "secret"), "whsec_") {
		t.Fatal("no secret")
	}
	w.want("the secret later", at(w.get("/v1/webhook_endpoints/"+text(made, "id")), "secret"), nil)
	w.post("/v1/webhook_endpoints/"+text(made, "id"), "disabled", "true")
	want := []stripe.Endpoint{{ID: text(made, "id"), URL: "http://localhost:8080/webhooks/stripe", Secret: text(made, "secret"), Events: []string{"*"}, Status: "disabled"}}
	if diff := cmp.Diff(want, w.server.Endpoints()); diff != "" {
		t.Fatal(diff)
	}
}

func TestFileContinuesWhereItStopped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "stripe.json")
	keep := func(c *stripe.Config) { c.File = file }
	w := start(t, keep)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.subscribe(w.customer("pm_card_visa"), w.price(700), "trial_period_days", "10")
	before := w.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice")
	first := w.keyed("k", "/v1/products", "name", "Kept")
	secret := text(w.post("/v1/webhook_endpoints", "url", "http://localhost/", "enabled_events[]", "*"), "secret")

	again := start(t, keep)
	if diff := cmp.Diff(before, again.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice")); diff != "" {
		t.Fatal("the subscription after a restart: " + diff)
	}
	again.want("the product of a key used before", text(again.keyed("k", "/v1/products", "name", "Kept").body, "id"), text(first.body, "id"))
	again.want("the secret", again.server.Endpoints()[0].Secret, secret)
	again.until(2026, 3, 5)
	again.want("the charges", len(again.server.Charges()), 3)
	again.want("the status", again.status(sub), "active")
}

func TestZeroAndThreeDecimalCurrencies(t *testing.T) {
	w := start(t)
	yen := w.subscribe(w.customer("pm_card_visa"), w.price(500, "currency", "jpy"))
	dinar := w.subscribe(w.customer("pm_card_visa"), w.price(1500, "currency", "kwd"))
	for sub, want := range map[string]string{yen: "500 jpy", dinar: "1.500 kwd"} {
		got := w.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice")
		if line := text(got, "latest_invoice", "lines", "data", 0, "description"); !strings.Contains(line, want) {
			t.Errorf("the line says %q, want it to say %s", line, want)
		}
	}
	customer := text(w.get("/v1/subscriptions/"+yen), "customer")
	w.refused(400, http.MethodPost, "/v1/subscriptions", "customer", customer, "items[0][price]", w.price(500))
	w.refused(400, http.MethodPost, "/v1/prices", "product", "prod_x", "currency", "xyz", "unit_amount", "1")
}

func TestTicksAreOrderedByTheClock(t *testing.T) {
	w := start(t)
	for range 3 {
		w.subscribe(w.customer("pm_card_visa"), w.price(1000))
		w.pass(time.Hour)
	}
	w.pass(200 * day)
	last := time.Time{}
	for _, e := range w.server.Events() {
		if e.Created.Before(last) {
			t.Fatalf("%s of %s comes after one of %s", e.Type, e.Created, last)
		}
		last = e.Created
	}
}
