package stripeapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nself/tenancy/internal/stripeapi"
)

const key = "sk_test_51abcDEF"

// answering is a client whose calls are all answered alike.
func answering(t *testing.T, status int, body string) *stripeapi.Client {
	t.Helper()
	return newClient(t, stripeapi.Config{Key: key, HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return answer(status, body), nil
	})}})
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Request-Id": {"req_1"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestAnErrorSaysWhatMayBeDone(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   stripeapi.Error
	}{
		{404, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"id","message":"No such customer: 'cus_1'"}}`,
			stripeapi.Error{Kind: stripeapi.NotFound, Code: "resource_missing", Param: "id", Message: "No such customer: 'cus_1'"}},
		{402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}`,
			stripeapi.Error{Kind: stripeapi.Declined, Code: "card_declined", DeclineCode: "insufficient_funds", Message: "Your card has insufficient funds."}},
		{400, `{"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"x","message":"Received unknown parameter: x"}}`,
			stripeapi.Error{Kind: stripeapi.Refused, Code: "parameter_unknown", Param: "x", Message: "Received unknown parameter: x"}},
		{400, `{"error":{"type":"idempotency_error","message":"Keys for idempotent requests can only be used with the same parameters"}}`,
			stripeapi.Error{Kind: stripeapi.Refused, Message: "Keys for idempotent requests can only be used with the same parameters"}},
		{409, `{"error":{"type":"idempotency_error","code":"idempotency_key_in_use","message":"in use"}}`,
			stripeapi.Error{Kind: stripeapi.Busy, Code: "idempotency_key_in_use", Message: "in use"}},
		{429, `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"too many"}}`,
			stripeapi.Error{Kind: stripeapi.Busy, Code: "rate_limit", Message: "too many"}},
		{500, `{"error":{"type":"api_error","message":"An unknown error occurred"}}`,
			stripeapi.Error{Kind: stripeapi.Stored, Message: "An unknown error occurred"}},
		{401, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_test_****cDEF"}}`,
			stripeapi.Error{Kind: stripeapi.WrongKey, Message: "Invalid API Key provided: [secret]"}},
		{403, `{"error":{"type":"invalid_request_error","message":"The provided key 'rk_test_123' does not have access"}}`,
			stripeapi.Error{Kind: stripeapi.WrongKey, Message: "The provided key '[secret]' does not have access"}},
	} {
		_, err := answering(t, c.status, c.body).Customer(t.Context(), "cus_1")
		var got *stripeapi.Error
		if !errors.As(fmt.Errorf("wrapped: %w", err), &got) || !stripeapi.Is(err, c.want.Kind) {
			t.Errorf("%d: %v", c.status, err)
			continue
		}
		c.want.Status, c.want.RequestID = c.status, "req_1"
		if diff := cmp.Diff(&c.want, got, cmpopts.IgnoreUnexported(stripeapi.Error{})); diff != "" {
			t.Errorf("%d: %s", c.status, diff)
		}
	}
}

