package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const rsaBits = 3072

type keyRow struct {
	KID       string `db:"kid"`
	Algorithm string `db:"algorithm"`
	Sealed    []byte `db:"private_key"`
}

// signer is a private key ready for use.
type signer struct {
	kid    string
	method jwt.SigningMethod
	key    crypto.PrivateKey
}

func (s *signer) sign(claims jwt.Claims) (string, error) {
	unsigned := jwt.NewWithClaims(s.method, claims)
	unsigned.Header["kid"] = s.kid
	signed, err := unsigned.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// The newest key whose time to sign has come. One that is to be withdrawn sooner than a
// token of it may end signs no more.
const currentKeySQL = `
SELECT kid, algorithm, private_key FROM auth.signing_keys
WHERE signs_from <= statement_timestamp()
	AND (retired_at IS NULL OR retired_at >= statement_timestamp() + make_interval(secs => @longest))
ORDER BY signs_from DESC, created_at DESC, kid LIMIT 1`

const lockKeysSQL = `SELECT pg_advisory_xact_lock(hashtextextended('auth.signing_keys', 0))`

const insertKeySQL = `
INSERT INTO auth.signing_keys (kid, algorithm, public_jwk, private_key, signs_from)
VALUES (@kid, @algorithm, @public_jwk, @private_key, now() + make_interval(secs => @signs_in))
RETURNING kid, algorithm, created_at, signs_from`

// EnsureKey makes the first signing key where there is none, which signs at once;
// servers that start at once agree on one. It also proves that the present key opens
// under this installation's encryption key, so that a wrong one is found at start and
// not at the first sign-in. A present key of another algorithm than Config's stays until
// the next rotation.
func (m *Minter) EnsureKey(ctx context.Context, db pg.DB) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if err := lockKeys(ctx, tx); err != nil {
			return err
		}
		_, err := m.current(ctx, tx)
		if !pg.NoRow(err) {
			return err
		}
		_, err = m.addKey(ctx, tx, 0)
		return err
	})
}

func lockKeys(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, lockKeysSQL); err != nil {
		return fmt.Errorf("lock the signing keys: %w", err)
	}
	return nil
}

func (m *Minter) addKey(ctx context.Context, tx pgx.Tx, signsIn time.Duration) (SigningKey, error) {
	key, err := generate(m.config.Algorithm)
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate a %s key: %w", m.config.Algorithm, err)
	}
	jwk := jose.JSONWebKey{Key: key.Public(), Algorithm: m.config.Algorithm, Use: "sig"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return SigningKey{}, fmt.Errorf("thumbprint of the new key: %w", err)
	}
	jwk.KeyID = fmt.Sprintf("%x", thumbprint[:12])
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return SigningKey{}, fmt.Errorf("encode the new key: %w", err)
	}
	added, err := pg.One[SigningKey](ctx, tx, insertKeySQL, pgx.NamedArgs{
		"kid": jwk.KeyID, "algorithm": m.config.Algorithm, "public_jwk": jwk,
		"private_key": m.box.Seal(private, jwk.KeyID), "signs_in": signsIn.Seconds(),
	})
	if err != nil {
		return SigningKey{}, fmt.Errorf("store the new signing key: %w", err)
	}
	return added, nil
}

func generate(algorithm string) (crypto.Signer, error) {
	if algorithm == "RS256" {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// current is the key that signs now. pgx.ErrNoRows says there is none. Which one it is
// the database is asked each time; opening it is what memory saves.
func (m *Minter) current(ctx context.Context, db pg.DB) (*signer, error) {
	row, err := pg.One[keyRow](ctx, db, currentKeySQL, pgx.NamedArgs{"longest": MaxTTL.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	if ready := m.ready.Load(); ready != nil && ready.kid == row.KID {
		return ready, nil
	}
	private, err := m.box.Open(row.Sealed, row.KID)
	if err != nil {
		return nil, fmt.Errorf("signing key %s does not open under NSELF_ENCRYPTION_KEY; set the key it was sealed with: %w", row.KID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("decode signing key %s: %w", row.KID, err)
	}
	opened := &signer{kid: row.KID, method: jwt.GetSigningMethod(row.Algorithm), key: parsed}
	m.ready.Store(opened)
	return opened, nil
}

const publicKeysSQL = `
SELECT public_jwk FROM auth.signing_keys WHERE retired_at IS NULL OR retired_at > now() ORDER BY created_at DESC, kid`

// JWKS is the key set that verifies this installation's tokens (RFC 7517), from a key's
// making, which is before it signs, until it is withdrawn. Every key says use "sig":
// Hasura drops those that do not.
func JWKS(ctx context.Context, db pg.DB) ([]byte, error) {
	rows, _ := db.Query(ctx, publicKeysSQL)
	keys, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		return nil, fmt.Errorf("read the public keys: %w", err)
	}
	if keys == nil {
		keys = []json.RawMessage{}
	}
	return json.Marshal(map[string]any{"keys": keys})
}
