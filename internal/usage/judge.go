package usage

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
)

// The codes with which events are refused, one by one. They are published.
const (
	unknownTenant   = "unknown-tenant"
	tenantNotActive = "tenant-not-active"
	unknownMeter    = "unknown-meter"
	levelMeter      = "level-meter"
	wrongKey        = "wrong-key"
	wrongAmount     = "wrong-amount"
	wrongValue      = "wrong-value"
	inTheFuture     = "in-the-future"
	periodClosed    = "period-closed"
	keyReused       = "key-reused"
)

// ownKeys begins the keys of what a tenant's own people record, so that none of them takes
// the key of a service's event before it comes. No URI, as the sources of CloudEvents are,
// holds a bar.
const ownKeys = "own|"

const (
	longest  = 255 // characters of a key, and of a value
	decimals = 9
)

var (
	most      = decimal.New(1, 18)
	meterForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

// CheckAmount says what is wrong with an amount of any meter, and nothing where it is
// right: at least 0, at most 10^18, with at most 9 decimals. A right one it makes plain,
// however it was written.
func CheckAmount(amount *decimal.Decimal) string {
	exponent := int(amount.Exponent())
	switch {
	case amount.IsZero():
		*amount = decimal.Zero
	case amount.IsNegative():
		return "is below 0"
	case exponent <= 0 && exponent >= -decimals && amount.NumDigits()+exponent <= 18: // most are
	case amount.NumDigits()+exponent > 19, exponent > -1000 && amount.GreaterThan(most):
		return "is more than 1000000000000000000"
	case exponent <= -1000, exponent < -decimals && !amount.Round(decimals).Equal(*amount):
		return "has more than 9 decimals"
	case exponent < -decimals:
		*amount = amount.Round(decimals)
	}
	return ""
}

// judge gives the code with which an event is refused by itself, or nothing, and makes
// the event what the database will have of it.
func judge(e *Event, bound id.Tenant) string {
	switch {
	case e.Tenant.IsZero(), !bound.IsZero() && e.Tenant != bound:
		return unknownTenant
	case !meterForm.MatchString(e.Meter):
		return unknownMeter
	case e.Key == "" || !storable(e.Key) || bound.IsZero() && strings.HasPrefix(e.Key, ownKeys):
		return wrongKey
	case !storable(e.Value):
		return wrongValue
	case CheckAmount(&e.Amount) != "":
		return wrongAmount
	}
	if !e.At.IsZero() {
		e.At = e.At.UTC().Truncate(time.Microsecond)
		if year := e.At.Year(); year < 1 || year > 9999 {
			return map[bool]string{true: inTheFuture, false: periodClosed}[year > 9999]
		}
	}
	return ""
}

func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0) && utf8.RuneCountInString(text) <= longest
}

// refusal puts a code into words.
func refusal(code string, e *Event) Outcome {
	return Outcome{Status: Refused, Code: code, Reason: reason(code, e)}
}

func reason(code string, e *Event) string {
	switch code {
	case unknownTenant:
		return fmt.Sprintf("there is no tenant %s", e.Tenant)
	case tenantNotActive:
		return "the tenant is not active"
	case unknownMeter:
		return fmt.Sprintf("there is no meter %.64q", e.Meter)
	case levelMeter:
		return fmt.Sprintf("the meter %s is what there is of a table's rows: the table's events alone change it", e.Meter)
	case wrongKey:
		return fmt.Sprintf("the key must have 1 to %d characters and not begin with %s, as those of tenants do; got %.60q", longest, ownKeys, e.Key)
	case wrongAmount:
		if wrong := CheckAmount(&e.Amount); wrong != "" {
			return "the amount " + wrong
		}
		return fmt.Sprintf("the meter %s counts: the amount %s is not whole", e.Meter, e.Amount)
	case wrongValue:
		return fmt.Sprintf("the meter %s counts different values, of 1 to %d characters, or it takes none; got %.60q", e.Meter, longest, e.Value)
	case inTheFuture:
		return fmt.Sprintf("%s is more than an hour ahead", e.At.Format(time.RFC3339))
	case periodClosed:
		return fmt.Sprintf("the period of %s is closed, or is before the tenant's first", e.At.Format(time.RFC3339))
	case keyReused:
		return fmt.Sprintf("the key %.60q was used for another event", strings.TrimPrefix(e.Key, ownKeys))
	}
	return code
}
