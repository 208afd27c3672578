package signin

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
)

// linkID is the value of a sign-in mail that names its link: for Deliver, not for its text.
const linkID = "SIGN_IN_LINK"

// A link is open until it is used, its time is over or wrong codes ended it.
const stillOpen = `used_at IS NULL AND expires_at > statement_timestamp() AND wrong_codes < @max_wrong`

const openLinkAllTenantsSQL = `
SELECT ` + linkColumns + ` FROM auth.sign_in_links WHERE id = @id AND ` + stillOpen

// Deliver says whether a mail is to be sent, when its turn has come. A sign-in mail is
// sent while its link is open, to an address that somebody has here (at the link's tenant)
// or that may sign up; an invitation while its link accepts it still. All other mails are.
func (d *Desk) Deliver(ctx context.Context, db pg.DB, m queue.Mail) (bool, error) {
	switch m.Kind {
	case queue.SignIn:
		return d.deliverLink(ctx, db, m)
	case queue.Invitation:
		address, err := url.Parse(m.Values[queue.Link])
		if err != nil {
			return false, errors.New("the link of an invitation's mail is no address") // which is not told: it is secret
		}
		return member.Acceptable(ctx, db, address.Query().Get("token"))
	}
	return true, nil
}

func (d *Desk) deliverLink(ctx context.Context, db pg.DB, m queue.Mail) (bool, error) {
	l, err := pg.One[link](ctx, db, openLinkAllTenantsSQL, pgx.NamedArgs{"id": m.Values[linkID], "max_wrong": maxWrongCodes})
	switch {
	case pg.NoRow(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the link of a sign-in mail: %w", err)
	case d.config.SignUp:
		return true, nil
	}
	_, err = identity.ByEmail(ctx, db, l.Tenant, l.Email)
	if fault.Is(err, fault.NotFound) {
		return d.maySignUp(ctx, db, l.Tenant, l.Email)
	}
	return err == nil, err
}
