package signin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/rate"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/text"
)

// Asking is somebody who wants to sign in by mail.
type Asking struct {
	Email      string
	Tenant     id.Tenant // zero: none
	Host       id.Tenant // whose host it is asked at; zero: the installation's own
	RedirectTo string    // where to go once signed in: a path, or a page of the public or a tenant's host; empty: nowhere
	Network    string    // whom to count: an IPv4 address, or the /64 of an IPv6 address
}

// Asked is what the browser that asked is told, whoever the address belongs to.
type Asked struct {
	Code      string        // six digits, for whoever opens the mail in another browser
	Browser   string        // the secret that binds the link to this browser; kept nowhere
	ExpiresIn time.Duration // of the link
}

// AskLink mails a link that signs in whoever has the address. It does not look whether
// anybody has: that is decided when the mail is sent (Deliver), so that known and unknown
// addresses cost the same statements. An address asks 5 times in 15 minutes, a network 30
// times. The link leads to the host it was asked at, so that the browser that asked is
// known there: the tenant's own or else the public one. A tenant that is not in service is
// the same not-found as none.
func (d *Desk) AskLink(ctx context.Context, db pg.DB, in Asking) (Asked, error) {
	if !d.config.Outbox.Open() {
		return Asked{}, fault.New(fault.Unavailable, "this installation sends no mail, so nobody can sign in by it")
	}
	slug, err := d.clean(&in)
	if err != nil {
		return Asked{}, err
	}
	if err := rate.Take(ctx, db, "link-network", in.Network, linksPerNetwork); err != nil {
		return Asked{}, err
	}
	if err := rate.Take(ctx, db, "link-address", in.Email, linksPerAddress); err != nil {
		return Asked{}, err
	}
	var asked Asked
	err = pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if slug != "" {
			if err := checkTenantHost(ctx, tx, slug, in.RedirectTo); err != nil {
				return err
			}
		}
		asked, err = d.open(ctx, tx, in)
		return err
	})
	if err != nil {
		return Asked{}, err
	}
	return asked, nil
}

// clean checks what was asked and reports every problem at once. It returns the slug of
// the tenant whose host the redirect leads to, or "".
func (d *Desk) clean(in *Asking) (slug string, err error) {
	var problems fault.Problems
	in.Email = text.Email("email", in.Email, &problems)
	slug, ok := d.site.Lead(in.RedirectTo)
	if !ok {
		refuseRedirect(in.RedirectTo, &problems)
	}
	return slug, problems.Fault()
}

func refuseRedirect(target string, problems *fault.Problems) {
	problems.Add("redirect_to", "is %.80q; a path such as /projects or a page of this installation is needed, at most %d characters, percent-encoded", target, maxRedirect)
}

// checkTenantHost refuses a redirect to a host below the base domain that is no tenant's:
// it may be anybody's.
func checkTenantHost(ctx context.Context, tx pgx.Tx, slug, target string) error {
	at, err := tenant.InService(ctx, tx, slug)
	if fault.Is(err, fault.NotFound) || err == nil && at.Slug != slug { // an id is no host
		var problems fault.Problems
		refuseRedirect(target, &problems)
		return problems.Fault()
	}
	return err
}

const insertLinkSQL = `
INSERT INTO auth.sign_in_links (tenant_id, email, token_hash, browser_hash, code_hash, redirect_to, expires_at)
VALUES (@tenant_id, @email, @token_hash, @browser_hash, @code_hash, @redirect_to, now() + make_interval(secs => @seconds))
RETURNING id, expires_at`

type opened struct {
	ID        string    `db:"id"`
	ExpiresAt time.Time `db:"expires_at"`
}

// open makes the link and queues its mail, in one transaction.
func (d *Desk) open(ctx context.Context, tx pgx.Tx, in Asking) (Asked, error) {
	var at tenant.Tenant
	if !in.Tenant.IsZero() {
		var err error
		if at, err = tenant.InService(ctx, tx, in.Tenant.String()); err != nil {
			return Asked{}, err
		}
	}
	link := secret.New()
	redirect, err := sealRedirect(in.RedirectTo, link)
	if err != nil {
		return Asked{}, err
	}
	asked := Asked{Code: newCode(), Browser: secret.New(), ExpiresIn: LinkLife}
	made, err := pg.One[opened](ctx, tx, insertLinkSQL, pgx.NamedArgs{
		"tenant_id": in.Tenant, "email": in.Email, "redirect_to": redirect, "seconds": LinkLife.Seconds(),
		"token_hash": secret.Hash(link), "browser_hash": secret.Hash(asked.Browser), "code_hash": hashOfCode(asked.Code, link),
	})
	if err != nil {
		return Asked{}, fmt.Errorf("open a sign-in link: %w", err)
	}
	host := ""
	if in.Host == in.Tenant {
		host = at.Slug
	}
	values := map[string]string{queue.Link: d.site.Page(host, VerifyPath, link), linkID: made.ID}
	if at.Name != "" {
		values[queue.TenantName] = at.Name
	}
	return asked, d.config.Outbox.Send(ctx, tx, queue.Mail{
		Kind: queue.SignIn, To: in.Email, Tenant: in.Tenant, Values: values, Until: made.ExpiresAt,
	})
}
