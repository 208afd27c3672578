package main

import (
	"context"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/text"
)

// outsideQuery asks what the owner of a tenant may know that is out of service for what it
// owes: nobody has a session there in which tables could be read.
const outsideQuery = `query ($tenant: String) {
	tenants: myTenants { id slug name status plan }
	standing: billingStanding(tenant: $tenant) { state since plan status amount_minor: amountMinor currency } }`

// standingOutside is how such a tenant stands. What there is none of is nil.
type standingOutside struct {
	State       string     `json:"state"`
	Since       *time.Time `json:"since"`
	Plan        *string    `json:"plan"`
	Status      *string    `json:"status"`
	AmountMinor *bigint    `json:"amount_minor"`
	Currency    *string    `json:"currency"`
}

// showOutside shows such a tenant to its owner.
func (p *program) showOutside(ctx context.Context, client *hasuraapi.Client, ref string) error {
	var reply struct {
		Tenants  []tenant        `json:"tenants"`
		Standing standingOutside `json:"standing"`
	}
	if err := client.Do(ctx, outsideQuery, map[string]any{"tenant": ref}, &reply); err != nil {
		return err
	}
	shown := struct {
		tenant
		Account  standingOutside `json:"account"`
		NextStep string          `json:"next_step"`
	}{Account: reply.Standing, NextStep: reply.Standing.nextStep(ref)}
	for _, t := range reply.Tenants {
		if t.ID == ref || t.Slug == ref {
			shown.tenant = t
		}
	}
	fields := append([]field{{"Tenant", shown.Slug}, {"Status", shown.Status}, {"Plan", shown.Plan}}, shown.Account.fields()...)
	return p.print(shown, func(w *strings.Builder) { describe(w, "", append(fields, field{"Next step", shown.NextStep})) })
}

func (s standingOutside) fields() []field {
	fields := []field{{"Billing", account{State: s.State, Since: s.Since}.standing()}, {"Subscribed to", value(s.Plan)}, {"At Stripe", value(s.Status)}}
	if s.AmountMinor != nil {
		fields = append(fields, field{"Price", text.Money(int64(*s.AmountMinor), value(s.Currency)) + " a month"})
	}
	return fields
}

// nextStep says what brings the tenant back into service.
func (s standingOutside) nextStep(ref string) string {
	if value(s.Status) == statusCanceled {
		return "back in service once it subscribes again: nself billing subscribe " + ref + " <plan>"
	}
	return "back in service once paid: nself billing card set " + ref + " <pm_…>, or at nself billing portal " + ref
}
