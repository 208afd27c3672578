package signin_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
)

func TestTheBrowserThatAskedSignsInWithoutACode(t *testing.T) {
	o := open(t, nil)
	l := o.ask(t, signin.Asking{Email: address(), RedirectTo: "/projects"})
	signed := o.use(t, l.here())
	if signed.Role != session.User || !signed.Tenant.IsZero() || signed.RedirectTo != "/projects" || signed.Session.IsZero() {
		t.Errorf("%+v", signed)
	}
	if email := emailOf(t, o, signed.User); email != l.To {
		t.Errorf("%s signed in as %s", l.To, email)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.sessions WHERE id = $1 AND method = 'link'`, signed.Session); n != 1 {
		t.Errorf("%d sessions", n)
	}
	_, err := o.UseLink(t.Context(), o.db, l.here())
	refuses(t, "a second time", err, fault.LinkEnded)
}

func TestALinkUsedTwentyTimesAtOnceSignsInOnce(t *testing.T) {
	o := openAlone(t, nil)
	for _, using := range []func(letter) signin.Using{letter.here, func(l letter) signin.Using { return l.elsewhere(l.Code) }} {
		before := o.number(t, sessionsSQL)
		l := o.ask(t, signin.Asking{Email: address()})
		var signed atomic.Int32
		atOnce(20, func(int) {
			switch _, err := o.UseLink(t.Context(), o.db, using(l)); {
			case err == nil:
				signed.Add(1)
			case !fault.Is(err, fault.LinkEnded):
				t.Error(err)
			}
		})
		if opened := o.number(t, sessionsSQL) - before; signed.Load() != 1 || opened != 1 {
			t.Errorf("%d signed in, %d sessions", signed.Load(), opened)
		}
	}
}

func TestTwoLinksOfANewAddressAtOnceMakeOnePerson(t *testing.T) {
	o := openAlone(t, nil)
	email := address()
	letters := []letter{o.ask(t, signin.Asking{Email: email}), o.ask(t, signin.Asking{Email: email})}
	var mu sync.Mutex
	sessions, people := map[id.Session]bool{}, map[id.User]bool{}
	atOnce(2, func(i int) {
		signed, err := o.UseLink(t.Context(), o.db, letters[i].here())
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		sessions[signed.Session], people[signed.User] = true, true
	})
	if len(sessions) != 2 || len(people) != 1 {
		t.Errorf("%d sessions of %d people", len(sessions), len(people))
	}
}

func TestEveryLinkThatCannotBeUsedGetsTheSameAnswer(t *testing.T) {
	o := open(t, nil)
	used, old, guessed := o.ask(t, signin.Asking{Email: address()}), o.ask(t, signin.Asking{Email: address()}), o.ask(t, signin.Asking{Email: address()})
	o.use(t, used.here())
	execute(t, o.db, `UPDATE auth.sign_in_links SET expires_at = now() WHERE email = $1`, old.To)
	execute(t, o.db, `UPDATE auth.sign_in_links SET wrong_codes = 5 WHERE email = $1`, guessed.To)
	var answers []string
	for _, in := range []signin.Using{
		used.here(), used.elsewhere(used.Code), used.elsewhere(""), old.here(), old.elsewhere(old.Code), guessed.here(),
		{Token: strings.Repeat("x", 43)}, {Token: ""}, {Token: "\x00"}, {Token: used.token + "="}, {Token: strings.Repeat("x", 1<<20)},
	} {
		_, err := o.UseLink(t.Context(), o.db, in)
		f := refusal(t, "use", err, fault.LinkEnded)
		answers = append(answers, f.Message)
		if len(f.Details) != 0 || f.Message != answers[0] {
			t.Errorf("%q, %v; the first was %q", f.Message, f.Details, answers[0])
		}
	}
}

func TestALinkSignsInAtItsTenantWhereThePersonIsAMember(t *testing.T) {
	o := open(t, nil)
	team := pgtest.NewTeam(t, o.db)
	signed := o.use(t, o.ask(t, signin.Asking{Email: emailOf(t, o, team.Admin), Tenant: team.ID}).here())
	if signed.Tenant != team.ID || signed.Role != session.TenantAdmin || signed.User != team.Admin {
		t.Errorf("a member: %+v", signed)
	}
	stranger := address()
	signed = o.use(t, o.ask(t, signin.Asking{Email: stranger, Tenant: team.ID}).here())
	if !signed.Tenant.IsZero() || signed.Role != session.User {
		t.Errorf("a stranger: %+v", signed)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.users WHERE email = $1 AND tenant_id IS NULL`, stranger); n != 1 {
		t.Errorf("the stranger became %d shared identities", n)
	}
	l := o.ask(t, signin.Asking{Email: emailOf(t, o, team.Member), Tenant: team.ID})
	inside := pgtest.Operator
	inside.Tenant = team.ID
	if _, err := tenant.Suspend(t.Context(), o.db, inside, ""); err != nil {
		t.Fatal(err)
	}
	if signed = o.use(t, l.here()); !signed.Tenant.IsZero() || signed.Role != session.User {
		t.Errorf("a member of a suspended tenant: %+v", signed)
	}
}

