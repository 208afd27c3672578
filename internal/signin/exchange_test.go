package signin_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// trusting opens an office that trusts a provider whose only token is "good".
func trusting(t *testing.T, change func(*signin.Config)) (office, func(provider.Identity)) {
	t.Helper()
	return trustingOn(t, pgtest.Tx(t, "nself_server"), change)
}

func trustingOn(t *testing.T, db pg.DB, change func(*signin.Config)) (office, func(provider.Identity)) {
	t.Helper()
	tokens := vouching{}
	o := openOn(t, db, func(c *signin.Config) {
		c.Providers = tokens
		if change != nil {
			change(c)
		}
	})
	return o, func(says provider.Identity) { tokens["good"] = says }
}

func (o office) exchange(t *testing.T, tenant id.Tenant) (token.Token, error) {
	t.Helper()
	return o.Exchange(t.Context(), o.db, signin.Exchanging{SubjectToken: "good", Tenant: tenant, Network: uuid.NewString(), RequestID: "request-1"})
}

// ada is somebody with a verified address at a provider of the installation.
func ada(email string) provider.Identity {
	return provider.Identity{Issuer: "https://login.example", Subject: uuid.NewString(), Email: email, EmailVerified: true, Name: "Ada"}
}

// of is the same at a provider that brings members to a tenant.
func of(tenant id.Tenant, joinAs, email string) provider.Identity {
	says := ada(email)
	says.Tenant, says.JoinAs = tenant, joinAs
	return says
}

func TestAProvidersTokenSignsInWhereItWasAskedFor(t *testing.T) {
	o, say := trusting(t, nil)
	team := pgtest.NewTeam(t, o.db)
	say(ada(emailOf(t, o, team.Admin)))
	signed, err := o.exchange(t, team.ID)
	if err != nil || signed.Tenant != team.ID || signed.Role != session.TenantAdmin || signed.User != team.Admin {
		t.Errorf("%+v, %v", signed, err)
	}
	if signed, err = o.exchange(t, id.Tenant{}); err != nil || !signed.Tenant.IsZero() || signed.Role != session.User || signed.User != team.Admin {
		t.Errorf("without a tenant: %+v, %v", signed, err)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.sessions WHERE method = 'exchange'`); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestAProviderOfTheInstallationBringsNobodyIntoATenant(t *testing.T) {
	o, say := trusting(t, nil)
	team := pgtest.NewTeam(t, o.db)
	says := ada(address())
	says.JoinAs = "member"
	say(says)
	_, err := o.exchange(t, team.ID)
	refuses(t, "exchange", err, fault.InvalidGrant)
}

func TestAProviderNobodyConfiguredIsRefused(t *testing.T) {
	o := open(t, nil)
	_, err := o.exchange(t, id.Tenant{})
	refuses(t, "exchange", err, fault.InvalidGrant)
}

func TestATenantThePersonIsNotInAndOneThatIsNotThereAreTheSame(t *testing.T) {
	o, say := trusting(t, nil)
	team, gone := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db)
	inside := pgtest.Operator
	inside.Tenant = gone.ID
	if _, err := tenant.Suspend(t.Context(), o.db, inside, ""); err != nil {
		t.Fatal(err)
	}
	email := address()
	say(ada(email))
	_, err := o.exchange(t, id.New[id.Tenant]())
	nowhere := refusal(t, "no tenant", err, fault.InvalidGrant)
	_, err = o.exchange(t, team.ID)
	if stranger := refusal(t, "a stranger", err, fault.InvalidGrant); stranger.Message != nowhere.Message {
		t.Errorf("%q and %q", stranger.Message, nowhere.Message)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.users WHERE email = $1`, email); n != 0 {
		t.Errorf("%d people were made for nothing", n)
	}
	say(ada(emailOf(t, o, gone.Owner)))
	_, err = o.exchange(t, gone.ID)
	if suspended := refusal(t, "suspended", err, fault.InvalidGrant); suspended.Message != nowhere.Message {
		t.Errorf("%q and %q", suspended.Message, nowhere.Message)
	}
	say(of(team.ID, "member", email))
	_, err = o.exchange(t, gone.ID)
	if bound := refusal(t, "a provider of another tenant", err, fault.InvalidGrant); bound.Message != nowhere.Message {
		t.Errorf("%q and %q", bound.Message, nowhere.Message)
	}
}

func TestATenantsProviderMakesMembersWhereItIsSetTo(t *testing.T) {
	o, say := trusting(t, invited)
	team := pgtest.NewTeam(t, o.db)
	for joinAs, role := range map[string]session.Role{"member": session.Member, "guest": session.Guest} {
		execute(t, o.db, `UPDATE tenants.tenants SET plan = 'enterprise' WHERE id = $1`, team.ID)
		say(of(team.ID, joinAs, address()))
		for range 2 {
			signed, err := o.exchange(t, id.Tenant{})
			if err != nil || signed.Tenant != team.ID || signed.Role != role {
				t.Fatalf("%s: %+v, %v", joinAs, signed, err)
			}
			sql := `SELECT count(*) FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.tenant_id = m.tenant_id WHERE u.id = $1`
			if n := o.number(t, sql, signed.User); n != 1 {
				t.Errorf("%d memberships of a local identity", n)
			}
		}
	}
	if n := o.number(t, `SELECT count(*) FROM audit.log WHERE action = 'add_member' AND actor_role = 'server' AND request_id = 'request-1'`); n != 2 {
		t.Errorf("%d audit rows", n)
	}
	say(of(team.ID, "", address()))
	_, err := o.exchange(t, id.Tenant{})
	refuses(t, "a provider that brings nobody", err, fault.InvalidGrant)
}

