package identity_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func anybody(context.Context, pg.DB, string) (bool, error) { return true, nil }

// vouched is what a provider says of a new subject with a verified address.
func vouched(email string) identity.Subject {
	return identity.Subject{
		Issuer: "https://login.example", Subject: uuid.NewString(), Email: email, EmailVerified: true, Name: "Ada", MayCreate: anybody,
	}
}

func byProvider(t *testing.T, db pg.DB, s identity.Subject) identity.User {
	t.Helper()
	u, err := identity.ByProvider(t.Context(), db, newcomer, s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAKnownSubjectIsWhoItWasWhateverItsAddressIsNow(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	s, victim := vouched(address()), address()
	first := byProvider(t, db, s)
	plant(t, db, id.Tenant{}, victim, "person")
	for _, later := range []identity.Subject{
		{Issuer: s.Issuer, Subject: s.Subject},
		{Issuer: s.Issuer, Subject: s.Subject, Email: victim},
		{Issuer: s.Issuer, Subject: s.Subject, Email: victim, EmailVerified: true, MayCreate: anybody},
	} {
		if got := byProvider(t, db, later); got != first {
			t.Errorf("%+v is %+v, was %+v", later, got, first)
		}
	}
}

func TestOnlyAVerifiedAddressLinksOrMakesAPerson(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	known := address()
	person := plant(t, db, id.Tenant{}, known, "person")
	for name, change := range map[string]func(*identity.Subject){
		"unverified, of somebody": func(s *identity.Subject) { s.EmailVerified = false },
		"unverified, of nobody":   func(s *identity.Subject) { s.Email, s.EmailVerified = address(), false },
		"none":                    func(s *identity.Subject) { s.Email = "" },
		"no address":              func(s *identity.Subject) { s.Email = "ada" },
		"one like another's":      func(s *identity.Subject) { s.Email = "\u212a" + known },
		"of nobody, by invitation": func(s *identity.Subject) {
			s.Email, s.MayCreate = address(), nil
		},
	} {
		s := vouched(known)
		change(&s)
		if _, err := identity.ByProvider(t.Context(), db, newcomer, s); !fault.Is(err, fault.InvalidGrant) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Email != known && number(t, db, peopleSQL, pgx.NamedArgs{"email": s.Email}) != 0 {
			t.Errorf("%s: a person was made", name)
		}
	}
	if n := number(t, db, `SELECT count(*) FROM auth.identities`, nil); n != 0 {
		t.Errorf("%d identities were linked", n)
	}
	s := vouched(strings.ToUpper(known[:4]) + known[4:])
	s.MayCreate = nil
	if got := byProvider(t, db, s); got.ID != person {
		t.Errorf("a verified address of %s is %+v", person, got)
	}
}

func TestAFirstExchangeTwentyTimesAtOnceMakesOnePersonAndOneIdentity(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	for _, scope := range []id.Tenant{{}, team.ID} {
		s := vouched(address())
		s.Tenant = scope
		got := make([]id.User, 20)
		atOnce(func(i int) {
			u, err := identity.ByProvider(t.Context(), db, newcomer, s)
			if err != nil || u.Tenant != scope {
				t.Errorf("%+v, %v", u, err)
			}
			got[i] = u.ID
		})
		for _, u := range got {
			if u != got[0] {
				t.Fatalf("%s and %s", u, got[0])
			}
		}
		identities := number(t, db, `SELECT count(*) FROM auth.identities WHERE subject = @subject`, pgx.NamedArgs{"subject": s.Subject})
		if people := number(t, db, peopleSQL, pgx.NamedArgs{"email": s.Email}); people != 1 || identities != 1 {
			t.Errorf("%d people, %d identities", people, identities)
		}
	}
}

func TestASubjectThatTellsTwentyAddressesAtOnceLeavesOnePerson(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	s := vouched("")
	got := make([]id.User, 20)
	atOnce(func(i int) {
		mine := s
		mine.Email = address()
		u, err := identity.ByProvider(t.Context(), db, newcomer, mine)
		if err != nil {
			t.Error(err)
		}
		got[i] = u.ID
	})
	for _, u := range got {
		if u != got[0] {
			t.Fatalf("%s and %s", u, got[0])
		}
	}
	if n := number(t, db, `SELECT count(*) FROM auth.users`, nil); n != 1 {
		t.Errorf("%d people are left", n)
	}
}

func TestAProviderOfOneTenantReachesNobodyElses(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	mine, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	victim := address()
	shared, local := plant(t, db, id.Tenant{}, victim, "person"), plant(t, db, other.ID, victim, "person")

	s := vouched(victim)
	s.Tenant = mine.ID
	got := byProvider(t, db, s)
	if got.ID == shared || got.ID == local || got.Tenant != mine.ID {
		t.Fatalf("tenant %s's provider yields %+v", mine.ID, got)
	}
	for name, scope := range map[string]id.Tenant{"the installation": {}, "the other tenant": other.ID} {
		same := s
		same.Tenant = scope
		if u := byProvider(t, db, same); u.ID == got.ID || u.Tenant != scope {
			t.Errorf("the same subject of %s is %+v", name, u)
		}
	}
	if u := byProvider(t, db, s); u != got {
		t.Errorf("afterwards it is %+v, was %+v", u, got)
	}
}

func TestATenantsProviderLinksThatTenantsLocalIdentity(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, email := pgtest.NewTeam(t, db), address()
	local := plant(t, db, team.ID, email, "person")
	s := vouched(email)
	s.Tenant, s.MayCreate = team.ID, nil
	if got := byProvider(t, db, s); got.ID != local {
		t.Errorf("%+v", got)
	}
	shared := vouched(email)
	shared.MayCreate = nil
	if _, err := identity.ByProvider(t.Context(), db, newcomer, shared); !fault.Is(err, fault.InvalidGrant) {
		t.Errorf("a provider of the installation reaches a local identity: %v", err)
	}
}

func TestASubjectOfOneScopeThatStandsForAnothersPersonIsRefused(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, email := pgtest.NewTeam(t, db), address()
	shared := plant(t, db, id.Tenant{}, email, "person")
	s := vouched(email)
	s.Tenant = team.ID
	_, err := db.Exec(t.Context(), `INSERT INTO auth.identities (tenant_id, issuer, subject, user_id) VALUES ($1, $2, $3, $4)`,
		team.ID, s.Issuer, s.Subject, shared)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := identity.ByProvider(t.Context(), db, newcomer, s); !fault.Is(err, fault.InvalidGrant) {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestAMachineIsNobodysSubject(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, email := pgtest.NewTeam(t, db), address()
	machine := plant(t, db, team.ID, email, "service")
	s := vouched(email)
	s.Tenant = team.ID
	if u, err := identity.ByProvider(t.Context(), db, newcomer, s); err == nil || u.ID == machine {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestASubjectThatCannotBeKeptIsRefused(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	for _, subject := range []string{"", "a\x00b", "\xff", strings.Repeat("é", 256)} {
		s := vouched(address())
		s.Subject = subject
		if _, err := identity.ByProvider(t.Context(), db, newcomer, s); !fault.Is(err, fault.InvalidGrant) {
			t.Errorf("%.20q: %v", subject, err)
		}
		s = vouched(address())
		s.Issuer = strings.Repeat(subject, 2)
		if _, err := identity.ByProvider(t.Context(), db, newcomer, s); !fault.Is(err, fault.InvalidGrant) {
			t.Errorf("issuer %.20q: %v", s.Issuer, err)
		}
	}
	long := vouched(address())
	long.Subject, long.Name = strings.Repeat("é", 255), "Ada\u202e"
	if u := byProvider(t, db, long); u.Name != "" {
		t.Errorf("the name is %q", u.Name)
	}
	if u := byProvider(t, db, vouched(address())); u.Name != "Ada" {
		t.Errorf("the name is %q", u.Name)
	}
}

func TestLinkingIsOnRecord(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	s := vouched(address())
	u := byProvider(t, db, s)
	sql := `SELECT count(*) FROM audit.log WHERE action IN ('create_user', 'link_identity') AND target = 'user:' || @user::text AND actor_user_id = @user::uuid`
	if n := number(t, db, sql, pgx.NamedArgs{"user": u.ID.String()}); n != 2 {
		t.Errorf("%d audit rows", n)
	}
	sql = `SELECT count(*) FROM audit.log WHERE action = 'link_identity' AND after = jsonb_build_object('issuer', @issuer::text, 'subject', @subject::text)`
	if n := number(t, db, sql, pgx.NamedArgs{"issuer": s.Issuer, "subject": s.Subject}); n != 1 {
		t.Errorf("%d of them say which subject, and nothing more", n)
	}
}
