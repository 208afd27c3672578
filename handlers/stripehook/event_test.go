package stripehook_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pgtest"
)

// kept is what the ledger has of an event.
type kept struct {
	Type, Object, Kind, Customer, Reason, Payload string
	Deliveries                                    int
}

func (h house) kept(t testing.TB, id string) kept {
	t.Helper()
	var k kept
	err := h.db.QueryRow(t.Context(), `
		SELECT e.type, coalesce(e.object_id, ''), coalesce(o.kind, ''), coalesce(o.customer_id, ''), coalesce(e.reason, ''), e.payload, e.deliveries
		FROM billing.stripe_events e LEFT JOIN billing.stripe_objects o USING (object_id) WHERE event_id = $1`, id).
		Scan(&k.Type, &k.Object, &k.Kind, &k.Customer, &k.Reason, &k.Payload, &k.Deliveries)
	if err != nil {
		t.Fatalf("event %s: %v", id, err)
	}
	return k
}

// stripes delivers what Stripe signed now.
func (h house) stripes(t testing.TB, body string) answer {
	t.Helper()
	return h.deliver(t, body, sign(body, present, time.Now()))
}

func TestAnEventIsKeptAsItCameAndItsObjectFollowed(t *testing.T) {
	h := newHouse(t, present)
	body := event("evt_1", "invoice.paid")
	if got := h.stripes(t, body); got.status != http.StatusOK || got.Outcome != "accepted" || h.seen.last() != "accepted" {
		t.Errorf("%+v", got)
	}
	want := kept{Type: "invoice.paid", Object: "in_1", Kind: "invoice", Customer: "cus_1", Payload: body, Deliveries: 1}
	if diff := cmp.Diff(want, h.kept(t, "evt_1")); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(h.pushed.list, []string{"in_1"}) {
		t.Errorf("pushed %v", h.pushed.list)
	}
}

func TestAReplayWithinTheToleranceChangesNothing(t *testing.T) {
	h := newHouse(t, present)
	body := event("evt_1", "invoice.paid")
	header := sign(body, present, time.Now())
	for i, want := range []string{"accepted", "repeated", "repeated"} {
		if got := h.deliver(t, body, header); got.status != http.StatusOK || got.Outcome != want {
			t.Errorf("delivery %d: %+v", i, got)
		}
	}
	if k := h.kept(t, "evt_1"); k.Deliveries != 3 || len(h.pushed.list) != 1 {
		t.Errorf("%d deliveries, pushed %v", k.Deliveries, h.pushed.list)
	}
	if hints := h.count(t, `SELECT hints FROM billing.stripe_objects`); hints != 1 {
		t.Errorf("%d hints of one event", hints)
	}
}

func TestOneEventDeliveredByManyAtOnceIsAcceptedOnce(t *testing.T) {
	h := newHouse(t, present)
	body := event("evt_1", "invoice.paid")
	header := sign(body, present, time.Now())
	outcomes := &tally{}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() { outcomes.add(h.deliver(t, body, header).Outcome) })
	}
	all.Wait()
	slices.Sort(outcomes.list)
	if outcomes.list[0] != "accepted" || outcomes.list[1] != "repeated" || outcomes.list[39] != "repeated" {
		t.Errorf("%v", outcomes.list)
	}
	if hints := h.count(t, `SELECT sum(hints) FROM billing.stripe_objects`); hints != 1 || h.kept(t, "evt_1").Deliveries != 40 {
		t.Errorf("%d hints, %+v", hints, h.kept(t, "evt_1"))
	}
}

