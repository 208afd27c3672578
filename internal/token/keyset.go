package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pg"
)

// askEvery is how often, at most, an unknown kid makes the key set be read again.
const askEvery = time.Second

// publicKey verifies, with the one algorithm it was made for.
type publicKey struct {
	algorithm string
	key       any
}

// keySet is the published keys, in memory. A key that is withdrawn may stay in it: the
// question for the session asks for the key too.
type keySet struct {
	db    *pgxpool.Pool
	turn  atomic.Uint64 // counts the notifications about keys
	held  atomic.Pointer[heldKeys]
	mu    sync.Mutex // of whoever reads the set again
	asked time.Time  // when an unknown kid made it be read last
}

type heldKeys struct {
	turn  uint64 // when it was asked for: older than the set's is stale
	byKID map[string]publicKey
}

func (s *keySet) find(kid string) (key publicKey, known, current bool) {
	held := s.held.Load()
	if held == nil || held.turn != s.turn.Load() {
		return publicKey{}, false, false
	}
	key, known = held.byKID[kid]
	return key, known, true
}

// key finds the key of this name; known is false where there is none.
func (s *keySet) key(ctx context.Context, kid string) (key publicKey, known bool, err error) {
	if key, known, _ = s.find(kid); known {
		return key, true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key, known, current := s.find(kid) // somebody else may just have read it
	if known {
		return key, true, nil
	}
	if current {
		if time.Since(s.asked) < askEvery {
			return publicKey{}, false, nil
		}
		s.asked = time.Now()
	}
	held, err := s.load(ctx)
	if err != nil {
		return publicKey{}, false, err
	}
	s.held.Store(held)
	key, known = held.byKID[kid]
	return key, known, nil
}

type publicRow struct {
	KID       string          `db:"kid"`
	Algorithm string          `db:"algorithm"`
	JWK       json.RawMessage `db:"public_jwk"`
}

const verifyingKeysSQL = `
SELECT kid, algorithm, public_jwk FROM auth.signing_keys WHERE retired_at IS NULL OR retired_at > now()`

func (s *keySet) load(ctx context.Context) (*heldKeys, error) {
	held := &heldKeys{turn: s.turn.Load(), byKID: map[string]publicKey{}}
	rows, err := pg.All[publicRow](ctx, s.db, verifyingKeysSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the public keys: %w", err)
	}
	for _, row := range rows {
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(row.JWK, &jwk); err != nil {
			return nil, fmt.Errorf("decode public key %s: %w", row.KID, err)
		}
		if !fits(row.Algorithm, jwk.Key) {
			return nil, fmt.Errorf("public key %s is no key for %s", row.KID, row.Algorithm)
		}
		held.byKID[row.KID] = publicKey{row.Algorithm, jwk.Key}
	}
	return held, nil
}

func fits(algorithm string, key any) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		return algorithm == "ES256" && key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return algorithm == "RS256" && key.Size()*8 >= 2048
	}
	return false
}
