package token

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// A new key is published for publishAhead before it signs: a verifier may keep a key set
// for 60 seconds (the max-age it is served with), and Hasura looks once a minute.
const publishAhead = 3 * time.Minute

// lastTokens is how long a key is published after it signed for the last time: as long
// as a token lives at most, and a while for clocks and for transactions under way.
const lastTokens = MaxTTL + time.Minute

// SigningKey is a key that a rotation made.
type SigningKey struct {
	KID       string    `db:"kid"`
	Algorithm string    `db:"algorithm"`
	CreatedAt time.Time `db:"created_at"`
	SignsFrom time.Time `db:"signs_from"`
	Retiring  []string  `db:"-"` // the kids of the keys whose end this rotation set
}

const retireKeysSQL = `
UPDATE auth.signing_keys SET retired_at = @signs_from::timestamptz + make_interval(secs => @last_tokens)
WHERE kid <> @kid AND retired_at IS NULL RETURNING kid`

const withdrawKeysSQL = `
UPDATE auth.signing_keys SET retired_at = now()
WHERE kid <> @kid AND (retired_at IS NULL OR retired_at > now()) RETURNING kid`

// Rotate makes a new signing key, for the operator alone. It signs once every verifier
// had the time to learn it, and the keys before it stay published for the tokens they
// signed: nobody notices. With revokeOld, for a key that got out, the new key signs at
// once and every other is withdrawn at once, with all tokens they signed.
func (m *Minter) Rotate(ctx context.Context, db pg.DB, actor session.Session, revokeOld bool) (SigningKey, error) {
	if !actor.IsOperator() {
		return SigningKey{}, fault.New(fault.Forbidden, "only the operator rotates the signing key")
	}
	ahead, retireSQL := publishAhead, retireKeysSQL
	if revokeOld {
		ahead, retireSQL = 0, withdrawKeysSQL
	}
	var made SigningKey
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if err := lockKeys(ctx, tx); err != nil {
			return err
		}
		var err error
		if made, err = m.addKey(ctx, tx, ahead); err != nil {
			return err
		}
		args := pgx.NamedArgs{"kid": made.KID}
		if !revokeOld {
			args["signs_from"], args["last_tokens"] = made.SignsFrom, lastTokens.Seconds()
		}
		rows, _ := tx.Query(ctx, retireSQL, args)
		if made.Retiring, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return fmt.Errorf("retire the keys before %s: %w", made.KID, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Action: "rotate_signing_key", Target: "signing_key:" + made.KID,
			After: map[string]any{
				"algorithm": made.Algorithm, "signs_from": made.SignsFrom, "retiring": made.Retiring, "revoke_old": revokeOld,
			},
		})
	})
	return made, err
}
