package signin_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
)

func TestAskingForALinkMailsIt(t *testing.T) {
	o := open(t, nil)
	l := o.ask(t, signin.Asking{Email: " Ada@Example.COM ", RedirectTo: "/projects?tab=1"})
	if len(l.Code) != 6 || strings.Trim(l.Code, "0123456789") != "" || len(l.Browser) != 43 || l.ExpiresIn != 15*time.Minute {
		t.Errorf("asked: %+v", l.Asked)
	}
	if l.Kind != queue.SignIn || l.To != "ada@example.com" || !l.Tenant.IsZero() || l.Values[queue.TenantName] != "" {
		t.Errorf("mail: %+v", l.Mail)
	}
	if left := time.Until(l.Until); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("the mail is good for %s", left)
	}
	if !strings.HasPrefix(l.Values[queue.Link], "https://auth.example.com/auth/verify?token=") || len(l.token) != 43 {
		t.Errorf("link %s", l.Values[queue.Link])
	}
}

func TestALinkLeadsToTheHostItWasAskedAtAsSettingsAndDatabaseNameIt(t *testing.T) {
	for public, want := range map[string]string{
		"https://auth.example.com":      "https://%s.example.com/auth/verify",
		"https://auth.example.com:443/": "https://%s.example.com/auth/verify",
		"http://localhost:8080":         "http://%s.example.com:8080/auth/verify",
		"http://[::1]:8080":             "http://%s.example.com:8080/auth/verify",
	} {
		t.Run(public, func(t *testing.T) {
			o := open(t, func(c *signin.Config) { c.PublicURL = public })
			team := pgtest.NewTeam(t, o.db)
			l := o.ask(t, signin.Asking{Email: address(), Tenant: team.ID, Host: team.ID})
			got, _, _ := strings.Cut(l.Values[queue.Link], "?")
			if got != strings.Replace(want, "%s", team.Slug, 1) || l.Values[queue.TenantName] != team.Name || l.Mail.Tenant != team.ID {
				t.Errorf("%s, %+v", got, l.Mail)
			}
			for _, at := range []id.Tenant{{}, team.ID} {
				got, _, _ = strings.Cut(o.ask(t, signin.Asking{Email: address(), Tenant: at}).Values[queue.Link], "?")
				if got != strings.TrimSuffix(public, "/")+"/auth/verify" {
					t.Errorf("for the tenant %q, asked at the installation's own host: %s", at, got)
				}
			}
		})
	}
}

func TestNothingThatSignsInStandsInTheDatabaseInClear(t *testing.T) {
	o := open(t, nil)
	l := o.ask(t, signin.Asking{Email: address(), Network: "192.0.2.1"})
	for _, table := range []string{"auth.sign_in_links", "nself.river_job", "auth.rate_limits"} {
		rows, err := pg.Scalar[string](t.Context(), o.db, `SELECT string_agg(r::text, ' ') FROM `+table+` r`, nil)
		if err != nil {
			t.Fatal(err)
		}
		secrets := []string{l.token, l.Browser, "192.0.2.1"}
		if table != "auth.sign_in_links" {
			secrets = append(secrets, l.To)
		}
		for _, secret := range secrets {
			if strings.Contains(rows, secret) {
				t.Errorf("%s shows %s: %s", table, secret, rows)
			}
		}
	}
	again := o.ask(t, signin.Asking{Email: address()})
	if again.token == l.token || again.Browser == l.Browser || again.token == again.Browser {
		t.Error("secrets are the same twice")
	}
}

