package signin

import (
	"context"
	"crypto/subtle"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// maxWrongCodes is how many wrong codes end a link.
const maxWrongCodes = 5

// Using is somebody who follows a link.
type Using struct {
	Token     string    // the link's
	Browser   string    // what AskLink gave this browser; empty: it is another
	Code      string    // what AskLink showed; needed in another browser only
	UserAgent string    // of the browser, for the session's row
	RequestID string    // for the audit log
	Host      id.Tenant // whose host the request came to; zero: no tenant's
}

// Signed is a sign-in that succeeded.
type Signed struct {
	token.Token
	RedirectTo string // as it was asked for; empty: nowhere
}

// UseLink signs in whoever follows a link: in the link's tenant, where the person is a
// member and it is in service, and else in none. A link is good once. Faults: link-ended
// for a link that was never there, was used, is too old or had five wrong codes;
// wrong-code, with the detail codeNeeded where none was given (which counts for nothing)
// and else triesLeft; wrong-tenant at another tenant's host, which spends nothing.
func (d *Desk) UseLink(ctx context.Context, db pg.DB, in Using) (Signed, error) {
	var signed Signed
	var refused error // with what is to be committed all the same: the count of wrong codes
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		l, err := lockLink(ctx, tx, in.Token)
		if err != nil {
			return err
		}
		if !in.Host.IsZero() && in.Host != l.Tenant {
			return fault.New(fault.WrongTenant, "this link signs in somewhere else; open it as it stands in the mail")
		}
		if refused, err = l.prove(ctx, tx, in); refused != nil || err != nil {
			return err
		}
		if signed.RedirectTo, err = openRedirect(l.Redirect, in.Token); err != nil {
			return err
		}
		signed.Token, err = d.spend(ctx, tx, l, in)
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Signed{}, err
	}
	return signed, nil
}

type link struct {
	ID          string    `db:"id"`
	Tenant      id.Tenant `db:"tenant_id"` // zero: none
	Email       string    `db:"email"`
	BrowserHash []byte    `db:"browser_hash"`
	CodeHash    []byte    `db:"code_hash"`
	Redirect    string    `db:"redirect_to"` // sealed
	WrongCodes  int       `db:"wrong_codes"`
}

const linkColumns = `id, tenant_id, email, browser_hash, code_hash, redirect_to, wrong_codes`

// Whoever waits here for another to use the link finds it used.
const lockLinkAllTenantsSQL = `
SELECT ` + linkColumns + ` FROM auth.sign_in_links WHERE token_hash = @hash AND ` + stillOpen + ` FOR UPDATE`

func lockLink(ctx context.Context, tx pgx.Tx, shown string) (link, error) {
	l, err := pg.One[link](ctx, tx, lockLinkAllTenantsSQL, pgx.NamedArgs{"hash": secret.Hash(shown), "max_wrong": maxWrongCodes})
	switch {
	case pg.NoRow(err):
		return link{}, linkEnded()
	case err != nil:
		return link{}, fmt.Errorf("read a sign-in link: %w", err)
	}
	return l, nil
}

// linkEnded is the one answer to a link that cannot be used, whatever the reason.
func linkEnded() error {
	return fault.New(fault.LinkEnded, "this link is used, too old, or not one of ours; ask for another")
}

const countWrongCodeAllTenantsSQL = `
UPDATE auth.sign_in_links SET wrong_codes = wrong_codes + 1 WHERE id = @id`

// prove asks for a sign that whoever asked for the link follows it: the same browser, or
// the code it was shown. refused is the answer to a transaction that commits.
func (l link) prove(ctx context.Context, tx pgx.Tx, in Using) (refused, err error) {
	if subtle.ConstantTimeCompare(secret.Hash(in.Browser), l.BrowserHash) == 1 {
		return nil, nil
	}
	left := maxWrongCodes - l.WrongCodes
	code := typed(in.Code)
	if code == "" {
		return fault.New(fault.WrongCode, "type the code that was shown where you asked for this link").
			With("codeNeeded", true).With("triesLeft", left), nil
	}
	if subtle.ConstantTimeCompare(hashOfCode(code, in.Token), l.CodeHash) == 1 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, countWrongCodeAllTenantsSQL, pgx.NamedArgs{"id": l.ID}); err != nil {
		return nil, fmt.Errorf("count a wrong code: %w", err)
	}
	if left--; left == 0 {
		return fault.New(fault.WrongCode, "that is not the code, and it was the last try; ask for another link").With("triesLeft", left), nil
	}
	return fault.New(fault.WrongCode, "that is not the code; tries left: %d", left).With("triesLeft", left), nil
}

const spendLinkAllTenantsSQL = `UPDATE auth.sign_in_links SET used_at = statement_timestamp() WHERE id = @id`

// spend uses the link up and opens the session. What the browser had before plays no part.
func (d *Desk) spend(ctx context.Context, tx pgx.Tx, l link, in Using) (token.Token, error) {
	actor := signer(in.RequestID)
	person, err := d.person(ctx, tx, actor, l)
	if err != nil {
		return token.Token{}, err
	}
	if _, err := tx.Exec(ctx, spendLinkAllTenantsSQL, pgx.NamedArgs{"id": l.ID}); err != nil {
		return token.Token{}, fmt.Errorf("spend a sign-in link: %w", err)
	}
	sign := token.SignIn{User: person.ID, Tenant: l.Tenant, Method: token.ByLink, UserAgent: in.UserAgent}
	actor.User = person.ID
	signed, err := d.config.Minter.Open(ctx, tx, actor, sign)
	if fault.Is(err, fault.NotFound) && !l.Tenant.IsZero() { // no member, or the tenant is out of service
		sign.Tenant = id.Tenant{}
		return d.config.Minter.Open(ctx, tx, actor, sign)
	}
	return signed, err
}

// person is whom the link's address stands for, new where it may sign up. Where it may
// not, nobody is told that the address is unknown.
func (d *Desk) person(ctx context.Context, tx pgx.Tx, actor session.Session, l link) (identity.User, error) {
	found, err := identity.ByEmail(ctx, tx, l.Tenant, l.Email)
	if !fault.Is(err, fault.NotFound) {
		return found, err
	}
	switch may, err := d.maySignUp(ctx, tx, l.Tenant, l.Email); {
	case err != nil:
		return identity.User{}, err
	case !may:
		return identity.User{}, linkEnded()
	}
	return identity.Ensure(ctx, tx, actor, l.Email)
}
