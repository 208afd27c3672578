package usage

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// longestNumber is how many characters of a number are read at most.
const longestNumber = 100

// scalar is the text of a column: of a string without its quotes, of a number as it was
// written, so that none of its digits is lost; empty of null.
func (r row) scalar(column string) (string, error) {
	raw, ok := r[column]
	if !ok {
		return "", fault.New(fault.InvalidInput, "the row has no column %s", column)
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", fault.New(fault.InvalidInput, "the column %s is not JSON", column).Because(err)
	}
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	}
	return "", fault.New(fault.InvalidInput, "the column %s is no text or number, but %.60s", column, raw)
}

// text is a column that is not null or empty.
func (r row) text(column string) (string, error) {
	text, err := r.scalar(column)
	if err == nil && text == "" {
		return "", fault.New(fault.InvalidInput, "the column %s is null or empty", column)
	}
	return text, err
}

func (r row) tenant(column string) (id.Tenant, error) {
	text, err := r.text(column)
	if err != nil {
		return id.Tenant{}, err
	}
	tenant, err := id.Parse[id.Tenant](text)
	if err != nil {
		return tenant, fault.New(fault.InvalidInput, "the column %s names no tenant: %v", column, err)
	}
	return tenant, nil
}

// amount reads a number, written as one or as a string; null is 0, and no column 1.
func (r row) amount(column *string) (decimal.Decimal, error) {
	if column == nil {
		return decimal.New(1, 0), nil
	}
	text, err := r.scalar(*column)
	if err != nil || text == "" {
		return decimal.Zero, err
	}
	if len(text) > longestNumber {
		return decimal.Zero, fault.New(fault.InvalidInput, "the column %s is a number of %d characters", *column, len(text))
	}
	amount, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Zero, fault.New(fault.InvalidInput, "the column %s is no number, but %.60q", *column, text)
	}
	if wrong := CheckAmount(&amount); wrong != "" {
		return decimal.Zero, fault.New(fault.InvalidInput, "the column %s %s: %.60s", *column, wrong, text)
	}
	return amount, nil
}

// moment reads a timestamptz as Postgres writes it in JSON; null is zero.
func (r row) moment(column string) (time.Time, error) {
	text, err := r.scalar(column)
	if err != nil || text == "" {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fault.New(fault.InvalidInput, "the column %s is no time with a zone, but %.60q", column, text)
	}
	if at.IsZero() {
		at = at.Add(time.Microsecond) // as long ago: a zero time would mean now
	}
	return at, nil
}