func TestTheCustomerIsTakenFromWhereverTheObjectSaysIt(t *testing.T) {
	h := newHouse(t, present)
	for name, c := range map[string]struct{ kind, object, customer string }{
		"an id":            {"charge.succeeded", `{"id":"x","object":"charge","customer":"cus_7"}`, "cus_7"},
		"whole":            {"charge.failed", `{"id":"x","object":"charge","customer":{"id":"cus_8","object":"customer"}}`, "cus_8"},
		"itself":           {"customer.updated", `{"id":"x","object":"customer"}`, "x"},
		"of none":          {"charge.updated", `{"id":"x","object":"charge","customer":null}`, ""},
		"not said":         {"payment_method.detached", `{"id":"x","object":"payment_method"}`, ""},
		"no id":            {"charge.pending", `{"id":"x","object":"charge","customer":"cus_'; --"}`, ""},
		"neither of these": {"charge.refunded", `{"id":"x","object":"charge","customer":[7]}`, ""},
	} {
		object := strings.ReplaceAll(c.object, `"x"`, `"x`+strings.ReplaceAll(name, " ", "_")+`"`)
		id := "evt_" + strings.ReplaceAll(name, " ", "_")
		body := event(id, c.kind, `{"id": "in_1", "object": "invoice", "customer": "cus_1", "description": "café \u00e9"}`, object)
		want := c.customer
		if want == "x" {
			want = "xitself"
		}
		if got := h.stripes(t, body); got.Outcome != "accepted" || h.kept(t, id).Customer != want {
			t.Errorf("%s: %+v, %+v", name, got, h.kept(t, id))
		}
	}
}

func TestWhatIsNotFollowedIsKeptWithAReason(t *testing.T) {
	h := newHouse(t, present)
	for id, body := range map[string]string{
		"evt_type":     event("evt_type", "payout.paid"),
		"evt_upcoming": event("evt_upcoming", "invoice.upcoming", `"id": "in_1", `, ""),
		"evt_no_id":    event("evt_no_id", "invoice.paid", `"id": "in_1", `, `"id": null, `),
		"evt_other":    event("evt_other", "invoice.paid", `"object": "invoice"`, `"object": "quote"`),
	} {
		if got := h.stripes(t, body); got.status != http.StatusOK || got.Outcome != "ignored" || h.kept(t, id).Reason == "" {
			t.Errorf("%s: %+v, %+v", id, got, h.kept(t, id))
		}
	}
	if objects := h.count(t, `SELECT count(*) FROM billing.stripe_objects`); objects != 0 || len(h.pushed.list) != 0 {
		t.Errorf("%d objects, pushed %v", objects, h.pushed.list)
	}
}

func TestAnEventOfAnotherModeIsKeptAndHintsAtNothing(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	for id, c := range map[string]struct{ key, livemode string }{
		"evt_test_at_live": {"sk_live_doors", "false"}, "evt_live_at_test": {"rk_test_doors", "true"},
	} {
		h := houseOver(t, db, c.key, present)
		got := h.stripes(t, event(id, "invoice.paid", `"livemode": false`, `"livemode": `+c.livemode))
		if got.status != http.StatusOK || got.Outcome != "parked" || !strings.Contains(h.kept(t, id).Reason, "mode") || len(h.pushed.list) != 0 {
			t.Errorf("%s: %+v, %+v", id, got, h.kept(t, id))
		}
	}
	if objects := (house{db: db}).count(t, `SELECT count(*) FROM billing.stripe_objects`); objects != 0 {
		t.Errorf("%d objects are followed", objects)
	}
}

func TestAnEventOfAnotherVersionOfTheAPIIsFollowed(t *testing.T) {
	h := newHouse(t, present)
	for id, version := range map[string]string{"evt_2024": `"2024-06-20"`, "evt_named": `"2025-03-31.basil"`, "evt_null": `null`} {
		if got := h.stripes(t, event(id, "invoice.paid", `"2023-10-16"`, version)); got.Outcome != "accepted" {
			t.Errorf("%s: %+v", id, got)
		}
	}
}

