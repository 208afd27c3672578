package stripeapi

import (
	"strconv"
	"time"

	"github.com/nself/tenancy/internal/id"
)

// The names under which what is ours is kept with objects of Stripe. Whoever has the
// dashboard can write there what they like.
const (
	metadataTenant     = "tenant_id"
	metadataOperation  = "operation"
	metadataKeepsPlan  = "keeps_plan"
	metadataKeepsUntil = "keeps_until" // RFC 3339
	metadataKeepsPrice = "keeps_price"
	metadataKeepsCount = "keeps_quantity"
	metadataMeter      = "meter"
	metadataPeriod     = "period_start" // RFC 3339
)

// Origin is what an object says of who made it here. A zero part is not said.
type Origin struct {
	Tenant    id.Tenant
	Operation id.Operation
}

func (o Origin) metadata() map[string]string {
	said := map[string]string{}
	if !o.Tenant.IsZero() {
		said[metadataTenant] = o.Tenant.String()
	}
	if !o.Operation.IsZero() {
		said[metadataOperation] = o.Operation.String()
	}
	return said
}

// origin reads what an object says; what is no uuid is not said.
func origin(metadata map[string]string) Origin {
	tenant, _ := id.Parse[id.Tenant](metadata[metadataTenant])
	operation, _ := id.Parse[id.Operation](metadata[metadataOperation])
	return Origin{Tenant: tenant, Operation: operation}
}

// Kept is a plan that holds until a time, whatever the price, and what was paid for it. The
// zero one keeps nothing.
type Kept struct {
	Plan     string    `json:"plan"`
	Until    time.Time `json:"until"`
	Price    string    `json:"price"`
	Quantity int64     `json:"quantity"`
}

// metadata writes all parts; Stripe forgets what is set to nothing.
func (k Kept) metadata() map[string]string {
	if k.Plan == "" {
		return map[string]string{metadataKeepsPlan: "", metadataKeepsUntil: "", metadataKeepsPrice: "", metadataKeepsCount: ""}
	}
	return map[string]string{
		metadataKeepsPlan: k.Plan, metadataKeepsUntil: k.Until.UTC().Format(time.RFC3339),
		metadataKeepsPrice: k.Price, metadataKeepsCount: strconv.FormatInt(k.Quantity, 10),
	}
}

// kept reads what is kept: nothing, unless all parts can be read.
func kept(metadata map[string]string) Kept {
	until, err := time.Parse(time.RFC3339, metadata[metadataKeepsUntil])
	quantity, failed := strconv.ParseInt(metadata[metadataKeepsCount], 10, 64)
	if err != nil || failed != nil || quantity < 1 || metadata[metadataKeepsPlan] == "" || metadata[metadataKeepsPrice] == "" {
		return Kept{}
	}
	return Kept{Plan: metadata[metadataKeepsPlan], Until: until.UTC(), Price: metadata[metadataKeepsPrice], Quantity: quantity}
}
