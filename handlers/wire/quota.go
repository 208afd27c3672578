package wire

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
)

// QuotaHeaders sets the headers that go with a quota-exceeded fault: Retry-After, and the
// fields RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers, as far as
// its details tell: a level has no time at which it begins anew. A budget-exceeded fault has
// Retry-After where waiting helps. Any other fault sets none.
func QuotaHeaders(w http.ResponseWriter, f *fault.Fault) {
	if f.Code != fault.QuotaExceeded && f.Code != fault.BudgetExceeded {
		return
	}
	after, resets := wholeDetail(f, "retryAfter")
	if resets {
		w.Header().Set("Retry-After", after)
	}
	meter, named := f.Details["meter"].(string)
	limit, limited := wholeDetail(f, "limit")
	if !named || !limited {
		return
	}
	name := `"` + quoted.Replace(meter) + `"`
	w.Header().Set("RateLimit-Policy", name+";q="+limit)
	left, told := wholeDetail(f, "remaining")
	if !told {
		left = "0"
	}
	standing := name + ";r=" + left
	if resets {
		standing += ";t=" + after
	}
	w.Header().Set("RateLimit", standing)
}

// quoted escapes a string of RFC 9651; codes of meters are ASCII.
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// mostInteger is the greatest integer that a structured field holds (RFC 9651, 3.3.1).
var mostInteger = decimal.New(1, 15).Sub(decimal.New(1, 0))

// wholeDetail reads a detail as the whole number of such a field, rounded down, at least 0.
func wholeDetail(f *fault.Fault, name string) (string, bool) {
	value, told := f.Details[name]
	if !told {
		return "", false
	}
	number, err := decimal.NewFromString(fmt.Sprint(value))
	if err != nil {
		return "", false
	}
	if number.IsNegative() {
		number = decimal.Zero
	}
	return decimal.Min(number.Floor(), mostInteger).String(), true
}
