package text

import (
	"strconv"
	"strings"
)

// decimals are those of the currencies that do not have two, as Stripe counts their minor
// units (docs.stripe.com/currencies): it counts krónur and Ugandan shillings in hundredths,
// though ISO 4217 has none of them.
var decimals = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0, "pyg": 0, "rwf": 0, "vnd": 0, "vuv": 0, "xaf": 0, "xof": 0, "xpf": 0,
	"bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

// signs are those that mean one currency where they stand alone.
var signs = map[string]string{"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹"}

// Money is an amount as people read it: minor is in the smallest unit of the currency,
// whose three letters may be of either case. 9900 of usd is $99.00, 1234 of kwd KWD 1.234,
// -500 of jpy -¥500.
func Money(minor int64, currency string) string {
	currency = strings.ToLower(currency)
	places, known := decimals[currency]
	if !known {
		places = 2
	}
	digits, minus := strings.CutPrefix(strconv.FormatInt(minor, 10), "-")
	if short := places + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	whole, fraction := digits[:len(digits)-places], digits[len(digits)-places:]
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	amount := sign(currency) + whole
	if fraction != "" {
		amount += "." + fraction
	}
	if minus {
		return "-" + amount
	}
	return amount
}

func sign(currency string) string {
	if sign, known := signs[currency]; known {
		return sign
	}
	return strings.ToUpper(currency) + " "
}
