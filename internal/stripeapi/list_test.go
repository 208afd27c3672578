package stripeapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/stripeapi"
)

// pages answers each call with the next page, and keeps the queries.
type pages struct {
	queries []url.Values
	paths   []string
	bodies  []string
}

func (p *pages) RoundTrip(r *http.Request) (*http.Response, error) {
	p.queries, p.paths = append(p.queries, r.URL.Query()), append(p.paths, r.URL.Path)
	if len(p.queries) > len(p.bodies) {
		return nil, fmt.Errorf("page %d is asked for", len(p.queries))
	}
	body := p.bodies[len(p.queries)-1]
	if strings.HasPrefix(body, `{"error"`) {
		return answer(429, body), nil
	}
	return answer(200, body), nil
}

func (p *pages) client(t *testing.T) *stripeapi.Client {
	t.Helper()
	return newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: p}})
}

func page(more bool, names ...string) string {
	var objects []string
	for _, name := range names {
		objects = append(objects, fmt.Sprintf(`{"id":%q}`, name))
	}
	return fmt.Sprintf(`{"object":"list","url":"/v1/charges","data":[%s],"has_more":%t}`, strings.Join(objects, ","), more)
}

func (p *pages) charges(t *testing.T) (found []string, failure error) {
	t.Helper()
	for charge, err := range p.client(t).Charges(t.Context(), stripeapi.ChargeFilter{Customer: "cus_1"}) {
		if err != nil {
			return found, err
		}
		found = append(found, charge.ID)
	}
	return found, nil
}

func TestAListGoesOnToItsLastPage(t *testing.T) {
	p := &pages{bodies: []string{page(true, "ch_4", "ch_3"), page(true, "ch_2"), page(false, "ch_1")}}
	found, err := p.charges(t)
	if diff := cmp.Diff([]string{"ch_4", "ch_3", "ch_2", "ch_1"}, found); diff != "" || err != nil {
		t.Error(diff, err)
	}
	want := []url.Values{
		{"customer": {"cus_1"}, "limit": {"100"}},
		{"customer": {"cus_1"}, "limit": {"100"}, "starting_after": {"ch_3"}},
		{"customer": {"cus_1"}, "limit": {"100"}, "starting_after": {"ch_2"}},
	}
	if diff := cmp.Diff(want, p.queries); diff != "" {
		t.Error(diff)
	}
}

func TestAPageIsAskedForWhenItIsReached(t *testing.T) {
	p := &pages{bodies: []string{page(true, "ch_4", "ch_3")}}
	all := p.client(t).Charges(t.Context(), stripeapi.ChargeFilter{})
	if len(p.queries) != 0 {
		t.Error("a list that nobody ranges over is asked for")
	}
	n := 0
	for _, err := range all {
		if n++; n == 2 || err != nil {
			break
		}
	}
	if len(p.queries) != 1 {
		t.Errorf("%d pages were asked for", len(p.queries))
	}
}

func TestAListCanBeGoneThroughAgain(t *testing.T) {
	p := &pages{bodies: []string{page(true, "ch_2"), page(false, "ch_1"), page(false, "ch_3")}}
	all := p.client(t).Charges(t.Context(), stripeapi.ChargeFilter{})
	var found []string
	for range 2 {
		for charge, err := range all {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, charge.ID)
		}
	}
	if diff := cmp.Diff([]string{"ch_2", "ch_1", "ch_3"}, found); diff != "" || p.queries[2].Has("starting_after") {
		t.Error(diff, p.queries)
	}
}

func TestAnErrorEndsAList(t *testing.T) {
	p := &pages{bodies: []string{page(true, "ch_2"), `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"too many"}}`}}
	found, err := p.charges(t)
	if diff := cmp.Diff([]string{"ch_2"}, found); diff != "" || !stripeapi.Is(err, stripeapi.Busy) || len(p.queries) != 2 {
		t.Error(diff, err, len(p.queries))
	}
}

func TestAListThatDoesNotGoOnIsAnError(t *testing.T) {
	for _, bodies := range [][]string{
		{page(true)}, {page(true, "ch_1"), page(true, "ch_1")}, {page(true, "")}, {`{"url":"/v1/charges","data":[null]}`},
		{`{}`}, {`{"data":null}`}, {`{"data":[]}`}, {`<html>`}, {`{"url":"/v1/charges","data":{}}`},
	} {
		if _, err := (&pages{bodies: bodies}).charges(t); !stripeapi.Is(err, stripeapi.Lost) {
			t.Errorf("%s: %v", bodies, err)
		}
	}
	if found, err := (&pages{bodies: []string{page(false)}}).charges(t); len(found) > 0 || err != nil {
		t.Errorf("an empty list: %v, %v", found, err)
	}
}

func TestLookupKeysAreAskedForInTens(t *testing.T) {
	p := &pages{bodies: []string{page(false, "price_1"), page(true, "price_2"), page(false, "price_3")}}
	var keys []string
	for n := range 12 {
		keys = append(keys, fmt.Sprintf("nself:plan:p%d", n))
	}
	var found []string
	for price, err := range p.client(t).Prices(t.Context(), stripeapi.PriceFilter{LookupKeys: keys}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, price.ID)
	}
	if diff := cmp.Diff([]string{"price_1", "price_2", "price_3"}, found); diff != "" {
		t.Error(diff)
	}
	for n, want := range []int{10, 2, 2} {
		if got := len(p.queries[n]) - 1; p.queries[n].Has("starting_after") && got-1 != want || !p.queries[n].Has("starting_after") && got != want {
			t.Errorf("call %d: %v", n, p.queries[n])
		}
	}
}

func TestASubscriptionOfManyItemsHasThemAll(t *testing.T) {
	p := &pages{bodies: []string{`{"id":"sub_1","items":{"data":[{"id":"si_1"}],"has_more":true}}`, page(true, "si_1", "si_2"), page(false, "si_3")}}
	found, err := p.client(t).Subscription(t.Context(), "sub_1")
	want := []billing.Item{{ID: "si_1"}, {ID: "si_2"}, {ID: "si_3"}}
	if diff := cmp.Diff(want, found.Items); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if p.paths[1] != "/v1/subscription_items" || p.queries[1].Get("subscription") != "sub_1" {
		t.Errorf("%s?%v is asked", p.paths[1], p.queries[1])
	}
	p = &pages{bodies: []string{`{"id":"sub_1","items":{"data":[{"id":"si_1"}],"has_more":true}}`}}
	if found, err := p.client(t).Subscription(t.Context(), "sub_1"); !stripeapi.Is(err, stripeapi.Lost) || found.ID != "" {
		t.Errorf("without the rest: %+v, %v", found, err)
	}
}