func TestAnErrorIsOneLineWithAllThatHelps(t *testing.T) {
	_, err := answering(t, 402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"lost_card","message":"Your card was declined."}}`).
		PayInvoice(t.Context(), "key", "in_1", "")
	if want := "stripe: Your card was declined. (declined, status 402, card_declined, lost_card, req_1)"; err == nil || err.Error() != want {
		t.Errorf("error: %v", err)
	}
}

// What is between us and Stripe answers too: nobody knows then whether the call was made.
func TestAnAnswerThatIsNotStripesIsNone(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
	}{
		{502, "<html>Bad gateway</html>"}, {404, "<html>secret whsec_abc</html>"}, {500, `{}`}, {400, `{"error":null}`},
		{200, "<html>Log in: sk_test_51abcDEF</html>"}, {200, ""}, {200, "null"}, {200, "{}"}, {200, `{"id":7}`}, {302, ""},
	} {
		_, err := answering(t, c.status, c.body).CreateCustomer(t.Context(), "key", stripeapi.CustomerInput{})
		if !stripeapi.Is(err, stripeapi.Lost) || strings.Contains(err.Error(), "sk_") || strings.Contains(err.Error(), "whsec_") {
			t.Errorf("%d %q: %v", c.status, c.body, err)
		}
	}
}

func TestACallThatIsCutOffIsLostWithItsCause(t *testing.T) {
	c := newClient(t, stripeapi.Config{Key: key, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Customer(ctx, "cus_1")
	if !stripeapi.Is(err, stripeapi.Lost) || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), key) {
		t.Errorf("error: %v", err)
	}
}

// unreachable fails the test where a call is made.
func unreachable(t *testing.T) *stripeapi.Client {
	t.Helper()
	return newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s %s is called", r.Method, r.URL.Path)
		return answer(500, ""), nil
	})}})
}

func TestAnIDThatCannotBeOneIsNotSent(t *testing.T) {
	c := unreachable(t)
	for _, id := range []string{"", ".", "..", "cus_1/..", "cus_1?expand[]=x", "cus 1", "-", strings.Repeat("a", 256), "sk_test_51abcDEF/"} {
		if _, err := c.Customer(t.Context(), id); !stripeapi.Is(err, stripeapi.NotFound) || strings.Contains(err.Error(), "51abc") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestAWriteWithoutAKeyIsNotSent(t *testing.T) {
	c := unreachable(t)
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		if _, err := c.CreateCustomer(t.Context(), key, stripeapi.CustomerInput{}); !stripeapi.Is(err, stripeapi.Refused) {
			t.Errorf("%d characters: %v", len(key), err)
		}
		if _, err := c.UpdateCustomer(t.Context(), key, "cus_1", stripeapi.CustomerChange{}); !stripeapi.Is(err, stripeapi.Refused) {
			t.Errorf("%d characters: %v", len(key), err)
		}
	}
}

func TestAnotherPriceWithoutAQuantityIsNotSent(t *testing.T) {
	_, err := unreachable(t).UpdateSubscription(t.Context(), "key", "sub_1", stripeapi.SubscriptionChange{Items: []stripeapi.ItemChange{{ID: "si_1", Price: "price_1"}}})
	if !stripeapi.Is(err, stripeapi.Refused) {
		t.Errorf("error: %v", err)
	}
}

func TestABusyCallIsMadeAgainByTheSameKey(t *testing.T) {
	var keys []string
	c := newClient(t, stripeapi.Config{Retries: 1, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			return answer(409, `{"error":{"type":"invalid_request_error","code":"lock_timeout","message":"busy"}}`), nil
		}
		return answer(200, `{"id":"cus_1"}`), nil
	})}})
	if _, err := c.CreateCustomer(t.Context(), "mine", stripeapi.CustomerInput{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mine", "mine"}, keys); diff != "" {
		t.Error(diff)
	}
}

func TestTheKeyShowsInNoError(t *testing.T) {
	for _, c := range []stripeapi.Config{
		{Key: ""}, {Key: "pk_test_51abcDEF"}, {Key: "sk_live_51abcDEF", URL: "http://example.com"}, {Key: "sk_test_51 abcDEF"},
		{Key: key, URL: "ftp://example.com"}, {Key: key, URL: "example.com"}, {Key: key, URL: "https://sk_test_51abcDEF@example.com"},
		{Key: key, URL: "https://example.com?key=sk_test_51abcDEF"},
	} {
		if _, err := stripeapi.New(c); err == nil || strings.Contains(err.Error(), "51") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestTheModeIsTheKeys(t *testing.T) {
	for key, live := range map[string]bool{"sk_test_1": false, "rk_test_1": false, "sk_live_1": true, "rk_live_1": true} {
		if got := newClient(t, stripeapi.Config{Key: key}).Livemode(); got != live {
			t.Errorf("%s: %t", key, got)
		}
	}
}

func FuzzAnAnswerIsNeverTakenAmiss(f *testing.F) {
	f.Add(200, `{"id":"sub_1","items":{"data":[null,{"id":"si_1","price":null}]}}`)
	f.Add(200, `{"id":"sub_1","customer":null,"items":null,"metadata":{"keeps_plan":"pro","keeps_until":"soon"}}`)
	f.Add(400, `{"error":{"type":"x"}}`)
	f.Add(200, `[]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		c := answering(t, 200+(status&0x7fff)%400, body)
		object, err := c.Subscription(t.Context(), "sub_1")
		if err == nil && object.ID == "" {
			t.Errorf("%d %q is no subscription", status, body)
		}
		invoice, err := c.Invoice(t.Context(), "in_1")
		if err == nil && invoice.ID == "" {
			t.Errorf("%d %q is no invoice", status, body)
		}
		text, _ := json.Marshal(fmt.Sprint(err))
		if bytes.Contains(text, []byte(key)) {
			t.Errorf("the error shows the key: %s", text)
		}
	})
}

func TestASubscriptionThatIsEndedAgainIsAnsweredAsItIs(t *testing.T) {
	const gone = `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such subscription: 'sub_1'"}}`
	for now, ended := range map[string]bool{
		`{"id":"sub_1","status":"canceled","ended_at":1700000000}`: true,
		`{"id":"sub_1","status":"incomplete_expired"}`:             true,
		`{"id":"sub_1","status":"active"}`:                         false,
	} {
		c := newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodDelete {
				return answer(404, gone), nil
			}
			return answer(200, now), nil
		})}})
		found, err := c.CancelSubscription(t.Context(), "key", "sub_1", stripeapi.CancelInput{})
		if ended && (err != nil || found.ID != "sub_1") || !ended && !stripeapi.Is(err, stripeapi.NotFound) {
			t.Errorf("%s: %+v, %v", now, found, err)
		}
	}
	if _, err := answering(t, 404, gone).CancelSubscription(t.Context(), "key", "sub_1", stripeapi.CancelInput{}); !stripeapi.Is(err, stripeapi.NotFound) {
		t.Errorf("one that never was: %v", err)
	}
}

func TestALostCallDoesNotTellWhomItWasAbout(t *testing.T) {
	c, err := stripeapi.New(stripeapi.Config{Key: key, URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Customers(t.Context(), stripeapi.CustomerFilter{Email: "ann@example.com"}) {
		if !stripeapi.Is(err, stripeapi.Lost) || strings.Contains(err.Error(), "ann") || !strings.Contains(err.Error(), "/v1/customers") {
			t.Errorf("%v", err)
		}
	}
}
