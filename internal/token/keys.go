// Package token mints the JWTs that carry a tenant's claims, and publishes the keys
// that verify them. It owns auth.signing_keys and auth.sessions. It trusts nobody's
// word for a membership: it reads it in the transaction that mints.
package token

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

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
	key    crypto.Signer
}

const currentKeySQL = `
SELECT kid, algorithm, private_key FROM auth.signing_keys
WHERE retired_at IS NULL ORDER BY created_at DESC, kid LIMIT 1`

const lockKeysSQL = `SELECT pg_advisory_xact_lock(hashtextextended('auth.signing_keys', 0))`

const insertKeySQL = `
INSERT INTO auth.signing_keys (kid, algorithm, public_jwk, private_key) VALUES (@kid, @algorithm, @public_jwk, @private_key)`

// EnsureKey makes the first signing key where there is none; servers that start at once
// agree on one. It also proves that the present key opens under this installation's
// encryption key, so that a wrong one is found at start and not at the first sign-in.
func (m *Minter) EnsureKey(ctx context.Context, db pg.DB) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockKeysSQL); err != nil {
			return fmt.Errorf("lock the signing keys: %w", err)
		}
		_, err := m.current(ctx, tx)
		if !pg.NoRow(err) {
			return err
		}
		return m.addKey(ctx, tx)
	})
}

func (m *Minter) addKey(ctx context.Context, tx pgx.Tx) error {
	key, err := generate(m.config.Algorithm)
	if err != nil {
		return fmt.Errorf("generate a %s key: %w", m.config.Algorithm, err)
	}
	jwk := jose.JSONWebKey{Key: key.Public(), Algorithm: m.config.Algorithm, Use: "sig"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return fmt.Errorf("thumbprint of the new key: %w", err)
	}
	jwk.KeyID = fmt.Sprintf("%x", thumbprint[:12])
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the new key: %w", err)
	}
	_, err = tx.Exec(ctx, insertKeySQL, pgx.NamedArgs{
		"kid": jwk.KeyID, "algorithm": m.config.Algorithm, "public_jwk": jwk, "private_key": m.seal(private, jwk.KeyID),
	})
	if err != nil {
		return fmt.Errorf("store the new signing key: %w", err)
	}
	return nil
}

func generate(algorithm string) (crypto.Signer, error) {
	if algorithm == "RS256" {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// current opens the key that signs now. pgx.ErrNoRows says there is none yet.
func (m *Minter) current(ctx context.Context, db pg.DB) (signer, error) {
	row, err := pg.One[keyRow](ctx, db, currentKeySQL, nil)
	if err != nil {
		return signer{}, fmt.Errorf("read the signing key: %w", err)
	}
	private, err := m.open(row.Sealed, row.KID)
	if err != nil {
		return signer{}, fmt.Errorf("signing key %s does not open under NSELF_ENCRYPTION_KEY; set the key it was sealed with: %w", row.KID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return signer{}, fmt.Errorf("decode signing key %s: %w", row.KID, err)
	}
	return signer{kid: row.KID, method: jwt.GetSigningMethod(row.Algorithm), key: parsed.(crypto.Signer)}, nil
}

// seal encrypts with AES-256-GCM, the random nonce first; name is bound to the result,
// so that one key cannot be put in another's place.
func (m *Minter) seal(plain []byte, name string) []byte {
	nonce := make([]byte, m.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return m.aead.Seal(nonce, nonce, plain, []byte(name))
}

func (m *Minter) open(sealed []byte, name string) ([]byte, error) {
	if len(sealed) < m.aead.NonceSize() {
		return nil, errors.New("sealed value is too short")
	}
	nonce, box := sealed[:m.aead.NonceSize()], sealed[m.aead.NonceSize():]
	return m.aead.Open(nil, nonce, box, []byte(name))
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

const publicKeysSQL = `
SELECT public_jwk FROM auth.signing_keys WHERE retired_at IS NULL OR retired_at > now() ORDER BY created_at DESC, kid`

// JWKS is the key set that verifies this installation's tokens (RFC 7517). Every key
// says use "sig": Hasura drops those that do not.
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
