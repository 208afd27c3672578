package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/text"
)

// Subject is what a trusted provider said of somebody.
type Subject struct {
	Issuer        string
	Subject       string
	Email         string // empty where the provider told none
	EmailVerified bool   // the provider itself saw that the address is the subject's
	Name          string
	Tenant        id.Tenant // zero: a provider of the installation; set: it speaks for that tenant alone
	MayCreate     MayCreate // nil: nobody new is made
}

// MayCreate says whether somebody new may be made of a verified address, in the form of
// text.Email. It is asked only where nobody has the address.
type MayCreate func(ctx context.Context, db pg.DB, email string) (bool, error)

// ByProvider finds or makes the person a subject stands for. A subject seen before is
// who it was, whatever its address is now. A new one needs an address that the provider
// verified: it becomes the person of that address in the provider's own scope (shared for
// a provider of the installation; local to its tenant for a tenant's, never a shared one)
// or, where MayCreate allows, makes that person. Anything else is an invalid-grant fault.
// However many exchange the same subject at once, there is one person and one identity.
func ByProvider(ctx context.Context, db pg.DB, actor session.Session, s Subject) (User, error) {
	if err := s.check(); err != nil {
		return User{}, err
	}
	u, err := known(ctx, db, s)
	if !pg.NoRow(err) {
		return u, err
	}
	wanted, err := s.vouchedFor()
	if err != nil {
		return User{}, err
	}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if u, err = settle(ctx, tx, actor, settling{s, wanted}); err != nil {
			return err
		}
		return link(ctx, tx, actor, settling{s, u})
	})
	if !errors.Is(err, errLinkedMeanwhile) {
		return u, err
	}
	if u, err = known(ctx, db, s); pg.NoRow(err) {
		return User{}, refused("the subject %.80q of %.80q stands for nobody in the provider's scope", s.Subject, s.Issuer)
	}
	return u, err
}

func refused(format string, args ...any) *fault.Fault {
	return fault.New(fault.InvalidGrant, format, args...)
}

const (
	maxIssuer  = 500
	maxSubject = 255
)

func (s Subject) check() error {
	for _, part := range []struct {
		name, value string
		limit       int
	}{{"issuer", s.Issuer, maxIssuer}, {"subject", s.Subject, maxSubject}} {
		n := utf8.RuneCountInString(part.value)
		if n == 0 || n > part.limit || !utf8.ValidString(part.value) || strings.ContainsRune(part.value, 0) {
			return refused("the provider's %s is %.80q; 1 to %d characters are needed", part.name, part.value, part.limit)
		}
	}
	return nil
}

// vouchedFor is who the provider's words would make: the clean address and name, in its scope.
// A name that cannot be shown is left out: nobody is kept from signing in by it.
func (s Subject) vouchedFor() (User, error) {
	switch {
	case s.Email == "":
		return User{}, refused("the provider tells no e-mail address, so that it is not known who this is; ask it for the scope email")
	case !s.EmailVerified:
		return User{}, refused("the provider has not verified the address %.80q; verify it there first", s.Email)
	}
	var problems, names fault.Problems
	u := User{Tenant: s.Tenant, Email: text.Email("email", s.Email, &problems)}
	if problems.Fault() != nil {
		return User{}, refused("the provider's address is %.80q, which is no e-mail address", s.Email)
	}
	if u.Name = text.Line("name", s.Name, 200, &names); names.Fault() != nil {
		u.Name = ""
	}
	return u, nil
}

// The person is of the scope that the subject is of, or it is not the subject's.
const knownSQL = `
SELECT u.id, u.tenant_id, u.email, u.name
FROM auth.identities i JOIN auth.users u ON u.id = i.user_id AND u.kind = 'person' AND u.tenant_id IS NOT DISTINCT FROM i.tenant_id
WHERE i.issuer = @issuer AND i.subject = @subject AND (i.tenant_id = @tenant_id OR i.tenant_id IS NULL AND @tenant_id::uuid IS NULL)`

// known finds whom a subject stood for before. No row is pgx.ErrNoRows.
func known(ctx context.Context, db pg.DB, s Subject) (User, error) {
	u, err := pg.One[User](ctx, db, knownSQL, s.args())
	if err != nil && !pg.NoRow(err) {
		return User{}, fmt.Errorf("look for the person of a provider's subject: %w", err)
	}
	return u, err
}

func (s Subject) args() pgx.NamedArgs {
	return pgx.NamedArgs{"tenant_id": s.Tenant, "issuer": s.Issuer, "subject": s.Subject}
}

// settling is a subject and the person it is to stand for.
type settling struct {
	Subject
	person User
}

// settle finds or, where it may, makes the person of the verified address.
func settle(ctx context.Context, tx pgx.Tx, actor session.Session, s settling) (User, error) {
	u, err := pg.One[User](ctx, tx, inScopeSQL, pgx.NamedArgs{"tenant_id": s.person.Tenant, "email": s.person.Email})
	switch {
	case err == nil:
		return u, nil
	case !pg.NoRow(err):
		return User{}, fmt.Errorf("look for the person of a provider's address: %w", err)
	}
	if s.MayCreate != nil {
		if may, err := s.MayCreate(ctx, tx, s.person.Email); err != nil {
			return User{}, err
		} else if may {
			return ensure(ctx, tx, actor, s.person)
		}
	}
	return User{}, refused("nobody here has the address %.80q, and new people come by invitation only", s.person.Email)
}

// errLinkedMeanwhile takes back whoever was made for a subject that another transaction
// linked first.
var errLinkedMeanwhile = errors.New("the subject was linked meanwhile")

const linkSQL = `
INSERT INTO auth.identities (tenant_id, issuer, subject, user_id) VALUES (@tenant_id, @issuer, @subject, @user_id)
ON CONFLICT ON CONSTRAINT identities_key DO NOTHING`

func link(ctx context.Context, tx pgx.Tx, actor session.Session, s settling) error {
	args := s.args()
	args["user_id"] = s.person.ID
	linked, err := tx.Exec(ctx, linkSQL, args)
	switch {
	case err != nil:
		return fmt.Errorf("link a provider's subject: %w", err)
	case linked.RowsAffected() == 0:
		return errLinkedMeanwhile
	}
	actor.User = s.person.ID
	return audit.Append(ctx, tx, actor, audit.Entry{
		Tenant: s.Tenant, Action: "link_identity", Target: "user:" + s.person.ID.String(),
		After: map[string]any{"issuer": s.Issuer, "subject": s.Subject.Subject},
	})
}
