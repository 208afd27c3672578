package actions_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

// billingActions are the actions on what tenants pay, each with a good input: the owner's,
// and the operator's alone.
func billingActions(team pgtest.Team) (owners, operators map[string]map[string]any) {
	now := time.Now().UTC()
	owners = map[string]map[string]any{
		"subscribe":             {"plan": "pro", "paymentMethod": "pm_card_visa"},
		"changePlan":            {"plan": "enterprise"},
		"setAddon":              {"addon": "extra-storage", "quantity": 1},
		"setPaymentMethod":      {"paymentMethod": "pm_card_visa"},
		"cancelSubscription":    {},
		"resumeSubscription":    {},
		"createCheckoutSession": {"plan": "pro"},
		"createPortalSession":   {},
		"billingStanding":       {},
	}
	operators = map[string]map[string]any{
		"setupBilling":        {},
		"billingEvents":       {},
		"billingEvent":        {"id": "evt_1"},
		"replayBillingEvents": {"since": now},
		"reconcileBilling":    {"fix": true},
		"startBillingClock":   {"tenant": team.Slug, "at": now},
		"advanceBillingClock": {"tenant": team.Slug, "to": now},
	}
	return owners, operators
}

func TestNobodyButTheOwnerChangesWhatATenantPays(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	mine, theirs := billingActions(team)
	for action, input := range mine {
		for _, role := range []member.Role{member.Admin, member.Plain, member.Guest} {
			h.refused(t, "forbidden", team.As(role), action, input)
		}
		code := "forbidden"
		if slices.Contains(openOutside, action) {
			code = "billing-disabled" // asked before whose it is
		}
		h.refused(t, code, outside(team, member.Owner), action, input)
	}
	for action, input := range theirs {
		for _, role := range []member.Role{member.Owner, member.Admin, member.Plain, member.Guest} {
			h.refused(t, "forbidden", team.As(role), action, input)
		}
		h.refused(t, "forbidden", outside(team, member.Owner), action, input)
	}
}

func TestNobodySpendsAnothersMoneyInTheirPlace(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	inPlace := h.inPlaceOf(t, team, member.Owner)
	mine, _ := billingActions(team)
	delete(mine, "billingStanding") // is read
	for action, input := range mine {
		h.refused(t, "forbidden", inPlace, action, input)
	}
}

func TestWhereTheInstallationDoesNotChargeEveryActionOnBillingSaysSo(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	mine, theirs := billingActions(team)
	for action, input := range mine {
		got := h.refused(t, "billing-disabled", owner(team), action, input)
		if message, _ := got.body["message"].(string); got.status != http.StatusConflict || !strings.Contains(message, "BILLING_ENABLED") {
			t.Errorf("%s: %d %v", action, got.status, got.body)
		}
		h.refused(t, "billing-disabled", pgtest.Operator, action, map[string]any{"tenant": team.Slug})
	}
	for action, input := range theirs {
		h.refused(t, "billing-disabled", pgtest.Operator, action, input)
		h.refused(t, "billing-disabled", pgtest.Operator, action, nil) // whatever the input
	}
}
