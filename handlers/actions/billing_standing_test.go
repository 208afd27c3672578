package actions_test

import (
	"testing"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

// subscribed is an input for whose action the tenant has a subscription.
func subscribed(input map[string]any) func(*testing.T, house, pgtest.Team) map[string]any {
	return func(t *testing.T, h house, team pgtest.Team) map[string]any {
		h.must(t, owner(team), "subscribe", map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa"})
		return input
	}
}

// purchases are the changes of what a tenant pays, kept waiting before they are begun.
var purchases = []change{
	{action: "subscribe", by: member.Owner, table: operations, plan: fixed(map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa"})},
	{action: "subscribe", by: member.Owner, table: operations, plan: fixed(map[string]any{"plan": "pro", "paymentMethod": "pm_card_visa", "idempotencyKey": "once"})},
	{action: "changePlan", by: member.Owner, table: operations, plan: subscribed(map[string]any{"plan": "enterprise"})},
	{action: "setAddon", by: member.Owner, table: operations, plan: subscribed(map[string]any{"addon": "extra-storage", "quantity": 2})},
	{action: "setPaymentMethod", by: member.Owner, table: operations, plan: subscribed(map[string]any{"paymentMethod": "pm_card_mastercard"})},
	{action: "cancelSubscription", by: member.Owner, table: operations, plan: subscribed(nil)},
	{action: "resumeSubscription", by: member.Owner, table: operations, plan: func(t *testing.T, h house, team pgtest.Team) map[string]any {
		input := subscribed(nil)(t, h, team)
		h.must(t, owner(team), "cancelSubscription", nil)
		return input
	}},
	{action: "createCheckoutSession", by: member.Owner, table: operations, plan: fixed(map[string]any{"plan": "pro"})},
	{action: "createPortalSession", by: member.Owner, table: operations, plan: subscribed(nil)},
}

const operations = "billing.operations"

// Nobody who lost the standing in a tenant spends its money.
func TestWhoeverLosesTheirStandingBeforeTheWriteBuysNothing(t *testing.T) {
	s := newShop(t)
	past := s.under.Superuser(t)
	for how, loss := range losses {
		for at, c := range purchases {
			if at > 0 && how != "removed" { // all go through the one door
				continue
			}
			t.Run(c.action+" by a "+string(c.by)+" "+how, func(t *testing.T) {
				charged := len(s.stripe.Charges())
				s.losing(t, past, c, loss)
				if now := len(s.stripe.Charges()); c.action == "subscribe" && now != charged {
					t.Errorf("charged %d times", now-charged)
				}
			})
		}
	}
}
