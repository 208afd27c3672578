package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/listen"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// mostBytes is how long a token may be: longer ones are not looked at.
const mostBytes = 8 << 10

const defaultSize = 10_000

// Changes hands on what the database notifies on the channel nself_access.
type Changes interface {
	// Live reports whether all that was committed until less than a second ago has been
	// handed on. Where it was not live, listen.Everything is handed on before it is again.
	Live() bool
	// Subscribe adds who is handed every payload.
	Subscribe(func(payload string))
}

// VerifierConfig is what a Verifier is made of.
type VerifierConfig struct {
	Issuer   string
	Audience string
	DB       *pgxpool.Pool // as nself_server
	Changes  Changes       // nil: nothing is remembered, every call asks the database
	Size     int           // how many tokens are remembered at most; zero: 10,000
}

// Caller is who a token is of.
type Caller struct {
	session.Session
	Method    Method    // how they signed in
	ExpiresAt time.Time // of the token
}

// Verifier says of our access tokens whether they are good at this moment. It is safe
// for concurrent use.
type Verifier struct {
	db      *pgxpool.Pool
	parser  *jwt.Parser
	keys    keySet
	changes Changes
	cache   *cache
}

// NewVerifier makes a verifier and subscribes it to the changes.
func NewVerifier(config VerifierConfig) *Verifier {
	size := config.Size
	if size <= 0 {
		size = defaultSize
	}
	remembered, _ := newCache(size) // refuses sizes below one alone
	v := &Verifier{
		db: config.DB, changes: config.Changes, cache: remembered, keys: keySet{db: config.DB},
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"ES256", "RS256"}), jwt.WithIssuer(config.Issuer),
			jwt.WithAudience(config.Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding()),
	}
	if v.changes != nil {
		v.changes.Subscribe(v.handOn)
	}
	return v
}

func (v *Verifier) handOn(payload string) {
	if payload == ofKeys || payload == listen.Everything {
		v.keys.turn.Add(1)
	}
	v.cache.handOn(payload)
}

// Verify reads one of our access tokens, without the word Bearer, and says who calls.
// InvalidToken: it is not one, or its time is over. SessionEnded, NotAMember,
// RoleChanged, TenantNotActive: it is one, and was taken back, as Admit says. The
// database is asked but where a token was good before and every change since has been
// handed on; so an answer is never more than a second old.
func (v *Verifier) Verify(ctx context.Context, bearer string) (Caller, error) {
	if len(bearer) > mostBytes {
		return Caller{}, invalid("it is longer than %d bytes", mostBytes)
	}
	// Live before the look: what is handed on later than that is at most as old as Live
	// allows.
	if v.changes == nil || !v.changes.Live() {
		checked, err := v.check(ctx, bearer)
		return checked.caller, err
	}
	key := sha256.Sum256([]byte(bearer))
	if caller, ok := v.cache.get(key); ok {
		return caller, nil
	}
	turn := v.cache.now()
	checked, err := v.check(ctx, bearer)
	if err == nil && checked.lasting {
		v.cache.put(key, checked.caller, checked.until, turn)
	}
	return checked.caller, err
}

func invalid(format string, args ...any) error {
	return fault.New(fault.InvalidToken, "the token is not good: "+format, args...)
}

// checked is what the database and the signature say of a token.
type checked struct {
	caller  Caller
	until   time.Time // when it is over by itself
	lasting bool      // whether one question found all of it
}

func (v *Verifier) check(ctx context.Context, bearer string) (checked, error) {
	head, err := parseHeader(bearer)
	if err != nil {
		return checked{}, invalid("%v", err)
	}
	caller, err := v.signed(ctx, bearer, head)
	if err != nil {
		return checked{}, err
	}
	return v.standing(ctx, caller, head.KID)
}

// signed checks the signature, then reads the claims.
func (v *Verifier) signed(ctx context.Context, bearer string, head header) (Caller, error) {
	key, known, err := v.keys.key(ctx, head.KID)
	switch {
	case err != nil:
		return Caller{}, err
	case !known:
		return Caller{}, invalid("no key of this server has its kid")
	case head.Algorithm != key.algorithm:
		return Caller{}, invalid("its alg is not the one of its key")
	}
	var read claims
	if _, err := v.parser.ParseWithClaims(bearer, &read, func(*jwt.Token) (any, error) { return key.key, nil }); err != nil {
		return Caller{}, refused(err)
	}
	caller, err := read.caller()
	if err != nil {
		return Caller{}, invalid("%v", err)
	}
	return caller, nil
}

// refused says in our words, and without the token's, what the library found.
func refused(err error) error {
	for _, known := range []struct {
		is    error
		words string
	}{
		{jwt.ErrTokenSignatureInvalid, "its signature is wrong"},
		{jwt.ErrTokenExpired, "its time is over; get another"},
		{jwt.ErrTokenNotValidYet, "its time has not come"},
		{jwt.ErrTokenUsedBeforeIssued, "it was issued in the future"},
		{jwt.ErrTokenInvalidIssuer, "another issued it"},
		{jwt.ErrTokenInvalidAudience, "it is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "a claim is missing: iss, aud, exp and iat are needed"},
	} {
		if errors.Is(err, known.is) {
			return invalid("%s", known.words)
		}
	}
	return invalid("a claim has another type than ours have")
}

type keyAndStanding struct {
	Ends   *time.Time `db:"ends"` // of the key
	Keyed  bool       `db:"keyed"`
	Method *Method    `db:"method"`
	Tenant id.Tenant  `db:"tenant_id"` // of the session
	Stands bool       `db:"stands"`
}

const verifySQL = `
SELECT k.kid IS NOT NULL AS keyed, k.retired_at AS ends, s.method, s.tenant_id,` + standingOf + `
	LEFT JOIN auth.signing_keys k ON k.kid = @kid AND (k.retired_at IS NULL OR k.retired_at > now())`

// standing asks the database for everything that changes: the key, the session, the
// membership, the tenant.
func (v *Verifier) standing(ctx context.Context, caller Caller, kid string) (checked, error) {
	at, err := pg.One[keyAndStanding](ctx, v.db, verifySQL, pgx.NamedArgs{
		"kid": kid, "session_id": caller.ID, "tenant_id": caller.Tenant, "user_id": caller.User, "role": string(caller.Role),
	})
	if err != nil {
		return checked{}, fmt.Errorf("read the standing of session %s: %w", caller.ID, err)
	}
	if !at.Keyed {
		return checked{}, invalid("the key that signed it is withdrawn")
	}
	if !at.Stands {
		if err := Admit(ctx, v.db, caller.Session); err != nil {
			return checked{}, err
		}
	}
	if at.Method == nil || at.Tenant != caller.Tenant {
		return checked{}, sessionEnded()
	}
	caller.Method = *at.Method
	until := caller.ExpiresAt
	if at.Ends != nil && at.Ends.Before(until) {
		until = *at.Ends
	}
	return checked{caller, until, at.Stands}, nil
}
