package wire_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

func TestQuotaHeadersTellWhatIsLeftAndWhenToTryAgain(t *testing.T) {
	exceeded := func(details ...any) *fault.Fault {
		f := fault.New(fault.QuotaExceeded, "no more")
		for i := 0; i < len(details); i += 2 {
			f = f.With(details[i].(string), details[i+1])
		}
		return f
	}
	nothing := decimal.Zero
	for name, c := range map[string]struct {
		fault *fault.Fault
		want  http.Header
	}{
		"a period that ends": {
			exceeded("meter", "api_requests", "limit", int64(10000), "remaining", &nothing, "retryAfter", int64(123)),
			http.Header{"Retry-After": {"123"}, "Ratelimit": {`"api_requests";r=0;t=123`}, "Ratelimit-Policy": {`"api_requests";q=10000`}},
		},
		"a level, beyond what a field can hold, with a part left": {
			exceeded("meter", "storage", "limit", json.Number("1000000000000000000"), "remaining", decimal.RequireFromString("2.75")),
			http.Header{"Ratelimit": {`"storage";r=2`}, "Ratelimit-Policy": {`"storage";q=999999999999999`}},
		},
		"more used than allowed": {
			exceeded("meter", "users", "limit", float64(5), "remaining", -2),
			http.Header{"Ratelimit": {`"users";r=0`}, "Ratelimit-Policy": {`"users";q=5`}},
		},
		"a name with a quotation mark": {
			exceeded("meter", `a"b`, "limit", 1),
			http.Header{"Ratelimit": {`"a\"b";r=0`}, "Ratelimit-Policy": {`"a\"b";q=1`}},
		},
		"no details":    {exceeded(), http.Header{}},
		"another fault": {fault.New(fault.TooManyRequests, "slower").With("retryAfter", 3), http.Header{}},
	} {
		w := httptest.NewRecorder()
		wire.QuotaHeaders(w, c.fault)
		if diff := cmp.Diff(c.want, w.Header()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
