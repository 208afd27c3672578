package main

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// amount is how much was used: a JSON number, whole however long it is.
type amount struct{ decimal.Decimal }

// MarshalJSON writes the number and not, as decimal does, a string.
func (a amount) MarshalJSON() ([]byte, error) { return json.Marshal(json.Number(a.String())) }

const (
	unlimitedWord = "unlimited"
	bytesUnit     = "bytes"
	gib           = 1 << 30
)

// grouped writes a number with a comma between thousands.
func grouped(n decimal.Decimal) string {
	whole, fraction, fractional := strings.Cut(n.String(), ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if fractional {
		whole += "." + fraction
	}
	return sign + whole
}

// groupedInt is grouped of a whole number.
func groupedInt(n int64) string { return grouped(decimal.NewFromInt(n)) }

// inUnit shows an amount of a meter: bytes in GiB with one decimal, anything else as
// the number it is.
func inUnit(n decimal.Decimal, unit string) string {
	if unit != bytesUnit {
		return grouped(n)
	}
	tenths := n.Div(decimal.NewFromInt(gib)).StringFixed(1)
	whole, tenth, _ := strings.Cut(tenths, ".")
	number, ok := new(big.Int).SetString(whole, 10)
	if !ok {
		return tenths
	}
	sign := ""
	if strings.HasPrefix(whole, "-") && number.Sign() == 0 {
		sign = "-"
	}
	return sign + grouped(decimal.NewFromBigInt(number, 0)) + "." + tenth
}

// limitInUnit shows a limit of a meter, with the unit of bytes.
func limitInUnit(limit int64, unit string) string {
	shown := inUnit(decimal.NewFromInt(limit), unit)
	switch {
	case limit == unlimited:
		return unlimitedWord
	case unit == bytesUnit:
		return shown + " GiB"
	}
	return shown
}

// What the server takes for an amount.
const (
	mostDigits   = 18 // before the point: up to 10^18
	mostDecimals = 9
	longestTyped = 64
)

// typedAmount is an amount as typed.
func typedAmount(typed string) (amount, error) {
	n, err := decimal.NewFromString(typed)
	if err != nil || len(typed) > longestTyped || n.Exponent() > mostDigits || n.Exponent() < -longestTyped {
		return amount{}, usagef("%q is no amount: write a number such as 5 or 0.25", shorten(typed))
	}
	switch {
	case n.IsNegative():
		return amount{}, usagef("the amount %s is less than 0; nself usage reverse takes back what was recorded", shorten(typed))
	case !n.Equal(n.Truncate(mostDecimals)):
		return amount{}, usagef("the amount %s has more than %d decimals", shorten(typed), mostDecimals)
	case n.GreaterThan(decimal.New(1, mostDigits)):
		return amount{}, usagef("the amount %s is above 10^%d", shorten(typed), mostDigits)
	}
	return amount{n}, nil
}

// typedLimit is a limit as typed: a whole number, a size such as 100GiB, or "unlimited".
func typedLimit(typed string) (int64, error) {
	if typed == unlimitedWord || typed == "-1" {
		return unlimited, nil
	}
	number, factor := typed, int64(1)
	for shift, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if strings.HasSuffix(typed, unit) {
			number, factor = strings.TrimSuffix(typed, unit), 1<<(10*(shift+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)/factor {
		return 0, usagef(`%q is no limit: write a whole number, a size such as 100GiB, or "unlimited"`, shorten(typed))
	}
	return n * factor, nil
}
