package actions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripesync"
	"github.com/nself/tenancy/internal/tenant"
)

type billingEventReply struct {
	ID         string           `json:"id"`
	Type       string           `json:"type"`
	ObjectID   *string          `json:"objectId"`
	Kind       *string          `json:"kind"`
	TenantID   *id.Tenant       `json:"tenantId"`
	State      string           `json:"state"`
	Reason     *string          `json:"reason"`
	CreatedAt  time.Time        `json:"createdAt"`
	ReceivedAt time.Time        `json:"receivedAt"`
	Deliveries int              `json:"deliveries"`
	APIVersion string           `json:"apiVersion"`
	Payload    *json.RawMessage `json:"payload"`
}

func replyBillingEvent(e stripesync.EventRow) billingEventReply {
	reply := billingEventReply{
		ID: e.ID, Type: e.Type, ObjectID: e.ObjectID, Kind: e.Kind, TenantID: known(e.TenantID), State: e.State, Reason: e.Reason,
		CreatedAt: e.CreatedAt, ReceivedAt: e.ReceivedAt, Deliveries: e.Deliveries, APIVersion: e.APIVersion,
	}
	if e.Payload != nil {
		payload := json.RawMessage(*e.Payload)
		reply.Payload = &payload
	}
	return reply
}

// known is a tenant for a reply, null where there is none.
func known(t id.Tenant) *id.Tenant {
	if t.IsZero() {
		return nil
	}
	return &t
}

// How many events are listed, or named, at once.
const (
	usuallyListed = 100
	mostListed    = 1000
)

type billingEventsInput struct {
	State *string    `json:"state"`
	Type  *string    `json:"type"`
	Since *time.Time `json:"since"`
	After *string    `json:"after"`
	Limit *int       `json:"limit"`
	ownTenant
	page stripesync.Page
}

func (in *billingEventsInput) validate(_ session.Session, problems *fault.Problems) {
	in.page = stripesync.Page{State: value(in.State), Type: value(in.Type), After: value(in.After), Limit: usuallyListed}
	if in.Since != nil {
		in.page.Since = *in.Since
	}
	if in.Limit != nil {
		in.page.Limit = *in.Limit
	}
	if in.page.Limit < 1 || in.page.Limit > mostListed {
		problems.Add("limit", "must be 1 to %d; got %d", mostListed, in.page.Limit)
	}
	switch in.page.State {
	case "", "waiting", "applied", "parked", "dead", "ignored":
	default:
		problems.Add("state", "must be waiting, applied, parked, dead or ignored; got %.80q", in.page.State)
	}
}

func billingEvents(ctx context.Context, tx pgx.Tx, _ session.Session, in billingEventsInput) ([]billingEventReply, error) {
	if in.Tenant != nil {
		found, err := tenant.Resolve(ctx, tx, *in.Tenant)
		if err != nil {
			return nil, err
		}
		in.page.Tenant = found
	}
	list, err := stripesync.Events(ctx, tx, in.page)
	replies := make([]billingEventReply, len(list))
	for i, e := range list {
		replies[i] = replyBillingEvent(e)
	}
	return replies, err
}

type billingEventInput struct {
	ID string `json:"id"`
}

func billingEvent(ctx context.Context, tx pgx.Tx, _ session.Session, in billingEventInput) (billingEventReply, error) {
	e, err := stripesync.EventOf(ctx, tx, in.ID)
	return replyBillingEvent(e), err
}