func TestAtATenantItsLocalIdentitySignsInAndNeverAnothers(t *testing.T) {
	o := open(t, nil)
	here, there := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db)
	email := address()
	shared, local, foreign := plant(t, o.db, id.Tenant{}, email), plant(t, o.db, here.ID, email), plant(t, o.db, there.ID, email)
	enroll(t, o.db, here.ID, local)
	enroll(t, o.db, there.ID, foreign)
	for at, want := range map[id.Tenant]id.User{here.ID: local, there.ID: foreign, {}: shared} {
		if signed := o.use(t, o.ask(t, signin.Asking{Email: email, Tenant: at}).here()); signed.User != want || signed.Tenant != at {
			t.Errorf("at %q: %+v", at, signed)
		}
	}
	onlyThere := address()
	plant(t, o.db, there.ID, onlyThere)
	signed := o.use(t, o.ask(t, signin.Asking{Email: onlyThere, Tenant: here.ID}).here())
	if n := o.number(t, `SELECT count(*) FROM auth.users WHERE id = $1 AND tenant_id IS NULL`, signed.User); n != 1 {
		t.Errorf("another tenant's local identity signed in: %+v", signed)
	}
}

func TestALinkIsRefusedAtAnotherTenantsHostAndNotSpent(t *testing.T) {
	o := open(t, nil)
	here, there := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db)
	email := emailOf(t, o, here.Member)
	for _, c := range []struct {
		link  id.Tenant
		wrong []id.Tenant
		right id.Tenant
	}{
		{here.ID, []id.Tenant{there.ID}, here.ID},
		{here.ID, []id.Tenant{there.ID}, id.Tenant{}},
		{id.Tenant{}, []id.Tenant{here.ID, there.ID}, id.Tenant{}},
	} {
		l := o.ask(t, signin.Asking{Email: email, Tenant: c.link})
		for _, host := range c.wrong {
			for _, in := range []signin.Using{l.here(), l.elsewhere(l.wrong()), l.elsewhere(l.Code)} {
				in.Host = host
				_, err := o.UseLink(t.Context(), o.db, in)
				refuses(t, "another host", err, fault.WrongTenant)
			}
		}
		in := l.here()
		in.Host = c.right
		if signed := o.use(t, in); signed.Tenant != c.link {
			t.Errorf("%+v", signed)
		}
		if n := o.number(t, `SELECT max(wrong_codes) FROM auth.sign_in_links`); n != 0 {
			t.Errorf("%d wrong codes were counted", n)
		}
	}
}

