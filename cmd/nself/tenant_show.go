package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const showDetails = `members: members_aggregate { aggregate { count } }
	plan_details { limits(order_by: {meter: asc}) { meter limit } }`

const showTenantQuery = `query ($where: tenants_bool_exp!) {
	tenants(where: $where) { ` + tenantColumns + ` owner { email } ` + showDetails + ` }
}`

// showToMemberQuery leaves out what members and guests may not see.
const showToMemberQuery = `query ($where: tenants_bool_exp!) {
	tenants(where: $where) { id slug name status strategy plan created_at ` + showDetails + ` }
}`

// unlimited is what a limit is where there is none.
const unlimited = -1

type tenantDetails struct {
	tenant
	Owner *struct {
		Email string `json:"email"`
	} `json:"owner"`
	Members struct {
		Aggregate struct {
			Count int `json:"count"`
		} `json:"aggregate"`
	} `json:"members"`
	PlanDetails *struct {
		Limits []struct {
			Meter string `json:"meter"`
			Limit bigint `json:"limit"`
		} `json:"limits"`
	} `json:"plan_details"`
}

// bigint is a Postgres bigint, which Hasura writes as a string where it is set up with
// HASURA_GRAPHQL_STRINGIFY_NUMERIC_TYPES.
type bigint int64

// UnmarshalJSON reads either spelling.
func (b *bigint) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*b = bigint(n)
	return err
}

// shownTenant is what show prints with --json. A limit of -1 is unlimited; storage is
// in bytes. Billing is nil where nothing was ever bought, and where the role may not see it.
type shownTenant struct {
	tenant
	OwnerEmail string           `json:"owner_email,omitempty"`
	Members    int              `json:"members"`
	Limits     map[string]int64 `json:"limits"`
	Billing    *shownBilling    `json:"billing,omitempty"`
	billed     billed
}

// shownBilling is where a tenant stands with what it buys, and what happens next.
type shownBilling struct {
	account
	NextStep string `json:"next_step"`
}

func (p *program) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show <tenant>",
		Short: "Show one tenant",
		Long: `Show one tenant: its state, owner, members and the limits of its plan; and where it
subscribed to one, how its account stands and what happens next.`,
		Example: `  nself tenant show acme
  nself tenant show acme --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			shown, err := showTenant(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			return p.print(shown, func(w *strings.Builder) { describe(w, "", shown.fields()) })
		},
	}
}

func showTenant(ctx context.Context, client *hasuraapi.Client, ref string) (shownTenant, error) {
	found, err := findTenant[tenantDetails](ctx, client, lookup{document: showTenantQuery, ref: ref})
	if closed(err) && !client.Operator() {
		found, err = findTenant[tenantDetails](ctx, client, lookup{document: showToMemberQuery, ref: ref})
	}
	if err != nil {
		return shownTenant{}, err
	}
	shown := shownTenant{tenant: found.tenant, Members: found.Members.Aggregate.Count, Limits: map[string]int64{}}
	if found.Owner != nil {
		shown.OwnerEmail = found.Owner.Email
	}
	if found.PlanDetails != nil {
		for _, l := range found.PlanDetails.Limits {
			shown.Limits[l.Meter] = int64(l.Limit)
		}
	}
	if err := mayUse(ctx, client, found.ID, shown.Limits); err != nil {
		return shown, err
	}
	shown.billed, err = billingOf(ctx, client, found.ID)
	if closed(err) {
		return shown, nil // it is its owner's and the operator's
	}
	if account := first(shown.billed.Accounts); account != nil {
		shown.Billing = &shownBilling{*account, shown.billed.nextStep()}
	}
	return shown, err
}

const entitledQuery = `query ($tenant: String) { reply: tenantUsage(tenant: $tenant) { meters { meter limit } } }`

// mayUse puts what a tenant may use in the place of what its plan says: what was agreed with
// it, and what its add-ons add. Members and guests see the plan's.
func mayUse(ctx context.Context, client *hasuraapi.Client, tenantID string, limits map[string]int64) error {
	var answer struct {
		Reply usageReport `json:"reply"`
	}
	err := client.Do(ctx, entitledQuery, map[string]any{"tenant": tenantID}, &answer)
	if closed(err) {
		return nil
	}
	for _, m := range answer.Reply.Meters {
		limits[m.Meter] = int64(m.Limit)
	}
	return err
}

func (s shownTenant) fields() []field {
	owner := s.OwnerUserID
	if s.OwnerEmail != "" {
		owner = s.OwnerEmail + " (" + s.OwnerUserID + ")"
	}
	return append([]field{
		{"ID", s.ID}, {"Slug", s.Slug}, {"Name", s.Name}, {"Status", s.Status}, {"Plan", s.Plan}, {"Owner", owner},
		{"Members", strconv.Itoa(s.Members)},
		{"Max Users", s.limit("users", plainNumber)},
		{"Max Storage", s.limit("storage", bytesInWords)},
		{"Max API Requests", s.limit("api_requests", plainNumber)},
		{"Billing", s.billed.standing()}, {"Grace until", s.billed.graceUntil()}, {"Next step", s.billed.nextStep()},
		{"Created", when(s.CreatedAt)},
	}, s.ends()...)
}

// ends are the dates of a suspension or deletion.
func (t tenant) ends() []field {
	return []field{
		{"Suspended", when(t.SuspendedAt)}, {"Reason", t.SuspendReason},
		{"Deleted", when(t.DeletedAt)}, {"Restorable until", when(t.PurgeAfter)},
	}
}

// limit shows the limit of a meter; "" where nothing is said of it.
func (s shownTenant) limit(meter string, show func(int64) string) string {
	limit, known := s.Limits[meter]
	switch {
	case !known:
		return ""
	case limit == unlimited:
		return "unlimited"
	}
	return show(limit)
}

func plainNumber(n int64) string { return strconv.FormatInt(n, 10) }

// bytesInWords shows bytes in the largest unit that leaves at least one of it.
func bytesInWords(n int64) string {
	for shift, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if one := int64(1) << (40 - 10*shift); n >= one {
			return strconv.FormatFloat(math.Floor(float64(n)/float64(one)*100)/100, 'f', -1, 64) + " " + unit
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
