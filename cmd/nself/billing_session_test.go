package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func aPlanIsBoughtChangedAndCancelled(t *testing.T, i installation) {
	t.Helper()
	const changed = "  Status:      active\n  Plan:        pro\n  Period ends: <time>\n"
	play(t, i.environment, []line{
		{"billing|show|techco", 0, "Tenant:  techco\nStatus:  active\nPlan:    free\nBilling: none\n"},
		{"billing|cancel|techco|--yes", 1, "subscription"},
		{"billing|subscribe|techco|free|--payment-method|pm_card_visa", 1, "free"},
		{"billing|subscribe|techco|gold|--payment-method|pm_card_visa", 1, "gold"},
		{"billing|subscribe|nowhere|pro|--payment-method|pm_card_visa", 1, "nowhere"},
		{"billing|subscribe|techco|starter|--payment-method|pm_card_visa", 0, "✓ Subscribed: techco to starter\n  Status:      active\n  Plan:        starter\n  Period ends: <time>\n"},
		{"billing|subscribe|techco|pro", 1, "subscri"},
		{"billing|change|techco|pro", 0, "✓ Plan changed: techco to pro\n" + changed},
		{"billing|addon|set|techco|gold|1", 1, "gold"},
		{"billing|cancel|techco|--yes", 0, "✓ Subscription of techco ends with its period\n  Status: active\n  Plan:   pro\n  Ends:   <time>\n"},
		{"billing|resume|techco", 0, "✓ Subscription goes on: techco\n" + changed},
		{"billing|card|set|techco|pm_card_mastercard", 0, "✓ Card set: techco pays by pm_card_mastercard\n" + changed},
		{"billing|clock|advance|techco|24h", 1, "techco has no test clock"},
		{"billing|clock|advance|techco|-5h", 2, "a clock never goes back"},
		{"billing|reconcile|techco", 0, "✓ Everything is as Stripe has it\n  Compared: 1 customer, 1 subscription, 2 invoices, 2 charges\n"},
	})
	for _, words := range []string{"Billing:          active since ", "Plan:             pro\n", "Next step:        renews on ", " for at least $99.00\n"} {
		if out := i.mustDo(t, "tenant", "show", "techco"); !strings.Contains(out, words) {
			t.Errorf("no %q in\n%s", words, out)
		}
	}
	if out := i.mustDo(t, "billing", "invoices", "techco"); strings.Count(out, "\n") != 3 || strings.Count(out, "  paid  ") != 2 {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "billing", "portal", "techco"); !strings.HasPrefix(out, "http") || strings.Count(out, "\n") != 1 {
		t.Errorf("%q", out)
	}
	if out := plain(i.mustDo(t, "billing", "change", "techco", "starter")); out != "✓ Plan changed: techco to starter\n  Status:      active\n  Plan:        pro until <time>, then starter\n  Period ends: <time>\n" {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "billing", "show", "techco"); !strings.Contains(out, "Next step:    goes from pro to starter on ") || !strings.Contains(out, "Pays by:      mastercard ending ") {
		t.Errorf("%s", out)
	}
}

func onlyOwnersSeeWhatIsBought(t *testing.T, i installation) {
	t.Helper()
	env := environment{"HASURA_GRAPHQL_ENDPOINT": i.environment["HASURA_GRAPHQL_ENDPOINT"]}
	owner, member := i.settings.Get("TECHCO_OWNER_TOKEN"), i.settings.Get("TECHCO_MEMBER_TOKEN")
	if out := env.mustDo(t, "billing", "show", "techco", "--token", owner); !strings.Contains(out, "Subscription: sub_") || strings.Contains(out, "cus_") {
		t.Errorf("%s", out)
	}
	env.mustDo(t, "billing", "invoices", "techco", "--token", owner)
	env.mustDo(t, "billing", "cancel", "techco", "--yes", "--token", owner)
	env.mustDo(t, "billing", "resume", "techco", "--token", owner)
	if out := env.mustDo(t, "tenant", "show", "techco", "--token", member); strings.Contains(out, "Billing") {
		t.Errorf("%s", out)
	}
	for _, args := range []string{"billing show techco", "billing invoices techco", "billing payments techco", "billing resume techco", "billing portal techco"} {
		env.mustRefuse(t, exitRefused, "the role of this token may not use ", append(strings.Fields(args), "--token", member)...)
	}
	for _, args := range []string{"setup", "events list", "events replay --since 1h", "reconcile", "clock start techco"} {
		env.mustRefuse(t, exitRefused, "the role of this token may not use ", append(strings.Fields("billing "+args), "--token", owner)...)
	}
}

