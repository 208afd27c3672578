package text_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nself/tenancy/internal/text"
)

func TestMoneyReadsAsPeopleWriteIt(t *testing.T) {
	for _, c := range []struct {
		minor          int64
		currency, want string
	}{
		{9900, "usd", "$99.00"}, {0, "usd", "$0.00"}, {5, "USD", "$0.05"}, {50, "eur", "€0.50"}, {123456789, "gbp", "£1,234,567.89"}, {-5, "usd", "-$0.05"},
		{500, "jpy", "¥500"}, {1234567, "JPY", "¥1,234,567"}, {0, "jpy", "¥0"}, {-500, "jpy", "-¥500"}, {1000, "krw", "KRW 1,000"},
		{1234, "kwd", "KWD 1.234"}, {7, "bhd", "BHD 0.007"}, {-1234567, "tnd", "-TND 1,234.567"},
		{500, "isk", "ISK 5.00"}, {500, "ugx", "UGX 5.00"}, {9900, "chf", "CHF 99.00"}, {100000, "cad", "CAD 1,000.00"},
		{math.MaxInt64, "usd", "$92,233,720,368,547,758.07"}, {math.MinInt64, "usd", "-$92,233,720,368,547,758.08"},
	} {
		if got := text.Money(c.minor, c.currency); got != c.want {
			t.Errorf("%d %s is %s, not %s", c.minor, c.currency, got, c.want)
		}
	}
}

func TestMoneyLosesNoDigit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64().Draw(t, "minor")
		currency := rapid.SampledFrom([]string{"usd", "jpy", "kwd", "chf", "isk"}).Draw(t, "currency")
		var back int64
		minus := int64(1)
		for _, r := range text.Money(minor, currency) {
			switch {
			case r == '-':
				minus = -1
			case r >= '0' && r <= '9':
				back = back*10 + minus*int64(r-'0')
			case !strings.ContainsRune("$¥.,KWDCHFISK ", r):
				t.Fatalf("it holds %q", r)
			}
		}
		if back != minor {
			t.Fatalf("%d reads back as %d", minor, back)
		}
	})
}
