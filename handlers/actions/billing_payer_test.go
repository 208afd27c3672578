package actions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// openOutside are the actions by which a tenant comes back into service.
var openOutside = []string{"subscribe", "setPaymentMethod", "createCheckoutSession", "createPortalSession", "billingStanding"}

// outside is a person who is signed in and chose no tenant.
func outside(team pgtest.Team, role member.Role) session.Session {
	return session.Session{Role: session.User, User: team.As(role).User}
}

// begin puts the shop's tenant on a clock and has it buy.
func (s shop) begin(t testing.TB) time.Time {
	t.Helper()
	at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	s.must(t, pgtest.Operator, "startBillingClock", map[string]any{"tenant": s.team.Slug, "at": at})
	s.paid(t)
	return at
}

func (s shop) advance(t testing.TB, to time.Time) {
	t.Helper()
	s.must(t, pgtest.Operator, "advanceBillingClock", map[string]any{"tenant": s.team.Slug, "to": to})
}

func (s shop) wantStatus(t testing.TB, want string) {
	t.Helper()
	if s.count(t, `SELECT count(*) FROM tenants.tenants WHERE id = $1 AND status = $2`, s.team.ID, want) != 1 {
		t.Fatalf("the tenant is not %s", want)
	}
}

func TestTheOwnerOfATenantOutOfServicePaysWhatIsOwedAndItIsBack(t *testing.T) {
	s := newShop(t)
	at := s.begin(t)
	s.own(t, "setPaymentMethod", map[string]any{"paymentMethod": "pm_card_chargeCustomerFail"})
	s.advance(t, at.AddDate(0, 1, 1))
	me, named := outside(s.team, member.Owner), map[string]any{"tenant": s.team.Slug}
	card := map[string]any{"tenant": s.team.ID, "paymentMethod": "pm_card_visa", "idempotencyKey": "pay"}
	s.refused(t, "not-found", me, "setPaymentMethod", card) // in the grace it is in service
	s.advance(t, at.AddDate(0, 1, 10))
	s.wantStatus(t, "suspended")
	s.refused(t, "tenant-not-active", owner(s.team), "setPaymentMethod", card)

	if standing := s.must(t, me, "billingStanding", named); standing["state"] != "suspended" || standing["plan"] != "pro" {
		t.Errorf("stands %v", standing)
	}
	if page := s.must(t, me, "createPortalSession", named); !strings.HasPrefix(page["url"].(string), "http") {
		t.Errorf("portal %v", page)
	}
	s.refused(t, "already-subscribed", me, "subscribe", map[string]any{"tenant": s.team.Slug, "plan": "pro"})
	for _, action := range []string{"cancelSubscription", "resumeSubscription", "tenantStats"} {
		s.refused(t, "forbidden", me, action, named)
	}
	if paid := s.must(t, me, "setPaymentMethod", card); paid["state"] != "done" || paid["status"] != "active" {
		t.Errorf("paid %v", paid)
	}
	s.wantStatus(t, "active")
	if standing := s.own(t, "billingStanding", nil); standing["state"] != "active" {
		t.Errorf("stands %v", standing)
	}
	s.refused(t, "not-found", me, "billingStanding", named)
	if rows := s.count(t, `SELECT count(*) FROM billing.operations WHERE tenant_id = $1 AND actor ->> 'role' = 'user' AND actor ->> 'user' = $2`, s.team.ID, me.User.String()); rows != 2 {
		t.Errorf("%d operations are the person's", rows)
	}
}

func TestTheOwnerOfATenantWhoseSubscriptionEndedSubscribesAgain(t *testing.T) {
	s := newShop(t)
	at := s.begin(t)
	s.own(t, "cancelSubscription", map[string]any{"atPeriodEnd": false})
	s.advance(t, at.AddDate(0, 0, 8))
	s.wantStatus(t, "suspended")
	me := outside(s.team, member.Owner)
	if page := s.must(t, me, "createCheckoutSession", map[string]any{"tenant": s.team.Slug, "plan": "pro"}); !strings.HasPrefix(page["url"].(string), "http") {
		t.Errorf("checkout %v", page)
	}
	if bought := s.must(t, me, "subscribe", map[string]any{"tenant": s.team.Slug, "plan": "starter", "paymentMethod": "pm_card_visa"}); bought["status"] != "active" {
		t.Errorf("bought %v", bought)
	}
	s.wantStatus(t, "active")
}

// Whatever is not one's own to pay for is answered in the same words.
func TestOutsideATenantOnlyItsOwnerPaysAndOnlyWhereBillingSuspendedIt(t *testing.T) {
	s := newShop(t)
	super := s.under.Superuser(t)
	suspended := func(by string) pgtest.Team {
		team := pgtest.NewTeam(t, s.db)
		if _, err := super.Exec(t.Context(), `WITH t AS (UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1 RETURNING id, suspended_at)
			INSERT INTO billing.accounts (tenant_id, state, since, suspended_at) SELECT id, 'suspended', now(), CASE $2 WHEN 'billing' THEN suspended_at ELSE suspended_at - interval '1 hour' END FROM t`, team.ID, by); err != nil {
			t.Fatal(err)
		}
		return team
	}
	owing, other, gone := suspended("billing"), suspended("the operator"), suspended("billing")
	if _, err := super.Exec(t.Context(), `UPDATE tenants.tenants SET status = 'deleted', suspended_at = NULL, deleted_at = now(), purge_after = now() WHERE id = $1`, gone.ID); err != nil {
		t.Fatal(err)
	}
	mine, _ := billingActions(owing)
	for _, action := range openOutside {
		s.refused(t, "tenant-required", outside(owing, member.Owner), action, mine[action])
		mine[action]["tenant"] = owing.Slug
	}
	for _, c := range []struct {
		what  string
		by    session.Session
		named string
	}{
		{"an admin's", outside(owing, member.Admin), owing.Slug}, {"another's", outside(other, member.Owner), owing.ID.String()},
		{"suspended by the operator", outside(other, member.Owner), other.Slug}, {"in service", outside(s.team, member.Owner), s.team.Slug},
		{"deleted", outside(gone, member.Owner), gone.Slug}, {"of nobody", outside(owing, member.Owner), "no-such-tenant"},
	} {
		for _, action := range openOutside {
			input := mine[action]
			input["tenant"] = c.named
			got := s.refused(t, "not-found", c.by, action, input)
			if words := got.body["message"].(string); strings.Replace(words, c.named, "X", 1) != `there is no tenant "X" here that you own and that is out of service for what it owes; of one that is in service choose the session with switchTenant` {
				t.Errorf("%s, %s: %s", c.what, action, words)
			}
		}
	}
	if begun := s.count(t, `SELECT count(*) FROM billing.operations`); begun != 0 {
		t.Errorf("%d operations were begun", begun)
	}
}