func anOwnerPaysForATenantOutOfService(t *testing.T, i installation) {
	t.Helper()
	env := environment{"HASURA_GRAPHQL_ENDPOINT": i.environment["HASURA_GRAPHQL_ENDPOINT"]}
	i.mustDo(t, "tenant", "create", "Lapsed", "--slug", "lapsed", "--owner", "owner@acme.example")
	inside, outside := strings.TrimSpace(i.mustDo(t, "token", "mint", "owner@acme.example", "--tenant", "lapsed")), strings.TrimSpace(i.mustDo(t, "token", "mint", "owner@acme.example"))
	for _, args := range []string{"clock start lapsed", "subscribe lapsed pro --payment-method pm_card_visa", "card set lapsed pm_card_chargeCustomerFail", "clock advance lapsed 744h", "clock advance lapsed 240h"} {
		i.mustDo(t, append([]string{"billing"}, strings.Fields(args)...)...)
	}
	env.mustRefuse(t, exitRefused, "", "billing", "card", "set", "lapsed", "pm_card_visa", "--token", inside)
	const shown = "Tenant:        lapsed\nStatus:        suspended\nPlan:          pro\nBilling:       suspended since <time>\nSubscribed to: pro\nAt Stripe:     past_due\n" +
		"Price:         $99.00 a month\nNext step:     back in service once paid: nself billing card set lapsed <pm_…>, or at nself billing portal lapsed\n"
	if out := env.mustDo(t, "billing", "show", "lapsed", "--token", outside); plain(out) != shown {
		t.Errorf("%s", out)
	}
	env.mustRefuse(t, exitRefused, "there is no tenant \"techco\" here that you own and", "billing", "show", "techco", "--token", outside)
	if out := env.mustDo(t, "billing", "portal", "lapsed", "--token", outside); !strings.HasPrefix(out, "http") {
		t.Errorf("%s", out)
	}
	if out := env.mustDo(t, "billing", "card", "set", "lapsed", "pm_card_visa", "--token", outside); !strings.Contains(out, "  Status:      active\n") {
		t.Errorf("%s", out)
	}
	i.mustDo(t, "tenant", "limit", "set", "lapsed", "users", "77") // beside what the plan says
	if out := i.mustDo(t, "tenant", "show", "lapsed"); !strings.Contains(out, "Status:           active\n") || !strings.Contains(out, "Max Users:        77\n") {
		t.Errorf("%s", out)
	}
}

func whatStripeToldIsListedAndReplayed(t *testing.T, i installation) {
	t.Helper()
	var told []billingEvent
	if err := json.Unmarshal([]byte(i.mustDo(t, "billing", "events", "list", "--tenant", "techco", "--type", "invoice.paid", "--json")), &told); err != nil || len(told) == 0 {
		t.Fatalf("%v: %+v", err, told)
	}
	if out := i.mustDo(t, "billing", "events", "show", told[0].ID); !strings.Contains(out, "Type:        invoice.paid\n") || !strings.Contains(out, `"object": "invoice"`) {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "billing", "events", "replay", told[0].ID); !strings.HasPrefix(out, "✓ Events followed again: 1\n  Objects applied: 1\n") {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "evt_0", "billing", "events", "show", "evt_0")
	if out := i.mustDo(t, "billing", "events", "replay", "--state", "dead"); out != "no such event\n" {
		t.Errorf("%s", out)
	}
}

func monthsAreSimulated(t *testing.T, i installation) {
	t.Helper()
	out := i.mustDo(t, "billing", "simulate", "--months", "3", "--fail-in", "2", "--keep=false")
	for _, words := range []string{"  payment    $99.00 by visa ", " failed: ", "  letter     reminder 1: out of service on ", "  log        suspend_tenant ", "  log        activate_tenant ",
		"  tenant     cancels\n", "  log        billing_canceled (", "\n✓ What was paid is what Stripe charged\n", "Paid:                    $297.00 by 3 invoices\n", "Differences from Stripe: 0\n"} {
		if !strings.Contains(out, words) {
			t.Errorf("no %q in\n%s", words, out)
		}
	}
}
