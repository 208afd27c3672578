// Package idempotency makes the mutations that create answer the same thing to the same
// key: the key, the hash of the input and the reply are kept in the transaction of the
// effect, so there is a reply exactly where there was an effect.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Key names one effect: an actor's own key for one action. The same key of another
// actor, or in another tenant, is another one.
type Key struct {
	Actor  session.Session
	Action string
	Key    string // 1 to 255 characters
	Input  any    // what was asked for, as JSON
}

// Check tells what is wrong with a key.
func Check(field, key string, problems *fault.Problems) {
	if key == "" || len(key) > 255 {
		problems.Add(field, "must have 1 to 255 characters; it has %d", len(key))
	}
}

func (k Key) args() pgx.NamedArgs {
	actor := "operator"
	if !k.Actor.User.IsZero() {
		actor = "user:" + k.Actor.User.String()
	}
	input, _ := json.Marshal(k.Input) // inputs are decoded from JSON
	hash := sha256.Sum256(input)
	return pgx.NamedArgs{
		"actor": actor + "@" + k.Actor.Tenant.String(), "action": k.Action, "key": k.Key,
		"tenant_id": k.Actor.Tenant, "hash": hash[:],
	}
}

// A second transaction with the same key waits here for the first to end.
const claimSQL = `
INSERT INTO nself.idempotency_keys (actor, action, key, tenant_id, request_hash)
VALUES (@actor, @action, @key, @tenant_id, @hash) ON CONFLICT DO NOTHING`

const keptAllTenantsSQL = `
SELECT request_hash, reply FROM nself.idempotency_keys WHERE actor = @actor AND action = @action AND key = @key`

const keepAllTenantsSQL = `
UPDATE nself.idempotency_keys SET reply = @reply WHERE actor = @actor AND action = @action AND key = @key`

type kept struct {
	Hash  []byte          `db:"request_hash"`
	Reply json.RawMessage `db:"reply"`
}

// Once runs effect in tx and keeps what it returns, or, where the key was used before,
// returns what was kept. keep is the reply as it may be stored: without secrets.
func Once(ctx context.Context, tx pgx.Tx, k Key, effect func() (reply, keep any, err error)) (any, error) {
	args := k.args()
	claimed, err := tx.Exec(ctx, claimSQL, args)
	if err != nil {
		return nil, fmt.Errorf("claim the idempotency key: %w", err)
	}
	if claimed.RowsAffected() == 0 {
		return replay(ctx, tx, k, args)
	}
	reply, keep, err := effect()
	if err != nil {
		return nil, err
	}
	args["reply"] = keep
	if _, err := tx.Exec(ctx, keepAllTenantsSQL, args); err != nil {
		return nil, fmt.Errorf("keep the reply under the idempotency key: %w", err)
	}
	return reply, nil
}

func replay(ctx context.Context, tx pgx.Tx, k Key, args pgx.NamedArgs) (any, error) {
	first, err := pg.One[kept](ctx, tx, keptAllTenantsSQL, args)
	if err != nil {
		return nil, fmt.Errorf("read the reply kept under the idempotency key: %w", err)
	}
	if !bytes.Equal(first.Hash, args["hash"].([]byte)) {
		return nil, fault.New(fault.IdempotencyKeyReused, "the idempotency key %.80q was used for %s with another input; use a new key", k.Key, k.Action)
	}
	return first.Reply, nil
}
