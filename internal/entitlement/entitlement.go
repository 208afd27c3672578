// Package entitlement keeps what was agreed with single tenants about what they may use of
// a meter, in place of what their plan says. It owns billing.tenant_limits. Plans and meters
// are the operator's tables; which of them decides is said by billing.entitlement in the
// database, what was used is usage's, and whether more may be used is for quota to decide.
package entitlement

import "github.com/nself/tenancy/internal/fault"

// Unlimited is the limit that nothing reaches.
const Unlimited = -1

// How a limit is enforced: past a hard one nothing is granted, a soft one warns.
const (
	Hard = "hard"
	Soft = "soft"
)

func noMeter(meter string) error {
	return fault.New(fault.NotFound, "there is no meter %.80q; the query meters lists them", meter)
}
