package actions_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestTheOperatorSetsUpOnceAndIsToldTheSecretOnce(t *testing.T) {
	s := newShop(t)
	input := map[string]any{"webhookUrl": "https://api.example.com/webhooks/stripe"}
	first, second := s.must(t, pgtest.Operator, "setupBilling", input), s.must(t, pgtest.Operator, "setupBilling", input)
	if told, _ := first["webhookSecret"].(string); told == "" || first["webhookState"] != "created" {
		t.Errorf("the first time: %v", first)
	}
	if second["webhookSecret"] != nil || second["webhookState"] != "unchanged" || second["webhookEndpoint"] != first["webhookEndpoint"] {
		t.Errorf("the second time: %v", second)
	}
	for _, price := range second["prices"].([]any) {
		if price.(map[string]any)["state"] != "unchanged" {
			t.Errorf("made again: %v", price)
		}
	}
	if rows := s.count(t, `SELECT count(*) FROM audit.log WHERE action = 'setup_billing' AND after::text NOT LIKE '%whsec%'`); rows != 3 {
		t.Errorf("%d entries of the audit log", rows)
	}
	if strings.Contains(s.logs.String(), "whsec") {
		t.Error("the log tells the secret")
	}
}

func TestTheOperatorSeesReplaysAndReconciles(t *testing.T) {
	s := newShop(t)
	s.paid(t)
	if list := s.call(t, pgtest.Operator, "billingEvents", map[string]any{"tenant": s.team.Slug}); list.status != http.StatusOK || len(list.list) != 0 {
		t.Errorf("%d %v", list.status, list.raw)
	}
	s.refused(t, "not-found", pgtest.Operator, "billingEvent", map[string]any{"id": "evt_none"})
	if got := s.must(t, pgtest.Operator, "replayBillingEvents", map[string]any{"since": time.Now().Add(-time.Hour)}); got["replayed"] != 0.0 {
		t.Errorf("replayed %v", got)
	}
	got := s.must(t, pgtest.Operator, "reconcileBilling", map[string]any{"tenant": s.team.Slug, "fix": true})
	if got["customers"] != 1.0 || got["subscriptions"] != 1.0 {
		t.Errorf("compared %v", got)
	}
	left := s.must(t, pgtest.Operator, "reconcileBilling", nil)
	if len(left["drift"].([]any)) != 0 {
		t.Errorf("left after the mending: %v", left)
	}
	if rows := s.count(t, `SELECT count(*) FROM audit.log WHERE action = 'reconcile_billing' AND tenant_id = $1`, s.team.ID); rows != 1 {
		t.Errorf("%d entries of the audit log", rows)
	}
}

func TestATenantLivesByATestClock(t *testing.T) {
	s := newShop(t)
	at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	named := map[string]any{"tenant": s.team.Slug, "at": at}
	if got := s.must(t, pgtest.Operator, "startBillingClock", named); got["clockAt"] != "2027-01-31T12:00:00Z" {
		t.Errorf("began %v", got)
	}
	s.paid(t)
	later := map[string]any{"tenant": s.team.Slug, "to": at.AddDate(0, 1, 5)}
	if got := s.must(t, pgtest.Operator, "advanceBillingClock", later); got["clockAt"] != at.AddDate(0, 1, 5).Format(time.RFC3339) {
		t.Errorf("went to %v", got)
	}
	if charges := s.stripe.Charges(); len(charges) != 2 {
		t.Errorf("charged %v", charges)
	}
	if standing := s.own(t, "billingStanding", nil); standing["state"] != "active" {
		t.Errorf("stands %v", standing)
	}
	s.refused(t, "not-found", pgtest.Operator, "startBillingClock", map[string]any{"tenant": "", "at": at})
}
