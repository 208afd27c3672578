package signin_test

import (
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
)

// post mails invitations as the office mails links.
func (o office) post(t *testing.T) member.Post {
	t.Helper()
	outbox, err := queue.New(o.box)
	if err != nil {
		t.Fatal(err)
	}
	return member.Post{Outbox: outbox, Links: pageLinks{}}
}

type pageLinks struct{}

func (pageLinks) Invitation(token string) string {
	return signin.NewSite("https://auth.example.com", "example.com").Page("", "/auth/invitation", token)
}

func (o office) invite(t *testing.T, team pgtest.Team, in member.InviteInput) member.Invitation {
	t.Helper()
	execute(t, o.db, `UPDATE tenants.tenants SET plan = 'enterprise' WHERE id = $1`, team.ID)
	in.Role = member.Guest
	invited, err := o.post(t).Invite(t.Context(), o.db, team.As(member.Owner), in)
	if err != nil {
		t.Fatal(err)
	}
	return invited
}

// entered tries all three ways in: the mail, the link and the provider's token.
func (o office) entered(t *testing.T, say func(), in signin.Asking) (mailed bool, byLink, byProvider error) {
	t.Helper()
	l := o.ask(t, in)
	mailed = o.deliver(t, l.Mail)
	say()
	_, byProvider = o.exchange(t, id.Tenant{})
	_, byLink = o.UseLink(t.Context(), o.db, l.here())
	return mailed, byLink, byProvider
}

func TestWhereSignUpIsClosedWhoeverIsInvitedSignsInAndAccepts(t *testing.T) {
	o, say := trusting(t, invited)
	team := pgtest.NewTeam(t, o.db)
	for _, at := range []id.Tenant{{}, team.ID} {
		email := address()
		o.invite(t, team, member.InviteInput{Email: email})
		_, shown, _ := strings.Cut(o.mail(t).Values[queue.Link], "?token=")
		l := o.ask(t, signin.Asking{Email: email, Tenant: at})
		if !o.deliver(t, l.Mail) {
			t.Fatal("the link is not mailed")
		}
		signed := o.use(t, l.here())
		if signed.Role != session.User || !signed.Tenant.IsZero() {
			t.Fatalf("%+v", signed)
		}
		if n := o.number(t, `SELECT count(*) FROM auth.users WHERE id = $1 AND tenant_id IS NULL`, signed.User); n != 1 {
			t.Error("it is no shared identity")
		}
		joined, err := member.Accept(t.Context(), o.db, session.Session{Role: session.User, User: signed.User}, shown)
		if err != nil || joined.TenantID != team.ID {
			t.Errorf("%+v, %v", joined, err)
		}
	}
	email := address()
	o.invite(t, team, member.InviteInput{Email: email})
	says := ada("  " + email)
	says.EmailVerified = false
	say(says)
	_, err := o.exchange(t, id.Tenant{})
	refuses(t, "an address the provider did not verify", err, fault.InvalidGrant)
	say(ada(email))
	signed, err := o.exchange(t, id.Tenant{})
	if err != nil || emailOf(t, o, signed.User) != email {
		t.Errorf("by a provider: %+v, %v", signed, err)
	}
}

func TestWhereSignUpIsClosedAnInvitationThatNamesNobodyOrEndedLetsNobodyIn(t *testing.T) {
	for name, change := range map[string]string{
		"expired":       `UPDATE tenants.tenant_invitations SET expires_at = now()`,
		"revoked":       `UPDATE tenants.tenant_invitations SET revoked_at = now()`,
		"accepted":      `UPDATE tenants.tenant_invitations SET accepted_at = now()`,
		"another's":     `UPDATE tenants.tenant_invitations SET email = 'another@example.com'`,
		"any address":   `UPDATE tenants.tenant_invitations SET any_address = true`,
		"no inviter":    `UPDATE tenants.tenant_invitations i SET invited_by = (SELECT user_id FROM tenants.tenant_members m WHERE m.tenant_id = i.tenant_id AND role = 'guest')`,
		"a tenant gone": `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now()`,
	} {
		t.Run(name, func(t *testing.T) {
			o, say := trusting(t, invited)
			team, email := pgtest.NewTeam(t, o.db), address()
			o.invite(t, team, member.InviteInput{Email: email})
			execute(t, o.db, change)
			mailed, byLink, byProvider := o.entered(t, func() { say(ada(email)) }, signin.Asking{Email: email})
			if mailed || !fault.Is(byLink, fault.LinkEnded) || !fault.Is(byProvider, fault.InvalidGrant) {
				t.Errorf("mailed %t, by link %v, by a provider %v", mailed, byLink, byProvider)
			}
			if n := o.number(t, `SELECT count(*) FROM auth.users WHERE email = $1`, email); n != 0 {
				t.Errorf("%d people were made", n)
			}
		})
	}
}

func TestWhereSignUpIsClosedAnInvitationElsewhereIsNoneAtATenant(t *testing.T) {
	o := open(t, invited)
	here, there, email := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db), address()
	o.invite(t, there, member.InviteInput{Email: email})
	l := o.ask(t, signin.Asking{Email: email, Tenant: here.ID})
	if o.deliver(t, l.Mail) {
		t.Error("it is mailed")
	}
	_, err := o.UseLink(t.Context(), o.db, l.here())
	refuses(t, "a link", err, fault.LinkEnded)
}

func TestAnInvitationIsMailedWhileItsTokenIsGood(t *testing.T) {
	suspend := func(t *testing.T, o office, team pgtest.Team) {
		t.Helper()
		inside := pgtest.Operator
		inside.Tenant = team.ID
		if _, err := tenant.Suspend(t.Context(), o.db, inside, ""); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(*testing.T, office, pgtest.Team, member.Invitation){
		"revoked": func(t *testing.T, o office, team pgtest.Team, i member.Invitation) {
			if _, err := member.Revoke(t.Context(), o.db, team.As(member.Owner), i.ID); err != nil {
				t.Fatal(err)
			}
		},
		"sent again": func(t *testing.T, o office, team pgtest.Team, i member.Invitation) {
			if _, err := o.post(t).Resend(t.Context(), o.db, team.As(member.Owner), i.ID); err != nil {
				t.Fatal(err)
			}
			if !o.deliver(t, o.mail(t)) {
				t.Error("the one that was sent again is not mailed")
			}
		},
		"of a tenant out of service": func(t *testing.T, o office, team pgtest.Team, _ member.Invitation) { suspend(t, o, team) },
		"accepted": func(t *testing.T, o office, _ pgtest.Team, _ member.Invitation) {
			execute(t, o.db, `UPDATE tenants.tenant_invitations SET accepted_at = now()`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, invited)
			team := pgtest.NewTeam(t, o.db)
			i := o.invite(t, team, member.InviteInput{Email: address()})
			m := o.mail(t)
			if m.Kind != queue.Invitation || !o.deliver(t, m) {
				t.Fatalf("an open one is not mailed: %s", m.Kind)
			}
			change(t, o, team, i)
			if o.deliver(t, m) {
				t.Error("it is mailed")
			}
		})
	}
}