func TestWhereSignUpIsClosedAnUnknownAddressIsNotTold(t *testing.T) {
	o := open(t, invited)
	l := o.ask(t, signin.Asking{Email: address()})
	_, err := o.UseLink(t.Context(), o.db, l.here())
	unknown := refusal(t, "an unknown address", err, fault.LinkEnded)
	_, err = o.UseLink(t.Context(), o.db, signin.Using{Token: "never"})
	if never := refusal(t, "no link", err, fault.LinkEnded); never.Message != unknown.Message {
		t.Errorf("%q and %q", never.Message, unknown.Message)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.users`); n != 0 {
		t.Errorf("%d people were made", n)
	}
	known := address()
	plant(t, o.db, id.Tenant{}, known)
	o.use(t, o.ask(t, signin.Asking{Email: known}).here())
}

func TestEachSignInIsANewSession(t *testing.T) {
	o := open(t, nil)
	email := address()
	seen := map[id.Session]bool{}
	for range 3 {
		signed := o.use(t, o.ask(t, signin.Asking{Email: email}).here())
		if seen[signed.Session] {
			t.Errorf("session %s again", signed.Session)
		}
		seen[signed.Session] = true
	}
	if n := o.number(t, `SELECT count(DISTINCT family_id) FROM auth.sessions`); n != 3 {
		t.Errorf("%d families", n)
	}
}

func TestAMachineDoesNotSignInByMail(t *testing.T) {
	o := open(t, invited)
	team := pgtest.NewTeam(t, o.db)
	machine := plant(t, o.db, team.ID, address())
	enroll(t, o.db, team.ID, machine)
	execute(t, o.db, `UPDATE auth.users SET kind = 'service' WHERE id = $1`, machine)
	l := o.ask(t, signin.Asking{Email: emailOf(t, o, machine), Tenant: team.ID})
	_, err := o.UseLink(t.Context(), o.db, l.here())
	refuses(t, "a machine", err, fault.LinkEnded)
}

func TestASignInIsOnRecordAsThePersons(t *testing.T) {
	o := open(t, nil)
	team := pgtest.NewTeam(t, o.db)
	l := o.ask(t, signin.Asking{Email: emailOf(t, o, team.Guest), Tenant: team.ID})
	in := l.here()
	in.RequestID = "request-1"
	o.use(t, in)
	sql := `SELECT count(*) FROM audit.log WHERE action = 'sign_in' AND actor_user_id = $1 AND tenant_id = $2 AND request_id = 'request-1'`
	if n := o.number(t, sql, team.Guest, team.ID); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

func TestWhoeverLeftIsNoMemberByALinkSentBefore(t *testing.T) {
	o := open(t, nil)
	team := pgtest.NewTeam(t, o.db)
	l := o.ask(t, signin.Asking{Email: emailOf(t, o, team.Member), Tenant: team.ID})
	if _, err := member.Remove(t.Context(), o.db, team.As(member.Owner), team.Member); err != nil {
		t.Fatal(err)
	}
	if signed := o.use(t, l.here()); !signed.Tenant.IsZero() || signed.Role != session.User {
		t.Errorf("%+v", signed)
	}
}

func TestSigningInAndBeingRemovedAtOnceDoNotBlockEachOther(t *testing.T) {
	o := openAlone(t, nil)
	team := pgtest.NewTeam(t, o.db)
	for range 15 {
		user := pgtest.User(t, o.db)
		enroll(t, o.db, team.ID, user)
		l := o.ask(t, signin.Asking{Email: emailOf(t, o, user), Tenant: team.ID})
		atOnce(2, func(i int) {
			var err error
			if i == 0 {
				_, err = member.Remove(t.Context(), o.db, team.As(member.Owner), user)
			} else {
				_, err = o.UseLink(t.Context(), o.db, l.here())
			}
			if err != nil {
				t.Error(err)
			}
		})
		if n := o.number(t, `SELECT count(*) FROM auth.sessions WHERE user_id = $1 AND tenant_id IS NOT NULL`, user); n != 0 {
			t.Errorf("%d sessions of a membership that is gone", n)
		}
	}
}
