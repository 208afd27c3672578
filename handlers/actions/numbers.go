package actions

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/usage"
)

// numeric is a number with all its digits, a JSON number on the wire. Hasura hands it on
// as the client wrote it, so it is read from a string as well.
type numeric decimal.Decimal

// numberForm bounds what is read, also the exponent: what is past any amount is refused
// before somebody computes with a billion zeros.
var numberForm = regexp.MustCompile(`^-?[0-9]{1,60}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,2})?$`)

var errNoNumber = errors.New("no number")

// UnmarshalJSON reads a JSON number, or a string that holds one.
func (n *numeric) UnmarshalJSON(raw []byte) error {
	text, err := unquoted(raw)
	if err != nil || !numberForm.MatchString(text) {
		return errNoNumber
	}
	read, err := decimal.NewFromString(text)
	*n = numeric(read)
	return err
}

// MarshalJSON writes a JSON number, without an exponent.
func (n numeric) MarshalJSON() ([]byte, error) { return []byte(decimal.Decimal(n).String()), nil }

// orOne is the number, or 1 where the argument was left out.
func (n *numeric) orOne() decimal.Decimal {
	if n == nil {
		return decimal.NewFromInt(1)
	}
	return decimal.Decimal(*n)
}

// orNull is the number of a decimal that may be missing.
func orNull(d *decimal.Decimal) *numeric { return (*numeric)(d) }

// bigint is a whole number, read from a string as well.
type bigint int64

// UnmarshalJSON reads a JSON number, or a string that holds one.
func (n *bigint) UnmarshalJSON(raw []byte) error {
	text, err := unquoted(raw)
	if err != nil {
		return err
	}
	whole, err := strconv.ParseInt(text, 10, 64)
	*n = bigint(whole)
	return err
}

func unquoted(raw []byte) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return string(raw), nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}

// checkAmount tells what is wrong with an amount.
func checkAmount(field string, amount decimal.Decimal, problems *fault.Problems) {
	if wrong := usage.CheckAmount(&amount); wrong != "" {
		problems.Add(field, "%s; got %s", wrong, amount)
	}
}