func TestASignedBodyThatIsNoEventIsRefused(t *testing.T) {
	h := newHouse(t, present)
	whole := event("evt_1", "invoice.paid")
	for name, body := range map[string]string{
		"empty":                  "",
		"not JSON":               "<html>",
		"half":                   whole[:len(whole)/2],
		"two":                    whole + whole,
		"a list":                 "[" + whole + "]",
		"null":                   "null",
		"a number":               "7",
		"no UTF-8":               strings.Replace(whole, "café", "caf\xe9", 1),
		"an object of none":      `{}`,
		"another object":         event("evt_1", "invoice.paid", `"object": "event"`, `"object": "v2.core.event"`),
		"no id":                  event("", "invoice.paid"),
		"an id of a number":      event("evt_1", "invoice.paid", `"id": "evt_1"`, `"id": 7`),
		"an id with a NUL":       event(`evt_\u0000`, "invoice.paid"),
		"an id with a line":      event(`evt_\n`, "invoice.paid"),
		"an id without end":      event("evt_"+strings.Repeat("x", 300), "invoice.paid"),
		"no type":                event("evt_1", ""),
		"a type that is none":    event("evt_1", "invoice.paid'; --"),
		"no time":                event("evt_1", "invoice.paid", `"created": 1790000000`, `"created": 0`),
		"a time of text":         event("evt_1", "invoice.paid", `"created": 1790000000`, `"created": "now"`),
		"a time without end":     event("evt_1", "invoice.paid", `"created": 1790000000`, `"created": 9223372036854775807`),
		"no mode":                event("evt_1", "invoice.paid", `"livemode": false,`, ""),
		"no data":                event("evt_1", "invoice.paid", `"data"`, `"other"`),
		"an object that is text": event("evt_1", "invoice.paid", `"data": {`, `"data": {"object": "in_1"}, "other": {`),
		"a version that is none": event("evt_1", "invoice.paid", `"2023-10-16"`, `"2023\u0000"`),
	} {
		got := h.stripes(t, body)
		if got.status != http.StatusBadRequest || got.Code != "invalid-json" || got.Message == "" || h.seen.last() != "malformed" {
			t.Errorf("%s: %+v, seen as %s", name, got, h.seen.last())
		}
	}
	h.nothingKept(t)
}

func TestBodiesAreJSONOfAMebibyteAtMost(t *testing.T) {
	h := newHouse(t, present)
	signed := func(body, media string) http.Header {
		return http.Header{"Stripe-Signature": {sign(body, present, time.Now())}, "Content-Type": {media}}
	}
	padded := func(size int) string {
		body := event("evt_1", "invoice.paid")
		return strings.Replace(body, "café", strings.Repeat("x", size-len(body)+len("café")), 1)
	}
	const asJSON = "application/json; charset=utf-8"
	for _, size := range []int{1<<20 + 1, 10 << 20} {
		if got := h.send(t, padded(size), signed(padded(size), asJSON)); got.status != http.StatusRequestEntityTooLarge || got.Code != "payload-too-large" {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
	small := event("evt_1", "invoice.paid")
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/json;;", "text/json"} {
		if got := h.send(t, small, signed(small, media)); got.status != http.StatusUnsupportedMediaType || got.Code != "unsupported-media-type" {
			t.Errorf("%q: %+v", media, got)
		}
	}
	h.nothingKept(t)
	for i, media := range []string{asJSON, "application/json", "Application/JSON;charset=UTF-8"} {
		body := strings.Replace(padded(1<<20), "evt_1", fmt.Sprintf("evt_%d", i), 1)
		if got := h.send(t, body, signed(body, media)); got.status != http.StatusOK {
			t.Errorf("%q: %+v", media, got)
		}
	}
}

func TestWhileTheDatabaseIsAwayStripeIsAskedToDeliverAgain(t *testing.T) {
	nowhere, err := pgxpool.New(t.Context(), "postgres://nself_server@127.0.0.1:1/nself")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nowhere.Close)
	h := houseOver(t, nowhere, "sk_test_doors", present)
	got := h.stripes(t, event("evt_1", "invoice.paid"))
	if got.status != http.StatusServiceUnavailable || got.Code != "unavailable" || h.seen.last() != "failed" {
		t.Errorf("%+v, seen as %s", got, h.seen.last())
	}
	if again, told := got.header["Retry-After"]; told {
		t.Errorf("Retry-After says %v, which nobody knows", again)
	}
}

func TestTheDoorIsNotThereWhereNobodyCharges(t *testing.T) {
	h := newHouse(t, present)
	body := event("evt_1", "invoice.paid")
	h.router = routerWithoutBilling(h.db)
	if got := h.stripes(t, body); got.status != http.StatusNotFound || got.Code != "not-found" {
		t.Errorf("%+v", got)
	}
	h.nothingKept(t)
}
