package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/usage"
)

// usageEvent is one event of a list. What is wrong with it is kept beside it, for an
// amount that is none is told of its event alone.
type usageEvent struct {
	Meter  string     `json:"meter"`
	Key    string     `json:"key"`
	Amount *numeric   `json:"amount"`
	Value  *string    `json:"value"`
	At     *time.Time `json:"at"`
	amount string     // what is wrong with the amount
	wrong  fault.Problems
}

// UnmarshalJSON notes what is wrong, and fails on no valid JSON.
func (e *usageEvent) UnmarshalJSON(raw []byte) error {
	if raw[0] != '{' {
		e.wrong.Add("", "must be an object; got %.60s", raw)
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	fill(reflect.ValueOf(e).Elem(), given{values: fields, what: "field of an event", judged: true}, &e.wrong)
	for i, problem := range e.wrong {
		if problem.Field == "amount" {
			e.amount = problem.Message
			e.wrong = append(e.wrong[:i:i], e.wrong[i+1:]...)
			break
		}
	}
	return nil
}

type recordUsageInput struct {
	ownTenant
	Events []usageEvent `json:"events"`
}

// mostProblems is how many events are told of where each of a long list is wrong.
const mostProblems = 20

func (in *recordUsageInput) validate(_ session.Session, problems *fault.Problems) {
	if n := len(in.Events); n == 0 || n > usage.MostEvents {
		problems.Add("events", "must be 1 to %d; got %d", usage.MostEvents, n)
		return
	}
	for i, event := range in.Events {
		for _, problem := range event.wrong {
			if len(*problems) >= mostProblems {
				return
			}
			field := fmt.Sprintf("events[%d]", i)
			if problem.Field != "" {
				field += "." + problem.Field
			}
			problems.Add(field, "%s", problem.Message)
		}
	}
}

type refusedEventReply struct {
	Index  int    `json:"index"`
	Key    string `json:"key"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

type recordedReply struct {
	Accepted   int                 `json:"accepted"`
	Duplicates int                 `json:"duplicates"`
	Refused    []refusedEventReply `json:"refused"`
}

// add counts what became of the event at an index.
func (r *recordedReply) add(index int, key string, o usage.Outcome) {
	switch o.Status {
	case usage.Accepted:
		r.Accepted++
	case usage.Duplicate:
		r.Duplicates++
	default:
		r.Refused = append(r.Refused, refusedEventReply{Index: index, Key: key, Code: o.Code, Reason: o.Reason})
	}
}

func recordUsage(ctx context.Context, tx pgx.Tx, s session.Session, in recordUsageInput) (recordedReply, error) {
	reply := recordedReply{Refused: []refusedEventReply{}}
	events := make([]usage.Event, 0, len(in.Events))
	for _, e := range in.Events {
		if e.amount != "" {
			continue
		}
		event := usage.Event{Tenant: s.Tenant, Meter: e.Meter, Key: e.Key, Amount: e.Amount.orOne(), Value: value(e.Value)}
		if e.At != nil {
			if event.At = *e.At; event.At.IsZero() {
				event.At = event.At.Add(time.Microsecond) // as long ago: a zero time would mean now
			}
		}
		events = append(events, event)
	}
	outcomes, err := usage.Record(ctx, tx, s, events)
	if err != nil {
		return reply, err
	}
	for i, e := range in.Events {
		if e.amount != "" {
			reply.add(i, e.Key, usage.Outcome{Status: usage.Refused, Code: "wrong-amount", Reason: "the amount " + e.amount})
			continue
		}
		reply.add(i, e.Key, outcomes[0])
		outcomes = outcomes[1:]
	}
	return reply, reply.audit(ctx, tx, s)
}

// audit notes what the operator counted in a tenant. The tenant's own events are many, and
// are their records themselves.
func (r *recordedReply) audit(ctx context.Context, tx pgx.Tx, s session.Session) error {
	if !s.IsOperator() || r.Accepted == 0 {
		return nil
	}
	return audit.Append(ctx, tx, s, audit.Entry{
		Tenant: s.Tenant, Action: "record_usage", Target: "tenant:" + s.Tenant.String(),
		After: map[string]any{"accepted": r.Accepted, "duplicates": r.Duplicates, "refused": len(r.Refused)},
	})
}

type reverseUsageInput struct {
	anyTenant
	Meter string `json:"meter"`
	Key   string `json:"key"`
}

type reversedReply struct {
	Meter       string    `json:"meter"`
	Key         string    `json:"key"`
	Amount      numeric   `json:"amount"`
	PeriodStart time.Time `json:"periodStart"`
}

func reverseUsage(ctx context.Context, tx pgx.Tx, s session.Session, in reverseUsageInput) (reversedReply, error) {
	r, err := usage.Reverse(ctx, tx, s, s.Tenant, in.Meter, in.Key)
	return reversedReply{Meter: r.Meter, Key: r.Key, Amount: numeric(r.Amount), PeriodStart: r.PeriodStart}, err
}

type meterUsageReply struct {
	Meter       string     `json:"meter"`
	Name        string     `json:"name"`
	Unit        string     `json:"unit"`
	Aggregation string     `json:"aggregation"`
	Used        numeric    `json:"used"`
	Held        numeric    `json:"held"`
	Limit       int64      `json:"limit"`
	Enforcement string     `json:"enforcement"`
	Source      string     `json:"source"`
	Remaining   *numeric   `json:"remaining"`
	Percent     *numeric   `json:"percent"`
	Reached     int        `json:"reached"`
	ResetDate   *time.Time `json:"resetDate"`
}

type tenantUsageReply struct {
	TenantID    id.Tenant         `json:"tenantId"`
	Slug        string            `json:"slug"`
	Plan        string            `json:"plan"`
	PeriodStart time.Time         `json:"periodStart"`
	PeriodEnd   time.Time         `json:"periodEnd"`
	ClosedAt    *time.Time        `json:"closedAt"`
	Meters      []meterUsageReply `json:"meters"`
	ChargeMinor int64             `json:"chargeMinor"`
	Currency    string            `json:"currency"`
}

type tenantUsageInput struct {
	ownTenant
	At *time.Time `json:"at"`
}

func tenantUsage(ctx context.Context, tx pgx.Tx, s session.Session, in tenantUsageInput) (tenantUsageReply, error) {
	var at time.Time
	if in.At != nil {
		at = *in.At
	}
	r, err := quota.Read(ctx, tx, s.Tenant, at)
	reply := tenantUsageReply{
		TenantID: s.Tenant, Slug: r.Tenant, Plan: r.Plan, PeriodStart: r.Period.StartsAt, PeriodEnd: r.Period.EndsAt,
		ClosedAt: r.Period.ClosedAt, Meters: make([]meterUsageReply, len(r.Meters)), ChargeMinor: r.ChargeMinor, Currency: r.Currency,
	}
	for i, m := range r.Meters {
		reply.Meters[i] = meterUsageReply{
			Meter: m.Meter, Name: m.Name, Unit: m.Unit, Aggregation: m.Aggregation, Used: numeric(m.Used), Held: numeric(m.Held),
			Limit: m.Limit, Enforcement: m.Enforcement, Source: m.Source, Remaining: orNull(m.Remaining), Percent: orNull(m.Percent),
			Reached: int(m.Reached), ResetDate: m.ResetDate,
		}
	}
	return reply, err
}