func TestEverythingWrongWithAQuestionIsToldAtOnce(t *testing.T) {
	o := open(t, nil)
	ask := signin.Asking{Email: "ada", RedirectTo: "//evil.example", Network: "n"}
	_, err := o.AskLink(t.Context(), o.db, ask)
	problems := refusal(t, "wrong", err, fault.InvalidInput).Details["problems"].(fault.Problems)
	if len(problems) != 2 || problems[0].Field != "email" || problems[1].Field != "redirect_to" {
		t.Errorf("%+v", problems)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.rate_limits`); n != 0 {
		t.Errorf("%d counts", n)
	}
}

func TestARedirectToAHostBelowTheBaseDomainNeedsATenantInService(t *testing.T) {
	o := open(t, nil)
	team, gone := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db)
	inside := pgtest.Operator
	inside.Tenant = gone.ID
	if _, err := tenant.Suspend(t.Context(), o.db, inside, ""); err != nil {
		t.Fatal(err)
	}
	o.ask(t, signin.Asking{Email: address(), RedirectTo: "https://" + team.Slug + ".example.com/x"})
	for _, host := range []string{"nobody", "hasura", gone.Slug, team.ID.String(), "x--", "-"} {
		_, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: address(), Network: host, RedirectTo: "https://" + host + ".example.com/x"})
		refuses(t, host, err, fault.InvalidInput)
	}
	if n := o.number(t, `SELECT count(*) FROM auth.sign_in_links`); n != 1 {
		t.Errorf("%d links", n)
	}
}

func TestATenantOutOfServiceAndNoneAreTheSame(t *testing.T) {
	o := open(t, nil)
	team := pgtest.NewTeam(t, o.db)
	inside := pgtest.Operator
	inside.Tenant = team.ID
	if _, err := tenant.Suspend(t.Context(), o.db, inside, ""); err != nil {
		t.Fatal(err)
	}
	for _, named := range []id.Tenant{team.ID, id.New[id.Tenant]()} {
		_, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: address(), Tenant: named})
		f := refusal(t, "ask", err, fault.NotFound)
		if want := tenant.NotFound(named.String()).Message; f.Message != want {
			t.Errorf("%q, want %q", f.Message, want)
		}
	}
}

func TestWithoutMailThereAreNoLinks(t *testing.T) {
	o := open(t, func(c *signin.Config) { c.Outbox = nil })
	_, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: address()})
	refuses(t, "ask", err, fault.Unavailable)
}

func TestAMailThatCannotBeQueuedLeavesNoLink(t *testing.T) {
	under := pgtest.Database(t)
	o := openOn(t, under.Pool(t, "nself_server"), nil)
	execute(t, under.Superuser(t), `REVOKE INSERT ON nself.river_job FROM nself_server`)
	if _, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: address()}); err == nil {
		t.Fatal("it was queued")
	}
	if n := o.number(t, `SELECT count(*) FROM auth.sign_in_links`); n != 0 {
		t.Errorf("%d links", n)
	}
}

// statements keeps what a pool was asked, but for what River adds to the first insert of
// a client and to one insert in some milliseconds: it wakes workers by the clock.
type statements struct{ all []string }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.HasPrefix(data.SQL, "-- name: PG") {
		s.all = append(s.all, data.SQL)
	}
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAskingForAKnownAddressAndForAnUnknownOneIsTheSameWork(t *testing.T) {
	under := pgtest.Database(t)
	o := openOn(t, under.Pool(t, "nself_server"), nil)
	team := pgtest.NewTeam(t, o.db)
	local, shared := address(), address()
	plant(t, o.db, team.ID, local)
	plant(t, o.db, id.Tenant{}, shared)
	asked := address()
	o.invite(t, team, member.InviteInput{Email: asked})
	config, err := pgxpool.ParseConfig(under.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	var seen statements
	config.ConnConfig.Tracer, config.MaxConns = &seen, 1
	traced, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer traced.Close()
	for _, desk := range []*signin.Desk{o.Desk, open(t, invited).Desk} {
		for _, at := range []id.Tenant{{}, team.ID} {
			work := map[string][]string{}
			for name, email := range map[string]string{
				"local": local, "shared": shared, "member": emailOf(t, o, team.Admin), "invited": asked, "nobody": address(),
			} {
				seen.all = nil
				asked, err := desk.AskLink(t.Context(), traced, signin.Asking{Email: email, Tenant: at})
				if err != nil || len(asked.Code) != 6 || len(asked.Browser) != 43 {
					t.Fatalf("%s: %+v, %v", name, asked, err)
				}
				work[name] = seen.all
			}
			if len(work["nobody"]) < 5 {
				t.Fatalf("the trace shows %v", work["nobody"])
			}
			for name, done := range work {
				if diff := cmp.Diff(work["nobody"], done); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		}
	}
}

func TestAnAddressAsksFiveTimesInAWindowHoweverManyAskAtOnce(t *testing.T) {
	withinOneWindow()
	o := openAlone(t, nil)
	email := address()
	var passed atomic.Int32
	atOnce(100, func(i int) {
		_, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: email, Network: string(rune('a' + i%26))})
		switch {
		case err == nil:
			passed.Add(1)
		case !fault.Is(err, fault.TooManyRequests):
			t.Error(err)
		}
	})
	if n := o.number(t, `SELECT count(*) FROM nself.river_job`); passed.Load() != 5 || n != 5 {
		t.Errorf("%d passed, %d mails", passed.Load(), n)
	}
	_, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: strings.ToUpper(email), Network: "x"})
	after := refusal(t, "in capitals", err, fault.TooManyRequests).Details["retryAfter"].(int)
	if after < 1 || after > 900 {
		t.Errorf("retry after %d seconds", after)
	}
	o.ask(t, signin.Asking{Email: address()})
}

func TestANetworkAsksThirtyTimesInAWindow(t *testing.T) {
	withinOneWindow()
	o := openAlone(t, nil)
	var passed atomic.Int32
	atOnce(60, func(int) {
		_, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: address(), Network: "2001:db8::/64"})
		switch {
		case err == nil:
			passed.Add(1)
		case !fault.Is(err, fault.TooManyRequests):
			t.Error(err)
		}
	})
	if passed.Load() != 30 {
		t.Errorf("%d passed", passed.Load())
	}
	// What a network is refused does not use up an address.
	if n := o.number(t, `SELECT count(*) FROM auth.rate_limits WHERE key LIKE 'link-address:%'`); n != 30 {
		t.Errorf("%d addresses were counted", n)
	}
	if _, err := o.AskLink(t.Context(), o.db, signin.Asking{Email: address(), Network: "2001:db8:1::/64"}); err != nil {
		t.Errorf("another network: %v", err)
	}
}