func TestAProviderNeverMakesOwnersOrAdmins(t *testing.T) {
	o, say := trusting(t, nil)
	team := pgtest.NewTeam(t, o.db)
	for _, role := range []string{"owner", "admin", "tenant_owner"} {
		say(of(team.ID, role, address()))
		if signed, err := o.exchange(t, id.Tenant{}); err == nil {
			t.Errorf("%s: %+v", role, signed)
		}
	}
	if n := o.number(t, `SELECT count(*) FROM auth.identities`); n != 0 {
		t.Errorf("%d identities", n)
	}
}

func TestAProviderOfOneTenantOpensNothingOfAnothers(t *testing.T) {
	o, say := trusting(t, nil)
	mine, other := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db)
	victim := emailOf(t, o, other.Owner)
	local := plant(t, o.db, other.ID, victim)
	enroll(t, o.db, other.ID, local)
	enroll(t, o.db, mine.ID, other.Owner) // the victim is in both

	says := of(mine.ID, "member", victim)
	say(says)
	_, err := o.exchange(t, other.ID)
	refuses(t, "the other tenant", err, fault.InvalidGrant)
	signed, err := o.exchange(t, id.Tenant{})
	if err != nil || signed.Tenant != mine.ID || signed.User == other.Owner || signed.User == local {
		t.Fatalf("%+v, %v", signed, err)
	}
	says.Tenant, says.JoinAs = id.New[id.Tenant](), ""
	say(says)
	_, err = o.exchange(t, id.Tenant{})
	refuses(t, "a provider of a tenant that is gone", err, fault.InvalidGrant)
	_, err = o.exchange(t, other.ID)
	refuses(t, "a provider of a tenant that is gone, at another", err, fault.InvalidGrant)
	if n := o.number(t, `SELECT count(*) FROM auth.sessions WHERE tenant_id IS DISTINCT FROM $1`, mine.ID); n != 0 {
		t.Errorf("%d sessions elsewhere", n)
	}
}

func TestASuspendedTenantsProviderOpensNothing(t *testing.T) {
	o, say := trusting(t, nil)
	team := pgtest.NewTeam(t, o.db)
	inside := pgtest.Operator
	inside.Tenant = team.ID
	if _, err := tenant.Suspend(t.Context(), o.db, inside, ""); err != nil {
		t.Fatal(err)
	}
	email := address()
	say(of(team.ID, "member", email))
	_, err := o.exchange(t, id.Tenant{})
	refuses(t, "exchange", err, fault.InvalidGrant)
	if n := o.number(t, `SELECT count(*) FROM auth.users WHERE email = $1`, email); n != 0 {
		t.Errorf("%d people joined it", n)
	}
}

func TestAFirstExchangeTwentyTimesAtOnceMakesOneMember(t *testing.T) {
	o, say := trustingOn(t, pgtest.Database(t).Pool(t, "nself_server"), nil)
	team := pgtest.NewTeam(t, o.db)
	says := of(team.ID, "guest", address())
	say(says)
	atOnce(20, func(int) {
		if signed, err := o.exchange(t, team.ID); err != nil || signed.Role != session.Guest {
			t.Errorf("%+v, %v", signed, err)
		}
	})
	for sql, want := range map[string]int{
		`SELECT count(*) FROM auth.users WHERE email = $1`:                                                          1,
		`SELECT count(*) FROM auth.identities i JOIN auth.users u ON u.id = i.user_id WHERE u.email = $1`:           1,
		`SELECT count(*) FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id WHERE u.email = $1`:    1,
		`SELECT count(DISTINCT s.id) FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id WHERE u.email = $1`: 20,
	} {
		if n := o.number(t, sql, says.Email); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
}

func TestJoiningTwentyTimesAtOnceAfterBeingLinkedMakesOneMember(t *testing.T) {
	o, say := trustingOn(t, pgtest.Database(t).Pool(t, "nself_server"), nil)
	team := pgtest.NewTeam(t, o.db)
	says := of(team.ID, "member", address())
	say(says)
	signed, err := o.exchange(t, id.Tenant{})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, o.db, `DELETE FROM tenants.tenant_members WHERE user_id = $1`, signed.User)
	atOnce(20, func(int) {
		if again, err := o.exchange(t, id.Tenant{}); err != nil || again.User != signed.User {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

func TestWhereSignUpIsClosedAProviderOfTheInstallationMakesNobody(t *testing.T) {
	o, say := trusting(t, invited)
	say(ada(address()))
	_, err := o.exchange(t, id.Tenant{})
	refuses(t, "a newcomer", err, fault.InvalidGrant)
	known := address()
	person := plant(t, o.db, id.Tenant{}, known)
	say(ada(known))
	if signed, err := o.exchange(t, id.Tenant{}); err != nil || signed.User != person {
		t.Errorf("%+v, %v", signed, err)
	}
}
