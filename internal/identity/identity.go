// Package identity is who somebody is, before any tenant: the person an e-mail address
// or a subject of an identity provider stands for. It owns auth.users and auth.identities
// as far as signing in needs them: it finds people, makes shared identities and those a
// tenant's own provider vouches for, and remembers subjects. A shared identity is one
// person in every tenant; a local one belongs to a single tenant and is never mistaken for
// another's. It does not own memberships (member), sessions (token) or the identities of
// machines (apikey).
package identity

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// User is a person.
type User struct {
	ID     id.User   `db:"id"`
	Tenant id.Tenant `db:"tenant_id"` // zero: a shared identity; set: local to that tenant
	Email  string    `db:"email"`
	Name   string    `db:"name"` // empty where nobody told it
}

const columns = `id, tenant_id, email, name`

const byEmailSQL = `
SELECT ` + columns + ` FROM auth.users
WHERE email = @email AND kind = 'person' AND (tenant_id IS NULL OR tenant_id = @tenant_id)
ORDER BY tenant_id NULLS LAST LIMIT 1`

// ByEmail finds whom an address, in the form of text.Email, stands for: at a tenant its
// local identity and else the shared one; with the zero tenant the shared one. Nobody,
// and another tenant's local identity alone, are the same not-found.
func ByEmail(ctx context.Context, db pg.DB, tenant id.Tenant, email string) (User, error) {
	u, err := pg.One[User](ctx, db, byEmailSQL, pgx.NamedArgs{"email": email, "tenant_id": tenant})
	switch {
	case pg.NoRow(err):
		return User{}, fault.New(fault.NotFound, "nobody here has the address %.80q", email)
	case err != nil:
		return User{}, fmt.Errorf("look for the person of an address: %w", err)
	}
	return u, nil
}

const byIDAllTenantsSQL = `SELECT ` + columns + ` FROM auth.users WHERE id = @user_id`

// ByID reads one user, a machine's identity too: for whoever has proved to be that user.
func ByID(ctx context.Context, db pg.DB, user id.User) (User, error) {
	u, err := pg.One[User](ctx, db, byIDAllTenantsSQL, pgx.NamedArgs{"user_id": user})
	switch {
	case pg.NoRow(err):
		return User{}, fault.New(fault.NotFound, "there is no user %s", user)
	case err != nil:
		return User{}, fmt.Errorf("read user %s: %w", user, err)
	}
	return u, nil
}

// Ensure finds or makes the shared identity of an address in the form of text.Email.
// However many ask at once, there is one. The actor is whoever signs up, who is nobody
// yet: the audit row names the person that was made.
func Ensure(ctx context.Context, db pg.DB, actor session.Session, email string) (User, error) {
	return ensure(ctx, db, actor, User{Email: email})
}

// A second transaction with the same address waits here for the first to end.
const insertSQL = `
INSERT INTO auth.users (tenant_id, email, name) VALUES (@tenant_id, @email, @name)
ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING RETURNING ` + columns

const inScopeSQL = `
SELECT ` + columns + ` FROM auth.users
WHERE email = @email AND kind = 'person' AND (tenant_id = @tenant_id OR tenant_id IS NULL AND @tenant_id::uuid IS NULL)`

// ensure finds or makes the person of an address in just the scope that wanted names.
func ensure(ctx context.Context, db pg.DB, actor session.Session, wanted User) (User, error) {
	args := pgx.NamedArgs{"tenant_id": wanted.Tenant, "email": wanted.Email, "name": wanted.Name}
	var u User
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if u, err = pg.One[User](ctx, tx, inScopeSQL, args); !pg.NoRow(err) {
			return err
		}
		if u, err = pg.One[User](ctx, tx, insertSQL, args); err == nil {
			return created(ctx, tx, actor, u)
		} else if !pg.NoRow(err) {
			return err
		}
		u, err = pg.One[User](ctx, tx, inScopeSQL, args)
		return err
	})
	switch {
	case pg.NoRow(err):
		return User{}, fault.New(fault.Unavailable, "the address %.80q changed hands while this was under way; try again", wanted.Email).Because(err)
	case err != nil:
		return User{}, fmt.Errorf("find or make the person of an address: %w", err)
	}
	return u, nil
}

func created(ctx context.Context, tx pgx.Tx, actor session.Session, u User) error {
	actor.User = u.ID
	return audit.Append(ctx, tx, actor, audit.Entry{
		Tenant: u.Tenant, Action: "create_user", Target: "user:" + u.ID.String(), After: map[string]any{"email": u.Email},
	})
}
