// Package id gives each kind of identifier a type of its own, so that a user's id
// cannot be passed where a tenant's is meant.
package id

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

type (
	tenant      struct{}
	user        struct{}
	session     struct{}
	invitation  struct{}
	transfer    struct{}
	apiKey      struct{}
	reservation struct{}
	lease       struct{}
	operation   struct{}
)

type (
	// Tenant names a tenant.
	Tenant = Of[tenant]
	// User names a user, whichever tenants they are in.
	User = Of[user]
	// Session names a sign-in, from which tokens come.
	Session = Of[session]
	// Invitation names an invitation inside its tenant.
	Invitation = Of[invitation]
	// Transfer names an offer of ownership inside its tenant.
	Transfer = Of[transfer]
	// APIKey names an API key inside its tenant.
	APIKey = Of[apiKey]
	// Reservation names an amount reserved inside its tenant.
	Reservation = Of[reservation]
	// Lease names a part of a quota that a server decides over, inside its tenant.
	Lease = Of[lease]
	// Operation names a change made at Stripe, inside its tenant.
	Operation = Of[operation]
)

// Of is a UUID of one kind of thing. The zero value means "none" and is NULL in SQL
// and in JSON.
type Of[Kind any] struct{ uuid uuid.UUID }

// New makes a random (version 4) id.
func New[ID ~struct{ uuid uuid.UUID }]() ID { return ID{uuid: uuid.New()} }

// Parse reads the 36-character form. Other spellings that uuid libraries take (braces,
// urn:uuid:, no hyphens) are errors, as is the nil UUID.
func Parse[ID ~struct{ uuid uuid.UUID }](s string) (ID, error) {
	parsed, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || parsed == uuid.Nil {
		return ID{}, fmt.Errorf("%.40q is not a uuid", s)
	}
	return ID{uuid: parsed}, nil
}

// IsZero reports whether there is no id.
func (v Of[Kind]) IsZero() bool { return v.uuid == uuid.Nil }

// String is the 36-character lower-case form; empty for the zero id.
func (v Of[Kind]) String() string {
	if v.IsZero() {
		return ""
	}
	return v.uuid.String()
}

// MarshalJSON writes the id as a string, the zero id as null.
func (v Of[Kind]) MarshalJSON() ([]byte, error) {
	if v.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + v.uuid.String() + `"`), nil
}

// UnmarshalText reads what Parse reads.
func (v *Of[Kind]) UnmarshalText(text []byte) error {
	parsed, err := Parse[Of[Kind]](string(text))
	*v = parsed
	return err
}

// UUIDValue makes the id a parameter of a statement.
func (v Of[Kind]) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: v.uuid, Valid: !v.IsZero()}, nil
}

// ScanUUID reads the id from a row.
func (v *Of[Kind]) ScanUUID(from pgtype.UUID) error {
	v.uuid = uuid.UUID{}
	if from.Valid {
		v.uuid = from.Bytes
	}
	return nil
}
