package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// billings are the actions on what tenants pay. Where BILLING_ENABLED is false each of them
// says so, before it reads anything.
type billings struct{ Config }

// whileEnabled refuses an action where the installation does not charge.
func (b billings) whileEnabled(action Action) Action {
	serve := action.serve
	action.serve = func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
		if b.Billing == nil || b.StripeSync == nil {
			return nil, fault.New(fault.BillingDisabled, "this installation does not charge: %s needs BILLING_ENABLED=true", c.action)
		}
		return serve(ctx, db, c)
	}
	return action
}

// change is an input that asks for a change at Stripe.
type change interface{ asks() purchase.Input }

// begun is the operation that a change became. It is what is kept under an idempotency
// key, for how an operation ended may be known only later, and secrets of its end are
// kept nowhere.
type begun struct {
	Tenant    id.Tenant    `json:"tenantId"`
	Operation id.Operation `json:"operationId"`
}

// forChange is an action that changes what a tenant pays: what is asked for is noted in
// the action's transaction, and done after it, for no transaction waits for Stripe.
func forChange[In change, Out any](b billings, name string, roles []session.Role, reply func(bought) Out) Action {
	action := newAction(name, roles, enterPayer, operation[In, Out](nil))
	begin := func(ctx context.Context, tx pgx.Tx, s session.Session, in In) (begun, error) {
		op, err := b.Billing.Begin(ctx, tx, s, in.asks())
		return begun{s.Tenant, op}, err
	}
	action.serve = tellLoss(func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
		noted, err := transact(ctx, db, c, inside[In, begun]{enterPayer, begin})
		if err != nil {
			return nil, err
		}
		started, err := operationOf(noted)
		if err != nil {
			return nil, err
		}
		result, err := b.Billing.Run(ctx, started.Tenant, started.Operation)
		if err != nil {
			return nil, err
		}
		has, err := tenant.Get(ctx, db, started.Tenant)
		if err != nil {
			return nil, err
		}
		return reply(bought{result, has.Plan}), nil
	})
	return b.whileEnabled(action)
}

// bought is how an operation ended, and the plan that the tenant has then.
type bought struct {
	purchase.Result
	plan string
}

// operationOf is what was begun, now or when the idempotency key was used first.
func operationOf(noted any) (started begun, err error) {
	kept, before := noted.(json.RawMessage)
	if !before {
		return noted.(begun), nil
	}
	if err := json.Unmarshal(kept, &started); err != nil {
		return started, fmt.Errorf("read the operation kept under the idempotency key: %w", err)
	}
	return started, nil
}

type billingReply struct {
	OperationID       id.Operation `json:"operationId"`
	State             string       `json:"state"`
	SubscriptionID    *string      `json:"subscriptionId"`
	Status            *string      `json:"status"`
	Plan              string       `json:"plan"`
	NextPlan          *string      `json:"nextPlan"`
	CurrentPeriodEnd  *time.Time   `json:"currentPeriodEnd"`
	TrialEnd          *time.Time   `json:"trialEnd"`
	CancelAtPeriodEnd bool         `json:"cancelAtPeriodEnd"`
	ClientSecret      *string      `json:"clientSecret"`
	HostedInvoiceURL  *string      `json:"hostedInvoiceUrl"`
	PublishableKey    *string      `json:"publishableKey"`
}

func (b billings) replyChange(r bought) billingReply {
	reply := billingReply{
		OperationID: r.Operation, State: r.State, Plan: r.plan, ClientSecret: told(r.ClientSecret), HostedInvoiceURL: told(r.HostedURL),
		PublishableKey: told(b.Billing.PublishableKey()),
	}
	if s := r.Subscription; s != nil {
		reply.SubscriptionID, reply.Status = &s.StripeID, &s.Status
		if value(s.KeepsPlan) == r.plan && value(s.Plan) != r.plan {
			reply.NextPlan = s.Plan
		}
		reply.CurrentPeriodEnd, reply.TrialEnd, reply.CancelAtPeriodEnd = &s.CurrentPeriodEnd, s.TrialEnd, s.CancelAtPeriodEnd
	}
	return reply
}

type checkoutReply struct {
	OperationID id.Operation `json:"operationId"`
	URL         string       `json:"url"`
	ExpiresAt   time.Time    `json:"expiresAt"`
}

func replyCheckout(r bought) checkoutReply {
	return checkoutReply{OperationID: r.Operation, URL: r.URL, ExpiresAt: r.ExpiresAt}
}

type portalReply struct {
	URL string `json:"url"`
}

func replyPortal(r bought) portalReply { return portalReply{URL: r.URL} }
