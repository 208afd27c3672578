package tokens

import (
	"context"
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// visitor is who the browser's cookie says is here; found is false where nobody is signed
// in any more. The refresh token is spent, and the browser gets its successor.
func (d *door) visitor(v *visit) (actor session.Session, found bool, err error) {
	refresh := d.jar.read(v.r, refreshName)
	if refresh == "" {
		return session.Session{}, false, nil
	}
	minted, err := d.Minter.Refresh(v.r.Context(), d.DB, d.refreshing(v, refresh))
	switch {
	case fault.Is(err, fault.InvalidGrant):
		d.jar.clear(v, refreshName)
		return session.Session{}, false, nil
	case err != nil:
		return session.Session{}, false, err
	}
	d.jar.set(v.w, refreshName, minted.Refresh, d.jar.refreshTTL)
	d.note(v, minted)
	return v.by(sessionOf(minted)), true, nil
}

// asVisitor serves whoever is signed in, and has anybody else sign in first.
func (d *door) asVisitor(v *visit, serve func(*visit, session.Session) error) error {
	if _, err := v.in.need("token"); err != nil {
		return err
	}
	actor, found, err := d.visitor(v)
	switch {
	case err != nil:
		return err
	case !found:
		return d.askInvited(v, view{})
	}
	return serve(v, actor)
}

// invitation is one as whom it is for sees it.
type invitation struct {
	TenantID id.Tenant   `json:"tenant_id"`
	Slug     string      `json:"slug"`
	Name     string      `json:"name"`
	Role     member.Role `json:"role"`
}

// errOnlyLooked rolls a transaction back that was to show what would come of it.
var errOnlyLooked = errors.New("only looked")

// look is what accepting would come to, without accepting: the rules, and the refusals,
// are those of accepting itself.
func (d *door) look(ctx context.Context, v *visit, actor session.Session) (invitation, error) {
	var seen invitation
	err := pg.InTx(ctx, d.DB, func(tx pgx.Tx) (err error) {
		if seen, err = d.take(ctx, tx, v, actor); err != nil {
			return err
		}
		return errOnlyLooked
	})
	if errors.Is(err, errOnlyLooked) {
		err = nil
	}
	return seen, err
}

// take accepts the invitation. At a tenant's host only that tenant's are accepted.
func (d *door) take(ctx context.Context, tx pgx.Tx, v *visit, actor session.Session) (invitation, error) {
	joined, err := member.Accept(ctx, tx, actor, v.in["token"])
	if err != nil {
		return invitation{}, err
	}
	if d.foreign(v, joined.TenantID) {
		return invitation{}, elsewhere()
	}
	t, err := tenant.Get(ctx, tx, joined.TenantID)
	return invitation{TenantID: t.ID, Slug: t.Slug, Name: t.Name, Role: joined.Role}, err
}

// showInvitation serves GET /auth/invitation, which a mail leads to. Nobody learns whose
// invitation it is, or where to, but the one who is signed in as the one invited.
func (d *door) showInvitation(v *visit) error {
	if err := v.notAhead(); err != nil {
		return err
	}
	return d.asVisitor(v, d.lookAt)
}

func (d *door) lookAt(v *visit, actor session.Session) error {
	seen, err := d.look(v.r.Context(), v, actor)
	if err != nil {
		return d.notTheirs(v, actor, err)
	}
	if !v.wantsPage() {
		return v.reply(seen)
	}
	person, err := d.person(v, actor)
	if err != nil {
		return err
	}
	d.pages.show(v.w, http.StatusOK, "invitation", view{
		Host: v.at.host, Email: person.Email, Token: v.in["token"], TenantName: seen.Name, Role: string(seen.Role),
	})
	return nil
}

// askInvited has whoever is not signed in do so, and come back to this very page.
func (d *door) askInvited(v *visit, shown view) error {
	if !v.wantsPage() {
		return as(http.StatusUnauthorized, "invalid_token", fault.New(fault.InvalidToken, "sign in with the address that was invited"))
	}
	shown.Host, shown.RedirectTo = v.at.host, signin.PagePath(invitationPath, v.in["token"])
	d.pages.show(v.w, http.StatusOK, "invited", shown)
	return nil
}

// notTheirs tells somebody for whom there is no such invitation who they are signed in as.
func (d *door) notTheirs(v *visit, actor session.Session, refused error) error {
	if !v.wantsPage() || !fault.Is(refused, fault.NotFound) {
		return refused
	}
	requestlog.Fault(v.r.Context(), fault.From(refused))
	person, err := d.person(v, actor)
	if err != nil {
		return err
	}
	return d.askInvited(v, view{Email: person.Email})
}

func (d *door) person(v *visit, actor session.Session) (identity.User, error) {
	return identity.ByID(v.r.Context(), d.DB, actor.User)
}

// acceptInvitation serves POST /auth/invitation: whoever the cookie says joins the tenant,
// and the cookie of this host is of that tenant from then on. A join without a session is
// no join: both happen or neither.
func (d *door) acceptInvitation(v *visit) error {
	if err := d.sameOrigin(v); err != nil {
		return err
	}
	return d.asVisitor(v, d.join)
}

func (d *door) join(v *visit, actor session.Session) error {
	var taken invitation
	var minted token.Token
	err := pg.InTx(v.r.Context(), d.DB, func(tx pgx.Tx) (err error) {
		if taken, err = d.take(v.r.Context(), tx, v, actor); err != nil {
			return err
		}
		minted, err = d.Minter.Switch(v.r.Context(), tx, actor, taken.TenantID)
		return err
	})
	if err != nil {
		return d.notTheirs(v, actor, err)
	}
	d.jar.set(v.w, refreshName, minted.Refresh, d.jar.refreshTTL)
	d.note(v, minted)
	if v.wantsPage() {
		shown := view{Host: v.at.host, TenantName: taken.Name, Role: string(taken.Role)}
		if v.at.tenant.IsZero() {
			shown.TenantHost = d.site.Host(taken.Slug)
		}
		d.pages.show(v.w, http.StatusOK, "joined", shown)
		return nil
	}
	answer := grantedFrom(minted)
	answer.RefreshToken = ""
	return v.reply(answer)
}

func sessionOf(t token.Token) session.Session {
	return session.Session{Role: t.Role, User: t.User, Tenant: t.Tenant, ID: t.Session}
}
