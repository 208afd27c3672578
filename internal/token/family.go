package token

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
)

const familyAllTenantsSQL = `SELECT family_id, role FROM auth.sessions WHERE id = @session_id`

type ofFamily struct {
	Family id.Session   `db:"family_id"`
	Role   session.Role `db:"role"`
}

// endFamily ends the family of a refresh token's session and counts what ended. A session
// that is gone has none.
func (of owned) endFamily(ctx context.Context, tx pgx.Tx, reason string) (found ofFamily, ended int64, err error) {
	found, err = pg.One[ofFamily](ctx, tx, familyAllTenantsSQL, pgx.NamedArgs{"session_id": of.Session})
	if pg.NoRow(err) {
		return ofFamily{}, 0, nil
	}
	if err != nil {
		return ofFamily{}, 0, fmt.Errorf("read the family of session %s: %w", of.Session, err)
	}
	ended, err = finish(ctx, tx, ending{holds: []string{holdUserSQL, holdMembershipsAllTenantsSQL}, end: endFamilyAllTenantsSQL, args: pgx.NamedArgs{
		"family_id": found.Family, "user_id": of.User, "reason": reason,
	}})
	return found, ended, err
}

// reused is in a transaction of its own: the one that met the token was refused, and
// holds locks in another order than an end takes them.
func (of owned) reused(ctx context.Context, db pg.DB, requestID string) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		found, ended, err := of.endFamily(ctx, tx, "a spent refresh token was shown again")
		if err != nil || ended == 0 {
			return err
		}
		actor := session.Session{Role: session.Server, RequestID: requestID}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: of.Tenant, Action: "refresh_token_reused", Target: "session:" + of.Session.String(),
			After: map[string]any{"user_id": of.User, "family_id": found.Family, "ended": ended},
		})
	})
}

// SigningOutBy is a refresh token that is shown to sign out.
type SigningOutBy struct {
	Refreshing
	Everywhere bool // all of its holder's sessions; it takes a token that could be spent, another ends its family alone
}

// SignOutByRefresh ends the session of a refresh token with its family, or all of its
// holder's, and counts what ended. The token may be spent or past its time, the member
// gone, the tenant out of service: who has it may always end what it is of. One that
// nobody has, or that is shown at the host of another tenant than its session's, ends
// nothing and is no error.
func (m *Minter) SignOutByRefresh(ctx context.Context, db pg.DB, in SigningOutBy) (ended int64, err error) {
	if !spelled(in.Token) {
		return 0, nil
	}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		of, err := in.owner(ctx, tx)
		if err != nil {
			return err
		}
		ended, err = of.signOut(ctx, tx, in)
		return err
	})
	if fault.Is(err, fault.InvalidGrant) {
		return 0, nil
	}
	return ended, err
}

// Whoever has the newest token of a running session is its holder; an older one may be a
// thief's.
const holdsAllTenantsSQL = `
SELECT EXISTS (SELECT FROM auth.refresh_tokens r JOIN auth.sessions s ON s.id = r.session_id
	WHERE r.token_hash = @hash AND r.spent_at IS NULL AND r.expires_at > now() AND s.ended_at IS NULL AND s.expires_at > now())`

func (of owned) signOut(ctx context.Context, tx pgx.Tx, in SigningOutBy) (int64, error) {
	holds, err := pg.Scalar[bool](ctx, tx, holdsAllTenantsSQL, pgx.NamedArgs{"hash": secret.Hash(in.Token)})
	if err != nil {
		return 0, fmt.Errorf("look at a refresh token: %w", err)
	}
	actor := session.Session{User: of.User, Tenant: of.Tenant, ID: of.Session, RequestID: in.RequestID}
	target, all := "session:"+of.Session.String(), in.Everywhere && holds
	var others int64
	if all {
		target = "user:" + of.User.String()
		if others, err = everywhere(ctx, tx, actor, of.User); err != nil {
			return 0, err
		}
	}
	found, ended, err := of.endFamily(ctx, tx, "signed out")
	if ended += others; err != nil || ended == 0 {
		return 0, err
	}
	actor.Role = found.Role
	return ended, audit.Append(ctx, tx, actor, audit.Entry{
		Tenant: of.Tenant, Action: "sign_out", Target: target, After: map[string]any{"ended": ended, "everywhere": all},
	})
}
