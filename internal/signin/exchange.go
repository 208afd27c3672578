package signin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/rate"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// Exchanging is somebody who shows a provider's token.
type Exchanging struct {
	SubjectToken string
	Tenant       id.Tenant // zero: the provider's own, or none. One that does not exist is refused in the same words as one the person has no part in
	Network      string    // as in Asking
	UserAgent    string    // for the session's row
	RequestID    string    // for the audit log
}

// Exchange signs in whoever a trusted provider vouches for. A provider that speaks for one
// tenant signs in there and nowhere else, and makes newcomers members where it is set to.
// The fault is invalid-grant; a network that had 60 of them in 15 minutes gets
// too-many-requests. The provider is asked before a transaction is begun.
func (d *Desk) Exchange(ctx context.Context, db pg.DB, in Exchanging) (token.Token, error) {
	if d.config.Providers == nil {
		return token.Token{}, fault.New(fault.InvalidGrant, "this installation trusts no identity provider")
	}
	if err := rate.Full(ctx, db, "exchange-failure", in.Network, failuresPerNetwork); err != nil {
		return token.Token{}, err
	}
	signed, err := d.exchange(ctx, db, in)
	if fault.Is(err, fault.InvalidGrant) {
		if limited := countFailure(ctx, db, in.Network); limited != nil {
			return token.Token{}, limited
		}
	}
	return signed, err
}

const countPatience = 5 * time.Second

// countFailure counts even where the caller has hung up: else hanging up would be a way
// not to be counted.
func countFailure(ctx context.Context, db pg.DB, network string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countPatience)
	defer cancel()
	return rate.Take(ctx, db, "exchange-failure", network, failuresPerNetwork)
}

func (d *Desk) exchange(ctx context.Context, db pg.DB, in Exchanging) (token.Token, error) {
	vouched, err := d.config.Providers.Verify(ctx, in.SubjectToken)
	if err != nil {
		return token.Token{}, err
	}
	var signed token.Token
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		own, err := tenantOf(ctx, tx, vouched)
		if err != nil {
			return err
		}
		if !own.IsZero() && in.Tenant.IsZero() {
			in.Tenant = own
		}
		if !own.IsZero() && in.Tenant != own {
			return noPart()
		}
		person, err := identity.ByProvider(ctx, tx, signer(in.RequestID), d.subject(vouched, own, in.Tenant))
		if err != nil {
			return err
		}
		came := arrival{person: person.ID, in: in}
		if !own.IsZero() {
			came.joinAs = member.Role(vouched.JoinAs)
		}
		signed, err = d.enter(ctx, tx, came)
		return err
	})
	if err != nil {
		return token.Token{}, err
	}
	return signed, nil
}

// tenantOf is the tenant a provider speaks for; zero: the installation. One that names a
// tenant that is not there speaks for nobody, least of all for the installation.
func tenantOf(ctx context.Context, tx pgx.Tx, vouched provider.Identity) (id.Tenant, error) {
	if vouched.Tenant.IsZero() {
		return id.Tenant{}, nil
	}
	own, err := tenant.Resolve(ctx, tx, vouched.Tenant.String())
	if fault.Is(err, fault.NotFound) {
		return id.Tenant{}, noPart()
	}
	return own, err
}

// subject says who may be made: by a provider of the installation whoever may sign up
// where they want to be, by a tenant's whoever becomes its member.
func (d *Desk) subject(v provider.Identity, own, wanted id.Tenant) identity.Subject {
	mayCreate := func(ctx context.Context, db pg.DB, email string) (bool, error) {
		if own.IsZero() {
			return d.maySignUp(ctx, db, wanted, email)
		}
		return v.JoinAs != "", nil
	}
	return identity.Subject{
		Issuer: v.Issuer, Subject: v.Subject, Email: v.Email, EmailVerified: v.EmailVerified, Name: v.Name,
		Tenant: own, MayCreate: mayCreate,
	}
}

// noPart is the one answer to a tenant the person is not in, one out of service and one
// that does not exist.
func noPart() error {
	return fault.New(fault.InvalidGrant, "you are no member of this tenant")
}

// arrival is a person a provider vouched for, on the way into a tenant or none.
type arrival struct {
	person id.User
	joinAs member.Role // only where the tenant's own provider brings members; else empty
	in     Exchanging
}

// enter opens the session, after making the person a member where the tenant's own
// provider brings members. It does not look at the tenant itself: Open locks the member
// and then the tenant, and so does whoever removes one.
func (d *Desk) enter(ctx context.Context, tx pgx.Tx, a arrival) (token.Token, error) {
	actor := signer(a.in.RequestID)
	actor.User = a.person
	sign := token.SignIn{User: a.person, Tenant: a.in.Tenant, Method: token.ByExchange, UserAgent: a.in.UserAgent}
	signed, err := d.config.Minter.Open(ctx, tx, actor, sign)
	if fault.Is(err, fault.NotFound) && a.joinAs != "" {
		if err := join(ctx, tx, a); err != nil {
			return token.Token{}, err
		}
		signed, err = d.config.Minter.Open(ctx, tx, actor, sign) // not found again where the tenant is out of service
	}
	if fault.Is(err, fault.NotFound) && !a.in.Tenant.IsZero() {
		return token.Token{}, noPart()
	}
	return signed, err
}

// join makes the person a member by the server's own hand: nobody invited them. Whoever is
// no local identity of the tenant is not added.
func join(ctx context.Context, tx pgx.Tx, a arrival) error {
	if a.joinAs != member.Plain && a.joinAs != member.Guest {
		return fmt.Errorf("a provider makes people %q in tenant %s; member or guest is needed", a.joinAs, a.in.Tenant)
	}
	actor := session.Session{Role: session.Server, Tenant: a.in.Tenant, RequestID: a.in.RequestID}
	_, err := member.Add(ctx, tx, actor, a.person, a.joinAs)
	if fault.Is(err, fault.AlreadyMember) { // by another sign-in of theirs, meanwhile
		return nil
	}
	return err
}
